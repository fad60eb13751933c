"""``python -m globe.storage PATH|URI ...``: have what is named on this machine, and print where; for a pod's init container."""

import sys
from pathlib import Path

from globe.errors import GlobeError, InputError
from globe.storage import ensure, fetch


def main() -> int:
    """Pull each argument; exit code 0, or 1, or 2 for bad input, with one line that says why."""
    if not sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for text in sys.argv[1:]:
            print(ensure(Path(fetch(text))), flush=True)
    except GlobeError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
