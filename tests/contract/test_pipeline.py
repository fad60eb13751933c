"""The compiled training pipeline: what a backend reads."""

import re

import pytest
import yaml
from kfp import compiler

from components.images import PINS
from pipelines.run import FOLLOWERS, stages_from
from pipelines.training import training

MAX_ARGUMENT_BYTES = 128 * 1024


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "training.yaml"
    compiler.Compiler().compile(training, str(path))
    return next(iter(yaml.safe_load_all(path.read_text())))


def tasks(spec):
    for component in [spec["root"], *spec["components"].values()]:
        yield from component.get("dag", {}).get("tasks", {}).items()


def containers(spec):
    return {name: executor["container"] for name, executor in spec["deploymentSpec"]["executors"].items()}


def test_every_stage_that_the_user_sees_is_a_task(spec):
    names = {name.replace("-", "_") for name, _ in tasks(spec)}
    assert set(FOLLOWERS) <= names


def test_no_task_may_be_answered_from_the_backends_cache(spec):
    for name, task in tasks(spec):
        if task["componentRef"]["name"].removeprefix("comp-") in {n.removeprefix("exec-") for n in containers(spec)}:
            assert not task.get("cachingOptions", {}).get("enableCache"), name


def test_no_task_installs_anything_when_it_starts(spec):
    for name, container in containers(spec).items():
        assert "pip install" not in " ".join(container["command"] + container.get("args", [])), name


def test_images_come_from_the_pins_and_latest_never_occurs(spec):
    pins = set(yaml.safe_load(PINS.read_text()).values())
    images = {container["image"] for container in containers(spec).values()}
    assert images <= pins
    assert not any(re.search(r":latest$|^[^:@]+$", image) for image in images)


def test_a_components_source_fits_into_one_argument(spec):
    for container in containers(spec).values():
        assert max(len(text.encode()) for text in container["command"]) < MAX_ARGUMENT_BYTES


def test_the_teardown_runs_whatever_happened(spec):
    task = spec["root"]["dag"]["tasks"]["teardown"]
    assert task["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_repeating_a_stage_repeats_what_needs_it_and_nothing_else():
    assert stages_from("grpo") == ["grpo", "serving", "evaluation", "gate", "promote", "teardown"]
    assert "reward_model" not in stages_from("sft")
    assert "baselines" in stages_from("sft")
    assert set(stages_from("source")) == set(FOLLOWERS) - {"base_model"}
