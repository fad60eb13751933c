"""The command ``globe``: one file per group of commands."""
