"""Whom curation asks, what, and how: so that no reply is lost, asked for twice or believed without a look."""
