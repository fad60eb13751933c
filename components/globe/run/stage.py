"""Run a stage once: find finished work and reuse it, or do it and record it last.

A stage's folder is derived from everything that decides its result: its inputs' digests, its settings and the code that
does the work. So the same question always has the same address, in any run; a changed one has another. `result.json` is
written last and atomically: a folder without it is unfinished, and the work function, called again on it, goes on from what
it finds there. In a store on S3 the same folder is a mirror: `globe.storage` publishes what is finished, keeps what is not, and
fetches what another machine has done.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from globe import storage
from globe.errors import GlobeError, cannot_write, is_machines
from globe.run.code import code_digest
from globe.run.events import Kind, Reporter, emit, fail, log_path
from globe.storage import RESULT_FILE

RUN_VARIABLE = "GLOBE_RUN_ID"
REDO_VARIABLE = "GLOBE_REDO"
IMAGE_VARIABLE = "GLOBE_IMAGE"
PATH = "path"
"""Marks a path among the outputs in a record."""
BULKY_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".pth", ".gguf")
"""Weights and shards: whoever reads them calls `storage.have`. Everything else is small and comes with a stage's record."""


@dataclass(frozen=True)
class Outcome:
    """What a work function hands back: outputs for the next stages, figures measured, and the one line a user reads."""

    figure: str
    outputs: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    show: str = ""
    """What to name in the table as the stage's output; the stage's folder when empty."""


@dataclass(frozen=True)
class StageResult:
    """A finished stage, freshly done or reused."""

    name: str
    key: str
    folder: Path
    outcome: Outcome
    seconds: float
    reused: bool


Work = Callable[[Path, Reporter], Outcome]
Saved = Callable[[Path], Path | None]
"""Finds in a stage's folder the newest state that killed work can go on from: a folder that is written to its end."""


def stage_key(name: str, inputs: Mapping[str, str], settings: Mapping[str, Any], code: Sequence[str]) -> str:
    """The address of a stage's result.

    Args:
        name: The stage.
        inputs: Digest of each input by name.
        settings: Everything else that decides the result; must be JSON-serialisable.
        code: Modules that do the work; what they import counts too. Not the image: another stage, which runs in another one,
            must be able to tell whether this one is finished.

    Returns:
        16 hexadecimal digits.
    """
    question = {"stage": name, "inputs": dict(inputs), "settings": dict(settings), "code": code_digest(tuple(sorted(code)))}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def find_finished(store: Path, name: str, key: str) -> StageResult | None:
    """The finished result at an address, or None. A result marked to be redone by this run counts as absent."""
    folder = store.absolute() / name / key
    storage.fetch(folder, _small)
    path = folder / RESULT_FILE
    if not path.exists() or _is_outdated(folder, _read_record(path)):
        return None
    return _load(folder)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if {"stage", "key", "run", "seconds", "outcome"} <= record.keys():
            return dict(record)
    except (ValueError, AttributeError):
        pass
    raise GlobeError(f"{path}: is no record of a finished stage, it is damaged; remove the folder {path.parent}, then run again")


def _is_outdated(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a record does not count: it is an earlier run's and this one repeats the stage, or its paths may lead elsewhere."""
    repeated = folder.parent.name in os.environ.get(REDO_VARIABLE, "").split(",")
    if repeated and record["run"] != os.environ.get(RUN_VARIABLE, ""):
        return True
    try:
        _outcome(folder, record)
    except ForeignPath:
        return True
    return False


def load_result(folder: Path) -> StageResult:
    """Read a finished stage's record from its folder.

    Raises:
        FileNotFoundError: The stage is not finished.
    """
    folder = folder.absolute()
    storage.fetch(folder, _small)
    return _load(folder)


def _load(folder: Path) -> StageResult:
    result = _result(folder, _read_record(folder / RESULT_FILE), reused=True)
    for output in result.outcome.outputs.values():  # such as a dataset that was given: it lies elsewhere
        if storage.is_mirrored(Path(output)) and not Path(output).is_relative_to(folder):
            storage.fetch(output, _small)
    return result


def _result(folder: Path, record: Mapping[str, Any], *, reused: bool) -> StageResult:
    return StageResult(record["stage"], record["key"], folder, _outcome(folder, record), record["seconds"], reused)


class ForeignPath(GlobeError):
    """A record of an earlier version names an absolute path, and nobody can tell whether it is meant in this store or another."""


def _recorded(outcome: Outcome, store: Path) -> dict[str, Any]:
    """An outcome as a record holds it: a path is an object, so that a reader tells it from a text."""

    def kept(text: str) -> str | dict[str, str]:
        return {PATH: storage.portable(text, store)} if Path(text).is_absolute() else text

    outputs = {name: kept(text) for name, text in outcome.outputs.items()}
    return {"figure": outcome.figure, "outputs": outputs, "figures": outcome.figures, "show": kept(outcome.show)}


def _outcome(folder: Path, record: Mapping[str, Any]) -> Outcome:
    """The outcome in a stage's record, with its paths where they are now.

    Raises:
        ForeignPath: See there.
    """

    def found(value: str | Mapping[str, str]) -> str:
        if not isinstance(value, str):
            return str(storage.located(value[PATH], folder.parents[1]))
        if not Path(value).is_absolute():
            return value
        # Earlier versions wrote absolute paths. Those of the stage's own folder are known by its address, wherever it lay then.
        _, own, inner = f"{value}/".partition(f"/{folder.parent.name}/{folder.name}/")
        if not own:
            raise ForeignPath(f"{folder}: an earlier version recorded {value}; run stage {folder.parent.name} again")
        return str(folder / inner)

    kept = record["outcome"]
    outputs = {name: found(value) for name, value in kept["outputs"].items()}
    return Outcome(kept["figure"], outputs, kept["figures"], found(kept["show"]))


def run_stage(
    name: str,
    *,
    store: Path,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    code: Sequence[str],
    work: Work,
    scratch: Sequence[str] = (),
    saved: Saved = lambda folder: None,
) -> StageResult:
    """Find a stage's finished result or do the work.

    Of two runs on one machine that ask the same question at once the second waits for the first. On two machines with a store
    on S3 both work, and the result of the first to finish counts.

    Args:
        name: The stage's name.
        store: All stages' results, as `globe.storage.open_store` gives it.
        inputs: Digest of each input by name.
        settings: Resolved recipe and parameters.
        code: Modules that do the work, see `stage_key`.
        work: Called with the stage's folder and a reporter; must be able to go on in a folder that a killed call left.
        scratch: Names of subfolders that the work makes anew each time; they never leave this machine.
        saved: Finds the newest state that the work can go on from, where it saves more than lines and records.

    Returns:
        The result; `reused` tells which it was.
    """
    key = stage_key(name, inputs, settings, code)
    folder = store.absolute() / name / key
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder, name):
        finished = find_finished(store, name, key)
        if not finished:
            _forget_outdated(folder, name)
            with stage_events(name, folder) as reporter:
                question = {"stage": name, "key": key, "inputs": dict(inputs), "settings": dict(settings)}
                finished = _do(folder, question, work, scratch, saved, reporter)
        _emit_end(finished)
        return finished


