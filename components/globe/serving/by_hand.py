"""A server that one command starts and ends, with all its files in one folder, which is removed with the server."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from globe.console import tell, waiting
from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.models.weights import require_whole_model
from globe.run.processes import end_writers, signals_as_interrupts
from globe.serving.process import require_alive, served
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import local_key, read_key

PREFIX = "globe-server-"
LOG_KEPT_S = 86_400.0
"""How long the log of a failed start stays: its owner was told to read it."""
CLOCK_S = 2.0
"""How far the kernel's and the file system's times may be apart."""
_NAME = re.compile(r"[A-Za-z0-9][\w.:-]{0,99}", re.ASCII)


@dataclass(frozen=True)
class Attended:
    """A running server, and how to see that it still runs."""

    url: str
    """Base URL that ends in /v1."""
    key: str = field(repr=False)
    """Its key; empty if it is the user's own, or there is none."""
    check: Callable[[], None]
    """Raises `GlobeError` with the server's last words once it has ended."""


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for as long as a block runs.

    It is removed at the end. Only after a failure the log stays for a day, for the error names it. What a killed command left is
    removed by the next one, and so are engines, which outlive a command and servers that were all killed at once.
    """
    root = Path(tempfile.gettempdir())
    for old in root.glob(f"{PREFIX}*"):
        if _is_ours(old) and not _lives(old) and not _is_a_log_to_read(old):
            end_writers(list(old.glob("*.log")))  # killed together with its servers, it could not end their engines
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    failed = False
    try:
        yield folder
    except InputError:  # not the server's fault
        raise
    except Exception:
        failed = True
        raise
    finally:
        for path in folder.iterdir():
            if not failed or path.suffix != ".log":
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        if not failed:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(checkpoint: Checkpoint, name: str, recipe: ServingRecipe, *, keyed: bool = True) -> Iterator[Attended]:
    """A server for as long as a block runs, in its own folder, with a line on stderr while it starts.

    SIGTERM and a closed terminal end the block as Ctrl-C does, so that nothing is left behind.

    Args:
        checkpoint: The checkpoint.
        name: Name that clients ask for.
        recipe: Serving settings.
        keyed: Whether only this process may ask it; see `globe.serving.process.start_servers`.

    Raises:
        InputError: The name cannot be one.
        GlobeError: The server ended or was not ready in time.
    """
    require_name(name)
    require_weights(checkpoint)
    with signals_as_interrupts(), server_folder() as folder, ExitStack() as stack:
        tell(f"starting vLLM (log: {folder}/serving-{name}.log) ...")
        with waiting("vLLM has been starting"):
            server = stack.enter_context(served(checkpoint, name, recipe, folder, keyed=keyed))
        key = read_key(local_key(folder, name), name) if keyed else ""
        yield Attended(server.url, key, lambda: require_alive(folder, name))


def require_name(name: str) -> None:
    """Check a model's name: it is part of file names, URLs and command lines.

    Raises:
        InputError: It cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"--name {name!r}: a model's name has letters, digits, '.', '_', ':' and '-' only, and begins with a letter or digit"
        )


def require_weights(checkpoint: Checkpoint) -> None:
    """Check a model that came without a manifest: nobody has looked at its weights yet, and vLLM does not.

    Raises:
        InputError: They are not all there.
    """
    if not checkpoint.manifest:
        with waiting("looking at the weights"):
            require_whole_model(checkpoint.path)


def _is_a_log_to_read(folder: Path) -> bool:
    """Whether a folder holds what a failed start has left, and not for long yet."""
    left = list(folder.iterdir())
    return bool(left) and all(
        path.suffix == ".log" and time.time() - path.stat().st_mtime < LOG_KEPT_S for path in left if path.exists()
    )


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()


def _lives(folder: Path) -> bool:
    """Whether the process that a folder's name holds still runs, and no later one has its number."""
    number = folder.name.removeprefix(PREFIX).partition("-")[0]
    with suppress(psutil.NoSuchProcess):
        return number.isdecimal() and psutil.Process(int(number)).create_time() <= folder.stat().st_mtime + CLOCK_S
    return False
