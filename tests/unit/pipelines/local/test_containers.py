"""What KFP reads of a stage that ran in a container. The engine is a double; KFP's runner and the files are real."""

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from kfp import dsl, local
from kfp.local import docker_task_handler

from components.images import image
from pipelines.local.container_settings import Containers
from pipelines.local.containers import MOST_OUTPUT_BYTES, use_containers


@dsl.component(base_image=image("curation"), install_kfp_package=False)
def asked() -> str:
    return ""


@dsl.pipeline
def one() -> str:
    return asked().output


class Engine:
    """An engine whose containers do one thing to the files of their outputs."""

    settings = Containers(images="none-{name}")

    def __init__(self, leave):
        self.leave = leave

    def start_stage(self, reference, command, name, environment):
        outputs = json.loads(command[command.index("--executor_input") + 1])["outputs"]
        Path(outputs["outputFile"]).parent.mkdir(parents=True, exist_ok=True)
        self.leave(outputs["outputFile"], outputs["parameters"]["Output"]["outputFile"])
        return SimpleNamespace(logs=lambda **_: iter([]), wait=lambda: {"StatusCode": 0}, reload=lambda: None)

    def remove(self, container):
        pass


def answer(output, parameter):
    Path(output).write_text(json.dumps({"parameterValues": {"Output": "done"}}))


def pipe(output, parameter):
    os.mkfifo(parameter)


def sparse(output, parameter):
    answer(output, parameter)
    os.truncate(output, MOST_OUTPUT_BYTES + 1)


def linked(output, parameter):
    secret = Path(output).parents[3] / "secret"
    answer(secret, "")
    os.symlink(secret, output)


def linked_folder(output, parameter):
    outside = Path(output).parents[3] / "outside"
    Path(output).parent.rename(outside)
    answer(outside / Path(output).name, "")
    Path(output).parent.symlink_to(outside)


def ran(tmp_path, monkeypatch, leave):
    """Run a pipeline; what it gave, or None if KFP calls it a failure."""
    monkeypatch.setattr(docker_task_handler, "DockerTaskHandler", docker_task_handler.DockerTaskHandler)
    local.init(local.DockerRunner(), pipeline_root=str(tmp_path / "kfp"), raise_on_error=True)
    use_containers(Engine(leave))
    found = []

    def run():
        try:
            found.append(one().output)
        except RuntimeError:
            found.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "hangs"
    return found[0]


def test_what_a_stage_answers_is_read(tmp_path, monkeypatch):
    assert ran(tmp_path, monkeypatch, answer) == "done"


@pytest.mark.parametrize("leave", [pipe, sparse, linked, linked_folder])
def test_a_stage_whose_outputs_are_no_files_of_its_own_fails_and_nothing_waits(tmp_path, monkeypatch, capfd, leave):
    assert ran(tmp_path, monkeypatch, leave) is None
    assert "outputs of asked are not read: " in capfd.readouterr().out
