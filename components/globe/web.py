"""Requests to an address that somebody has configured: a webhook, a tracking server.

What they have in common: the address and the headers may hold secrets, so neither is printed, nor logged by the HTTP library;
no redirect is followed, for it would take what is sent to another host; and whoever answers slowly, or drop by drop, costs a
limited time. A proxy that the usual variables name (HTTPS_PROXY, NO_PROXY) is used.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2

from globe.errors import GlobeError
from globe.retry_after import retry_after_s

TIMEOUT_S = 10.0
"""To connect, to send, and between bytes of the answer."""
LONGEST_ANSWER = 4_000_000
"""Bytes of an answer that are read."""
PASSING = (429, 500, 502, 503, 504)
"""Answers after which it is worth asking again."""
SAYABLE = (httpx2.ConnectError, httpx2.ReadError, httpx2.WriteError, httpx2.RemoteProtocolError)
"""Errors whose text is about the connection; others may quote a header or an address."""
T = TypeVar("T")
for _name in ("httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.WARNING)  # they log every address, and KFP turns logging on in its tasks


class Unanswered(GlobeError):
    """No answer, or not in time; says why, without the address."""


@dataclass(frozen=True)
class Answer:
    """What a server has answered."""

    status: int
    text: str
    retry_after_s: float | None = None
    """How long it asks to be left alone."""

    @property
    def passes(self) -> bool:
        """Whether asking again may help."""
        return self.status in PASSING


def is_web_address(url: str) -> bool:
    """Whether a text is an http:// or https:// URL with a host."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def ask(
    method: str,
    url: str,
    content: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    verify: Any = True,
) -> Answer:
    """Send one request.

    Args:
        method: GET, POST, ...
        url: The address.
        content: What is sent as JSON; None for nothing.
        headers: Further headers.
        parameters: The URL's query.
        verify: As httpx2 takes it: whether to check a server's certificate, or an SSL context.

    Raises:
        Unanswered: There is no answer.
    """
    sent = {"Accept-Encoding": "identity", "User-Agent": "globe"} | dict(headers or {})
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False, verify=verify) as client,
            client.stream(method, url, json=content, headers=sent, params=parameters) as reply,
        ):
            received = bytearray()
            for piece in reply.iter_bytes():
                received += piece
                if len(received) > LONGEST_ANSWER:
                    break
            text = received[:LONGEST_ANSWER].decode("utf-8", "replace")
            return Answer(reply.status_code, text, retry_after_s(reply.headers.get("Retry-After", "")))
    except httpx2.TimeoutException:
        raise Unanswered(f"no answer within {TIMEOUT_S:.0f} s") from None
    except SAYABLE as error:
        raise Unanswered(str(error) or type(error).__name__) from None
    except Exception as error:  # its text, or that of its cause, might hold the address or a key
        raise Unanswered(type(error).__name__) from None


def within(limit_s: float, work: Callable[[], T]) -> T:
    """Do work that must not take longer than it may, such as looking up a name, which knows no time limit.

    Args:
        limit_s: The longest time to wait.
        work: What to do. If it takes longer it goes on in the background, and keeps no process from ending.

    Raises:
        Unanswered: It has taken too long.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    if failure:
        raise failure[0]
    if not result:
        raise Unanswered(f"gave up after {limit_s:.0f} s")
    return result[0]
