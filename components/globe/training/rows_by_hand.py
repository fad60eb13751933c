"""What a stage of training gives to ms-swift, as files for people who call ms-swift themselves.

OUT/train.jsonl      the rows, in the stage's own words; it appears only when it and the pictures are complete
OUT/pictures/        the pictures that they name, by absolute path
OUT/rows.json        of what they are; rows are replaced only where this lies
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from globe.data.shards import fetch_dataset, is_dataset, read_dataset
from globe.errors import InputError
from globe.files import write_json
from globe.training.rows import SETS, answer_row, export, prompt_row
from globe.training.verdicts import export_verdicts

ROWS_FILE = "train.jsonl"
ABOUT_FILE = "rows.json"
LOCK_FILE = "rows.lock"


def write_rows(stage: str, data: str, out: Path, prompt: str = "") -> int:
    """Write the rows that a stage trains on, as the stage itself does.

    Args:
        stage: One of `SETS`.
        data: Curated folder, or its s3:// URI.
        out: Where they go; rows that an earlier call wrote there are replaced, and pictures are kept.
        prompt: What sft and grpo ask; the default prompt when empty.

    Returns:
        How many rows were written: lines of the file, in which a picture stands as often as the stage shows it.

    Raises:
        InputError: Its set is missing or has nothing to train on, a picture is unusable, there are rows of another's there, or
            another process is writing some.
    """
    if (out / ROWS_FILE).exists() and not (out / ABOUT_FILE).is_file():
        raise InputError(f"{out}: has a {ROWS_FILE} that `globe rows` did not write; give another folder, or remove that file")
    if stage == "reward_model" and prompt:
        raise InputError("--prompt: the reward model is asked its own question; leave it out")
    name = SETS[stage]
    rows = curated_folder(data, name) / name
    with _alone(out), _unfinished(out / f"{ROWS_FILE}.partial") as unfinished:
        pictures = out / "pictures"
        if stage == "reward_model":
            used = export_verdicts(read_dataset(rows), unfinished, pictures, [], balance=True)
        else:
            shape = partial({"sft": answer_row, "grpo": prompt_row}[stage], prompt=prompt)
            used = export(((row, shape) for row in read_dataset(rows)), unfinished, pictures)
        if not used:
            missing = "both verdicts" if stage == "reward_model" else "any row"
            raise InputError(f"--data {data}: its set {name} does not have {missing} to train on")
        with unfinished.open("rb") as lines:
            count = sum(1 for _ in lines)
        write_json(out / ABOUT_FILE, {"stage": stage, "data": data})
        os.replace(unfinished, out / ROWS_FILE)
    return count


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A file that is gone after a failure, such as a full disk."""
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{out}: another `globe rows` is writing here; wait for it, or give another folder") from None
        yield


def curated_folder(data: str, name: str) -> Path:
    """The folder with the sets that a curation wrote: the one that is given, or the one in it that a stage made.

    Args:
        data: The folder, or its s3:// URI.
        name: Of the set that is needed.

    Raises:
        InputError: It is not there.
    """
    here = Path(fetch_dataset(data))
    for folder in (here, here / "data"):
        if is_dataset(folder / name):
            return folder
    raise InputError(f"--data {data}: no dataset {name} there; give the folder that curation wrote")
