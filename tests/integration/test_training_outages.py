"""A training of several processes that comes to grief: what is said of it, how soon, and that nothing of it is left.

The processes are real, and so are torchrun and their collectives (gloo); only the work between these is left out.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from globe.errors import GlobeError
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY
from globe.recipes.load import load_recipe
from globe.run.events import Reporter
from globe.training.child import run
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.rollout_server import rollout_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
WORKER = """
import os, sys, time
import torch
from globe.training.swift_control import beat

wrong, place = sys.argv[1:]
torch.distributed.init_process_group("gloo")
rank = torch.distributed.get_rank()
for step in range(1, 10_000):
    if wrong == "raises" and rank == 1 and step == 3:
        raise ValueError("row 17 has no picture")
    torch.distributed.all_reduce(torch.ones(2))
    beat(step)
    if step == 1:
        open(f"{place}/new-{rank}", "w").write(str(os.getpid()))
        os.rename(f"{place}/new-{rank}", f"{place}/rank-{rank}")
    time.sleep(0.05)
"""
START_S, STALL_S = 300.0, 20.0


class Training:
    """Two processes that train, and what may be done to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.pids = folder, dict[str, int]()
        (folder / "worker.py").write_text(WORKER)
        (folder / "log").touch()

    def works(self) -> bool:
        """Whether both have done a step."""
        return all((self.folder / f"rank-{rank}").exists() for rank in (0, 1))

    def wait(self) -> None:
        """Until then: importing torch three times may take a busy machine longer than a step may, and is no standing still."""
        until_s = time.monotonic() + START_S
        while not self.works() and time.monotonic() < until_s:
            time.sleep(0.1)

    def run(self, wrong: str = "nothing") -> str:
        """Train, and give the error it ends with."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
        command = [*torchrun, "--nproc_per_node", "2", str(self.folder / "worker.py"), wrong, str(self.folder)]
        places = {"stage": "sft", "name": "the trainer", "output": self.folder, "log": self.folder / "log", "lock": 2}
        with pytest.raises(GlobeError) as raised:
            run(command, os.environ, **places, stall_s=STALL_S, turn=self.wait)
        return str(raised.value)

    @contextmanager
    def hit(self, number: int, target: str) -> Iterator[None]:
        """Send a signal to a process, once both work."""

        def wait_and_send() -> None:
            self.wait()
            self.pids = {f"rank {rank}": int((self.folder / f"rank-{rank}").read_text()) for rank in (0, 1)}
            self.pids["torchrun"] = psutil.Process(self.pids["rank 0"]).ppid()
            os.kill(self.pids[target], number)

        thread = threading.Thread(target=wait_and_send, daemon=True)
        thread.start()
        yield
        thread.join()

    def left(self) -> list[str]:
        """Those of its processes that still live."""
        return [name for name, pid in self.pids.items() if is_alive(pid)]


def is_alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture
def training(tmp_path) -> Training:
    return Training(tmp_path)


def test_the_error_shown_is_that_of_the_process_that_failed_and_not_torchruns_summary_of_all(training):
    told = training.run("raises")
    assert told == f"the trainer ended with code 1: rank 1: ValueError: row 17 has no picture (log: {training.folder / 'log'})"
    assert "ChildFailedError" in (training.folder / "log").read_text()


def test_a_process_that_stands_still_ends_the_training_and_is_named_with_what_the_others_waited_in(training):
    with training.hit(signal.SIGSTOP, "rank 1"):
        told = training.run()
    assert "no step was finished for 0.3 min (the last was step" in told
    assert "rank 0 was in all_reduce (torch/distributed/distributed_c10d.py" in told
    assert "rank 1 did not answer: it is stopped, or its machine hangs" in told
    assert training.left() == []


def test_a_process_that_the_kernel_kills_is_named(training):
    with training.hit(signal.SIGKILL, "rank 1"):
        told = training.run()
    assert "rank 1 was ended by SIGKILL, perhaps for want of memory" in told
    assert training.left() == []


def test_workers_whose_torchrun_is_killed_do_not_stay_on_their_gpus(training):
    with training.hit(signal.SIGKILL, "torchrun"):
        training.run()
    assert training.left() == []


@pytest.mark.long
def test_a_rollout_engine_samples_and_is_missed_when_a_part_of_it_is_killed(tmp_path, monkeypatch):
    """What cannot run without GPUs is the way of the weights to it, which is NCCL's."""
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    pretends = tmp_path / "pretends.py"
    pretends.write_text("import swift.arguments.deploy_args as deploy\ndeploy.get_device_count = lambda: 1\n")
    changed = {"use_vllm": True, "vllm_mode": "server", "rollout_gpus": 1, "vllm_enforce_eager": True, "max_length": 256}
    recipe = load_recipe(GrpoRecipe, "grpo", "demo", changed)
    model = Path(base_model(model=TINY, seed=0, store=tmp_path / "store").outcome.outputs["checkpoint"])
    with rollout_server(recipe, model, Reporter("grpo", tmp_path / "grpo.log"), [str(pretends)]) as engine:
        url = f"http://127.0.0.1:{engine.port}/infer/"
        asked = {"infer_requests": [{"messages": [{"role": "user", "content": "Where?"}]}], "request_config": {"max_tokens": 8}}
        (answer,) = httpx.post(url, json=asked, timeout=300, trust_env=False).json()
        assert answer["response"]["usage"]["completion_tokens"] == 8
        engine.require_alive()
        (core,) = [part for part in engine.parts if "EngineCore" in part.name()]
        core.kill()
        core.wait()
        with pytest.raises(GlobeError, match=f"the rollout engine has lost its process {core.pid}"):
            engine.require_alive()
    assert not any(is_alive(part.pid) for part in engine.parts)
