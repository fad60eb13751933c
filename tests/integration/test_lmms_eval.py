"""The real lmms-eval asks a stand-in and the real vLLM with globe's tasks, and `globe score` reads what it writes.

It is installed beside the laptop's packages, into a folder of its own: `lmms_eval.in` says why. Without a package index the tests
are skipped.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_server import JsonHandler, http_server

from globe.data.rows import Row
from globe.data.shards import read_dataset, write_dataset
from globe.demo.draw import draw_scene, to_png
from globe.demo.places import all_cities
from globe.evaluation.lmms_tasks import INCLUDE_PATH
from globe.models.checkpoints import open_model
from globe.recipes.load import load_recipe
from globe.serving.by_hand import serving
from globe.serving.recipe import ServingRecipe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
GLOBE = [sys.executable, "-m", "globe.cli"]
LOCK = Path(__file__).with_name("lmms_eval.lock")
FAILS = "fails"
ANSWERS = (
    "<think>wind</think><answer>country: United States\ncity: Chicago</answer>",
    "<think>a lake</think><answer>country: Canada\ncity: Toronto</answer>",
    "<think>palms</think><answer>country: Brazil\ncity: Nowhereville</answer>",
    "country: Norway\ncity: Oslo",
    "",
    "no idea",
    FAILS,
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """Folder of lmms-eval and what it needs beside the packages here."""
    folder = tmp_path_factory.mktemp("lmms-eval")
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    command += ["--no-deps", "--require-hashes", "-r", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if done.returncode:
        pytest.skip(f"lmms-eval cannot be installed here: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "test"
    cities = [city for city in all_cities()[:8] for _ in range(6)]
    place = [{"lat_deg": c.lat_deg, "lon_deg": c.lon_deg, "country": c.country, "city": c.name} for c in cities]
    pictures = [to_png(draw_scene(city, seed=number)) for number, city in enumerate(cities)]
    write_dataset(folder, [Row(id=f"p{i}", image=png, split="test", **place[i]) for i, png in enumerate(pictures)])
    truth = "".join(f"{row.id},{row.lat_deg},{row.lon_deg},{row.country},{row.city}\n" for row in read_dataset(folder))
    (folder.parent / "truth.csv").write_text("id,lat,lon,country,city\n" + truth)
    return folder


@contextmanager
def stand_in() -> Iterator[str]:
    """A server that answers each picture in its own way, and fails for some."""

    class Handler(JsonHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (content,) = (message["content"] for message in asked["messages"])
            url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
            text = ANSWERS[int(hashlib.sha256(url.encode()).hexdigest(), 16) % len(ANSWERS)]
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            document = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
            self.send(400 if text == FAILS else 200, document)

    with http_server(Handler) as url:
        yield f"{url}/v1"


def lmms_eval(packages: Path, url: str, model: str, dataset: Path, out: Path, *more: str) -> tuple[dict[str, float], Path]:
    """Run lmms-eval on a data set: the figures that it prints, and its samples file."""
    path = os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")]))
    environment = {"PYTHONPATH": path, "HF_HOME": str(out / "hf"), "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "none"}
    arguments = f"model={model},base_url={url},max_retries=1,retry_backoff_s=0,timeout=60"
    command = [sys.executable, "-m", "lmms_eval", "--model", "openai", "--model_args", arguments, "--batch_size", "1"]
    command += ["--include_path", str(INCLUDE_PATH), "--tasks", "globe", "--log_samples", "--output_path", str(out), *more]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | environment | {"GLOBE_DATASET": str(dataset)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = out.rglob("*_results.json")
    (samples,) = out.rglob("*_samples_globe.jsonl")
    figures = json.loads(results.read_text())["results"]["globe"]
    return {name.removesuffix(",none"): value for name, value in figures.items() if "stderr" not in name}, samples


def globe(*arguments: str) -> str:
    done = subprocess.run([*GLOBE, *arguments], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers(path: Path, read: Callable[[dict], tuple[str, str]]) -> dict[str, str]:
    """The texts in a file, without the blank space around them, by picture."""
    pairs = [read(json.loads(line)) for line in path.read_bytes().splitlines()]
    return {name: text.strip() for name, text in pairs}


def assert_scored_alike(figures: dict[str, float], samples: Path, dataset: Path) -> dict:
    """`globe score` finds in the samples file what lmms-eval has printed."""
    scored = json.loads(globe("score", "--truth", str(dataset.parent / "truth.csv"), "--predictions", str(samples), "--json"))
    expected = {f"within_{km}_km": share for km, share in scored["accuracy"].items()}
    expected |= {name: scored[name] for name in ("country_match", "city_match", "geoscore", "median_km")}
    expected |= {"parsed": scored["parsed_percent"], "failed": scored["failed_percent"]}
    assert {name: value for name, value in figures.items() if name in expected} == expected
    return scored


def test_lmms_eval_prints_the_figures_that_globe_score_finds_in_its_samples(packages, dataset, tmp_path):
    with stand_in() as url:
        figures, samples = lmms_eval(packages, url, "m", dataset, tmp_path)
    scored = assert_scored_alike(figures, samples, dataset)
    assert scored["n"] == 48
    assert 0 < scored["accuracy"]["25"] < scored["accuracy"]["2500"] < 100
    assert all(scored["failures"][status] for status in ("call_failed", "no_answer", "not_parsed"))


@pytest.mark.long
def test_lmms_eval_gets_from_vllm_what_globe_evaluate_gets(packages, dataset, tiny_model, tmp_path):
    recipe = load_recipe(ServingRecipe, "serving", "demo")
    with serving(open_model(tiny_model), "globe", recipe, keyed=False) as server:
        figures, samples = lmms_eval(packages, server.url, "globe", dataset, tmp_path, "--gen_kwargs", "max_new_tokens=48")
        out = str(tmp_path / "out")
        globe("evaluate", "--url", server.url, "--dataset", str(dataset), "--out", out, "--recipe", "demo")
    scored = assert_scored_alike(figures, samples, dataset)
    assert scored["failures"]["call_failed"] == 0
    assert answers(tmp_path / "out" / "predictions.jsonl", lambda line: (line["id"], line["answer"])) == answers(
        samples, lambda line: (json.loads(line["target"])["id"], line["filtered_resps"])
    )
