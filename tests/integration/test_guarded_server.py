"""A run's server with the real vLLM: closed to whoever has no key, whatever they ask, and open to the stages that do."""

import asyncio
import http.client
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from globe.asking.client import find_model, server_version
from globe.data.images import data_url
from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.demo.draw import draw_scene, to_png
from globe.demo.places import all_cities
from globe.errors import GlobeError
from globe.evaluation.evaluation import evaluation
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import POLICY
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, read_checkpoint
from globe.recipes.load import load_recipe
from globe.rewards.localizability import Judge
from globe.rewards.service import RewardService
from globe.serving.process import served
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import local_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
RECIPE = load_recipe(ServingRecipe, "serving", "demo", {"startup_timeout_s": 900})
QUESTION = {"model": POLICY, "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 2}
PROMPT = {"model": POLICY, "prompt": "Where?"}
ASKED = {
    **{"POST /v1/chat/completions": QUESTION, "POST /invocations": QUESTION, "POST /v1/completions": PROMPT},
    **{"POST /tokenize": PROMPT, "POST /detokenize": PROMPT, "POST /v1/responses": PROMPT, "POST /scale_elastic_ep": PROMPT},
    **dict.fromkeys(["GET /v1/models", "GET //v1/models", "GET /v1/models/", "GET /v1/%6dodels", "GET /health/../v1/models"]),
    **dict.fromkeys(["GET /metrics", "GET /metrics/", "GET /version", "GET /docs", "GET /openapi.json", "GET /load"]),
    **dict.fromkeys(["GET /ping", "OPTIONS /v1/models", "HEAD /v1/models", "GET /v1/chat/completions", "GET /"]),
}
WITH_KEY = {"POST /v1/chat/completions", "GET /v1/models", "GET /v1/%6dodels", "GET /metrics", "GET /version"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    return read_checkpoint(Path(base_model(model=TINY, seed=0, store=store).outcome.outputs["checkpoint"]))


@pytest.fixture(scope="module")
def server(checkpoint):
    """URL and key of a server of the checkpoint, under the policy's name."""
    with tempfile.TemporaryDirectory(prefix="t") as folder, served(checkpoint, POLICY, RECIPE, Path(folder)) as running:
        file = local_key(Path(folder), POLICY)
        assert file.stat().st_mode & 0o777 == 0o600
        key = file.read_text()
        log = Path(running.log).read_text()
        processes = [Path("/proc", str(running.pid), name).read_bytes().decode() for name in ("cmdline", "environ")]
        assert not [text for text in (log, *processes) if key in text]
        yield running.url, key


def answer(url, line, body, **headers):
    """Status and headers of an answer to a request that no client has corrected."""
    method, path = line.split(" ", 1)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json", **headers})
    reply = connection.getresponse()
    reply.read()
    return reply.status, reply.headers


def test_without_the_key_nothing_answers_but_health(server):
    url, key = server
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": key}, {"X-Api-Key": key}):
        told = {line: answer(url, line, body, **headers)[0] for line, body in ASKED.items()}
        assert {line for line, status in told.items() if status not in (401, 404)} == set()
        assert answer(url, "GET /health", None, **headers)[0] == 200


def test_with_the_key_there_is_what_stages_ask_and_each_answer_says_which_model_gave_it(server, checkpoint):
    url, key = server
    told = {line: answer(url, line, body, Authorization=f"Bearer {key}") for line, body in ASKED.items()}
    assert {line for line, (status, _) in told.items() if status == 200} == WITH_KEY
    assert {line: told[line][1]["x-globe-model"] for line in WITH_KEY} == dict.fromkeys(WITH_KEY, checkpoint.digest)


def test_a_websocket_is_refused(server):
    url, key = server
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    status, _ = answer(url, "GET /v1/realtime", None, Authorization=f"Bearer {key}", **upgrade)
    assert status == 403


def test_the_stage_evaluation_asks_with_the_runs_key(server, checkpoint, tmp_path):
    url, key = server
    scenes = [(f"p{number}", to_png(draw_scene(all_cities()[number], seed=number))) for number in range(2)]
    place = {"country": "France", "city": "Paris", "lat_deg": 48.8566, "lon_deg": 2.3522, "split": "test"}
    write_dataset(tmp_path / "test", [Row(id=name, image=image, **place) for name, image in scenes])
    given = {"policy": checkpoint, "url": url, "test": tmp_path / "test", "store": tmp_path / "store", "serving": RECIPE}
    recipe = EvaluationRecipe(max_tokens=8, timeout_s=120)
    with pytest.raises(GlobeError, match="does not take the key"):
        evaluation(**given, recipe=recipe, key=lambda: "0" * 64)
    metrics = evaluation(**given, recipe=recipe, key=lambda: key).outcome.figures[POLICY]
    assert (metrics["n"], metrics["failures"].get("call_failed", 0)) == (2, 0)
    assert metrics["manifest"]["model_digest"] == checkpoint.digest
    assert server_version(url) == ""
    assert metrics["manifest"]["server_version"] == server_version(url, key) != ""


def test_the_judge_is_asked_with_the_runs_key_and_no_other_model_is_taken_for_it(server, checkpoint):
    url, key = server
    picture = data_url(to_png(draw_scene(all_cities()[0], seed=0)))
    judge = Judge(url, POLICY, key=key, digest=checkpoint.digest)

    def score(judge: Judge) -> float | None:
        service = RewardService(judge, timeout_s=120)
        try:
            return asyncio.run(service.scores([picture], ["<think>palms</think>"]))[0]
        finally:
            service.close()

    assert 0 < score(judge) < 1
    for wrong in (replace(judge, key="0" * 64), replace(judge, digest="0" * 64), replace(judge, model="reward_model")):
        with pytest.raises(GlobeError, match=r"^reward service http://127\.0\.0\.1:\d+/v1:? [^\n]*$"):
            score(wrong)


def test_whoever_asks_by_hand_without_the_key_is_told_what_to_set(server, monkeypatch):
    url, key = server
    monkeypatch.delenv("GLOBE_API_KEY", raising=False)
    with pytest.raises(GlobeError, match=r"HTTP status 401 .*; set GLOBE_API_KEY to a key that it takes$"):
        find_model(url)
    monkeypatch.setitem(os.environ, "GLOBE_API_KEY", key)
    assert find_model(url).name == POLICY
