"""Run a stage: reuse its result if it is finished already, else do the work and record the result at the very end.

A stage's folder is derived from everything that decides its result: its inputs' digests, its settings and the code that
does the work. So the same question has the same address in every run, and a changed one has another. `result.json` is
written last and atomically: a folder without it is unfinished, and the work function, called on it again, resumes from what
it finds there. If the store is on S3, the folder is a mirror: `globe.storage` publishes finished work, saves unfinished work,
and fetches what another machine has done.

Others may write to a store too. So a record lists the hashes of its files, which are checked before they are used; its outputs
lie in the stage's own folder, or it says by hash what lies elsewhere; and where the run has a signing key, a record that was not
signed with it is no result.
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
from typing import Any, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from globe import storage
from globe.errors import GlobeError, cannot_write, is_machines
from globe.files import file_sha256
from globe.run.code import code_digest
from globe.run.events import Kind, Reporter, emit, fail, log_path
from globe.signing import Unsigned, is_signing
from globe.storage import RESULT_FILE

RUN_VARIABLE = "GLOBE_RUN_ID"
REDO_VARIABLE = "GLOBE_REDO"
IMAGE_VARIABLE = "GLOBE_IMAGE"
PATH, FILES = "path", "files"
"""Mark a path among the outputs in a record, and the hashes of what lies there, if that is not in the stage's own folder."""
BULKY_SUFFIXES = (".safetensors", ".parquet", ".bin", ".pt", ".pth", ".gguf")
"""Weights and shards: code that reads them calls `storage.have`. All other files are small and come with a stage's record."""


@dataclass(frozen=True)
class Outcome:
    """What a work function returns: outputs for the next stages, measured figures, and the one line that a user reads."""

    figure: str
    outputs: dict[str, str] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    show: str = ""
    """What the table names as the stage's output; the stage's folder when empty."""
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Outputs that lie elsewhere, as a user gave them: for each, the files there, by relative name, that say what it is."""

    def path(self, name: str) -> Path:
        """An output that is a file or a folder.

        Raises:
            GlobeError: It is not there, or is a text.
        """
        path = Path(self.outputs.get(name, ""))
        if not path.is_absolute():
            raise GlobeError(f"the record of a finished stage ({self.figure}) names no file or folder as its output {name}")
        return path


@dataclass(frozen=True)
class StageResult:
    """A finished stage, freshly done or reused."""

    name: str
    key: str
    folder: Path
    outcome: Outcome
    seconds: float
    reused: bool
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Digest of each input by name; empty in the records of earlier versions."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else decided the result, as `run_stage` was told; likewise."""


Work = Callable[[Path, Reporter], Outcome]
Saved = Callable[[Path], Path | None]
"""Finds in a stage's folder the newest complete state (a folder) from which killed work can resume."""


def stage_key(name: str, inputs: Mapping[str, str], settings: Mapping[str, Any], code: Sequence[str]) -> str:
    """The address of a stage's result.

    Args:
        name: The stage.
        inputs: Digest of each input by name.
        settings: Everything else that decides the result; must be JSON-serialisable.
        code: Modules that do the work; what they import counts too. The image does not: a stage that runs in another image
            must be able to tell whether this one is finished.

    Returns:
        16 hexadecimal digits.
    """
    question = {"stage": name, "inputs": dict(inputs), "settings": dict(settings), "code": code_digest(tuple(sorted(code)))}
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:16]


def find_finished(store: Path, name: str, key: str) -> StageResult | None:
    """The finished result at an address, or None. A result that this run is to repeat, or does not trust, counts as absent."""
    folder = store.absolute() / name / key
    storage.fetch(folder, _small)
    if not (folder / RESULT_FILE).exists():
        return None
    try:
        record = _read_record(folder)
    except Unsigned as error:
        emit(name, "note", figure=f"{error}; the stage is done anew")
        return None
    return None if _is_outdated(folder, record) else _load(folder, record)


class _Path(TypedDict):
    path: str
    files: NotRequired[dict[str, str]]


class _Kept(TypedDict):
    figure: str
    outputs: dict[str, str | _Path]
    figures: dict[str, Any]
    show: str | _Path


class _Record(TypedDict):
    stage: str
    key: str
    run: str
    seconds: float
    outcome: _Kept
    inputs: NotRequired[dict[str, str]]
    settings: NotRequired[dict[str, Any]]


_check_record = TypeAdapter(_Record).validate_python


def _read_record(folder: Path) -> dict[str, Any]:
    """A finished stage's record, of a shape that its readers can rely on."""
    record, what = storage.read_record(folder), "damaged, not the record of a finished stage"
    try:
        _check_record(record)
        if (record["stage"], record["key"]) == (folder.parent.name, folder.name):
            return record
        what = f"the record of {record['stage']}/{record['key']}"
    except ValidationError:
        pass
    raise GlobeError(f"{folder / RESULT_FILE}: {what}; remove the folder {folder}, then run again")


