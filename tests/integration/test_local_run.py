"""The smallest run of the whole pipeline, as a user starts it: real training, real vLLM, real processes that get killed.

The tests of this file build on each other's run, in order: the first two are killed in the middle, the third is finished, and
what it ends with is compared with a run that was left alone (conftest.py). What README.md has a line for is in test_readme.py.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from globe.demo.draw import draw_scene
from globe.demo.places import all_cities
from pipelines.catalog import PIPELINES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
WAIT_S = 1800
PLANTED = "planted-7c1f9e"
"""Value of every secret that a run may see."""
ENVIRONMENT = os.environ | dict.fromkeys(("GLOBE_TEACHER_API_KEY", "AWS_SECRET_ACCESS_KEY", "KFP_TOKEN", "HF_TOKEN"), PLANTED)
FOLLOWERS = PIPELINES["training"].followers


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines", "run", "smoke", "--plain", "--home", str(home), *arguments]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(home, *arguments), cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S, env=ENVIRONMENT)


def start(home: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(home, *arguments),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        # A shell that starts the tests in its background has Ctrl-C ignored, and processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def latest(home: Path) -> Path:
    return max((home / "history").iterdir(), key=lambda path: path.stat().st_ctime)


def events(home: Path) -> list[dict]:
    path = latest(home) / "events.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that has to do with a run of this home: by its command line, its environment or its open log."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join(process.cmdline()) + " ".join(process.environ().values())
            if process.pid != os.getpid() and str(home) in text and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def nothing_left(home: Path, within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes_of(home) == []


def kill_when(condition, home: Path) -> None:
    """Start a run, kill its parent when a condition holds, and see that nothing outlives it."""
    process = start(home)
    try:
        wait_for(condition, process)
        assert len(processes_of(home)) > 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        nothing_left(home)
    finally:
        process.kill()


def test_a_kill_of_the_parent_in_the_middle_of_training_leaves_no_process(home, left_alone):
    kill_when(lambda: list(home.glob("store/sft/*/swift/checkpoint-10/whole.json")), home)
    assert not list(home.glob("store/sft/*/result.json"))


def test_a_kill_while_a_server_starts_and_training_waits_for_it_leaves_no_process(home):
    told = latest(home)
    kill_when(lambda: latest(home) != told and any(e["stage"] == "grpo" for e in events(home)), home)
    first_step = next(event for event in events(home) if event["stage"] == "sft" and event["kind"] == "progress")
    assert first_step["done"] > 10
    assert list(home.glob("store/sft/*/result.json"))
    assert not list(home.glob("store/grpo/*/result.json"))


def test_the_next_run_goes_on_from_there_and_reaches_the_end(home):
    done = run(home)
    assert done.returncode == 0, done.stdout + done.stderr
    told = {event["stage"]: event for event in events(home) if event["kind"] in ("done", "reused", "skipped")}
    assert set(told) == set(FOLLOWERS)
    reused = {name for name, event in told.items() if event["kind"] == "reused"}
    assert {"source", "base_model", "curation", "sft", "reward_model"} <= reused
    assert "grpo" not in reused
    nothing_left(home)


def test_every_checkpoint_says_how_the_run_serves_and_asks_it(home):
    manifests = [json.loads(path.read_text()) for path in home.glob("store/*/*/checkpoint/globe-checkpoint.json")]
    assert len(manifests) == 4  # base model, SFT, reward model, GRPO
    for manifest in manifests:
        assert manifest["serving"]["max_pixels"] == 3136
        assert manifest["evaluation"]["max_tokens"] <= 48


def figures_of(home: Path) -> dict:
    """What a run ended with, without what a clock, a port or a repository says."""
    stages = json.loads((latest(home) / "summary.json").read_text())["stages"]
    figures = {name: stage.get("figures") for name, stage in stages.items()}
    figures["base_model"].pop("seconds")
    figures["curation"].pop("teachers")  # how often each was asked again, by its address
    figures["evaluation"]["policy"].pop("timing")
    figures["evaluation"]["policy"]["manifest"].pop("git_revision", None)  # the other one's checkout is no repository
    return figures


def test_a_run_killed_twice_ends_with_the_models_and_figures_of_one_that_was_left_alone(home, left_alone):
    other = left_alone()
    for stage in ("sft", "reward_model", "grpo"):
        (mine,), (theirs,) = (list(place.glob(f"store/{stage}/*/checkpoint/model.safetensors")) for place in (home, other))
        assert mine.read_bytes() == theirs.read_bytes(), stage
    assert figures_of(home) == figures_of(other)


def test_the_figures_that_were_told_are_those_in_the_stages_records(home):
    summary = json.loads((latest(home) / "summary.json").read_text())
    assert summary["exit_code"] == 0
    curation = summary["stages"]["curation"]["figures"]
    assert curation["measured"]["wrong_removed_share"] >= 0.95
    assert curation["measured"]["right_kept_share"] >= 0.90
    evaluated = summary["stages"]["baselines"]["figures"] | summary["stages"]["evaluation"]["figures"]
    assert set(evaluated) == {"base", "start", "policy"}
    assert all(evaluated[name]["n"] == curation["splits"]["test"] for name in evaluated)
    predictions = next(home.glob("store/evaluation/*/policy/predictions.jsonl")).read_text().splitlines()
    assert len(predictions) == curation["splits"]["test"]


def test_the_report_stands_alone(home):
    page = (home / "report.html").read_text()
    for section in ("before SFT", "after SFT", "after GRPO", "GeoNames"):
        assert section in page
    assert 'src="http' not in page
    assert "<script" not in page


def test_no_secret_is_in_anything_that_a_run_leaves(home):
    holding = [path for path in home.rglob("*") if path.is_file() and PLANTED.encode() in path.read_bytes()]
    assert holding == []


def test_a_failing_stage_ends_the_run_with_its_name_its_error_and_its_log(home):
    done = run(home, "--set", "sft.learning_rate=1e18", "--set", "sft.warmup_ratio=0")
    assert done.returncode == 1
    assert "stage sft" in done.stdout
    assert "the training diverged" in done.stdout
    log = Path(done.stdout.rsplit("log     ", 1)[1].split("\n", 1)[0])
    assert log.name == "sft.log"
    assert log.is_file()
    nothing_left(home)


def test_a_model_that_the_gate_rejects_ends_the_run_with_the_reason(home):
    done = run(home, "--set", "evaluation.gate.min_parsed_percent=100")
    assert done.returncode == 1
    assert "the gate rejected the policy" in done.stdout
    assert "at least 100.0% required" in done.stdout
    assert "Traceback" not in done.stdout
    assert "\x1b" not in done.stdout
    assert not any(event["stage"] == "promote" and event["kind"] == "done" for event in events(home))
    nothing_left(home)


def test_a_checkpoint_that_the_gate_rejects_fails_its_evaluation(home):
    (checkpoint,) = home.glob("store/grpo/*/checkpoint")
    (curated,) = home.glob("store/curation/*/data")
    settings = {"model": checkpoint, "dataset": curated, "evaluation.gate.min_parsed_percent": 100}
    done = run(home, "--pipeline", "evaluation", *(f"--set={key}={value}" for key, value in settings.items()))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed  stage gate" in done.stdout
    assert "at least 100.0% required" in done.stdout
    assert "Traceback" not in done.stdout


def test_pictures_that_are_not_the_baselines_are_refused_before_anything_is_served(home):
    (checkpoint,) = home.glob("store/grpo/*/checkpoint")
    done = run(home, "--pipeline", "evaluation", f"--set=model={checkpoint}", "--set=dataset=toy")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "failed  stage serving" in done.stdout
    assert "dataset: its 260 pictures" in done.stdout
    assert not list((latest(home) / "servers").glob("*"))


def test_a_verdict_that_promotes_nothing_says_so_and_leaves_what_is_promoted(home):
    (checkpoint,) = home.glob("store/grpo/*/checkpoint")
    (curated,) = home.glob("store/curation/*/data")
    before = (home / "store" / "promoted.json").read_bytes()
    done = run(home, "--pipeline", "evaluation", f"--set=model={checkpoint}", f"--set=dataset={curated}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promote (nothing is promoted here): this is the evaluation of the promoted model itself" in done.stdout
    assert (home / "store" / "promoted.json").read_bytes() == before


def test_a_photo_is_located_while_models_are_served_and_ctrl_c_ends_the_servers(home, tmp_path):
    photo = tmp_path / "photo.png"
    draw_scene(all_cities()[0], seed=1).save(photo)
    # One question at a time, each with a long answer, so that the server is up for long enough to be asked from outside.
    before = latest(home)
    process = start(home, "--set", "evaluation.concurrency=1", "--set", "evaluation.max_tokens=400")
    try:
        wait_for(lambda: latest(home) != before, process)
        wait_for(lambda: any(e["stage"] == "serving" and e["kind"] == "done" for e in events(home)), process)
        servers = [json.loads(path.read_text()) for path in (latest(home) / "servers").glob("*.json")]
        assert len(servers) == 1
        globe = [str(Path(sys.executable).with_name("globe")), "locate", str(photo), "--json", "--url", servers[0]["url"]]
        refused = subprocess.run(globe, capture_output=True, text=True, timeout=300)
        key = (latest(home) / "servers" / f"{servers[0]['name']}.key").read_text()
        located = subprocess.run(globe, capture_output=True, text=True, timeout=300, env=os.environ | {"GLOBE_API_KEY": key})
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=300) == 130
        nothing_left(home)
    finally:
        process.kill()
    assert (refused.returncode, "401" in refused.stderr) == (1, True)
    assert located.returncode == 0, located.stderr
    assert json.loads(located.stdout)["status"] in ("ok", "no_answer", "not_parsed", "not_geocoded", "cut_off")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("source=/no/such/folder", "source: /no/such/folder: no such file or folder"),
        ("sourc=toy", "sourc"),
        ("grpo.no_such=1", "no_such"),
        ("recipes.sft=no-such", "no-such"),
        ("base_model=/no/such/model", "base_model"),
        ("nostage.x=1", "no stage"),
        ("source.seed=many", "seed"),
        ("start_from.sft=/no/such/checkpoint", "start_from sft"),
        ("sft_gpus=4", "4 GPUs"),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(tmp_path, setting, says):
    done = run(tmp_path / "home", "--set", setting)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_real_photos_without_real_teachers_are_refused_at_once(tmp_path):
    done = run(tmp_path / "home", "--set", f"source={tmp_path}")
    assert done.returncode == 2
    assert "teachers" in done.stderr
