"""How fast pictures are asked about: `globe evaluate` against a server that only the number of requests in flight slows down.

``python tests/benchmarks/bench_evaluate.py [--url URL] [--json]``.

The server is a light process of this machine. It answers each request a second later, as a stream, however many there are.
For `vs_best_fixed` it works on a few at a time and lets the others wait, as vLLM does; --url names a real server for that.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from globe.asking.client import find_model
from globe.asking.journal import Journal
from globe.asking.pace import Pace
from globe.asking.recipe import AskingRecipe
from globe.asking.runner import Run
from globe.data.rows import Row

PICTURES, IN_FLIGHT, LATENCY_S = 2048, 256, 1.0
FEWER, CAPACITY, BUSY_LATENCY_S, FIXED = 1024, 24, 0.25, (8, 16, 24, 32, 64, 128)
TOKENS, SIDE_PX = 20, 336
MEANINGS = {
    "vs_ideal_256": f"{PICTURES:,} pictures, {IN_FLIGHT} in flight, {LATENCY_S:g} s each: the time it took over the ideal time",
    "cpu_cores": "this client's CPU time meanwhile over the time",
    "memory_growth_mb": "by how much its peak memory was higher at the end than halfway",
    "vs_best_fixed": "pictures per second over those of the best fixed number in flight",
    "best_fixed": "that number",
}
ANSWER = ("<think>", *["a tower "] * (TOKENS - 5), "</think>", "<answer>", "country: France\n", "city: Paris</answer>")


class Server(asyncio.Protocol):
    """A connection to the server: it answers each request after a while, as a stream of tokens with log-probabilities."""

    room: asyncio.Semaphore
    latency_s = LATENCY_S

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer, self.tasks = transport, bytearray(), set()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = re.search(rb"content-length: *(\d+)", self.buffer[:head], re.IGNORECASE)
        if len(self.buffer) < head + 4 + int(length[1] if length else 0):
            return
        models = self.buffer.startswith(b"GET")
        self.buffer.clear()
        task = asyncio.get_running_loop().create_task(self.answer(models))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def answer(self, models: bool) -> None:
        if models:
            body, kind = b'{"data": [{"id": "bench"}]}', b"application/json"
        else:
            async with self.room:
                await asyncio.sleep(self.latency_s)
            body, kind = STREAM, b"text/event-stream"
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body)) + body)


def _stream() -> bytes:
    pieces: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "logprobs": {"content": [{"token": text, "logprob": -0.1}]}}]}
        for text in ANSWER
    ]
    pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    pieces.append({"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": TOKENS}})
    return b"".join(b"data: %b\n\n" % json.dumps(piece).encode() for piece in pieces) + b"data: [DONE]\n\n"


STREAM = _stream()


async def serve(capacity: int, latency_s: float) -> None:
    """Serve until killed; prints the port."""
    Server.room, Server.latency_s = asyncio.Semaphore(capacity), latency_s
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server(capacity: int, latency_s: float) -> Iterator[str]:
    """The server in a process of its own; its URL."""
    command = [sys.executable, __file__, "--serve", str(capacity), str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def rows(count: int) -> Iterator[Row]:
    """Photo-like pictures, drawn as they are needed: a few different ones, for drawing must not be what is measured."""
    noise = random.Random(0)
    few = []
    for _ in range(8):
        file = io.BytesIO()
        pixels = Image.frombytes("RGB", (48, 48), noise.randbytes(48 * 48 * 3)).resize((SIDE_PX, SIDE_PX))
        pixels.save(file, "JPEG", quality=90)
        few.append(file.getvalue())
    place: dict[str, Any] = {"lat_deg": 48.85, "lon_deg": 2.35, "country": "France", "city": "Paris", "split": "test"}
    for number in range(count):
        yield Row(id=f"p{number}", image=bytes(bytearray(few[number % len(few)])), **place)


class FixedPace(Pace):
    """A number of requests in flight that stays as it is."""

    def __init__(self, number: int) -> None:
        super().__init__(number, 1.0)
        self.limit = number

    def answered(self, latency_s: float) -> None:
        pass


def ask(url: str, count: int, recipe: AskingRecipe, pace: Pace | None = None) -> dict[str, float]:
    """Ask about pictures: seconds, CPU seconds, and the peak memory halfway and at the end."""
    peaks_mb: dict[int, float] = {}

    def progress(done: int, total: int, _: str) -> None:
        if done in (total // 2, total):
            peaks_mb[done] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as journal:
        run = Run(url, find_model(url).name, recipe, journal, progress, pace)
        started, cpu_started = time.perf_counter(), time.process_time()
        run.ask(rows(count), count, 0)
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu_started
        assert len(journal.answered) == count
    return {"seconds": seconds, "cpu_s": cpu_s, "growth_mb": peaks_mb[count] - peaks_mb[count // 2]}


def ideal() -> dict[str, float]:
    """Figures against a server that has room for all."""
    recipe = AskingRecipe(concurrency=IN_FLIGHT)
    with server(100_000, LATENCY_S) as url:
        took = ask(url, PICTURES, recipe)
    return {
        "vs_ideal_256": round(took["seconds"] / (PICTURES / IN_FLIGHT * LATENCY_S), 2),
        "cpu_cores": round(took["cpu_s"] / took["seconds"], 2),
        "memory_growth_mb": round(took["growth_mb"], 1),
    }


def against_fixed(url: str, count: int) -> dict[str, float]:
    """The pace that is found against numbers that are given, on one server."""
    recipe = AskingRecipe(concurrency=max(FIXED), max_tokens=48)
    ask(url, max(FIXED), recipe, FixedPace(max(FIXED)))  # the server is warm
    found = count / ask(url, count, recipe)["seconds"]
    fixed = {number: count / ask(url, count, recipe, FixedPace(number))["seconds"] for number in FIXED}
    best = max(fixed, key=lambda number: fixed[number])
    return {"vs_best_fixed": round(found / fixed[best], 3), "best_fixed": best}


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--url", default="", help="server for vs_best_fixed")
    parser.add_argument("--pictures", type=int, default=FEWER, help="for vs_best_fixed")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(int(options.serve[0]), float(options.serve[1])))
        return
    figures = ideal()
    if options.url:
        figures |= against_fixed(options.url, options.pictures)
    else:
        with server(CAPACITY, BUSY_LATENCY_S) as url:
            figures |= against_fixed(url, options.pictures)
    if options.json:
        print(json.dumps({"name": "evaluate", "figures": figures}))
        return
    for name, value in figures.items():
        print(f"{name:20}{value:>10,}   {MEANINGS[name]}")


if __name__ == "__main__":
    main()
