"""Run ms-swift as a child process: arguments from a recipe, progress from its log, resume from its last checkpoint."""

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.redactor import without_secrets
from globe.run.events import emit
from globe.run.processes import end_process_tree, end_with_parent
from globe.training.recipe import PIXELS_A_TOKEN, PROCESSES, TrainRecipe
from globe.training.runs import StepCallback
from globe.training.trainer_checkpoints import (
    holds,
    last_checkpoint,
    newest_marked,
    read_mark,
    remove_older,
    remove_torn,
    seal,
    step_of,
)

POLL_S = 0.5
TAIL_LINES = 15
PREDECESSOR_PATIENCE_S = 60.0
"""How long to wait for the trainer of a killed call to end."""
_DECIDING = re.compile(
    r"NPROC_PER_NODE|NNODES|NODE_RANK|MASTER_(ADDR|PORT)|(GROUP_|LOCAL_)?RANK|(LOCAL_)?WORLD_SIZE|ACCELERATE_\w+|SIZE_FACTOR|"
    r"(IMAGE|VIDEO)_(MIN|MAX)_TOKEN_NUM|(VIDEO_)?(MIN|MAX)_PIXELS|ROOT_IMAGE_DIR|TORCH_FORCE_(NO_)?WEIGHTS_ONLY_LOAD"
)
"""Variables from which ms-swift, torch or accelerate would take batches, picture sizes or ways to load, whoever set them."""
_ERROR_LINE = re.compile(r"^(?:\[rank\d+\]: ?)?[\w.]*(?:Error|Exception|Interrupt)\b.*$")
_OUR_ERROR = re.compile(r"^(?:\[rank\d+\]: ?)?globe\.errors\.\w+: (.+)$")


