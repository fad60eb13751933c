"""The gateway under more load than its engine takes, for a long time: mixed sizes, bad input and clients that go away.

``python tests/benchmarks/soak_gateway.py [--minutes N] [--json] [--engine URL]``.

First it is found out how many answers a second there are at most; then questions come at 1.5 times that rate, whether or not
earlier ones have been answered, as they do from people. What must hold: no answer of 5xx but 503 with Retry-After and 504, and a
memory of the gateway that stays within 10%: the median of the last quarter of the time against that of the second one.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import random
import statistics
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from gateway_load import (
    LARGE_PX,
    SMALL_PX,
    Place,
    ask_all,
    engine_and_gateway,
    gateway_before,
    picture,
    question,
    questions,
    session,
)

from globe.serving.guard import KEY_FILE_VARIABLE

MINUTES, OVERLOAD = 20.0, 1.5
MOST_PICTURES = 96
"""Of each kind, made beforehand: making a megapixel for each question would slow down what is measured."""
SHORT_S = 60.0
"""A soak that is no longer only shows that nothing breaks, and measures saturation with fewer questions."""
GOOD, BAD = 0.70, 0.15
"""Shares of whole questions and of bad ones; the rest goes away before the answer comes."""
CONCURRENT, ANSWER_S = 64, 60
"""The gateway's own limits here, which 1.5 times saturation soon reaches."""
MAY_BE = {503, 504}
MEANINGS = {
    "unexpected_5xx": "answers of 5xx that are neither 503 with Retry-After nor 504",
    "memory_growth": "the gateway's memory in the last quarter over that in the second one, medians, minus 1",
}


