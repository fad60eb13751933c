"""The home of local runs: a folder that a run has created and marked, so that other people's files are never touched."""

import fcntl
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from globe import storage
from globe.errors import InputError, cannot_write
from globe.evaluation.promote import PROMOTED_FILE
from globe.files import write_atomically
from globe.storage import RESULT_FILE

MARKER = ".globe-home"
MARKER_TEXT = "Results, logs and reports of `python -m pipelines run`; `--fresh` deletes the folder store beside this file.\n"
STORE, HISTORY, SCRATCH, LOCK, REPORT = "store", "history", "scratch", ".lock", "report.html"
FORGOTTEN = ".forgotten-"
_RUN_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_KEY = re.compile(r"[0-9a-f]{16}(?:\.lock)?")


def find_home(text: str) -> Path:
    """Check the home that a user names, without changing it.

    Args:
        text: A folder, which need not exist.

    Returns:
        Its absolute path, links resolved.

    Raises:
        InputError: There can be no folder, it cannot be written to, or it is not a home.
    """
    if not text.strip():
        raise InputError("--home: empty; give a folder for results, logs and reports")
    if "://" in text:
        raise InputError(
            f"--home {text}: is not on this machine; give a local folder (only runs on a cluster can have their store on S3)"
        )
    if not text.isprintable():
        raise InputError(f"--home {text!r}: the name contains control characters; give another folder")
    try:
        home = Path(text).expanduser().resolve()
        if home.exists() and not home.is_dir():
            raise InputError(f"--home {text}: is not a folder; give one for results, logs and reports")
        storage.check_access(home, write=True)
        is_ours = not home.exists() or (home / MARKER).is_file() or not any(home.iterdir()) or _is_of_an_earlier_version(home)
    except InputError as error:
        raise InputError(str(error) if str(error).startswith("--home") else f"--home {error}") from None
    except OSError as error:
        raise cannot_write(f"--home {text}", error) from None
    except RuntimeError:  # what pathlib raises for circular links, and for ~ of an unknown user
        raise InputError(f"--home {text}: leads nowhere; give a folder for results, logs and reports") from None
    if not is_ours:
        raise InputError(
            f"--home {home}: holds files, but was not created by a run ({MARKER} is missing); give an empty or a new folder, "
            f"or, if it is a home whose {STORE} --fresh may delete: touch {home / MARKER}"
        )
    return home


@contextmanager
def using(home: Path, *, alone: bool) -> Iterator[None]:
    """Create a home if there is none, and lock it: runs can share it, but one that starts afresh must be alone.

    Raises:
        InputError: Another run is using it, or it cannot be written to.
        GlobeError: The disk is full.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / MARKER).is_file():  # before anything else: a home without it would be refused
            write_atomically(home / MARKER, MARKER_TEXT)
        lock = (home / LOCK).open("w")
    except OSError as error:
        raise cannot_write(f"--home {home}", error) from None
    with lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{home}: another run is using it; wait for it, or give this one --home ANOTHER") from None
        for left in home.glob(f"{FORGOTTEN}*"):  # by a run that was killed while it deleted results
            shutil.rmtree(left, ignore_errors=True)
        if alone:
            _forget_results(home)
            fcntl.flock(lock, fcntl.LOCK_SH)  # the old results are deleted; from now on others may join
        yield


def _forget_results(home: Path) -> None:
    """Delete a home's store, moving it away first, so that a kill in the middle leaves no half of a result."""
    store = home / STORE
    if store.is_symlink():
        raise InputError(f"{store}: is a link, and --fresh does not follow links; empty {store.resolve()} yourself")
    try:
        if store.exists():
            doomed = home / f"{FORGOTTEN}{secrets.token_hex(4)}"
            store.rename(doomed)
            shutil.rmtree(doomed)
    except OSError as error:
        raise cannot_write(error.filename or store, error) from None


def _is_of_an_earlier_version(home: Path) -> bool:
    """Whether a folder without the marker is clearly a home: it holds nothing but what runs leave, under their names."""
    names = {path.name for path in home.iterdir()}
    if not {STORE, HISTORY, LOCK} <= names <= {STORE, HISTORY, LOCK, SCRATCH, REPORT}:
        return False
    store, history = home / STORE, home / HISTORY
    if any(path.is_symlink() or not path.is_dir() for path in (store, history)):
        return False
    stages = [path for path in store.iterdir() if path.name != PROMOTED_FILE]
    results = [path for stage in stages if stage.is_dir() for path in stage.iterdir()]
    return (
        all(_RUN_ID.fullmatch(path.name) for path in history.iterdir())
        and all(stage.is_dir() and not stage.is_symlink() for stage in stages)
        and all(_KEY.fullmatch(path.name) for path in results)
        and any((path / RESULT_FILE).is_file() for path in results)
    )
