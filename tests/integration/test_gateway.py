"""The gateway with the real vLLM behind it: the same answers, none lost when either of them ends, clients that people have."""

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from openai import OpenAI
from PIL import Image

from globe.evaluation.usage import evaluation_recipe
from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, read_checkpoint
from globe.recipes.load import load_recipe
from globe.run.processes import end_process_tree
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.ports import claim_port
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import guarded, make_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]
MODEL = "qwen2.5-vl"
"""The name that GLOBE's own client asks for; it stands in its code."""
RECIPE = load_recipe(ServingRecipe, "serving", "demo", {"max_model_len": 1024, "shutdown_timeout_s": 20})
START_S = 900
ORIGINAL_PROMPT = """You are participating in a geolocation challenge. Based on the provided image:
1. Carefully analyze the image for clues about its location (architecture, signage, vegetation, terrain, etc.)
2. Think step-by-step about what country, and city this is likely to be in and why
Your final answer include these two lines somewhere in your response:
country: [country name]
city: [city name]

You MUST output the thinking process in <think> </think> and give answer in <answer> </answer> tags."""


class Engine:
    """A real vLLM with a key, which may be killed and started again at the same address."""

    def __init__(self, checkpoint, folder: Path) -> None:
        self.checkpoint, self.folder = checkpoint, folder
        self.port, self.lock = claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key_file = folder / "engine.key"
        self.key = make_key(self.key_file, 0o600)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        vllm = str(Path(sys.executable).with_name("vllm"))
        arguments = vllm_arguments(self.checkpoint.path, MODEL, "127.0.0.1", self.port, RECIPE)
        guard = guarded(self.key_file, self.checkpoint.digest)
        environment = os.environ | vllm_environment(RECIPE) | guard | {"TMPDIR": str(self.folder)}
        with (self.folder / "engine.log").open("ab") as log:
            self.process = subprocess.Popen(
                [vllm, "serve", *arguments], stdout=log, stderr=log, env=environment, start_new_session=True
            )
        until(lambda: status(self.url, "/health") == 200, START_S)

    def kill(self) -> None:
        """As the kernel does it when memory runs out: all of its processes, at once."""
        assert self.process
        tree = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            end_process_tree(self.process.pid)


