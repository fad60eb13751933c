"""Every command of README.md is run as it stands there, in its order, by a newcomer in one terminal: what one line makes or sets
is there for the next. Only the demo is the smallest run here, so that a run takes seconds and not minutes.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from globe.evaluation.show import summary_lines
from globe.geo.places import find_query
from globe.models.checkpoints import MANIFEST_FILE
from globe.run.preflight import OFF, check_settings
from globe.run.stage import RESULT_FILE
from pipelines.catalog import find_pipeline
from pipelines.profile import arguments_of, load_profile, parse_settings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
LINES = [(number, line) for number, block in enumerate(BLOCKS) for line in re.findall(r"(?:.*\\\n)*.+", block)]
NOT_RUN = {
    "make test": "these tests are part of it",
    "make setup": "would make .venv anew while tests use it",
    "python -m pipelines run demo \\": "needs GPUs, and teachers on other hosts",
    "make images": "needs a container engine, and minutes",
    "python -m pipelines run demo --runner docker": "needs a container engine",
    "globe witness": "needs weights from the hub",
    "globe evaluate --checkpoint /models/GLOBE-Qwen2.5VL-7B": "needs a GPU, and 16 GB of weights",
    "kubectl": "needs a cluster; tests/cluster/test_overlays.py runs those that set one up",
    "python -m pipelines compile --check --release": "refuses images that have not been published",
    "python -m pipelines submit": "needs a cluster",
    "python -m pipelines schedule": "needs a cluster",
    "globe clean": "needs a cluster",
}
SERVERS = ("globe serve", "python -m globe.demo.teacher_server")
SETTING = re.compile(r"\. |\w+=")
MEASURED = ("accuracy", "parsed", "geocoded", "failures", "country_match", "city_match", "median_km", "geoscore")


@pytest.fixture(scope="module")
def newcomer(left_alone, terminal):
    """The terminal, once the demo has run there."""
    left_alone()
    yield terminal
    terminal.close()


def key_of(line: str, keys: Iterable[str]) -> str:
    """The longest of some beginnings of lines that is this line's; empty for none."""
    return max((key for key in keys if f"{line}\n".startswith((f"{key} ", f"{key}\n"))), key=len, default="")


def content(path: Path) -> Any:
    return json.loads(path.read_text())


def folder(terminal, variable: str) -> Path:
    """The folder that a variable of the newcomer's names."""
    return terminal.folder / terminal.environment[variable]


def figures_of(evaluated: Path) -> dict:
    """The figures of an evaluation's folder."""
    return content(evaluated / "metrics.json")


def does_nothing_again(terminal, done) -> None:
    told = terminal.told()
    trained = ("source", "base_model", "curation", "sft", "baselines", "reward_model", "grpo", "evaluation", "gate")
    assert {told[name]["kind"] for name in trained} == {"reused"}
    assert told["serving"]["kind"] == told["reward_service"]["kind"] == "skipped"


def judges_again(terminal, done) -> None:
    told = terminal.told()
    assert told["gate"]["kind"] == "done"
    assert {told[name]["kind"] for name in ("curation", "sft", "grpo", "baselines", "evaluation")} == {"reused"}


def judges_by_another_distance(terminal, done) -> None:
    judges_again(terminal, done)
    told = terminal.told()
    (threshold_km,) = re.findall(r"threshold_km=(\d+)", done.args)
    assert content(Path(told["gate"]["folder"]) / "gate.json")["reasons"][0].startswith(f"within {threshold_km} km ")


def trains_nothing(terminal, done) -> None:
    told = terminal.told()
    assert {told[name]["kind"] for name in ("source", "sft", "reward_model", "reward_service")} == {"skipped"}
    assert told["grpo"]["figure"].startswith("given")
    assert told["evaluation"]["kind"] == "reused"
    page = (terminal.home / "report.html").read_text()
    assert "given for GRPO" in page
    assert "after GRPO" not in page


def finds_the_same_with_annotators_side_by_side(terminal, done) -> None:
    assert len(list(terminal.home.glob("store/annotate/*/result.json"))) == 2
    figures = [content(path)["outcome"]["figures"] for path in terminal.home.glob("store/curation/*/result.json")]
    assert len({found["kept"] for found in figures if "dropped" in found}) == 1


def says_where_it_was_asked_to(terminal, done) -> None:
    result = content(terminal.folder / "runs" / "evaluation.json")
    assert result["gate"]["verdict"] == "promote"
    assert result["gate"]["baseline"] == "promoted model"
    assert result["metrics"]["name"] == "tiny trained with demo"
    assert result["metrics"]["accuracy"] == figures_of(folder(terminal, "after"))["accuracy"]
    page = (terminal.home / "report.html").read_text()
    assert "tiny trained with demo" in page
    assert "after GRPO" not in page


