"""What bench_gateway and soak_gateway share: a real vLLM with the demo's tiny model, a gateway before it, and clients of both."""

from __future__ import annotations

import asyncio
import base64
import functools
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil
from PIL import Image

from globe.models.base_model import base_model
from globe.models.checkpoints import TINY, read_checkpoint
from globe.recipes.load import load_recipe
from globe.run.processes import tie_to_parent
from globe.serving.guard import KEY_FILE_VARIABLE
from globe.serving.ports import await_ready, claim_port, is_ready
from globe.serving.process import served
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import local_key

MODEL = "globe"
ENOUGH = 10**12
SMALL_PX, LARGE_PX = 112, 1024
"""Sides of the two kinds of pictures: what a tiny model sees, and a megapixel."""


@dataclass(frozen=True)
class Place:
    """Where questions are sent."""

    url: str
    """Base URL that ends in /v1."""
    key: str = ""
    pid: int = 0


@contextmanager
def engine_and_gateway(**settings: Any) -> Iterator[tuple[Place, Place]]:
    """A vLLM and a gateway before it, for as long as a block runs.

    Args:
        settings: Of the gateway, beside limits so high that nobody meets them.
    """
    with tempfile.TemporaryDirectory(prefix="b") as name:
        folder = Path(name)
        checkpoint = read_checkpoint(Path(base_model(model=TINY, seed=0, store=folder / "store").outcome.outputs["checkpoint"]))
        recipe = load_recipe(ServingRecipe, "serving", "demo", {"startup_timeout_s": 900})
        with served(checkpoint, MODEL, recipe, folder) as engine:
            key_file = local_key(folder, MODEL)
            with gateway_before(engine.url, key_file, **settings) as gateway:
                yield Place(engine.url, key_file.read_text(), engine.pid), gateway


@contextmanager
def timed_engine_and_gateway(seconds: float) -> Iterator[tuple[Place, Place]]:
    """A server that takes so long for each answer and computes nothing (`timed_engine`), and a gateway before it."""
    port, lock = claim_port()
    with lock, tempfile.TemporaryDirectory(prefix="b") as name:
        command = [sys.executable, str(Path(__file__).with_name("timed_engine.py")), str(port), str(seconds)]
        engine = subprocess.Popen(command, preexec_fn=tie_to_parent)
        try:
            url = f"http://127.0.0.1:{port}/v1"
            await_ready("timed engine", url, 60, "its output", lambda: None)
            key_file = Path(name) / "key"
            key_file.write_text("none")
            key_file.chmod(0o600)
            with gateway_before(url, key_file) as gateway:
                yield Place(url, "none", engine.pid), gateway
        finally:
            engine.terminate()
            engine.wait(60)


@contextmanager
def gateway_before(engine_url: str, key_file: Path, **settings: Any) -> Iterator[Place]:
    """A gateway before a vLLM that is there, for as long as a block runs.

    Args:
        engine_url: Base URL of the vLLM, which ends in /v1; it serves `MODEL`.
        key_file: Holds its key.
        settings: Of the gateway, beside limits so high that nobody meets them.
    """
    port, lock = claim_port()
    told = {"engine_url": engine_url.removesuffix("/v1"), "model": MODEL, "port": port, "page": False, "drain_s": 0}
    # The watch's own question waits behind whatever the other arm has in the engine just then.
    told |= {"pixels_per_minute": ENOUGH, "tokens_per_minute": ENOUGH, "probe_timeout_s": 300} | settings
    environment = os.environ | {f"GLOBE_GATEWAY_{name.upper()}": str(value) for name, value in told.items()}
    with lock, tempfile.NamedTemporaryFile(suffix=".log") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "globe.gateway"],
            env=environment | {KEY_FILE_VARIABLE: str(key_file)},
            stdout=log,
            stderr=log,
            preexec_fn=tie_to_parent,
        )
        try:
            url = f"http://127.0.0.1:{port}/v1"
            await_ready("gateway", url, 120, log.name, lambda: None)
            while not is_ready(url, "/ready"):
                time.sleep(0.2)
            yield Place(url, "", gateway.pid)
        except RuntimeError:
            print(Path(log.name).read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            gateway.terminate()
            gateway.wait(60)


@functools.cache
def _noise(side_px: int) -> np.ndarray:
    return np.random.default_rng(side_px).integers(-12, 13, (side_px, side_px, 3), dtype=np.int16)


def picture(number: int, side_px: int) -> bytes:
    """A JPEG of the size of a photo's, unlike any other: smooth colours with some noise."""
    colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    smooth = Image.fromarray(colours).resize((side_px, side_px), Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth, dtype=np.int16) + _noise(side_px)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def question(image: bytes, tokens: int = 16) -> dict[str, Any]:
    """What GLOBE's clients ask about a picture, in few tokens."""
    url = f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Where was this photo taken?"}]
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": tokens,
        "temperature": 0,
        "logprobs": True,
    }


def questions(count: int, seed: int, sides_px: Sequence[int] = (SMALL_PX, LARGE_PX), tokens: int = 16) -> list[bytes]:
    """Bodies of questions about pictures that all differ, as many of each size, in an order that is the seed's."""
    sides = [sides_px[number % len(sides_px)] for number in range(count)]
    random.Random(seed).shuffle(sides)
    return [json.dumps(question(picture(seed * 1_000_003 + number, side), tokens)).encode() for number, side in enumerate(sides)]


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process and those below it have used."""
    process = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def session(place: Place, connections: int = 0) -> aiohttp.ClientSession:
    """A client that keeps its connections."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {place.key}"} if place.key else {})
    timeout = aiohttp.ClientTimeout(total=300)
    return aiohttp.ClientSession(headers=headers, timeout=timeout, connector=aiohttp.TCPConnector(limit=connections))


async def ask(client: aiohttp.ClientSession, place: Place, body: bytes) -> float:
    """The seconds that a whole answer took.

    Raises:
        RuntimeError: It was none.
    """
    began = time.perf_counter()
    async with client.post(f"{place.url}/chat/completions", data=body) as reply:
        told = await reply.json()
    if reply.status != 200 or told["choices"][0]["finish_reason"] not in ("stop", "length"):
        raise RuntimeError(f"{place.url}: {reply.status} {str(told)[:300]}")
    return time.perf_counter() - began


async def ask_all(place: Place, asked: list[bytes], concurrency: int, apart_s: float = 0.0) -> tuple[float, list[float]]:
    """All of some questions, so many at once.

    Args:
        place: Where they are asked.
        asked: Their bodies.
        concurrency: How many at once.
        apart_s: For how long each is held back before it is sent, one after the other; part of the time that it takes.

    Returns:
        Seconds from the first question to the last answer, and those of each answer.
    """
    waiting = iter(asked)
    taken: list[float] = []
    turn = asyncio.Lock()

    async def work(client: aiohttp.ClientSession) -> None:
        for one in waiting:
            began = time.perf_counter()
            if apart_s:
                async with turn:
                    await asyncio.sleep(apart_s)
            held_s = time.perf_counter() - began
            taken.append(held_s + await ask(client, place, one))

    async with session(place) as client:
        began = time.perf_counter()
        await asyncio.gather(*(work(client) for _ in range(concurrency)))
        return time.perf_counter() - began, taken
