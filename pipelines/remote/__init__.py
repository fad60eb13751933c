"""Run a pipeline on a KFP server and follow it, for a person or a CI job."""

LONGEST_LINE = 500
"""Characters that are kept of what a server says."""