def train(
    command: str,
    arguments: dict[str, Any],
    recipe: TrainRecipe,
    log: Path,
    on_step: StepCallback,
    guard: Callable[[], None] = lambda: None,
) -> Path:
    """Train, resuming from the last checkpoint that a killed call left in the output folder.

    Args:
        command: ms-swift's command, "sft" or "rlhf".
        arguments: Its arguments by name; lists become several values.
        recipe: For the environment of the process.
        log: File that receives everything ms-swift prints.
        on_step: Called for each step that ms-swift logs.
        guard: Called again and again meanwhile; raises when the training has lost something that it needs.

    Returns:
        The last checkpoint's folder.

    Raises:
        GlobeError: ms-swift failed (the message has its last lines and the log's path), or it ended without a checkpoint.
    """
    output = Path(arguments["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    with _alone(output) as lock:
        for refused in remove_torn(output):
            told = "is not signed with this run's key, or was changed since: removed, the training does not go on from it"
            emit(output.parents[1].name, "note", figure=f"{refused}: {told}")
        resume = last_checkpoint(output)
        if resume is None or not _is_last_step(resume):
            resumed = {"resume_from_checkpoint": str(resume)} if resume else {}
            environment = outer_environment() | environment_of(recipe)
            argv = [*_launcher(command, environment), *_argv(arguments | resumed)]
            with _tended(output):
                _run(command, argv, environment, log, lock, _new_steps(output / "logging.jsonl"), on_step, guard)
    final = last_checkpoint(output)
    if final is None or not _is_last_step(final):
        raise GlobeError(f"swift {command} ended without the checkpoint of its last step in {output} (log: {log})")
    return final


def outer_environment() -> dict[str, str]:
    """This process's environment, without what would change the training, which only the recipe may set, and without keys."""
    return {name: value for name, value in without_secrets(os.environ).items() if not _DECIDING.fullmatch(name)}


def environment_of(recipe: TrainRecipe) -> dict[str, str]:
    """Variables of a training process, beside those of its machine."""
    return {
        "HF_HUB_OFFLINE": "1",  # models and data come as paths; a hub is never asked
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "USE_HF": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONSAFEPATH": "1",  # its processes import nothing from the folder that they are started in
        PROCESSES: str(recipe.nproc_per_node),
        "IMAGE_MAX_TOKEN_NUM": str(recipe.max_pixels // PIXELS_A_TOKEN),  # one resizing, the same as in serving
        **({} if recipe.deepspeed else {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}),  # DeepSpeed alone unpickles what it saved
        **recipe.environment,
    }


def _run(
    command: str,
    argv: list[str],
    environment: Mapping[str, str],
    log: Path,
    lock: int,
    steps: "Iterator[list[LoggedStep]]",
    on_step: StepCallback,
    guard: Callable[[], None],
) -> None:
    """Run ms-swift until it ends. Its processes inherit the lock and hold it for as long as one of them lives."""
    with log.open("a", encoding="utf-8") as file:
        start_of_this_call = file.tell()
        process = subprocess.Popen(
            argv,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[lock],
            preexec_fn=end_with_parent,
        )
        try:
            while process.poll() is None:
                guard()
                for logged in next(steps):
                    on_step(*logged)
                time.sleep(POLL_S)
            for logged in next(steps):
                on_step(*logged)
        finally:
            if process.poll() is None:
                end_process_tree(process.pid)
                process.wait()
    if process.returncode:
        raise GlobeError(f"swift {command} ended with code {process.returncode}: {tail(log, start_of_this_call)} (log: {log})")


@contextmanager
def _tended(output: Path) -> Iterator[None]:
    """While the trainer works and when it has ended: seal each checkpoint that it has marked, then remove those it replaces."""
    stop = threading.Event()

    def tend() -> None:
        sealed_step = 0
        while not stop.wait(POLL_S):
            with suppress(GlobeError, OSError):  # tried again; what still fails at the end is told
                sealed_step = _seal_newest(output, sealed_step)
        with suppress(GlobeError, OSError):  # a training that failed goes on from its last save, too
            _seal_newest(output, sealed_step)

    thread = threading.Thread(target=tend, name="globe-sealer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    _seal_newest(output, 0)


def _seal_newest(output: Path, sealed_step: int) -> int:
    newest = newest_marked(output, sealed_step)
    if newest is None:
        return sealed_step
    if not holds(newest):
        seal(newest)
    remove_older(newest)
    return step_of(newest)


@contextmanager
def _alone(output: Path) -> Iterator[int]:
    """Lock a training's folder. The trainer inherits the lock, so that one that outlives a killed call keeps the next one out."""
    with (output / ".lock").open("a") as lock:  # nothing is lost where it is a link
        deadline = time.monotonic() + PREDECESSOR_PATIENCE_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise GlobeError(f"{output}: another process is training there; end it, or wait for it") from None
            time.sleep(POLL_S)
        yield lock.fileno()


def _is_last_step(checkpoint: Path) -> bool:
    mark = read_mark(checkpoint)
    return mark is not None and mark.step == mark.max_steps


def _launcher(command: str, environment: Mapping[str, str]) -> list[str]:
    """How to start ms-swift: its launcher for several processes, the command itself for one.

    The launcher imports torch, only to start another Python that imports it again: ten seconds on a laptop.
    """
    if environment.get(PROCESSES, "1") != "1" or environment.get("NNODES"):
        return [str(Path(sys.executable).with_name("swift")), command]
    return [sys.executable, "-m", f"swift.cli.{command}"]


def tail(log: Path, start: int = 0) -> str:
    """What a user needs to see of a failure, on one line: our own error if there is one, else the last error or lines."""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 20_000))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    ours = [found[1] for found in map(_OUR_ERROR.match, lines) if found]
    if ours:
        return ours[0]
    named = [line for line in lines if _ERROR_LINE.match(line)]
    if named:
        return named[-1][:1000]
    meaningful = [line for line in lines if line and not line.startswith(("^", "Train:", "warnings.warn"))]
    return " | ".join(meaningful[-TAIL_LINES:])[-2000:]


LoggedStep = tuple[int, int, dict[str, Any]]


def _new_steps(path: Path) -> Iterator[list[LoggedStep]]:
    """With each `next`, the steps that were logged since the one before."""
    position = path.stat().st_size if path.exists() else 0
    while True:
        found = []
        if path.exists():
            with path.open("rb") as file:
                file.seek(position)
                for line in file:
                    if not line.endswith(b"\n"):
                        break  # half written; read it next time
                    position += len(line)
                    values = json.loads(line)
                    step, _, steps = str(values.get("global_step/max_steps", "")).partition("/")
                    if steps:
                        found.append((int(step), int(steps), values))
        yield found


def _argv(arguments: dict[str, Any]) -> list[str]:
    argv = []
    for name, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        argv.append(f"--{name}")
        argv += [_text(item) for item in values]
    return argv


def _text(value: Any) -> str:
    """A value as ms-swift reads it: true and false in lower case, a mapping as JSON."""
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