def _forget_outdated(folder: Path, name: str) -> None:
    """Empty a folder that an earlier run has finished, if only here, and that this one is asked to repeat."""
    record = storage.unsent(folder)
    if (folder / RESULT_FILE).exists() or (record and _is_outdated(folder, record)):
        storage.forget(folder)
        _empty(folder)


def _do(
    folder: Path, question: dict[str, Any], work: Work, scratch: Sequence[str], saved: Saved, reporter: Reporter
) -> StageResult:
    """Do the work, or go on where an earlier call stopped, and make its result the stage's."""
    effort = storage.Effort(reporter.note)
    record = storage.unsent(folder)
    if record is None:
        with storage.keeping(folder, partial(work_so_far, scratch=scratch, saved=saved), effort):
            started = time.monotonic()
            outcome = work(folder, reporter)
        seconds = round(time.monotonic() - started, 1)
        kept = _recorded(outcome, folder.parents[1])
        record = question | {"run": os.environ.get(RUN_VARIABLE, ""), "seconds": seconds, "outcome": kept}
    if storage.publish(folder, record, scratch, effort):
        return _result(folder, record, reused=False)
    reporter.note("another machine has finished this very stage meanwhile; taking its result")
    return load_result(folder)


def work_so_far(folder: Path, *, scratch: Sequence[str], saved: Saved) -> tuple[list[Path], list[Path]]:
    """The files from which a killed stage goes on elsewhere.

    Returns:
        Those of the newest state that the work has saved, which stay as they are, and those that grow: JSON lines anywhere, and
        other JSON at the top.
    """
    newest = saved(folder)
    files = list(storage.files_of(folder, scratch))
    settled = [path for path in files if newest and path.is_relative_to(newest)]
    lines = [path for path in files if path.suffix == ".jsonl" or (path.suffix == ".json" and path.parent == folder)]
    return settled, [path for path in lines if path not in settled]


def _small(names: Collection[str]) -> list[str]:
    return [name for name in names if not name.endswith(BULKY_SUFFIXES)]


@contextmanager
def stage_events(name: str, folder: Path) -> Iterator[Reporter]:
    """Announce a stage's start, and its failure with the error, if it fails."""
    log = log_path(name, folder)
    emit(name, "start", log=str(log))
    started = time.monotonic()
    try:
        yield Reporter(name, log)
    except BaseException as raised:
        error: BaseException = raised
        if isinstance(raised, OSError) and is_machines(raised):
            error = cannot_write(raised.filename or folder, raised)
        with suppress(OSError), log.open("a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        fail(name, error, seconds=round(time.monotonic() - started, 1), log=str(log))
        if error is raised:
            raise
        raise error from raised


def _emit_end(result: StageResult) -> None:
    kind: Kind = "reused" if result.reused else "done"
    output = storage.stored_at(result.outcome.show or result.folder)
    emit(result.name, kind, figure=result.outcome.figure, seconds=result.seconds, output=output, folder=str(result.folder))


@contextmanager
def _only_one(folder: Path, name: str) -> Iterator[None]:
    with folder.with_suffix(".lock").open("w") as lock:  # beside the folder, so that emptying it keeps the lock
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            emit(name, "note", figure="another run is at this very stage; waiting for its result")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _empty(folder: Path) -> None:
    """Empty a folder at once: a kill in the middle leaves it as it was or empty, and never half of a result."""
    doomed = folder.with_name(f".{folder.name}.forgotten")
    shutil.rmtree(doomed, ignore_errors=True)  # of an earlier kill
    folder.rename(doomed)
    folder.mkdir()
    shutil.rmtree(doomed)
