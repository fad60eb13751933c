"""Run ms-swift as a child process: arguments from a recipe, progress from its log, resume from its last checkpoint."""

import fcntl
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, Stopped
from globe.redactor import without_secrets
from globe.run.events import emit
from globe.training.child import run
from globe.training.control import SHARED, VARIABLE
from globe.training.logged_steps import new_steps
from globe.training.ports import HOST, free_port
from globe.training.recipe import PIXELS_A_TOKEN, PROCESSES, TrainRecipe
from globe.training.runs import StepCallback
from globe.training.trainer_checkpoints import (
    holds,
    last_checkpoint,
    marked_after,
    read_mark,
    remove_older,
    remove_torn,
    seal,
    step_of,
)
from globe.training.trainjob.job import Nodes
from globe.training.trainjob.launch import on_nodes, trains_on_nodes

POLL_S = 0.5
PREDECESSOR_PATIENCE_S = 60.0
"""How long to wait for the trainer of a killed call to end."""
_DECIDING = re.compile(
    r"NPROC_PER_NODE|NNODES|NODE_RANK|MASTER_(ADDR|PORT)|(GROUP_|LOCAL_)?RANK|(LOCAL_)?WORLD_SIZE|ACCELERATE_\w+|SIZE_FACTOR|"
    r"(IMAGE|VIDEO)_(MIN|MAX)_TOKEN_NUM|(VIDEO_)?(MIN|MAX)_PIXELS|ROOT_IMAGE_DIR|TORCH_FORCE_(NO_)?WEIGHTS_ONLY_LOAD"
)
"""Variables from which ms-swift, torch or accelerate would take batches, picture sizes or ways to load, whoever set them."""


def train(
    command: str,
    arguments: dict[str, Any],
    recipe: TrainRecipe,
    log: Path,
    on_step: StepCallback,
    guard: Callable[[], None] = lambda: None,
    nodes: Nodes | None = None,
) -> Path:
    """Train, resuming from the last checkpoint that a killed call left in the output folder.

    Args:
        command: ms-swift's command, "sft" or "rlhf".
        arguments: Its arguments by name; lists become several values.
        recipe: For the environment of the process.
        log: File that receives everything ms-swift prints.
        on_step: Called for each step that ms-swift logs.
        guard: Called again and again meanwhile; raises when the training has lost something that it needs.
        nodes: The nodes that train, as a TrainJob; None for this machine.

    Returns:
        The last checkpoint's folder.

    Raises:
        GlobeError: ms-swift failed (the message has the reason and the log's path), or it ended without a checkpoint.
        Stopped: This process was told to end; the next call goes on from the last checkpoint.
    """
    output = Path(arguments["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    stage, told = output.parents[1].name, False
    with _alone(output) as lock:
        at_work = nodes is not None and trains_on_nodes(nodes, output)
        for refused in [] if at_work else remove_torn(output):
            why = "is not signed with this run's key, or was changed since: removed, the training does not go on from it"
            emit(stage, "note", figure=f"{refused}: {why}")
        resume = last_checkpoint(output)
        if resume is None or not _is_last_step(resume):
            resumed = {"resume_from_checkpoint": str(resume)} if resume else {}
            environment = outer_environment() | environment_of(recipe)
            line = arguments_line(arguments | resumed)
            shared = output.resolve() / SHARED if nodes else None
            if nodes:
                each = {**environment_of(recipe), VARIABLE: str(shared)}
                argv = on_nodes(nodes, output, [f"swift.cli.{command}", *line], each, at_work=at_work)
            else:
                argv = [*_launcher(command, environment), *line]
            steps = new_steps(output / "logging.jsonl")

            def turn() -> None:
                guard()
                for logged in next(steps):
                    on_step(*logged)

            places: dict[str, Any] = {"stage": stage, "name": f"swift {command}", "output": output, "log": log, "lock": lock}
            places |= {"shared": shared, "goes_on": at_work}
            with _tended(output):
                told = run(argv, environment, **places, stall_s=recipe.stall_s, turn=turn)
    final = last_checkpoint(output)
    if (told or at_work) and (final is None or not _is_last_step(final)):  # nodes at work may have heeded an earlier call
        raise Stopped(f"told to end: {_saved(final)}; started again, the training goes on from there")
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


@contextmanager
def _tended(output: Path) -> Iterator[None]:
    """While the trainer works and when it has ended: seal each checkpoint that it has marked, then remove those it replaces."""
    stop = threading.Event()
    sealed_step = 0

    def tend() -> None:
        nonlocal sealed_step
        while not stop.wait(POLL_S):
            with suppress(GlobeError, OSError):  # tried again; what still fails at the end is told
                sealed_step = _seal_new(output, sealed_step)
        with suppress(GlobeError, OSError):  # a training that failed goes on from its last save, too
            sealed_step = _seal_new(output, sealed_step)

    thread = threading.Thread(target=tend, name="globe-sealer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    _seal_new(output, sealed_step)


def _seal_new(output: Path, sealed_step: int) -> int:
    """Seal each checkpoint after a step, for any of them may turn out the best; returns the newest one's step."""
    for checkpoint in marked_after(output, sealed_step):
        if not holds(checkpoint):
            seal(checkpoint)
        remove_older(checkpoint)
        sealed_step = step_of(checkpoint)
    return sealed_step


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


def _saved(checkpoint: Path | None) -> str:
    mark = read_mark(checkpoint) if checkpoint else None
    return f"saved at step {mark.step} of {mark.max_steps}" if mark else "nothing was saved yet"


def _is_last_step(checkpoint: Path) -> bool:
    mark = read_mark(checkpoint)
    return mark is not None and mark.step == mark.max_steps


def _launcher(command: str, environment: Mapping[str, str]) -> list[str]:
    """How to start ms-swift: torchrun for several processes, the command itself for one.

    ms-swift's own launcher would start the same torchrun from a process that does not hand on the signal to end; and always at
    port 29500, so that a machine could hold one training only.
    """
    processes = environment.get(PROCESSES, "1")
    if processes == "1":
        return module_line(command, {})
    place = ["--master_addr", HOST, "--master_port", str(free_port())]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", processes, *place, "-m", f"swift.cli.{command}"]


def module_line(command: str, arguments: dict[str, Any]) -> list[str]:
    """The command line of one process of ms-swift."""
    return [sys.executable, "-m", f"swift.cli.{command}", *arguments_line(arguments)]


def arguments_line(arguments: dict[str, Any]) -> list[str]:
    """ms-swift's arguments, as its command line has them."""
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
