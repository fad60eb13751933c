"""The key of a run's server: made by the stage that starts it, known to that server and to the stage that asks it.

It lies in a file, one for each server, and nowhere else: in no parameter, URL, argument, log or description of a pod, which more
people may read. On this machine the file is in the folder of the run's servers, for its user only; on a cluster it is among
the run's records in the store, where a server's pod finds it, and whoever may read the store may ask the run's servers. So no
account needs a right to any secret of the cluster. The tear-down removes it.

``python -m globe.serving.server_key ADDRESS FILE`` fetches one from S3 for a server that has no S3 client.
"""

import hashlib
import os
import re
import secrets
import sys
from pathlib import Path

from globe import storage
from globe.errors import GlobeError, InputError
from globe.files import write_atomically
from globe.models.checkpoints import Checkpoint
from globe.run.records import folder_of
from globe.run.stage import RUN_VARIABLE
from globe.serving.guard import DIGEST_VARIABLE, KEY_FILE_VARIABLE

PREFIX, SUFFIX = "server-", ".key"
OWNERS_ONLY, GROUPS_TOO = 0o600, 0o640
"""Modes of a key's file on this machine, and on a claim, where servers may have another user of the same group."""
KEY = re.compile(r"[0-9a-f]{64}")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def local_key(folder: Path, model: str) -> Path:
    """Where the key of a server on this machine lies.

    Args:
        folder: The folder of the run's servers.
        model: The model name that it serves.
    """
    return folder / f"{model}{SUFFIX}"


def stored_key(store: str, run: str, model: str) -> str:
    """Where the key of a server in a cluster lies: a path, or an address on S3.

    Raises:
        InputError: The run has no store.
        GlobeError: It has no id.
    """
    if not store:
        raise InputError("store: a run needs one, for the keys of its servers")
    name = f"{_UNSAFE.sub('-', model)}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    return f"{folder_of(store, os.environ.get(RUN_VARIABLE) or run)}/{PREFIX}{name}{SUFFIX}"


def forget_keys(store: str, run: str, model: str = "") -> None:
    """Remove the keys of a run's servers in a cluster, or that of one, once they open nothing any more.

    Args:
        store: As in `stored_key`; so is the next one.
        run: The run.
        model: The model name that the server serves; empty for all of them.

    Raises:
        GlobeError: The store does not answer, or as `stored_key`.
    """
    one = stored_key(store, run, model)
    folder = one.rpartition("/")[0]
    keys = [f"{folder}/{name}" for name in storage.names_in(folder) if name.startswith(PREFIX) and name.endswith(SUFFIX)]
    for place in [one] if model else keys:
        storage.remove_file(place)


def make_key(place: str | Path, mode: int) -> str:
    """The key that lies in a place, or a new one: a server that runs already keeps the one it was started with.

    Args:
        place: A path or an address on S3.
        mode: Of the file.

    Raises:
        GlobeError: The store cannot be reached or written to.
    """
    if storage.exists(place) and KEY.fullmatch(key := storage.read_text(place).strip()):
        return key
    key = secrets.token_hex(32)
    if storage.address_of(place):
        storage.write_text(place, key)
    else:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(place), key, mode)
    return key


def fingerprint(key: str) -> str:
    """Tells a key from another and does not give it away: a pod's template carries it, so that a new key makes a new pod."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def read_key(place: str | Path, model: str) -> str:
    """The key of a server that a run has started, for a stage that asks it.

    Args:
        place: Where it lies.
        model: The model name that the server serves, for the error.

    Raises:
        GlobeError: There is none: the run has not started that server, or has ended it.
    """
    try:
        key = storage.read_text(place).strip()
    except InputError as error:
        raise GlobeError(f"the run has no key for its server of {model} ({error}): it was not started, or was ended") from None
    if not KEY.fullmatch(key):
        raise GlobeError(f"{place}: is no key of a server; start the run again")
    return key


def guarded(key_file: Path, digest: str) -> dict[str, str]:
    """Environment of a server with a key.

    Args:
        key_file: The file, as the server sees it.
        digest: What it says it serves, as `model_digest` gives it.
    """
    return {KEY_FILE_VARIABLE: str(key_file), DIGEST_VARIABLE: digest}


def model_digest(checkpoint: Checkpoint) -> str:
    """What a server says it serves; empty for a model without a manifest, of which nobody has a digest."""
    return checkpoint.digest if checkpoint.files else ""


def main() -> int:
    """Fetch a key; exit code 0, or 1 with one line why."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    address, file = sys.argv[1:]
    try:
        write_atomically(Path(file), storage.read_text(address), 0o440)
    except (GlobeError, OSError) as error:
        print(f"the server's key: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
