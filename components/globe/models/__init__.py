"""Checkpoints: what a model is, where it lies, and that it is whole."""
