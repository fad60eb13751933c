"""A reward service without a model, over real HTTP: its score of a picture and a completion is a hash of both.

So it is the same whoever asks, however often and in whatever order, and a score can be traced to what it was given for. Every
answer is written to a log before it is sent. `python scoring_server.py --log FILE ...` is the same as a process of its own, which
can be killed.
"""

import argparse
import asyncio
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

NAME, KEY, DIGEST = "reward_model", "the-key", "0123456789abcdef"
FAULTS = ("500", "502", "503", "429", "hangs", "reset", "cut", "garbage", "no-logprobs", "unconstrained", "400", "another")
"""What may go wrong with an answer; "another" is that of another model."""
HEAD = "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n"


def score_of(picture: str, text: str) -> float:
    """The probability of "yes" that this service gives a question about a picture."""
    digest = hashlib.sha256(f"{picture}\0{text}".encode()).digest()
    return 0.02 + 0.96 * int.from_bytes(digest[:6]) / 2**48


def answer(yes: float, model: str = NAME) -> dict[str, Any]:
    """A chat completion that says so, as vLLM writes it."""
    top = [{"token": "yes", "logprob": log(yes), "bytes": None}, {"token": "no", "logprob": log(1 - yes), "bytes": None}]
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}


@dataclass
class ScoringServer:
    """The service.

    Attributes:
        fault: Which of `FAULTS` the n-th question (from 1) meets, given n and its text; empty for none.
        latency_s: Before each answer.
        log: Where answers are written; empty for nowhere.
        die_after: The process kills itself once it has written so many answers; 0 for never.
        refuse_below: Questions are refused with status 400 if their text's score, without a picture, is below this.
    """

    fault: Callable[[int, str], str] = lambda number, text: ""
    latency_s: float = 0.0
    log: str = ""
    die_after: int = 0
    refuse_below: float = 0.0
    digest: str = DIGEST
    name: str = NAME
    answers_as: str = NAME
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Picture and text of each question, in the order in which they came."""
    connections: int = 0
    waiting: int = 0
    most_at_once: int = 0

    async def start(self, port: int = 0) -> asyncio.Server:
        """Listen."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", port, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while line := await reader.readline():
                head = {}
                while (one := await reader.readline()).strip():
                    name, _, value = one.decode().partition(":")
                    head[name.lower()] = value.strip()
                body = await reader.readexactly(int(head.get("content-length", 0)))
                if not await self._answer(line.decode(), head, body, writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, line: str, head: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> bool:
        if head.get("authorization") != f"Bearer {KEY}":
            return await self._send(writer, 401, {}, digest="")
        if line.startswith("GET"):
            return await self._send(writer, 200, {"object": "list", "data": [{"id": self.name, "object": "model"}]})
        picture, text = (part[part["type"]] for part in json.loads(body)["messages"][0]["content"])
        picture = picture["url"]
        self.asked.append((picture, text))
        fault = self.fault(len(self.asked), text)
        self.waiting += 1
        self.most_at_once = max(self.most_at_once, self.waiting)
        await asyncio.sleep(self.latency_s)
        self.waiting -= 1
        if fault.isdecimal():
            return await self._send(writer, int(fault), {"error": {"message": f"a fault of status {fault}"}})
        if fault == "hangs":
            await asyncio.sleep(600)
        elif fault == "reset":
            writer.transport.abort()
            return False
        elif fault == "cut":
            return await self._send(writer, 200, answer(0.5), cut=True)
        elif fault == "garbage":
            return await self._send(writer, 200, b"<html>Bad gateway</html>", digest="")
        elif fault == "another":
            return await self._send(writer, 200, answer(0.5), digest="another")
        elif fault == "no-logprobs":
            said = answer(0.5)
            said["choices"][0]["logprobs"] = None
            return await self._send(writer, 200, said)
        elif fault == "unconstrained":
            said = answer(0.5)
            for top in said["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                top["token"] = "maybe"
            return await self._send(writer, 200, said)
        yes = score_of(picture, text)
        refused = score_of("", text) < self.refuse_below
        entry = {"picture": hashlib.sha256(picture.encode()).hexdigest()[:16], "text": text, "yes": None if refused else yes}
        self._write(entry)
        if refused:
            return await self._send(writer, 400, {"error": {"message": "refused"}})
        return await self._send(writer, 200, answer(yes, self.answers_as))

    def _write(self, entry: dict[str, Any]) -> None:
        if self.log:
            with Path(self.log).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            if self.die_after:
                self.die_after -= 1
                if not self.die_after:
                    os.kill(os.getpid(), signal.SIGKILL)

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, body: Any, *, digest: str | None = None, cut: bool = False
    ) -> bool:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = self.digest if digest is None else digest
        more = f"X-Globe-Model: {told}\r\n" if told else ""
        writer.write(HEAD.format(status=status, length=len(data), more=more).encode() + (data[: len(data) // 2] if cut else data))
        await writer.drain()
        return not cut


@contextmanager
def scoring_server(**settings: Any) -> Iterator[ScoringServer]:
    """The service in a thread, for as long as a `with` block lasts."""
    told, loop = ScoringServer(**settings), asyncio.new_event_loop()
    ready, over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = await told.start()
        ready.set()
        await over.wait()
        server.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:  # at its end, what still hangs is cancelled
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield told
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


async def _serve(arguments: argparse.Namespace) -> None:
    settings = vars(arguments)
    port = settings.pop("port")
    told = ScoringServer(**settings)
    server = await told.start(port)
    print(told.url, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", default="")
    parser.add_argument("--latency-s", type=float, default=0.0)
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--refuse-below", type=float, default=0.0)
    parser.add_argument("--digest", default=DIGEST)
    asyncio.run(_serve(parser.parse_args(sys.argv[1:])))
