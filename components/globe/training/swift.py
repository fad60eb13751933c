"""Run ms-swift as a child process: arguments from a recipe, progress from its log, resume from its last checkpoint."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from globe.errors import GlobeError
from globe.training.recipe import TrainRecipe

PLUGIN = Path(__file__).with_name("swift_template.py")
POLL_S = 0.5
TAIL_LINES = 15

StepCallback = Callable[[int, int, dict[str, Any]], None]
"""Called with step, steps in all, and ms-swift's metrics of that step."""


def common_arguments(recipe: TrainRecipe, model: Path, data: list[Path], output: Path) -> dict[str, Any]:
    """ms-swift arguments that every stage passes, from its recipe."""
    return {
        "model": str(model),
        "model_type": recipe.model_type,
        "template": recipe.template or recipe.model_type,
        "external_plugins": [str(PLUGIN)],
        "dataset": [str(path) for path in data],
        "output_dir": str(output),
        "add_version": False,
        "torch_dtype": recipe.torch_dtype,
        "attn_impl": recipe.attention,
        "max_length": recipe.max_length,
        "max_pixels": recipe.max_pixels,
        "max_steps": recipe.max_steps,
        "num_train_epochs": recipe.epochs,
        "per_device_train_batch_size": recipe.per_device_batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation_steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": recipe.lr_scheduler,
        "warmup_ratio": recipe.warmup_ratio,
        "freeze_vit": recipe.freeze_vision,
        "freeze_aligner": recipe.freeze_vision,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "vit_gradient_checkpointing": recipe.gradient_checkpointing,
        "save_strategy": "steps",
        "save_steps": recipe.save_steps,
        "save_total_limit": 2,
        "logging_steps": recipe.logging_steps,
        "dataloader_num_workers": recipe.dataloader_workers,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "dataset_num_proc": 1,
        "load_from_cache_file": False,
        "split_dataset_ratio": 0,
        "report_to": ["tensorboard"],
        "check_model": False,  # it would ask a model hub whether a local folder is its latest version
        **({"deepspeed": recipe.deepspeed} if recipe.deepspeed else {}),
        **recipe.arguments,
    }


def train(
    command: str,
    arguments: dict[str, Any],
    recipe: TrainRecipe,
    log: Path,
    on_step: StepCallback,
    guard: Callable[[], None] = lambda: None,
) -> Path:
    """Train, going on from the last checkpoint that a killed call left in the output folder.

    Args:
        command: ms-swift's command, "sft" or "rlhf".
        arguments: Its arguments by name; lists become several values.
        recipe: For the environment of the process.
        log: File that receives everything ms-swift prints.
        on_step: Called for each step that ms-swift logs.
        guard: Called all the while; raises when training has lost something that it cannot do without.

    Returns:
        The last checkpoint's folder.

    Raises:
        GlobeError: ms-swift failed, with its last lines and the log's path; or it ended without a checkpoint.
    """
    output = Path(arguments["output_dir"])
    resume = last_checkpoint(output)
    if resume:
        arguments = arguments | {"resume_from_checkpoint": str(resume)}
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",  # models and data come as paths; a hub is never asked
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "USE_HF": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MAX_PIXELS": str(recipe.max_pixels),
        **recipe.environment,
    }
    with log.open("a", encoding="utf-8") as file:
        start_of_this_call = file.tell()
        argv = [*_launcher(command, environment), *_argv(arguments)]
        process = subprocess.Popen(argv, stdout=file, stderr=subprocess.STDOUT, env=environment)
        try:
            metrics = _new_steps(output / "logging.jsonl")
            while process.poll() is None:
                guard()
                for step, steps, values in next(metrics):
                    on_step(step, steps, values)
                time.sleep(POLL_S)
            for step, steps, values in next(metrics):
                on_step(step, steps, values)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise GlobeError(f"swift {command} ended with code {process.returncode}: {tail(log, start_of_this_call)} (log: {log})")
    final = last_checkpoint(output)
    if final is None:
        raise GlobeError(f"swift {command} ended without saving a checkpoint in {output} (log: {log})")
    return final


def _launcher(command: str, environment: Mapping[str, str]) -> list[str]:
    """How to start ms-swift: its launcher for several processes, the command itself for one.

    The launcher imports torch only to start another Python that imports it again: ten seconds on a laptop.
    """
    if environment.get("NPROC_PER_NODE") or environment.get("NNODES"):
        return [str(Path(sys.executable).with_name("swift")), command]
    return [sys.executable, "-m", f"swift.cli.{command}"]


def last_checkpoint(output: Path) -> Path | None:
    """The newest complete checkpoint below a training's output folder.

    `trainer_state.json` is among the last files that the trainer writes: a folder without it was being written when
    somebody killed it.
    """
    complete = [path.parent for path in output.glob("checkpoint-*/trainer_state.json") if path.stat().st_size]
    return max(complete, key=lambda path: int(path.name.rsplit("-", 1)[1]), default=None)


def tail(log: Path, start: int = 0) -> str:
    """The last lines of a log that say something, on one line: what a user needs to see of a failure."""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 20_000))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
    meaningful = [line for line in lines if line and not line.startswith(("^", "Train:", "warnings.warn"))]
    return " | ".join(meaningful[-TAIL_LINES:])[-2000:]


def _new_steps(path: Path) -> Iterator[list[tuple[int, int, dict[str, Any]]]]:
    """At each `next`, the steps that were logged since the last one."""
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
        argv += [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
    return argv
