"""The command ``globe``, one file a group of commands."""
