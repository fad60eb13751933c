"""GLOBE: a vision-language model that says where a photo was taken, and why."""

__version__ = "0.1.0"
