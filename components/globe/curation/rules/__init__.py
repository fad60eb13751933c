"""The rules that an annotation has to pass, one module for each of the paper's steps. Pure functions."""