def answers_and_warns(terminal, done) -> None:
    terminal.answer = done.stdout
    assert done.stdout
    assert "drawn pictures" in done.stderr


def answers_as_before(terminal, done) -> None:
    """A model that has been trained so briefly may name no place; a gateway does not tell what it wrote instead."""
    unread = re.match(r"no place could be read from the answer \([a-z ]+\)", terminal.answer)
    assert done.stdout.strip() == (unread[0] if unread else terminal.answer.strip())


def scores_as_the_run_did(terminal, done) -> None:
    manifest = folder(terminal, "policy") / MANIFEST_FILE
    question = content(terminal.folder / "runs/mine/evaluation/question.json")
    assert f"the evaluation values of {manifest}" in done.stderr
    assert question["max_tokens"] == content(manifest)["evaluation"]["max_tokens"]
    assert question["checkpoint"] == content(manifest)["digest"]
    mine, runs = figures_of(terminal.folder / "runs/mine/evaluation"), figures_of(folder(terminal, "after"))
    assert {name: mine[name] for name in MEASURED} == {name: runs[name] for name in MEASURED}


def asks_for_no_more_than_fits(terminal, done) -> None:
    manifest = folder(terminal, "policy") / MANIFEST_FILE
    assert "evaluation recipe benchmark" in done.stderr
    assert figures_of(terminal.folder / "runs/mine/at-length")["failures"]["call_failed"] == 0
    question = content(terminal.folder / "runs/mine/at-length/question.json")
    assert question["max_tokens"] == content(manifest)["serving"]["max_model_len"]


def compares_the_runs_figures(terminal, done) -> None:
    figures = [figures_of(folder(terminal, name)) for name in ("before", "after")]
    for line in done.stdout.splitlines():
        if found := re.match(r"within (\d+) km, % +([\d.]+) +([\d.]+)", line):
            assert [f"{each['accuracy'][found[1]]:.2f}" for each in figures] == [found[2], found[3]]
    assert done.stdout.count(" km, %") == len(figures[0]["accuracy"])


def shows_both_models(terminal, done) -> None:
    page = (terminal.folder / "runs" / "comparison.html").read_text()
    for name in ("before", "after"):
        assert f"{figures_of(folder(terminal, name))['accuracy']['25']:.1f}%" in page
        assert f">{name}<" in page


def tables_both_models(terminal, done) -> None:
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| within 25 km |")]
    shares = [f"{figures_of(folder(terminal, name))['accuracy']['25']:.1f}%" for name in ("before", "after")]
    assert [cell.split()[0] for cell in row.split("|")[2:4]] == shares


def prints_the_runs_figures(terminal, done) -> None:
    wanted = {
        line for line in summary_lines(figures_of(folder(terminal, "after"))) if line.startswith(("within", "country", "city"))
    }
    assert any("within 25 km" in line for line in wanted)
    assert wanted <= set(done.stdout.splitlines())


def finds_paris(terminal, done) -> None:
    paris, springfield = (line.split("\t") for line in done.stdout.splitlines())
    assert float(paris[5]) == find_query("Paris, France").lat_deg
    assert springfield[4] == "US"


def rewards_the_right_answer(terminal, done) -> None:
    assert done.stdout.startswith("1\taccuracy 1.000")


def curates_as_the_run_did(terminal, done) -> None:
    mine, runs = (content(path / "curation.json") for path in (terminal.folder / "runs/mine/curated", folder(terminal, "data")))
    for name in ("in", "kept", "dropped", "splits", "pool", "measured"):
        assert mine[name] == runs[name]


def gives_ms_swift_what_the_stage_does(terminal, done) -> None:
    def rows(path: Path) -> list[str]:
        """The rows, wherever their pictures lie."""
        return [line.replace(f"{path.parent}/", "") for line in path.read_text().splitlines()]

    mine = rows(terminal.folder / "runs/mine/rows/train.jsonl")
    assert len(mine) == content(terminal.folder / "runs/mine/curated/curation.json")["splits"]["train"]
    assert mine in [rows(path) for path in terminal.home.glob("store/sft/*/data/train.jsonl")]


def plans_every_teachers_calls(terminal, done) -> None:
    rows = content(folder(terminal, "data") / "curation.json")["in"]
    assert done.stdout.startswith(f"{rows} rows in 1 part, about {rows} usable pictures\n")
    assert re.findall(r"teacher (\S+): (\d+) calls, .* tokens, .* GPU hours", done.stdout) == [
        ("qwen2.5-vl-72b@http://gpu1:8000/v1,qwen2.5-vl-72b@http://gpu2:8000/v1", str(rows)),
        ("internvl3-78b@http://gpu3:8000/v1", str(rows)),
    ]
    assert not (terminal.folder / "runs/mine/mp16").exists()


