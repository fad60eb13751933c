"""The trainer's own checkpoints, from which a killed training resumes: which of them hold.

A kill may come while a checkpoint is being written, or while an old one is being removed. So each gets a mark once all of it is
written: the step, and the size of every file. A folder without a mark, or with other files than its mark says, does not count.

With DeepSpeed the trainer unpickles some of these files, so whoever can change them can run code in it. Where the run has a
signing key, the process that started the trainer seals each marked checkpoint: the mark gets the sha256 of every file and a
signature, and only a checkpoint with exactly these files holds. The trainer itself never has the key: it parses what others
made. A kill before the seal costs that one save. Of a TrainJob that has ended while no stage watched it costs all since: the
cluster does not know what its pods have written, and whoever can write there can write a mark. Sealing reads and hashes every
file, beside the training: a second of a core for each GB, as many files at once as there are cores (at most eight). Resuming does
the same before the trainer starts.
"""

import json
import os
import re
import shutil
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.files import file_sha256, write_json
from globe.signing import Unsigned, is_signing, place_in_store, require_signed, signed
from globe.training.measured import best_first

CALLBACK = "globe_steps"
"""ms-swift's name of the callback that writes the marks."""
MARK_FILE = "whole.json"
OUTPUT = "swift"
"""Subfolder of a stage's folder that the trainer writes to."""
TENSORBOARD = f"{OUTPUT}/runs"
"""Subfolder for TensorBoard, where ms-swift's default puts its files: one for each process that trained or resumed."""
STATE_FILE = "trainer_state.json"
TRAINER_FILES = (
    *(MARK_FILE, STATE_FILE, "optimizer*", "scheduler.pt", "scaler.pt", "rng_state*", "training_args.bin", "global_step*"),
    *("latest", "zero_to_fp32.py", "args.json"),
)
"""Files that only a resumed training needs, or that name folders of this machine: never part of a published checkpoint."""
HASHED_AT_ONCE = 8
_MARK_FILES = re.compile(rf"{re.escape(MARK_FILE)}(\.\d+\.tmp)?")
"""The mark, and one that is being written."""


@dataclass(frozen=True)
class Mark:
    """What a whole checkpoint says about itself."""

    step: int
    max_steps: int
    processes: int
    """How many processes trained: another number would change the batches."""
    files: dict[str, int]
    """Size in bytes by name relative to the checkpoint."""
    sha256: dict[str, str] = field(default_factory=dict)
    """Of each file, where the mark is sealed."""
    signature: str = ""
    """Of all of the above, where the mark is sealed."""


def mark_whole(checkpoint: Path, step: int, max_steps: int, processes: int = 1) -> None:
    """Mark a checkpoint that is completely written."""
    mark = {"step": step, "max_steps": max_steps, "processes": processes, "files": _sizes(checkpoint)}
    write_json(checkpoint / MARK_FILE, mark)


def read_mark(checkpoint: Path) -> Mark | None:
    """The mark of a checkpoint; None unless it is whole. Whether it is sealed `holds` says."""
    try:
        mark = Mark(**json.loads((checkpoint / MARK_FILE).read_text(encoding="utf-8")))
        sizes = _sizes(checkpoint)
        return mark if all(sizes.get(name) == size for name, size in mark.files.items()) else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def seal(checkpoint: Path) -> None:
    """Vouch with the run's signing key for every file of a whole checkpoint; without a key there is nothing to do.

    Raises:
        GlobeError: The checkpoint is not whole.
        InputError: The key is missing, or could be guessed.
    """
    if not is_signing():
        return
    mark = read_mark(checkpoint)
    if mark is None:
        raise GlobeError(f"{checkpoint}: is not whole, or is being removed")
    content = asdict(mark) | {"sha256": hashes(checkpoint, mark.files)}
    write_json(checkpoint / MARK_FILE, signed(content, _place(checkpoint)))


def holds(checkpoint: Path) -> bool:
    """Whether a training may go on from a checkpoint: it is whole and, where this run has a signing key, just what was sealed."""
    mark = read_mark(checkpoint)
    if mark is None or not is_signing():
        return mark is not None
    try:
        require_signed(asdict(mark), _place(checkpoint), checkpoint / MARK_FILE)
        files = regular_files(checkpoint)
        return files == mark.sha256.keys() and hashes(checkpoint, files) == mark.sha256
    except (Unsigned, OSError):
        return False


def last_checkpoint(output: Path) -> Path | None:
    """The newest checkpoint below a training's output folder from which it may go on."""
    return next((path for path in _newest_first(output) if holds(path)), None)


def marked_after(output: Path, step: int) -> list[Path]:
    """The whole checkpoints below a training's output folder, sealed or not, that were made after a step; the oldest first."""
    return [path for path in reversed(_newest_first(output)) if step_of(path) > step and read_mark(path)]


def remove_torn(output: Path) -> list[Path]:
    """Remove checkpoints that a kill left half written or half removed, and those that are not what this run's key has sealed.

    Returns:
        The latter.
    """
    refused = []
    for path in _checkpoints(output):
        if not holds(path):
            refused += [path] if read_mark(path) else []
            shutil.rmtree(path)
    return refused


def remove_older(checkpoint: Path) -> None:
    """Keep a checkpoint, the one before it, and the one that was best on held-out rows so far.

    We go by their steps and leave none of it to the trainer: it goes by the folders' times, and when a clock has been set back it
    removes the checkpoint that it has just written.
    """
    step = step_of(checkpoint)
    older = sorted((path for path in _checkpoints(checkpoint.parent) if step_of(path) < step), key=step_of)
    kept = {*older[-1:], *(checkpoint.with_name(f"checkpoint-{step}") for step in best_first(read_history(checkpoint))[:1])}
    for path in older:
        if path not in kept:
            shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """The step at which a checkpoint was made."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def read_history(checkpoint: Path) -> list[dict[str, Any]]:
    """What was logged at each step from the first to this checkpoint's, across all resumes."""
    return list(json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8")).get("log_history", []))


def regular_files(folder: Path) -> set[str]:
    """The names of all files below a folder, but for a checkpoint's mark.

    Raises:
        Unsigned: There is something else, such as a link, which may lead somewhere else the next time.
    """
    found = set()
    for place, folders, names in os.walk(folder):
        for path in (Path(place) / name for name in (*folders, *names)):
            kind = path.lstat().st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise Unsigned(f"{path}: is no file and no folder")
            if stat.S_ISREG(kind):
                found.add(path.relative_to(folder).as_posix())
    return {name for name in found if not _MARK_FILES.fullmatch(name)}


def hashes(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """The sha256 of a folder's files by name, several at once."""
    with ThreadPoolExecutor(HASHED_AT_ONCE) as pool:
        names = sorted(names)
        return dict(zip(names, pool.map(lambda name: file_sha256(folder / name), names), strict=True))


def _checkpoints(output: Path) -> list[Path]:
    return [path for path in output.glob("checkpoint-*") if path.name.rsplit("-", 1)[1].isdecimal() and not path.is_symlink()]


def _newest_first(output: Path) -> list[Path]:
    return sorted(_checkpoints(output), key=step_of, reverse=True)


def _place(checkpoint: Path) -> str:
    """What a checkpoint, STORE/STAGE/KEY/swift/checkpoint-N, is signed for."""
    return f"{place_in_store('trainer', checkpoint.absolute().parents[1])} {checkpoint.name}"


def _sizes(folder: Path) -> dict[str, int]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.stat().st_size for name, path in files.items() if not _MARK_FILES.fullmatch(name)}
