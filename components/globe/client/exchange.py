"""What the plain and the asynchronous client have in common: which requests they send, and how they read answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx2 as httpx

from globe.client.answers import Event, Located, Progress, Reasoning, Refused, Unavailable, WronglyAsked, document, read_located
from globe.errors import GlobeError, InputError
from globe.keys import IN_THE_CLEAR, SERVER_KEY, THIS_MACHINE, key_for, may_carry_secrets
from globe.printable import one_line

MAX_ANSWER_BYTES = 8 * 2**20
NOT_NOW = (429, 503)
CONNECT_TRIES = 3
"""Of a gateway that nobody answers for; one that says "not now" is asked as long as there is time."""
LEAST_WAIT_S = 0.5
CONNECT_S = 10.0
PARAMETERS = ("n", "max_precision")
"""What a request says beside the photo."""
PROBE_S = 3.0

Photo: TypeAlias = "str | Path | bytes | BinaryIO"
Precision = Literal["country", "region", "city"]


class Exchange:
    """What the two clients have in common: which requests they send, and how they read answers."""

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        self.url = gateway_root(url)
        self.timeout_s = timeout_s
        if key and not may_carry_secrets(self.url):
            raise InputError(f"the key is not sent to {self.url}: {IN_THE_CLEAR}")
        key = key or key_for(self.url, SERVER_KEY)
        if not (key.isascii() and key.isprintable()):
            raise InputError("the key holds characters that no request can carry")
        self._key = key

    @property
    def settings(self) -> dict[str, Any]:
        """How a client of httpx is made."""
        return {
            "headers": {"Authorization": f"Bearer {self._key}"} if self._key else {},
            "follow_redirects": False,
            "trust_env": urlsplit(self.url).hostname not in THIS_MACHINE,  # no proxy reaches this machine
        }

    def timeout(self, deadline: float) -> httpx.Timeout:
        """For one try, so that all of them end by a time on the monotonic clock."""
        left_s = max(0.1, deadline - time.monotonic())
        return httpx.Timeout(left_s, connect=min(CONNECT_S, left_s))

    def request(self, photo: Photo, n: int, max_precision: Precision | None, *, stream: bool) -> dict[str, Any]:
        """The arguments of a request."""
        body = _stripped(photo)
        params: dict[str, Any] = {"n": n} | ({"max_precision": max_precision} if max_precision else {})
        kind = "image/png" if body.startswith(b"\x89PNG") else "image/jpeg"
        accepted = "text/event-stream" if stream else "application/json"
        headers = {"Content-Type": kind, "Accept": accepted}
        return {"method": "POST", "url": f"{self.url}/locate", "params": params, "content": body, "headers": headers}

    def wait_s(self, status: int, headers: Mapping[str, str], deadline: float) -> float | None:
        """How long to wait before the next try; None if there is to be none."""
        if status not in NOT_NOW:
            return None
        try:
            wait_s = max(LEAST_WAIT_S, float(headers.get("retry-after", LEAST_WAIT_S)))
        except ValueError:
            wait_s = LEAST_WAIT_S
        return wait_s if time.monotonic() + wait_s < deadline else None

    def failed(self, error: Exception) -> Unavailable:
        """A transport's error as ours, without the key."""
        told = one_line(str(error), 300) or type(error).__name__
        return Unavailable(f"{self.url}: no answer ({told.replace(self._key or chr(0), '***')})")

    def refusal(self, status: int, body: bytes) -> GlobeError:
        """What an HTTP status other than 200 means."""
        said = document(body).get("error")
        error = said if isinstance(said, Mapping) else {}
        message, code = one_line(str(error.get("message") or ""), 300), one_line(str(error.get("code") or ""), 60)
        if status in NOT_NOW:
            return Unavailable(f"{self.url}: {message or f'HTTP status {status}'}")
        hint = f"; set {SERVER_KEY.variable}, or give key=..., to one that it takes" if status == 401 else ""
        if not code:
            message = f"HTTP status {status}; is a GLOBE gateway running there?"
        kind = WronglyAsked if error.get("param") in PARAMETERS else Refused
        return kind(f"{self.url}: {message}{hint}", status, code)

    def located(self, body: bytes) -> Located:
        """A gateway's answer."""
        try:
            return read_located(document(body))
        except (TypeError, KeyError, ValueError, AttributeError):
            raise Unavailable(f"{self.url}: what answers there is not a GLOBE gateway") from None

    def event(self, name: str, data: bytes) -> Event | None:
        """A server-sent event; None for one of a kind that this client does not know.

        Raises:
            Unavailable: It says that there is no answer.
            Refused: Likewise, because of the request.
        """
        told = document(data)
        try:
            if name == "answer":
                return self.located(data)
            if name == "reasoning":
                return Reasoning(str(told["text"]))
            if name == "progress":
                return Progress(int(told["answered"]), int(told["n"]))
        except (KeyError, TypeError, ValueError):
            raise Unavailable(f"{self.url}: what answers there is not a GLOBE gateway") from None
        if name == "error":
            said = told.get("error")
            kind = said.get("type") if isinstance(said, Mapping) else ""
            raise self.refusal(400 if kind == "invalid_request_error" else 503, data)
        return None

    def too_long(self) -> Unavailable:
        """No answer within the time."""
        return Unavailable(f"{self.url}: no complete answer within {self.timeout_s:g} s")


