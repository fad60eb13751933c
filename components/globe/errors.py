"""The two kinds of failure that a user meets: something given was wrong, or something tried did not work."""


class GlobeError(Exception):
    """The work could not be done. Commands end with exit code 1."""


class InputError(GlobeError):
    """Something the user gave is wrong. One line naming file, row or field, and what to do; commands end with exit code 2."""
