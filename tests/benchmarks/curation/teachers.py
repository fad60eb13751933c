"""How much of a teacher's ideal rate curation reaches: a server that answers after a second, however many ask.

    python -m tests.benchmarks.curation.teachers

The server is a simulation: it looks at no picture, and gives every one the same good reply after `LATENCY_S`. It is a process
of its own. With `IN_FLIGHT` calls at once the ideal is IN_FLIGHT / LATENCY_S answers a second; the efficiency is the share of
it that `ask_teachers` reaches over all calls, its start and end included, with photos of 640x480 that are decoded and sent as
always.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.asking import ask_teachers
from globe.curation.teachers.replies import ReplyLog
from globe.curation.teachers.teacher import Teacher
from globe.data.images import reencode
from globe.data.rows import Row
from globe.data.shards import write_dataset

LATENCY_S = 1.0
IN_FLIGHT = 256
CALLS = 12 * IN_FLIGHT
QUICK = {"calls": 2 * IN_FLIGHT}

_SERVER = """
import asyncio, json, sys
from aiohttp import web
reply = json.dumps({"localizable": True, "score": 0.9, "country": "Italy", "city": "Rome",
                    "reasoning": "The umbrella pines and the ochre walls speak for central Italy. " * 3,
                    "elements": ["umbrella pines", "ochre walls", "cobbles", "scooters"]})
answer = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}]})

async def chat(request):
    asked = asyncio.get_running_loop().time()
    await request.read()
    await asyncio.sleep(float(sys.argv[1]) - (asyncio.get_running_loop().time() - asked))
    return web.Response(body=answer, content_type="application/json")

async def main():
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def photos(count: int) -> Iterator[Row]:
    """Photos of about 60 KB, no two alike."""
    noise = np.random.default_rng(0).normal(128, 40, (60, 80, 3)).clip(0, 255).astype(np.uint8)
    scene = Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((640, 480), 12).convert("RGB")
    scene = Image.blend(scene, grain, 0.15)
    for number in range(count):
        picture = scene.copy()
        draw = ImageDraw.Draw(picture)
        for bit in range(16):
            draw.rectangle((40 * bit, 0, 40 * bit + 39, 39), fill=(255, 255, 255) if number >> bit & 1 else (0, 0, 0))
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=0)
        yield Row(
            id=f"p{number}",
            image=reencode(file.getvalue()),
            country="Italy",
            city="Rome",
            lat_deg=41.9,
            lon_deg=12.5,
            split="train",
        )


def figures(calls: int = CALLS) -> dict[str, float]:
    """Ask and measure.

    Args:
        calls: How many pictures to ask about; the more, the less the start and the end count.

    Returns:
        `teacher_efficiency`, from 0 to 1, and `teacher_cpu_ms`, the processor time that one call costs this process.
    """
    server = subprocess.Popen([sys.executable, "-c", _SERVER, str(LATENCY_S)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "source")
            write_dataset(source, photos(calls))
            recipe = CurationRecipe(concurrency=IN_FLIGHT)
            with ReplyLog(Path(folder, "replies.jsonl")) as log:
                began_s, cpu_began_s = time.perf_counter(), time.process_time()
                asked = ask_teachers(source, [Teacher("vlm", "slow", url)], recipe, log, lambda *_: None)
                took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
            replies = len(Path(folder, "replies.jsonl").read_bytes().splitlines())
        assert replies == len(asked.digests) == calls, f"{replies} replies about {len(asked.digests)} of {calls} pictures"
    finally:
        server.kill()
        server.wait()
    return {"teacher_efficiency": calls / (IN_FLIGHT / LATENCY_S) / took_s, "teacher_cpu_ms": 1000 * cpu_s / calls}


if __name__ == "__main__":
    print(json.dumps(figures()))