class Reader:
    """Reads an answer as it comes: one document, or server-sent events."""

    def __init__(self, exchange: Exchange, kind: str) -> None:
        self._exchange = exchange
        self._streamed = kind.partition(";")[0].strip().lower() == "text/event-stream"
        self._rest = b""
        self._over = False

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that are complete now."""
        self._rest += piece
        if len(self._rest) > MAX_ANSWER_BYTES:
            raise Unavailable(f"{self._exchange.url}: the answer has more than {MAX_ANSWER_BYTES // 2**20} MiB")
        if not self._streamed:
            return
        *blocks, self._rest = self._rest.replace(b"\r\n", b"\n").split(b"\n\n")
        for block in blocks:
            lines = [line.partition(b":")[::2] for line in block.split(b"\n")]
            told = {name: value.removeprefix(b" ") for name, value in lines if name}
            if self._over or b"data" not in told:  # a comment
                continue
            found = self._exchange.event(told.get(b"event", b"").decode("utf-8", "replace"), told[b"data"])
            if found:
                self._over = isinstance(found, Located)
                yield found

    def finish(self) -> Iterator[Event]:
        """What is left at the end."""
        if not self._streamed:
            yield self._exchange.located(self._rest)
        elif not self._over:
            raise Unavailable(f"{self._exchange.url}: the stream ended before the answer")


def gateway_root(url: str) -> str:
    """A gateway's address without /v1 or /locate.

    Raises:
        InputError: It is not an http(s) URL, or holds a password or a query.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and (parts.query or parts.fragment):  # not quoted: it may be a key
        raise InputError(
            f"something stands after '?' or '#' in the address of {parts.hostname}: leave it out; "
            f"a key goes into {SERVER_KEY.variable}, or key=..."
        )
    if not usable or not url.isprintable() or " " in url:
        raise InputError(f"{url!r}: not an http(s) URL; give a gateway's address, for example http://localhost:8080")
    if parts.username or parts.password:
        raise InputError(
            f"a name or password stands before {parts.hostname}: set {SERVER_KEY.variable}, or give key=..., instead"
        )
    return url.rstrip("/").removesuffix("/locate").removesuffix("/v1")


def _stripped(photo: Photo) -> bytes:
    """A photo without metadata, as `globe locate` sends it."""
    from globe.data.images import MAX_BYTES  # late: Pillow takes a while
    from globe.data.sendable import sendable

    if isinstance(photo, str | Path):
        return sendable(Path(photo))
    return sendable(photo if isinstance(photo, bytes) else photo.read(MAX_BYTES + 1))


def is_gateway(url: str) -> bool:
    """Whether a GLOBE gateway answers at an address: its description says so, which it gives to anybody.

    Args:
        url: Any server's address, with or without /v1.
    """
    root = gateway_root(url)
    direct = urlsplit(root).hostname in THIS_MACHINE
    try:
        with httpx.Client(timeout=PROBE_S, follow_redirects=False, trust_env=not direct) as client:
            response = client.get(f"{root}/openapi.json")
            return response.status_code == 200 and "/locate" in (document(response.content).get("paths") or ())
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TypeError, ValueError):
        return False