def _is_outdated(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a record must be ignored: this run repeats the stage, or the record's paths may lead somewhere else."""
    repeated = folder.parent.name in os.environ.get(REDO_VARIABLE, "").split(",")
    if repeated and record["run"] != os.environ.get(RUN_VARIABLE, ""):
        return True
    try:
        _require_given(folder, record, _outcome(folder, record))
    except ForeignPath:
        return True
    return False


def load_result(folder: Path) -> StageResult:
    """Read a finished stage's record from its folder, and check its small files.

    Raises:
        FileNotFoundError: The stage is not finished.
        Unsigned: This run signs, and did not sign it.
        GlobeError: Something of it was changed.
    """
    folder = folder.absolute()
    storage.fetch(folder, _small)
    record = _read_record(folder)
    _require_given(folder, record, _outcome(folder, record))
    return _load(folder, record)


def _load(folder: Path, record: Mapping[str, Any]) -> StageResult:
    storage.require_files(folder, record, _small)
    return _result(folder, record, reused=True)


def _result(folder: Path, record: Mapping[str, Any], *, reused: bool) -> StageResult:
    outcome, asked = _outcome(folder, record), (record.get("inputs", {}), record.get("settings", {}))
    return StageResult(record["stage"], record["key"], folder, outcome, record["seconds"], reused, *asked)


class ForeignPath(GlobeError):
    """A path leads out of the stage's folder, and it is not certain that what lies there is what the stage was given."""


def _recorded(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """An outcome as it is recorded: a path becomes an object, so that a reader can tell it from a text."""
    store, own = folder.parents[1], f"{folder.parent.name}/{folder.name}/"

    def kept(text: str, files: Sequence[str] | None = None) -> str | dict[str, Any]:
        if not Path(text).is_absolute():
            return text
        path: dict[str, Any] = {PATH: storage.portable(text, store)}
        if files is not None and not f"{path[PATH]}/".startswith(own):
            path[FILES] = {name: file_sha256(Path(text) / name) for name in files}
        return path

    outputs = {name: kept(text, outcome.given.get(name)) for name, text in outcome.outputs.items()}
    return {"figure": outcome.figure, "outputs": outputs, "figures": outcome.figures, "show": kept(outcome.show)}


def _outcome(folder: Path, record: Mapping[str, Any]) -> Outcome:
    """The outcome in a stage's record, with paths as they are now.

    Raises:
        ForeignPath: An earlier version's path cannot be translated.
        GlobeError: A path leads where the stage has written nothing.
    """
    kept = record["outcome"]
    outputs = {name: _found(folder, record, name, value) for name, value in kept["outputs"].items()}
    given = {
        name: tuple(value[FILES]) for name, value in kept["outputs"].items() if not isinstance(value, str) and FILES in value
    }
    show, store = kept["show"], folder.parents[1]
    shown = _found(folder, record, "show", show) if isinstance(show, str) else str(storage.located(show[PATH], store))
    return Outcome(kept["figure"], outputs, kept["figures"], shown, given)


def _found(folder: Path, record: Mapping[str, Any], name: str, value: str | Mapping[str, Any]) -> str:
    """An output: in the stage's own folder, or what the stage was given."""
    if not isinstance(value, str):
        path = storage.located(value[PATH], folder.parents[1])
        # What a user gives is among the settings, which decide the stage's address. Earlier versions kept no hashes of it.
        if value[PATH] in record.get("settings", {}).values() and (FILES in value or "stored" not in record):
            return str(path)
    elif not Path(value).is_absolute():
        return value
    else:
        # Earlier versions wrote absolute paths. The stage's address in one tells that it is in the stage's own folder.
        _, own, inner = f"{value}/".partition(f"/{folder.parent.name}/{folder.name}/")
        if not own:
            raise ForeignPath(f"{folder}: an earlier version recorded {value}; run stage {folder.parent.name} again")
        path = Path(os.path.normpath(folder / inner))
    if path.is_relative_to(folder) and path.resolve().is_relative_to(folder.resolve()):
        return str(path)
    raise GlobeError(
        f"{folder / RESULT_FILE}: output {name} leads out of the stage's folder, to {path.resolve()}: it was changed; "
        f"repeat stage {folder.parent.name}"
    )


def _require_given(folder: Path, record: Mapping[str, Any], outcome: Outcome) -> None:
    """Fetch outputs that lie elsewhere as far as they are small, and check that they are what the stage was given.

    Raises:
        ForeignPath: One is not.
    """
    stage = folder.parent.name
    for name, text in outcome.outputs.items():
        path, kept = Path(text), record["outcome"]["outputs"][name]
        if storage.is_mirrored(path) and not path.is_relative_to(folder):
            storage.fetch(path, _small)
        for file in outcome.given.get(name, ()):
            if not (path / file).is_file() or file_sha256(path / file) != kept[FILES][file]:
                raise ForeignPath(f"{path / file}: is not what stage {stage} was given; put it back, or repeat stage {stage}")


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

    If two runs on one machine ask the same question at once, the second waits for the first. On two machines with a store
    on S3, both do the work, and the result of the first to finish counts.

    Args:
        name: The stage's name.
        store: The results of all stages, as `globe.storage.open_store` returns it.
        inputs: Digest of each input by name.
        settings: Resolved recipe and parameters.
        code: Modules that do the work, see `stage_key`.
        work: Called with the stage's folder and a reporter; must be able to resume in a folder that a killed call left.
        scratch: Names of subfolders that the work rebuilds each time; they never leave this machine.
        saved: Finds the newest state that the work can resume from, if it saves more than JSON files.

    Returns:
        The result; `reused` says whether it was found or made.
    """
    key = stage_key(name, inputs, settings, code)
    folder = store.absolute() / name / key
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder, name):
        finished = find_finished(store, name, key)
        if finished:
            _require_same_question(finished, inputs, settings)
        else:
            _forget_outdated(folder, name)
            _drop_unsigned(folder, saved)
            with stage_events(name, folder) as reporter:
                question = {"stage": name, "key": key, "inputs": dict(inputs), "settings": dict(settings)}
                finished = _do(folder, question, work, scratch, saved, reporter)
        _emit_end(finished)
        return finished


def _require_same_question(finished: StageResult, inputs: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """Refuse a result whose record says that it answers another question than its address does; earlier ones say nothing."""
    asked = json.loads(json.dumps([dict(inputs), dict(settings)]))
    for name, said, is_asked in zip(("inputs", "settings"), (finished.inputs, finished.settings), asked, strict=True):
        if said and said != is_asked:
            where = finished.folder / RESULT_FILE
            raise GlobeError(f"{where}: its {name} are not those of its address: it was changed; repeat stage {finished.name}")


def _forget_outdated(folder: Path, name: str) -> None:
    """Empty a folder that holds a result (even if only on this machine) which this run repeats or does not trust."""
    record = storage.unsent(folder)
    if (folder / RESULT_FILE).exists() or (record and _is_outdated(folder, record)):
        storage.forget(folder)
        _empty(folder)


def _drop_unsigned(folder: Path, saved: Saved) -> None:
    """Where the run signs, remove what lies in an unfinished stage's folder and nobody has signed.

    Anybody who can write to a shared folder may have put it there. A saved state is signed by itself; the rest, such as the
    answers of an evaluation that was killed, is made anew. On S3 what is pushed is signed as a whole, and a mirror is our own.
    """
    if not is_signing() or storage.is_mirrored(folder):
        return
    kept = saved(folder)
    if kept and not kept.resolve().is_relative_to(folder.resolve()):
        kept = None
    for place, folders, files in os.walk(folder, topdown=False):
        for path in (Path(place) / name for name in (*files, *folders)):
            if kept and (path.is_relative_to(kept) or kept.is_relative_to(path)):
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()


def _do(
    folder: Path, question: dict[str, Any], work: Work, scratch: Sequence[str], saved: Saved, reporter: Reporter
) -> StageResult:
    """Do the work, or resume it where an earlier call stopped, and publish the result."""
    effort = storage.Effort(reporter.note)
    record = storage.unsent(folder)
    if record is None:
        with storage.keeping(folder, partial(work_so_far, scratch=scratch, saved=saved), effort):
            started = time.monotonic()
            outcome = work(folder, reporter)
        seconds = round(time.monotonic() - started, 1)
        kept = _recorded(outcome, folder)
        record = question | {"run": os.environ.get(RUN_VARIABLE, ""), "seconds": seconds, "outcome": kept}
    if storage.publish(folder, record, scratch, effort):
        return _result(folder, record, reused=False)
    reporter.note("another machine has finished this same stage in the meantime; taking its result")
    return load_result(folder)


def work_so_far(folder: Path, *, scratch: Sequence[str], saved: Saved) -> tuple[list[Path], list[Path]]:
    """The files that let a killed stage resume on another machine.

    Returns:
        The files of the newest saved state, which no longer change, and those that still do: JSON lines anywhere, and other
        JSON files at the top level.
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
    """Announce that a stage starts and, if it fails, why."""
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
            emit(name, "note", figure="another run is doing this same stage; waiting for its result")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _empty(folder: Path) -> None:
    """Empty a folder in one step: killed in the middle, it is as it was or empty, but never holds half a result."""
    doomed = folder.with_name(f".{folder.name}.forgotten")
    shutil.rmtree(doomed, ignore_errors=True)  # left by an earlier kill
    folder.rename(doomed)
    folder.mkdir()
    shutil.rmtree(doomed)
