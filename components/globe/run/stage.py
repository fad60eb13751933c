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
from typing import Any

from globe import storage
from globe.errors import GlobeError, cannot_write, is_machines
from globe.run.code import code_digest
from globe.run.events import Kind, Reporter, emit, fail, log_path
from globe.run.question import QUESTION_FILE
from globe.run.recorded import ForeignPath, outputs_of, read_record, recorded, require_given, shown_in
from globe.signing import Unsigned
from globe.storage import RESULT_FILE

RUN_VARIABLE = "GLOBE_RUN_ID"
REDO_VARIABLE = "GLOBE_REDO"
IMAGE_VARIABLE = "GLOBE_IMAGE"
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
    run: str = ""
    """The run that did the work; "" outside of any."""

    @property
    def is_of_this_run(self) -> bool:
        """Whether this run did the work, in this process or in one before it that was killed later."""
        return not self.reused or self.run == os.environ.get(RUN_VARIABLE) != ""


Work = Callable[[Path, Reporter], Outcome]
Saved = Callable[[Path], Sequence[Path]]
"""Finds in a stage's folder the newest complete state (folders and files) from which killed work can resume, if there is one.

Where the run has a signing key, it finds only what signatures of its own vouch for."""


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
        record = read_record(folder)
    except Unsigned as error:
        emit(name, "note", figure=f"{error}; the stage is done anew")
        return None
    return None if _is_outdated(folder, record) else _load(folder, record)


def _is_outdated(folder: Path, record: Mapping[str, Any]) -> bool:
    """Whether a record must be ignored: this run repeats the stage, or the record's paths may lead somewhere else."""
    repeated = folder.parent.name in os.environ.get(REDO_VARIABLE, "").split(",")
    if repeated and record["run"] != os.environ.get(RUN_VARIABLE, ""):
        return True
    try:
        require_given(folder, record, _small)
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
    record = read_record(folder)
    require_given(folder, record, _small)
    return _load(folder, record)


def _load(folder: Path, record: Mapping[str, Any]) -> StageResult:
    storage.require_files(folder, record, _small)
    return _result(folder, record, reused=True)


def _result(folder: Path, record: Mapping[str, Any], *, reused: bool) -> StageResult:
    outcome, asked = _outcome(folder, record), (record.get("inputs", {}), record.get("settings", {}))
    return StageResult(record["stage"], record["key"], folder, outcome, record["seconds"], reused, *asked, record["run"])


def _outcome(folder: Path, record: Mapping[str, Any]) -> Outcome:
    kept = record["outcome"]
    return Outcome(kept["figure"], outputs_of(folder, record), kept["figures"], shown_in(folder, record))


def run_stage(
    name: str,
    *,
    store: Path,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    code: Sequence[str],
    work: Work,
    scratch: Sequence[str] = (),
    saved: Saved = lambda folder: (),
    checked: Sequence[str] = (),
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
        checked: Names of subfolders whose content the work itself checks, signatures included, before it goes on from it.

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
            with stage_events(name, folder) as reporter:
                question = {"stage": name, "key": key, "inputs": dict(inputs), "settings": dict(settings)}
                finished = _do(folder, question, work, scratch, saved, checked, reporter)
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


def _do(
    folder: Path,
    question: dict[str, Any],
    work: Work,
    scratch: Sequence[str],
    saved: Saved,
    checked: Sequence[str],
    reporter: Reporter,
) -> StageResult:
    """Do the work, or resume it where an earlier call stopped, and publish the result."""
    effort = storage.Effort(reporter.note)
    record = storage.unsent(folder)
    if record is None:
        with storage.keeping(folder, partial(work_so_far, scratch=scratch, saved=saved), checked, effort):
            started = time.monotonic()
            outcome = work(folder, reporter)
        seconds = round(time.monotonic() - started, 1)
        outputs = {name: recorded(text, folder, outcome.given.get(name)) for name, text in outcome.outputs.items()}
        kept = {"figure": outcome.figure, "outputs": outputs, "figures": outcome.figures, "show": recorded(outcome.show, folder)}
        record = question | {"run": os.environ.get(RUN_VARIABLE, ""), "seconds": seconds, "outcome": kept}
    if storage.publish(folder, record, scratch, effort):
        return _result(folder, record, reused=False)
    reporter.note("another machine has finished this same stage in the meantime; taking its result")
    return load_result(folder)


def work_so_far(folder: Path, *, scratch: Sequence[str], saved: Saved) -> tuple[list[Path], list[Path]]:
    """The files that let a killed stage resume on another machine.

    Returns:
        The files of the newest saved state, which no longer change, and those that still do: JSON lines and what they answer
        (`globe.run.question`) anywhere, and other JSON files at the top level.
    """
    newest = saved(folder)
    files = list(storage.files_of(folder, scratch))
    settled = [path for path in files if any(path.is_relative_to(state) for state in newest)]
    lines = [path for path in files if path.suffix == ".jsonl" or path.name == QUESTION_FILE]
    lines += [path for path in files if path.suffix == ".json" and path.parent == folder and path not in lines]
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
    with folder.with_suffix(".lock").open("a") as lock:  # beside the folder, so that emptying it keeps the lock
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
