"""``python -m globe.cli``: the same as ``globe``."""

from globe.cli.app import main

main()
