"""The rollout engine of GRPO on GPUs of its own: `swift rollout`, started with the training, watched, and ended with it.

It starts from the policy's folder. A training that is resumed gives it the weights of its checkpoint before the first rollout:
ms-swift does so whenever the step is not the one that it gave the weights of, and a new trainer has given none.

What ms-swift asks of it needs no key, so it listens on this machine only. The weights come over NCCL; where the two first meet
for that, ms-swift listens on all addresses.
"""

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil

from globe.errors import GlobeError
from globe.run.code import source_of
from globe.run.events import Reporter
from globe.run.processes import has_ended, none_left, tie_to_parent
from globe.training.failure import tail
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.ports import HOST, free_port
from globe.training.swift import environment_of, module_line, outer_environment

ROLLOUT_PLUGINS = [
    str(source_of(name))
    for name in (
        "globe.training.swift_data_only",
        "globe.training.swift_template",
        "globe.training.swift_no_vision_tokens",
        "globe.training.swift_rollout_engine",
    )
]
DEVICES = "CUDA_VISIBLE_DEVICES"
START_S = 1800.0
"""Longest wait for the engine: it loads the weights and captures its graphs."""
POLL_S = 0.5
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never behind a proxy


class NoServer:
    """Where the trainer samples itself: it is told nothing, and nothing can be missed."""

    arguments: Mapping[str, Any] = MappingProxyType({})
    environment: Mapping[str, str] = MappingProxyType({})

    def require_alive(self) -> None:
        """Do nothing."""


@dataclass
class RolloutServer:
    """A running engine.

    Attributes:
        port: Where it listens.
        group_port: Where it and the trainer meet to exchange weights.
        log: What it prints.
        process: `swift rollout`.
        environment: Variables of the trainer, which leaves the engine its GPUs.
        start: Where in the log it begins.
        parts: Processes that it has started to sample.
    """

    port: int
    group_port: int
    log: Path
    process: "subprocess.Popen[bytes]"
    environment: Mapping[str, str]
    start: int = 0
    parts: tuple[psutil.Process, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """What the trainer is told of it."""
        ports = {"vllm_server_port": [self.port], "vllm_server_group_port": [self.group_port]}
        return {"vllm_server_host": [HOST], **ports}

    def require_alive(self) -> None:
        """Raise `GlobeError` with the reason when the engine or a part of it has ended."""
        ended = [part.pid for part in self.parts if has_ended(part)]
        if self.process.poll() is None and not ended:
            return
        how = f"has lost its process {ended[0]}" if ended else f"ended with code {self.process.returncode}"
        raise GlobeError(f"the rollout engine {how}: {tail(self.log, self.start)} (log: {self.log})")

    def await_ready(self) -> None:
        """Wait until it answers.

        Raises:
            GlobeError: It has ended, or takes too long.
        """
        deadline = time.monotonic() + START_S
        while not self._answers():
            self.require_alive()
            if time.monotonic() > deadline:
                raise GlobeError(f"the rollout engine was not ready within {START_S:.0f} s (log: {self.log})")
            time.sleep(POLL_S)
        self.parts = tuple(_engines(self.process.pid))

    def _answers(self) -> bool:
        with suppress(OSError), _OPENER.open(f"http://{HOST}:{self.port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False


@contextmanager
def rollout_server(
    recipe: GrpoRecipe, model: Path, reporter: Reporter, plugins: Sequence[str] = ()
) -> Iterator[RolloutServer | NoServer]:
    """Run the engine, if the recipe gives it GPUs of its own, for as long as it is trained.

    Args:
        recipe: The recipe, for the GPUs that are there.
        model: The policy to start from.
        reporter: Told what is being waited for; the engine's log lies beside its log.
        plugins: Further plugins of ms-swift.

    Yields:
        The engine, which answers, or what stands for it where the trainer samples itself.
    """
    if not (recipe.use_vllm and recipe.vllm_mode == "server"):
        yield NoServer()
        return
    port, group_port, log = free_port(), free_port(), reporter.log.with_name("rollouts.log")
    command = module_line("rollout", rollout_arguments(recipe, model, port, plugins))
    of_trainer, of_engine = devices(recipe)
    environment = outer_environment() | environment_of(recipe) | of_engine
    with none_left(), log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True, preexec_fn=tie_to_parent
        )
        server = RolloutServer(port, group_port, log, process, of_trainer, file.tell())
        reporter.note("the rollout engine is starting")
        server.await_ready()
        yield server


def rollout_arguments(recipe: GrpoRecipe, model: Path, port: int, plugins: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments of `swift rollout`."""
    copied = ("vllm_gpu_memory_utilization", "vllm_max_model_len", "vllm_tensor_parallel_size", "vllm_enforce_eager")
    return {
        "model": str(model),
        "model_type": recipe.model_type,
        "template": recipe.template or recipe.model_type,
        "external_plugins": [*ROLLOUT_PLUGINS, *plugins],
        "host": HOST,
        "port": port,
        "torch_dtype": recipe.torch_dtype,
        "max_length": recipe.max_length,
        "max_pixels": recipe.max_pixels,
        **{name: getattr(recipe, name) for name in copied},
        "vllm_data_parallel_size": max(1, recipe.rollout_gpus // recipe.vllm_tensor_parallel_size),
        "vllm_mm_processor_cache_gb": recipe.vllm_mm_processor_cache_gb,
        "vllm_limit_mm_per_prompt": {"image": 1, "video": 0},
        "seed": recipe.seed,
        "load_args": False,
    }


def devices(recipe: GrpoRecipe, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, str], dict[str, str]]:
    """Which GPUs the trainer sees, the first ones, and which the engine: the others. Nothing is said on a machine without.

    Args:
        recipe: The recipe, for the GPUs that are there.
        environment: Environment variables; this process's by default.

    Raises:
        GlobeError: There are not as many as the recipe needs.
    """
    seen = [name for name in environment.get(DEVICES, "").split(",") if name] or _all_devices()
    if not seen:
        return {}, {}
    if len(seen) < recipe.gpus:
        raise GlobeError(f"{len(seen)} GPUs are visible; {recipe.nproc_per_node} train and {recipe.rollout_gpus} sample")
    trained, sampled = seen[: recipe.nproc_per_node], seen[recipe.nproc_per_node : recipe.gpus]
    return {DEVICES: ",".join(trained)}, {DEVICES: ",".join(sampled)}


def _all_devices() -> list[str]:
    import torch  # late: it takes seconds, and only this asks it

    return [str(number) for number in range(torch.cuda.device_count())]


def _engines(pid: int) -> Iterator[psutil.Process]:
    """The processes that `swift rollout` has started to sample; not those that only compile or clean up."""
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            line = " ".join(process.cmdline())
            if "spawn_main" in line or "VLLM::" in line:
                yield process
