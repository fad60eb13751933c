"""The gateway with the real vLLM behind it: the same answers, none lost when either of them ends, clients that people have."""

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from hostile import ROWS
from hostile_scene import judge, scene_before
from openai import OpenAI
from PIL import Image
from real_gateway import MODEL, RECIPE, Clients, Engine, Relay, Running, once, picture, question, said, status, timed, until
from recording_engine import RecordingEngine

from globe.asking.call import Caller
from globe.asking.client import find_model, server_version
from globe.asking.reply import Reply
from globe.data.images import data_url, reencode
from globe.evaluation.usage import evaluation_recipe
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, read_checkpoint

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]
ENGINE_S = 60
"""A client that does not dawdle is answered within, by an engine on a CPU."""
SOAK = Path(__file__).parents[1] / "benchmarks" / "soak_gateway.py"
ORIGINAL_PROMPT = """You are participating in a geolocation challenge. Based on the provided image:
1. Carefully analyze the image for clues about its location (architecture, signage, vegetation, terrain, etc.)
2. Think step-by-step about what country, and city this is likely to be in and why
Your final answer include these two lines somewhere in your response:
country: [country name]
city: [city name]

You MUST output the thinking process in <think> </think> and give answer in <answer> </answer> tags."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    checkpoint = read_checkpoint(Path(base_model(model=TINY, seed=0, store=store).outcome.outputs["checkpoint"]))
    engine = Engine(checkpoint, tmp_path_factory.mktemp("e"))
    try:
        engine.start()
        yield engine
    finally:
        engine.end()


@pytest.fixture
def gateways(tmp_path, engine):
    """Starts gateways, and ends them with the test."""
    started: list[Running] = []

    def start(**settings) -> Running:
        started.append(Running(tmp_path / f"g{len(started)}", engine, **settings))
        started[-1].ready()
        return started[-1]

    yield start
    for gateway in started:
        gateway.end()
        print(f"{gateway.log}:\n{gateway.log.read_text()}")  # pytest shows it with a test that has failed


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, engine):
    running = Running(tmp_path_factory.mktemp("g") / "one", engine)
    running.ready()
    yield running
    running.end()


@pytest.mark.parametrize(("size", "kind"), [((56, 56), "PNG"), ((300, 200), "JPEG"), ((640, 480), "WEBP"), ((1536, 20), "PNG")])
def test_an_answer_is_bare_vllms_about_the_picture_as_it_is_stored_to_the_last_digit(engine, gateway, size, kind):
    given = picture(1, size, kind)
    stored = data_url(reencode(base64.b64decode(given.partition(",")[2])))
    bare = once(engine.url, question(stored), engine.key)
    for url in (given, stored):
        through = once(gateway.url, question(url))
        assert (bare[0], through[0]) == (200, 200)
        assert said(through[2]) == said(bare[2])
        assert through[2]["usage"] == bare[2]["usage"]
    assert through[1]["x-globe-model"] == bare[1]["x-globe-model"] == engine.checkpoint.digest


def test_samples_with_a_seed_and_penalties_are_bare_vllms_too(engine, gateway):
    more = {"n": 3, "seed": 7, "temperature": 0.9, "top_p": 0.9, "frequency_penalty": 0.5, "presence_penalty": 0.2}
    asked = question(picture(2), top_logprobs=2, stop=["zzz"], **more)
    assert said(once(gateway.url, asked)[2]) == said(once(engine.url, asked, engine.key)[2])


def test_an_answer_follows_a_schema(gateway):
    schema = {"type": "object", "properties": {"place": {"enum": ["sea", "land"]}}, "required": ["place"]}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema | {"additionalProperties": False}}}
    _, _, told = once(gateway.url, question(picture(3), tokens=60, response_format=form))
    ((text, end, _),) = said(told)
    assert end == "length" or json.loads(text)["place"] in ("sea", "land")
    assert text.lstrip().startswith("{")


def test_a_stream_says_what_the_whole_answer_says(gateway):
    client = OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
    asked = question(picture(4), tokens=24)
    whole = client.chat.completions.create(**asked)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    pieces = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(piece.delta.content or "" for piece in pieces) == whole.choices[0].message.content
    tokens = [token.logprob for piece in pieces if piece.logprobs for token in piece.logprobs.content]
    assert tokens == [token.logprob for token in whole.choices[0].logprobs.content]
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == [whole.choices[0].finish_reason]
    assert chunks[-1].usage == whole.usage


@pytest.mark.parametrize("stream", [False, True])
def test_globes_own_client_works_unchanged(engine, gateway, tmp_path, stream):
    """Its calls as they stand in its evaluation; only the server's address is another."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)

    def infer(url: str, key: str) -> str:
        client = OpenAI(api_key=key, base_url=url)
        base64_img = f"data:image;base64,{base64.b64encode(path.read_bytes()).decode('utf-8')}"
        response = client.chat.completions.create(
            model="qwen2.5-vl",
            timeout=300,
            temperature=0.1,
            max_tokens=512,
            frequency_penalty=0.7,
            presence_penalty=0.7,
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": base64_img}},
                        {"type": "text", "text": ORIGINAL_PROMPT},
                    ],
                },
            ],
            stream=stream,
        )
        if not stream:
            return response.choices[0].message.content
        buffer = ""
        for chunk in response:
            buffer += chunk.choices[0].delta.content
        return buffer

    assert len(infer(f"{gateway.url}/v1", "EMPTY")) > 100
    assert len(infer(f"{engine.url}/v1", engine.key)) > 100


