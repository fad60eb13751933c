"""The workflows: pinned, few rights, secrets and inputs only in variables, commands that exist and do what they should."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pipelines.__main__ import app
from tests.unit.pipelines.remote.kfp_api_double import KfpApiDouble
from tests.unit.pipelines.remote.kfp_backend import KfpBackend

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
EVALUATE = ROOT / ".github" / "workflows" / "evaluate.yaml"
TOKEN = "planted-token-4711"
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(path.read_text())["jobs"]


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def scripts(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in [str(key), *strings(inner)]]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [str(value)]


def test_there_are_workflows_for_checks_and_evaluation():
    assert {"ci", "evaluate"} <= {path.stem for path in WORKFLOWS}


@every_workflow
def test_rights_are_given_job_by_job_and_every_job_ends(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    for job in jobs(path).values():
        assert job["permissions"]
        assert "write-all" not in strings(job["permissions"])
        assert job["timeout-minutes"] < 360


@every_workflow
def test_actions_are_pinned_by_commit_with_the_version_beside(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    pinned = re.findall(r"^\s*(?:- )?uses: (\S+@[0-9a-f]{40}) # v\d+\.\d+\.\d+$", path.read_text(), re.MULTILINE)
    assert sorted(used) == sorted(pinned)


@every_workflow
def test_nothing_is_written_into_a_script(path):
    for script in scripts(path):
        assert "${{" not in script


@every_workflow
def test_secrets_are_handed_to_single_steps_by_name(path):
    workflow = yaml.safe_load(path.read_text())
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            step.pop("env", None)
            step.pop("with", None)
    assert not [text for text in strings(workflow) if re.search(r"\bsecrets\b", text)]


@every_workflow
def test_code_of_strangers_gets_no_secrets(path):
    assert not {"pull_request_target", "workflow_run"} & set(yaml.safe_load(path.read_text())[True])  # YAML reads `on` as true


@every_workflow
def test_the_commands_and_options_that_scripts_call_exist(path):
    commands = typer.main.get_command(app).commands
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for script in scripts(path):
        for target in re.findall(r"\bmake ([a-z0-9-]+)", script):
            assert target in targets
        for name in re.findall(r"-m pipelines (\S+)", script):
            known = {option for parameter in commands[name].params for option in parameter.opts}
            assert (
                set(re.findall(r"(?<![\w-])--[a-z-]+", submitted(script) if name == "submit" else line_of(script, name))) <= known
            )


def submitted(script: str) -> str:
    """The part of a script that is about `submit`."""
    return script[script.index("arguments=") :]


def line_of(script: str, name: str) -> str:
    return "\n".join(line for line in script.splitlines() if f"-m pipelines {name}" in line)


def test_evaluation_is_set_up_with_the_same_locked_installer_as_everything_else():
    assert (ROOT / "images" / "base" / "tools.lock").is_file()
    [script] = [script for script in scripts(EVALUATE) if "pip install" in script]
    [installer] = [line for line in script.splitlines() if "-m pip install" in line]
    assert installer.endswith("--require-hashes -r images/base/tools.lock")


def test_an_evaluation_ends_only_an_older_one_of_the_same_model_or_server():
    group = yaml.safe_load(EVALUATE.read_text())["concurrency"]["group"]
    named = [name for name in ("client_payload.model", "inputs.url", "inputs.model", "'default'") if name in group]
    assert named == sorted(named, key=group.index)
    assert len(named) == 4


@pytest.fixture
def evaluate_step(tmp_path):
    """The workflow's step that evaluates, as a process like the runner's."""
    (script,) = [step["run"] for step in steps(EVALUATE) if step.get("name") == "Evaluate"]
    file = tmp_path / "step.sh"
    file.write_text(script)
    declared = next(step["env"] for step in steps(EVALUATE) if step.get("name") == "Evaluate")

    def evaluate_step(server: KfpApiDouble, **values: str) -> subprocess.Popen:
        assert set(values) <= set(declared)
        given = dict.fromkeys(declared, "") | {
            "KF_PIPELINES_ENDPOINT": server.url,
            "KFP_TOKEN": TOKEN,
            "PROFILE": "8x80gb",
            "BASELINE": "promoted",
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
            "GITHUB_RUN_ID": "17",
            "GITHUB_RUN_ATTEMPT": "2",
        }
        outside = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)],
            cwd=ROOT,
            env=outside | given | values,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # who runs the tests may ignore it
        )

    return evaluate_step


@pytest.mark.parametrize(("outcome", "code"), [("SUCCEEDED", 0), ("REJECTED", 1), ("FAILED", 1)])
def test_the_evaluation_job_ends_as_the_evaluation_did(evaluate_step, tmp_path, outcome, code):
    with KfpApiDouble(KfpBackend(outcome, pace=100), tokens={TOKEN}) as server:
        model, result = "s3://models/step 7; touch x", f"{tmp_path}/{{run}}.json"
        process = evaluate_step(server, MODEL=model, NAMESPACE="ada", RESULT=result)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == code, out
    (run,) = server.received("POST /runs")
    told = run.body["runtime_config"]["parameters"]
    assert (told["model"], told["baseline"]) == (model, "promoted")
    assert told["result"] == f"{tmp_path}/evaluate-17-2.json"
    assert run.body["service_account"]
    assert server.received("GET /experiments")[0].query["namespace"] == "ada"
    assert "rejected by the gate" in (tmp_path / "summary.md").read_text() or outcome != "REJECTED"
    assert TOKEN not in out + (tmp_path / "summary.md").read_text()


def test_the_evaluation_job_takes_a_server_and_a_dataset_or_promotes_a_checkpoint(evaluate_step, tmp_path):
    server_is_up = {"SERVER_URL": "http://10.0.0.1:8000/v1", "MODEL_NAME": "globe", "DATASET": "s3://sets/im2gps3k"}
    for values in (server_is_up, {"MODEL": "s3://models/7", "PROMOTE": "true"}):
        with KfpApiDouble(KfpBackend("SUCCEEDED", pace=100), tokens={TOKEN}) as server:
            process = evaluate_step(server, **values)
            out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
        (run,) = server.received("POST /runs")
        told = run.body["runtime_config"]["parameters"]
        assert told["promote"] is ("PROMOTE" in values)
        assert (told["url"], told["model_name"]) == (values.get("SERVER_URL", ""), values.get("MODEL_NAME", ""))
        assert told["dataset"] == values.get("DATASET", "/mnt/globe/sources/test")


def test_an_evaluation_job_that_is_canceled_ends_its_run(evaluate_step):
    with KfpApiDouble(KfpBackend("RUNNING")) as server:
        process = evaluate_step(server)
        while not server.received("GET /runs/"):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert server.received("POST /runs/0000-1:terminate")
