"""`python -m globe.gateway [--config FILE]`: the gateway as a process of its own."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from globe.console import tell
from globe.errors import InputError
from globe.gateway.server import serve
from globe.gateway.settings import read_settings


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM.

    Args:
        argv: Arguments; those of the process if None.

    Returns:
        Exit status: 0 after SIGTERM, 2 for settings that cannot be used.
    """
    parser = argparse.ArgumentParser(prog="python -m globe.gateway", description="The only open port of a served model.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as YAML; GLOBE_GATEWAY_NAME sets one, too")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        serve(read_settings(given.config))
    except InputError as error:
        tell(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
