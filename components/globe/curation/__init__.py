"""From a source dataset and a few teachers to verified training data: ask, verify, split."""
