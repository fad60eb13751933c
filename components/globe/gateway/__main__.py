"""`python -m globe.gateway [--config FILE]`: the gateway as a process of its own.

Its parts are imported only once SIGTERM ends it. A container's first process is not ended by a signal that it has no handler for,
and a busy machine takes long over the imports.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from typing import Any


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM.

    Args:
        argv: Arguments; those of the process if None.

    Returns:
        Exit status: 0 after SIGTERM, 2 for settings that cannot be used.
    """
    from globe.console import tell
    from globe.errors import InputError
    from globe.gateway.allocator import keep_memory
    from globe.gateway.server import serve
    from globe.gateway.settings import read_settings

    parser = argparse.ArgumentParser(prog="python -m globe.gateway", description="The only open port of a served model.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, as YAML; GLOBE_GATEWAY_NAME sets one, too")
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    keep_memory()
    try:
        serve(read_settings(given.config))
    except InputError as error:
        tell(str(error))
        return 2
    return 0


def _end(*_: Any) -> None:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
