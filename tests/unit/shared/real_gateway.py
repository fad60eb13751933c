"""A real vLLM and gateways before it, as processes, and clients that keep their connections and count what they lose."""

import base64
import contextlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from globe.recipes.load import load_recipe
from globe.run.processes import end_process_tree, tie_to_parent
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.ports import claim_port
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import guarded, make_key

MODEL = "qwen2.5-vl"
"""The name that GLOBE's own client asks for; it stands in its code."""
OTHER_NAME = "globe"
"""The name that hostile requests and those of the soak ask for."""
RECIPE = load_recipe(ServingRecipe, "serving", "demo", {"max_model_len": 1024, "shutdown_timeout_s": 20})
START_S = 900


class Engine:
    """A real vLLM with a key, started as in a pod: what it leaves ends with it, and it ends with the test that started it."""

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
        arguments.insert(arguments.index(MODEL) + 1, OTHER_NAME)
        guard = guarded(self.key_file, self.checkpoint.digest)
        environment = os.environ | vllm_environment(RECIPE) | guard | {"TMPDIR": str(self.folder)}
        with (self.folder / "engine.log").open("ab") as log:
            command = [sys.executable, "-m", "globe.serving.engine", "--", vllm, "serve", *arguments]
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, preexec_fn=tie_to_parent
            )
        until(lambda: status(self.url, "/health") == 200 or self.process.poll() is not None, START_S)
        assert self.process.poll() is None, (self.folder / "engine.log").read_text()[-3000:]

    def at_work(self) -> float:
        """How many requests it generates answers to just now, as it says."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {self.key}"})
            told = connection.getresponse().read().decode()
        return sum(float(line.split()[-1]) for line in told.splitlines() if line.startswith("vllm:num_requests_running{"))

    def end(self) -> None:
        if self.process and self.process.poll() is None:
            end_process_tree(self.process.pid)


class Relay:
    """A port that leads to an engine until it is cut, with all connections through it, as when the engine's process dies."""

    def __init__(self, port: int) -> None:
        self.target, self.port = port, 0
        self.sockets: list[socket.socket] = []
        self.mend()
        self.url = f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Lead there from now on, at the first time and after a cut: as when the engine is started again."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port, self.open = self.listener.getsockname()[1], True
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
        self.sockets.clear()


class Running:
    """A gateway as a process of its own."""

    def __init__(self, folder: Path, engine: Engine, **settings) -> None:
        folder.mkdir(parents=True)
        self.port, self.lock = claim_port()
        self.url = f"http://127.0.0.1:{self.port}"
        told = {
            "engine_url": engine.url,
            "model": MODEL,
            "port": self.port,
            "max_tokens": 600,
            "tokens_per_minute": 10**9,
        } | settings
        config = folder / "gateway.yaml"
        config.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in told.items()))
        self.log = folder / "gateway.log"
        command = [sys.executable, "-m", "globe.gateway", "--config", str(config)]
        environment = os.environ | {"GLOBE_SERVER_KEY_FILE": str(engine.key_file)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, preexec_fn=tie_to_parent)

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


def timed(url: str, asked: dict) -> tuple[float, tuple[int, http.client.HTTPMessage, dict]]:
    """How many seconds an answer took, and the answer."""
    began = time.monotonic()
    answer = once(url, asked)
    return time.monotonic() - began, answer


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


class Clients:
    """Clients that keep their connections, ask one question after another, and count how each ended."""

    def __init__(self, urls: list[str], count: int, tokens: int = 24) -> None:
        self.urls, self.tokens = urls, tokens
        self.whole, self.refused = 0, 0
        self.told_to_come_again: list[str] = []
        """What each 503 said."""
        self.lost: list[str] = []
        self._lock, self._over = threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def at_work(self) -> int:
        """Wait until each of them is likely to have got an answer, and to wait for the next; how many they have got."""
        until(lambda: self.whole >= len(self._threads), 180)
        return self.whole

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        place, connection = number % len(self.urls), None
        asked = question(picture(number), self.tokens)
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
                code, headers, told = ask(connection, asked)
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
                self.told_to_come_again.append(f"{told['error']['code']}: {told['error']['message']}")
            else:
                self.lost.append(f"{code} {told}")
        if code == 503:
            time.sleep(0.2)
