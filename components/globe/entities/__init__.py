"""Visual things that texts name: one vocabulary, one matcher, for curation and rewards alike."""
