"""The pipelines: what runs after what. Compile, run and submit them with `python -m pipelines`."""

SUCCEEDED, FAILED, BAD_INPUT, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes of the commands."""
DEFAULT_PROFILE = "8x80gb"
"""The profile for a cluster, with which the committed files are compiled."""