class Relay:
    """A port that leads to an engine until it is cut, with all connections through it, as when the engine's process dies."""

    def __init__(self, port: int) -> None:
        self.target, self.open = port, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while self.open:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.target))
                self.sockets += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(2**16):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        self.open = False
        for end in [self.listener, *self.sockets]:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Running:
    """A gateway as a process of its own."""

    def __init__(self, folder: Path, engine: Engine, **settings) -> None:
        folder.mkdir(parents=True)
        self.port, self.lock = claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        told = {"engine_url": engine.url, "model": MODEL, "port": self.port, "max_tokens": 600} | settings
        config = folder / "gateway.yaml"
        config.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in told.items()))
        self.log = folder / "gateway.log"
        command = [sys.executable, "-m", "globe.gateway", "--config", str(config)]
        environment = os.environ | {"GLOBE_SERVER_KEY_FILE": str(engine.key_file)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def ready(self) -> None:
        until(lambda: status(self.url, "/ready") == 200, 180)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def until(done, limit_s: float) -> float:
    """Wait for something; how many seconds it took."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < limit_s
        time.sleep(0.1)
    return time.monotonic() - began


def status(url: str, path: str) -> int:
    """Status of an answer; 0 if there is none."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, asked: dict, key: str = "") -> tuple[int, http.client.HTTPMessage, dict]:
    """Status, headers and document of an answer."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
    reply = connection.getresponse()
    return reply.status, reply.headers, json.loads(reply.read())


def once(url: str, asked: dict, key: str = "") -> tuple[int, http.client.HTTPMessage, dict]:
    with contextlib.closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=300)) as connection:
        return ask(connection, asked, key)


def picture(number: int, size: tuple[int, int] = (56, 56), kind: str = "PNG") -> str:
    """A picture of noise, as a data URL."""
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def question(url: str, tokens: int = 12, **more) -> dict:
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Where was this photo taken?"}]
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "messages": messages, "max_tokens": tokens, "temperature": 0.0, "logprobs": True} | more


def said(document: dict) -> list[tuple]:
    """What an answer says, and how likely each of its tokens was."""
    choices = document["choices"]
    tokens = [[(token["token"], token["logprob"]) for token in choice["logprobs"]["content"]] for choice in choices]
    return [(choice["message"]["content"], choice["finish_reason"], told) for choice, told in zip(choices, tokens, strict=True)]


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


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, engine):
    running = Running(tmp_path_factory.mktemp("g") / "one", engine)
    running.ready()
    yield running
    running.end()


@pytest.mark.parametrize(("size", "kind"), [((56, 56), "PNG"), ((300, 200), "JPEG"), ((640, 480), "WEBP"), ((1536, 20), "PNG")])
def test_an_answer_is_bare_vllms_to_the_last_digit(engine, gateway, size, kind):
    asked = question(picture(1, size, kind))
    bare = once(engine.url, asked, engine.key)
    through = once(gateway.url, asked)
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
            timeout=60,
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
    from globe.asking.client import find_model, server_version

    found = find_model(f"{gateway.url}/v1", MODEL)
    assert (found.name, found.max_model_len, found.root) == (MODEL, RECIPE.max_model_len, "")
    assert found.digest == engine.checkpoint.digest
    assert server_version(f"{gateway.url}/v1") == ""
    recipe, _ = evaluation_recipe(None, found, "demo", {})
    assert recipe.max_tokens <= RECIPE.max_model_len


class Clients:
    """Clients that keep their connections, ask one question after another, and count how each ended."""

    def __init__(self, urls: list[str], count: int, tokens: int = 24) -> None:
        self.urls, self.tokens = urls, tokens
        self.whole, self.told_to_come_again, self.refused = 0, 0, 0
        self.lost: list[str] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        place, connection = number % len(self.urls), None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.urls[place].removeprefix("http://"), timeout=120)
                    connection.connect()
            except ConnectionRefusedError:
                connection = None
                with self._lock:
                    self.refused += 1
                if len(self.urls) == 1:
                    return
                place = (place + 1) % len(self.urls)  # as a service leads to another replica
                continue
            try:
                code, headers, told = ask(connection, question(picture(number), self.tokens))
            except Exception as error:
                with self._lock:
                    self.lost.append(f"{type(error).__name__}: {error}")
                connection = None
                continue
            if headers.get("Connection") == "close":
                connection.close()
                connection = None
            self._count(code, headers, told)

    def _count(self, code: int, headers: http.client.HTTPMessage, told: dict) -> None:
        with self._lock:
            if code == 200 and told["choices"][0]["finish_reason"] in ("stop", "length"):
                self.whole += 1
            elif code == 503 and int(headers["Retry-After"]) > 0:
                self.told_to_come_again += 1
            else:
                self.lost.append(f"{code} {told}")
        if code == 503:
            time.sleep(0.2)


def test_sigterm_under_load_loses_no_request(gateways):
    one, other = gateways(drain_s=3), gateways()
    clients = Clients([one.url, other.url], 20)
    time.sleep(4)
    before = clients.whole
    one.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert status(one.url, "/ready") == 503
    assert status(one.url, "/health") == 200
    assert one.process.wait(60) == 0
    time.sleep(2)
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again == 0
    assert clients.whole > before > 0
    print(f"{clients.whole} answers, {clients.refused} new connections led elsewhere")


def test_with_one_replica_sigterm_under_load_loses_no_request_either(gateways):
    one = gateways(drain_s=2)
    clients = Clients([one.url], 20)
    time.sleep(3)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(60) == 0
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again == 0
    assert clients.refused == 20


def test_when_an_engine_dies_another_replicas_answers_in_its_place(gateways, engine):
    relay = Relay(engine.port)
    other = gateways()
    one = gateways(engine_url=relay.url, peers=f"127.0.0.1:{other.port}")
    clients = Clients([one.url], 8)
    time.sleep(3)
    before = clients.whole
    relay.cut()
    time.sleep(4)
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again == 0
    assert clients.whole > before > 0
    assert status(one.url, "/ready") == 503
    assert status(one.url, "/live") == 200
    chunks = OpenAI(base_url=f"{one.url}/v1", api_key="none", max_retries=0).chat.completions.create(
        **question(picture(1)), stream=True
    )
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["length"]


def test_when_the_only_engine_is_killed_clients_are_told_at_once_and_answered_again_by_itself(gateways, engine):
    gateway = gateways()
    clients = Clients([gateway.url], 8, tokens=200)
    time.sleep(3)
    engine.kill()
    time.sleep(1)
    began = time.monotonic()
    code, headers, told = once(gateway.url, question(picture(1)))
    assert time.monotonic() - began < 1
    assert (code, told["error"]["code"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) > 0
    until(lambda: status(gateway.url, "/ready") == 503, 5)
    assert status(gateway.url, "/live") == 200
    clients.stop()
    assert clients.lost == []
    assert clients.told_to_come_again > 0
    engine.start()
    gateway.ready()
    code, _, told = once(gateway.url, question(picture(1)))
    assert (code, told["choices"][0]["finish_reason"]) == (200, "length")


def test_an_engine_that_is_told_to_end_under_load_costs_no_request(gateways, engine):
    """Last, for the engine doesn't come back: vLLM answers new requests with 500 while it ends, and may cut others short."""
    gateway = gateways()
    clients = Clients([gateway.url], 20, tokens=120)
    time.sleep(4)
    before = clients.whole
    engine.process.send_signal(signal.SIGTERM)
    engine.process.wait(120)
    clients.stop()
    assert clients.lost == []
    assert clients.whole > before > 0
    assert clients.told_to_come_again > 0
