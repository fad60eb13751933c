"""A model server with faults, over real HTTP: which call about which picture goes wrong, and how, is up to a test."""

import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local_server import Handler, http_server
from PIL import Image

from globe.data.images import data_url
from globe.data.rows import Row

PLACES = [("France", "Paris", 48.8566, 2.3522), ("Peru", "Lima", -12.0432, -77.0282), ("Japan", "Tokyo", 35.6895, 139.6917)]
PAGE = "<!DOCTYPE html><html><body>Bad gateway</body></html>"
FAULTS = ("500", "429", "hangs", "cut", "empty", "malformed", "html", "reset")


def rows(count: int) -> list[Row]:
    """Pictures that differ, and where they were taken."""
    made = []
    for number in range(count):
        country, city, lat_deg, lon_deg = PLACES[number % len(PLACES)]
        file = io.BytesIO()
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(file, "PNG")
        place = {"country": country, "city": city, "lat_deg": lat_deg, "lon_deg": lon_deg, "split": "test"}
        made.append(Row(id=f"p{number:04}", image=file.getvalue(), **place))
    return made


class FaultServer:
    """Answers with the place of the picture before the one that it is asked about, so that some answers are wrong."""

    def __init__(self, pictures: list[Row], fault: Callable[[str, int], str], latency_s: float) -> None:
        self.names = {data_url(row.image): number for number, row in enumerate(pictures)}
        self.pictures = pictures
        self.fault = fault
        """Which fault the n-th call (from 1) about a picture meets; empty for none."""
        self.latency_s = latency_s
        self.calls = Counter[str]()
        self.answers = Counter[str]()
        """How often each picture was asked about, and was answered."""
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def fault_server(
    pictures: list[Row], fault: Callable[[str, int], str] = lambda *_: "", latency_s: float = 0.0
) -> Iterator[FaultServer]:
    """The server, running."""
    told = FaultServer(pictures, fault, latency_s)

    class Faulty(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_body(200, "application/json", json.dumps({"data": [{"id": "faulty"}]}).encode())

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            number = told.names[request["messages"][0]["content"][0]["image_url"]["url"]]
            name = told.pictures[number].id
            with told.lock:
                told.calls[name] += 1
                fault = told.fault(name, told.calls[name])
            time.sleep(told.latency_s)
            self.answer(fault, answer(number), request)
            if not fault:
                with told.lock:
                    told.answers[name] += 1

        def answer(self, fault: str, text: str, request: dict) -> None:
            if fault == "500":
                self.send_body(500, "text/plain", b"out of memory")
            elif fault == "429":
                self.send_body(429, "application/json", b'{"error": {"message": "slow down"}}', {"Retry-After": "1"})
            elif fault == "hangs":
                time.sleep(2.5)
                self.close_connection = True
            elif fault == "reset":
                self.close_connection = True
            elif fault == "empty":
                self.send_body(200, "application/json", b"")
            elif fault == "malformed":
                self.send_body(200, "text/event-stream", b'data: {"choices": [{"del\n\n')
            elif fault == "html":
                self.send_body(200, "text/html", PAGE.encode())
            else:
                body = stream(text)
                self.send_body(200, "text/event-stream", body[: len(body) // 2] if fault == "cut" else body)

    with http_server(Faulty) as url:
        told.url = f"{url}/v1"
        yield told


def answer(number: int) -> str:
    """What the model says about a picture."""
    country, city, *_ = PLACES[number % len(PLACES)] if number % 4 else PLACES[(number + 1) % len(PLACES)]
    return f"<think>sign {number}\u2028with\u0085odd ends</think><answer>country: {country}\ncity: {city}</answer>"


def stream(text: str, logprob: float | None = -0.1) -> bytes:
    """An answer as a stream, one word after the other."""
    pieces = []
    for word in text.replace(" ", " \0").replace("<answer>", "\0<answer>\0").split("\0"):
        tokens = None if logprob is None else {"content": [{"token": word, "logprob": logprob}]}
        pieces.append({"choices": [{"index": 0, "delta": {"content": word}, "logprobs": tokens}]})
    pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    pieces.append({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": len(pieces) - 1}})
    events = [f"data: {json.dumps(piece, ensure_ascii=False)}\n\n" for piece in pieces]
    return "".join([*events, "data: [DONE]\n\n"]).encode()