def test_the_evaluations_own_way_of_asking_works(gateway, engine):
    found = find_model(f"{gateway.url}/v1", MODEL)
    assert (found.name, found.max_model_len, found.root) == (MODEL, RECIPE.max_model_len, "")
    assert found.digest == engine.checkpoint.digest
    assert server_version(f"{gateway.url}/v1") == ""
    photo = base64.b64decode(picture(6).partition(",")[2])

    async def asked(stream: bool) -> Reply:
        recipe, _ = evaluation_recipe(None, found, "demo", {"max_tokens": 20, "stream": stream, "temperature": 0.0})
        async with Caller(f"{gateway.url}/v1", MODEL, recipe, digest=found.digest) as caller:
            return await caller.call(photo)

    whole, streamed = (asyncio.run(asked(stream)) for stream in (False, True))
    assert whole.text == streamed.text != ""
    assert (whole.completion_tokens, streamed.completion_tokens) == (20, 20)


@pytest.mark.long
def test_sigterm_under_load_loses_no_request(gateways):
    one, other = gateways(drain_s=15), gateways()
    clients = Clients([one.url, other.url], 20)
    before = clients.at_work()
    one.process.send_signal(signal.SIGTERM)
    until(lambda: status(one.url, "/ready") == 503, 60)
    assert status(one.url, "/health") == 200
    assert one.process.wait(300) == 0
    time.sleep(2)
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again == []
    assert clients.whole > before
    print(f"{clients.whole} answers, {clients.refused} new connections led elsewhere")


@pytest.mark.long
def test_with_one_replica_sigterm_under_load_loses_no_request_either(gateways):
    one = gateways(drain_s=2)
    clients = Clients([one.url], 20)
    clients.at_work()
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(300) == 0
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again == []
    assert clients.refused == 20


@pytest.mark.long
def test_when_an_engine_dies_another_replicas_answers_in_its_place(gateways, engine):
    relay = Relay(engine.port)
    other = gateways()
    one = gateways(engine_url=relay.url, peers=f"127.0.0.1:{other.port}")
    clients = Clients([one.url], 8)
    before = clients.at_work()
    relay.cut()
    until(lambda: clients.whole > before + 8 or clients.lost, 300)
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again == []
    assert clients.whole > before
    until(lambda: status(one.url, "/ready") == 503, 60)
    assert status(one.url, "/live") == 200
    chunks = OpenAI(base_url=f"{one.url}/v1", api_key="none", max_retries=0).chat.completions.create(
        **question(picture(1)), stream=True
    )
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["length"]