def bad(number: int) -> tuple[bytes, set[int]]:
    """A body that is not in order, and the codes that it may get."""
    good = question(picture(number % 7, SMALL_PX))
    image = good["messages"][0]["content"][0]["image_url"]
    kind = number % 6
    if kind == 0:
        return b'{"model": "globe", "messages": [', {400, 422}
    if kind == 1:
        image["url"] = "http://127.0.0.1:9/x.png"
        return json.dumps(good).encode(), {400}
    if kind == 2:
        image["url"] = image["url"][: len(image["url"]) // 2]
        return json.dumps(good).encode(), {400, 422}
    if kind == 3:
        return json.dumps(good | {"max_tokens": -1}).encode(), {400, 422}
    if kind == 4:
        return json.dumps(good | {"model": "another"}).encode(), {404}
    image["url"] = "data:image/png;base64," + "QUJD" * 2_000_000
    return json.dumps(good).encode(), {400, 413, 415, 422}


class Soak:
    """A load, and what came of it."""

    def __init__(self, place: Place, rate_per_s: float, pictures: int) -> None:
        self.place, self.rate_per_s = place, rate_per_s
        self.codes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory: list[tuple[float, int]] = []
        self._bad = itertools.count()
        """Numbers of bad questions: each kind has its turn, so that a slow machine's few are of all kinds."""
        self._bodies = [
            json.dumps(question(picture(number, side))).encode() for number in range(pictures) for side in (SMALL_PX, LARGE_PX)
        ]

    async def run(self, seconds: float) -> None:
        """Ask at the rate for so long, then wait for the last answers."""
        began, chance = time.monotonic(), random.Random(0)
        watching = asyncio.create_task(self._watch(began))
        tasks: set[asyncio.Task[None]] = set()
        async with session(self.place) as client:
            number = 0
            while time.monotonic() - began < seconds:
                task = asyncio.create_task(self._one(client, number, chance.random(), chance.uniform(0.0, 0.4)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
                due = began + number / self.rate_per_s
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.gather(*tasks)
        watching.cancel()

    async def _watch(self, began: float) -> None:
        process = psutil.Process(self.place.pid)
        while True:
            self.memory.append((time.monotonic() - began, process.memory_info().rss))
            await asyncio.sleep(0.5)

    async def _one(self, client: aiohttp.ClientSession, number: int, which: float, away_s: float) -> None:
        if which < GOOD + BAD:
            is_bad = which >= GOOD
            body, allowed = bad(next(self._bad)) if is_bad else (self._bodies[number % len(self._bodies)], {200})
            await self._ask(client, body, "bad" if is_bad else "good", allowed)
            return
        try:  # one that goes away
            async with asyncio.timeout(away_s):
                await self._ask(client, self._bodies[number % len(self._bodies)], "leaving", {200})
        except TimeoutError:
            self.codes["leaving: gone"] += 1

    async def _ask(self, client: aiohttp.ClientSession, body: bytes, kind: str, allowed: set[int]) -> None:
        try:
            async with client.post(f"{self.place.url}/chat/completions", data=body) as reply:
                told = await reply.json(content_type=None)
        except (aiohttp.ClientError, ValueError) as error:
            self.codes[f"{kind}: {type(error).__name__}"] += 1
            if kind != "bad":  # whoever sends too much may be cut off before all has been sent
                self.wrong.append(f"{kind}: {type(error).__name__}: {error}")
            return
        self.codes[f"{kind}: {reply.status}"] += 1
        if reply.status == 200 and told["choices"][0]["finish_reason"] not in ("stop", "length"):
            self.wrong.append(f"{kind}: 200 that ended with {told['choices'][0]['finish_reason']}")
        if reply.status == 503 and int(reply.headers.get("Retry-After", 0)) < 1:
            self.wrong.append(f"{kind}: 503 without Retry-After")
        if reply.status not in allowed | MAY_BE:
            self.wrong.append(f"{kind}: {reply.status} {str(told)[:200]}")

    def figures(self, seconds: float) -> dict[str, Any]:
        """What came of it."""
        quarters: list[list[int]] = [[], [], [], []]
        for at, rss in self.memory:
            if at < seconds:
                quarters[int(4 * at / seconds)].append(rss)
        medians_mb = [statistics.median(quarter) / 1e6 for quarter in quarters]
        unexpected = sum(
            count
            for name, count in self.codes.items()
            if (code := name.split(": ")[1]).isdecimal() and int(code) >= 500 and int(code) not in MAY_BE
        )
        return {
            "minutes": seconds / 60,
            "rate_per_s": self.rate_per_s,
            "answers": dict(sorted(self.codes.items())),
            "unexpected_5xx": unexpected + sum("without Retry-After" in text for text in self.wrong),
            "wrong": self.wrong[:20],
            "memory_mb_by_quarter": medians_mb,
            "memory_growth": medians_mb[3] / medians_mb[1] - 1,
        }


async def soak(gateway: Place, seconds: float) -> dict[str, Any]:
    """Find saturation, then ask for more than that."""
    await ask_all(gateway, questions(24, seed=1), 8)
    spent, each = await ask_all(gateway, questions(160 if seconds > SHORT_S else 64, seed=2), 32)
    rate_per_s = OVERLOAD * len(each) / spent
    work = Soak(gateway, rate_per_s, min(MOST_PICTURES, math.ceil(seconds * rate_per_s / 2)))
    print(
        f"saturated at {len(each) / spent:.1f} answers per second; {seconds / 60:g} min at {OVERLOAD} times that", file=sys.stderr
    )
    await work.run(seconds)
    await ask_all(gateway, questions(8, seed=3), 4)  # and after all that it answers
    return work.figures(seconds)


def main() -> int:
    """Soak, and print; exit code 1 if something was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--engine", help=f"base URL of a vLLM that is there; {KEY_FILE_VARIABLE} names its key's file")
    given = parser.parse_args()
    settings = {"max_concurrent": CONCURRENT, "answer_timeout_s": ANSWER_S}
    with ExitStack() as stack:
        if given.engine:
            gateway = stack.enter_context(gateway_before(given.engine, Path(os.environ[KEY_FILE_VARIABLE]), **settings))
        else:
            _, gateway = stack.enter_context(engine_and_gateway(**settings))
        figures = asyncio.run(soak(gateway, 60 * given.minutes))
    if given.json:
        print(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            print(f"{name:22s} {value}  {MEANINGS.get(name, '')}")
    return 1 if figures["wrong"] or figures["unexpected_5xx"] or figures["memory_growth"] > 0.1 else 0


if __name__ == "__main__":
    sys.exit(main())