def trains_what_the_run_did(stage: str, out: str) -> Any:
    def check(terminal, done) -> None:
        mine = (terminal.folder / "runs" / "mine" / out / "checkpoint" / "model.safetensors").read_bytes()
        assert mine in [path.read_bytes() for path in terminal.home.glob(f"store/{stage}/*/checkpoint/model.safetensors")]

    return check


def trains_on_without_a_judge(terminal, done) -> None:
    made, start = (content(terminal.folder / "runs/mine" / name / "checkpoint" / MANIFEST_FILE) for name in ("grpo", "sft"))
    assert made["parent"] == start["digest"] != made["digest"]
    (record,) = (terminal.folder / "runs/mine/grpo").glob(f"grpo/*/{RESULT_FILE}")
    weights = content(record)["outcome"]["figures"]["weights"]
    assert "accuracy" in weights
    assert "localizability" not in weights


def compiles_what_is_committed(terminal, done) -> None:
    for path in (ROOT / "pipelines" / "compiled").rglob("*.yaml"):
        assert (terminal.folder / path.relative_to(ROOT)).read_text() == path.read_text()


def plans_what_fits(terminal, done) -> None:
    assert "fits              yes" in done.stdout
    assert "4,151" in done.stdout


CHECKS = {
    "make demo": does_nothing_again,
    "python -m pipelines run demo": does_nothing_again,
    "python -m pipelines run demo --fresh": lambda terminal, done: None,  # fixture left_alone, and whoever is compared with it
    "python -m pipelines run demo --from gate": judges_again,
    "python -m pipelines run demo --set evaluation.gate.threshold_km=750": judges_by_another_distance,
    'python -m pipelines run demo --set start_from.curation="$data"': trains_nothing,
    "python -m pipelines run demo --pipeline curation": finds_the_same_with_annotators_side_by_side,
    "python -m pipelines run demo --pipeline evaluation": says_where_it_was_asked_to,
    "globe locate runs/new.png --checkpoint": answers_and_warns,
    "globe locate runs/new.png --url": answers_as_before,
    'globe evaluate --url "$URL" --model globe --dataset "$data/test" --out runs/mine/evaluation': scores_as_the_run_did,
    'globe evaluate --url "$URL" --model globe --dataset "$data/test" --out runs/mine/at-length': asks_for_no_more_than_fits,
    "globe compare": compares_the_runs_figures,
    'globe report "$before" "$after" --names': shows_both_models,
    'globe report "$before" "$after" --markdown': tables_both_models,
    "globe score": prints_the_runs_figures,
    "globe geocode": finds_paris,
    "globe reward": rewards_the_right_answer,
    "globe curate": curates_as_the_run_did,
    'globe curate --source "$world" --out runs/mine/mp16 --plan': plans_every_teachers_calls,
    "globe rows": gives_ms_swift_what_the_stage_does,
    "globe sft": trains_what_the_run_did("sft", "sft"),
    "globe reward-model": trains_what_the_run_did("reward_model", "judge"),
    "globe grpo": trains_on_without_a_judge,
    "globe grpo --recipe qwen2.5-vl-7b-three-rewards": plans_what_fits,
    "python -m pipelines compile": compiles_what_is_committed,
}


def test_what_is_said_here_of_the_readmes_lines_is_said_of_lines_that_stand_there():
    for said in (NOT_RUN, CHECKS, SERVERS):
        assert {key_of(line, said) for _, line in LINES} - {""} == set(said)


@pytest.mark.parametrize(("block", "line"), [each for each in LINES if not key_of(each[1], NOT_RUN)])
def test_a_line_of_the_readme_does_what_it_says(newcomer, block, line):
    if block != getattr(newcomer, "block", block):
        newcomer.close()  # Ctrl-C for the servers of the last one
        assert newcomer.leftovers() == []
    newcomer.block = block
    if SETTING.match(line):
        newcomer.set(line)
    elif key_of(line, SERVERS):
        newcomer.serve(line)
    else:
        done = newcomer.run(line)
        assert done.returncode == 0, done.stdout + done.stderr
        if key := key_of(line, CHECKS):
            CHECKS[key](newcomer, done)


def test_the_run_over_ones_own_photos_is_asked_for_in_words_that_a_run_takes_and_with_no_recipe_of_the_demos():
    (line,) = [line for _, line in LINES if "source=~/photos" in line]
    training = find_pipeline("training")
    asked = arguments_of(training, load_profile("demo"), parse_settings(training, re.findall(r"--set (\S+)", line)))
    plan = check_settings(training.request(asked | {"store": ""}))
    off = {stage for stage in ("sft", "reward_model", "grpo") if plan.states[stage] == OFF}
    assert {stage for stage, recipe in asked["recipes"].items() if recipe == "demo"} == off
