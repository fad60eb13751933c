"""GRPO by ms-swift against a reward service that is killed amid a step: no step is trained on an invented score.

The service is a process of its own, on 127.0.0.1, which writes each answer to a log before it gives it. A training that had to
wait for it, or to stop for it, ends with the weights of one that nobody disturbed, bit for bit. Some completions it refuses.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_server import rows
from scoring_server import KEY

from globe.data.shards import write_dataset
from globe.errors import GlobeError
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, Checkpoint, read_checkpoint
from globe.recipes.load import load_recipe
from globe.rewards.localizability import question
from globe.training.grpo import grpo
from globe.training.grpo_arguments import REFUSED_METRIC
from globe.training.grpo_recipe import GrpoRecipe
from globe.training.trainer_checkpoints import MARK_FILE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
SERVER = Path(__file__).parents[1] / "unit" / "shared" / "scoring_server.py"
STEPS, BATCH = 4, 16
AMID_STEP_3 = 2 + 2 * BATCH + 7
"""So many answers, the two that prove the service included."""
OUTAGE_S = 20
REFUSED_BELOW = 0.1
"""The service refuses a completion in twelve."""
JUDGE = Checkpoint("judge", "", "tiny", "demo", "", 1, files={"model.safetensors": "judge"})


class Service:
    """The service as a process."""

    def __init__(self, log: Path, die_after: int = 0, port: int = 0) -> None:
        told = ["--log", str(log), "--port", str(port), "--latency-s", "0.05", "--die-after", str(die_after)]
        told += ["--digest", JUDGE.digest, "--refuse-below", str(REFUSED_BELOW)]
        self.process = subprocess.Popen([sys.executable, str(SERVER), *told], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.removesuffix("/v1").rsplit(":", 1)[1])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_dataset(folder / "data" / "pool", (row.model_copy(update={"split": "train"}) for row in rows(STEPS * 2)))
    base_model(model=TINY, seed=0, store=folder / "store")
    return folder


def reinforce(inputs: Path, store: Path, url: str, **recipe: Any) -> Path:
    """Run the stage; gives its folder."""
    few = {"max_steps": STEPS, "save_steps": STEPS, "per_device_train_batch_size": BATCH, "max_completion_length": 8}
    few |= {"rewards": {"localizability": 1.0, "format": 0.5}}
    result = grpo(
        policy=read_checkpoint(Path(base_model(model=TINY, seed=0, store=inputs / "store").outcome.outputs["checkpoint"])),
        data=inputs / "data",
        judge=JUDGE,
        reward_url=url,
        reward_key=lambda: KEY,
        recipe_name="demo",
        recipe=load_recipe(GrpoRecipe, "grpo", "demo", few | recipe),
        store=store,
    )
    return Path(result.outcome.outputs["curve"]).parent


def weights(folder: Path) -> bytes:
    return (folder / "checkpoint" / "model.safetensors").read_bytes()


def require_own_scores(folder: Path, log: Path) -> None:
    """Every score that a step was trained on is one that the service has given for that completion."""
    given: dict[str, set[float | None]] = {}
    for entry in map(json.loads, log.read_text().splitlines()):
        given.setdefault(entry["text"], set()).add(None if entry["yes"] is None else float(np.float32(entry["yes"])))
    steps = [json.loads(line) for line in (folder / "swift" / "completions.jsonl").read_text().splitlines()]
    logged = [number for step in steps for number in set(step["step"])]
    assert logged == [str(number) for number in range(1, STEPS + 1)]
    refused = 0
    for step in steps:
        assert len(step["completion"]) == len(step["localizability"]) == len(step["advantages"]) == BATCH
        for completion, score, advantage in zip(step["completion"], step["localizability"], step["advantages"], strict=True):
            if score is None:
                refused += 1
                assert None in given[question(completion)]
                assert advantage == 0
            else:
                assert min(abs(score - one) for one in given[question(completion)] if one is not None) < 1e-6
    history = json.loads((folder / "history.json").read_text())
    assert refused == sum(step.get(REFUSED_METRIC, 0) for step in history) > 0


@pytest.fixture(scope="module")
def undisturbed(inputs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    service = Service(folder / "log.jsonl")
    try:
        stage = reinforce(inputs, folder / "store", service.url)
    finally:
        service.end()
    require_own_scores(stage, folder / "log.jsonl")
    return stage


def after_its_death(service: Service, do: Callable[[], None]) -> threading.Thread:
    def wait() -> None:
        service.process.wait()
        do()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_service_killed_for_20_s_is_waited_for_and_the_run_completes_on_its_own_scores_alone(
    inputs, undisturbed, tmp_path, capfd
):
    log = tmp_path / "log.jsonl"
    services = [Service(log, die_after=AMID_STEP_3)]

    def restart() -> None:
        time.sleep(OUTAGE_S)
        services.append(Service(log, port=services[0].port))

    restarting = after_its_death(services[0], restart)
    try:
        stage = reinforce(inputs, tmp_path / "store", services[0].url, reward_patience_s=300)
        restarting.join()
    finally:
        for service in services:
            service.end()
    assert len(services) == 2
    assert services[0].process.returncode == -9
    require_own_scores(stage, log)
    assert weights(stage) == weights(undisturbed)
    said = "".join(path.read_text() for path in tmp_path.rglob("*.log"))
    assert "waiting for reward service" in said
    assert "answers again, after" in said


@pytest.mark.long
def test_a_service_that_stays_away_stops_the_stage_after_its_last_step_and_the_next_call_goes_on_from_there(
    inputs, undisturbed, tmp_path
):
    log, store = tmp_path / "log.jsonl", tmp_path / "store"
    dying = Service(log, die_after=AMID_STEP_3)
    try:
        with pytest.raises(GlobeError, match=r"has given no answer for .* start the stage again when the service is back"):
            reinforce(inputs, store, dying.url, reward_patience_s=3)
    finally:
        dying.end()
    (saved,) = store.rglob(f"checkpoint-*/{MARK_FILE}")
    assert saved.parent.name == "checkpoint-2"
    back = Service(log)
    try:
        stage = reinforce(inputs, store, back.url, reward_patience_s=3)
    finally:
        back.end()
    require_own_scores(stage, log)
    assert weights(stage) == weights(undisturbed)
