"""Witnesses: models that check what teachers say, each asked over HTTP and served by `globe witness`.

A teacher says where a picture was taken, and why. A witness knows nothing of that and answers one narrow question: GeoCLIP at
which position (`coordinates`), a semantic segmentation model what is visible (`segmentation`), a text embedding model whether two
reasonings say the same (`alignment`).
"""