def test_when_the_only_engine_is_killed_clients_are_told_at_once_and_answered_again_by_itself(gateways, engine):
    """Its connections end as they do when it is killed; what a killed vLLM leaves and how it comes back: test_serve.py."""
    relay = Relay(engine.port)
    gateway = gateways(engine_url=relay.url)
    clients = Clients([gateway.url], 8, tokens=200)
    clients.at_work()
    relay.cut()
    time.sleep(1)
    seconds, (code, headers, told) = min((timed(gateway.url, question(picture(1))) for _ in range(5)), key=itemgetter(0))
    assert seconds < 1
    assert (code, told["error"]["code"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) > 0
    until(lambda: status(gateway.url, "/ready") == 503, 60)
    assert status(gateway.url, "/live") == 200
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again
    relay.mend()
    gateway.ready()
    code, _, told = once(gateway.url, question(picture(1)))
    assert (code, told["choices"][0]["finish_reason"]) == (200, "length")


def test_hostile_requests_that_reach_the_engine_do_it_no_harm(engine, tmp_path):
    """The others never do: test_gateway_hostile.py holds all of them against an engine that keeps what it was asked."""
    seen, wrong = RecordingEngine(), {}
    seen.url = engine.url
    reaching = [row for row in ROWS if row.with_engine or 200 in row.status]
    assert len(reaching) > 15
    with scene_before(seen, tmp_path, key_file=engine.key_file) as scene:
        for row in reaching:
            try:
                judge(row, scene.sent(row, ENGINE_S), row.with_engine or row.status, ENGINE_S)
                assert scene.good().status == 200
            except AssertionError as error:
                wrong[row.name] = str(error)[:300]
    assert wrong == {}


@pytest.mark.long
def test_too_many_questions_bad_ones_and_clients_that_go_away_do_no_harm(engine):
    """For 20 s, at 1.5 times what the engine takes; the script by itself takes twenty minutes."""
    command = [sys.executable, str(SOAK), "--minutes", "0.33", "--json", "--engine", f"{engine.url}/v1"]
    environment = os.environ | {"GLOBE_SERVER_KEY_FILE": str(engine.key_file)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["wrong"], figures["unexpected_5xx"]) == ([], 0)
    assert figures["answers"]["good: 200"] > 0
    assert figures["answers"]["leaving: gone"] > 0
    assert {name.split(": ")[1] for name in figures["answers"] if name.startswith("bad")} >= {"400", "404"}
    # In so short a time it is still finding its size, the sooner the quicker the machine: it is held to that of twenty minutes.
    settled_mb = json.loads((SOAK.parent / "results" / "gateway_soak.json").read_text())["memory_mb_by_quarter"][3]
    assert figures["memory_mb_by_quarter"][3] < 1.25 * settled_mb


@pytest.mark.long
def test_an_engine_that_is_told_to_end_under_load_costs_no_request(gateways, engine):
    """Last, for the engine doesn't come back: vLLM answers new requests with 500 while it ends, and may cut others short.

    One gateway stays, the other is told to end with its engine, as when a pod is deleted.
    """
    stays, ends = gateways(), gateways(drain_s=4)
    clients = [Clients([gateway.url], 10, tokens=60) for gateway in (stays, ends)]
    for each in clients:
        each.at_work()
    until(lambda: engine.at_work() >= 15, 300)  # what it has not begun with it refuses
    before = [each.whole for each in clients]
    for process in (engine.process, ends.process):
        process.send_signal(signal.SIGTERM)
    assert ends.process.wait(300) == 0
    with contextlib.suppress(subprocess.TimeoutExpired):
        engine.process.wait(300)
    engine.end()  # as the kubelet does after a while: vLLM waits for ever for answers that its engine did not finish in time
    for each in clients:
        each.stop()
    assert [each.lost for each in clients] == [[], []]
    after = [each.whole for each in clients]
    assert all(then > now for then, now in zip(after, before, strict=True)), (before, after)
    assert all(each.told_to_come_again for each in clients)
