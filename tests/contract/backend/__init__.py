"""What KFP's backend does with a compiled pipeline, told from its Go sources: the pods that it makes, and what it refuses.

Each function names the Go file, the function and the versions that it stands for. Nothing here ran on a backend.
"""
