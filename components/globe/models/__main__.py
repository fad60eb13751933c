"""``python -m globe.models PATH|URI ...``: fetch models to this machine, check them, print where they are (an init container)."""

import sys
from pathlib import Path

from globe.errors import GlobeError, InputError
from globe.models.checkpoints import MANIFEST_FILE, read_intact, require_model_files
from globe.storage import fetch, have


def main() -> int:
    """Fetch each argument, and check it if it has a manifest; exit code 0, or 1, or 2 for bad input, with one line why."""
    if not sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for text in sys.argv[1:]:
            folder = have(Path(fetch(text)))
            if (folder / MANIFEST_FILE).is_file():
                read_intact(folder)
            else:
                require_model_files(folder)
            print(folder, flush=True)
    except GlobeError as error:
        print(str(error), file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
