"""The client for plain Python."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2 as httpx

from globe.client.answers import Event, Located
from globe.client.exchange import CONNECT_TRIES, LEAST_WAIT_S, MAX_ANSWER_BYTES, Exchange, Photo, Precision, Reader


class Globe:
    """A client; close it, or use it in a `with` block."""

    def __init__(self, url: str, *, key: str = "", timeout_s: float = 120.0) -> None:
        """Prepare; nothing is sent yet.

        Args:
            url: The gateway's address, with or without /v1.
            key: Its key; empty for the one in GLOBE_API_KEY.
            timeout_s: For one photo, with all waiting and asking again.

        Raises:
            InputError: This is not a URL, or the key must not be sent there.
        """
        self._exchange = Exchange(url, key, timeout_s)
        self._http = httpx.Client(**self._exchange.settings)

    def __enter__(self) -> Globe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def locate(self, photo: Photo, n: int = 1, max_precision: Precision | None = None) -> Located:
        """Say where a photo was taken.

        Args:
            photo: A file's path, its bytes, or an open file: JPEG, PNG or WEBP.
            n: Answers to ask for; their agreement is the confidence.
            max_precision: Tell nothing finer than this.

        Raises:
            InputError: The photo cannot be used.
            Refused: The gateway refuses the request.
            Unavailable: There is no answer within the time.
        """
        events = self._events(photo, n, max_precision, stream=False)
        return next(event for event in events if isinstance(event, Located))

    def locate_stream(self, photo: Photo, n: int = 1, max_precision: Precision | None = None) -> Iterator[Event]:
        """The same, while it happens: `Reasoning` and `Progress` as they come, and at last the `Located`.

        Raises:
            InputError: The photo cannot be used.
            Refused: The gateway refuses the request.
            Unavailable: There is no answer within the time.
        """
        return self._events(photo, n, max_precision, stream=True)

    def _events(self, photo: Photo, n: int, max_precision: Precision | None, *, stream: bool) -> Iterator[Event]:
        asked = self._exchange.request(photo, n, max_precision, stream=stream)
        deadline, failures = time.monotonic() + self._exchange.timeout_s, 0
        while True:
            wait_s: float | None = None
            try:
                with self._http.stream(**asked, timeout=self._exchange.timeout(deadline)) as response:
                    if response.status_code == 200:
                        yield from self._read(response, deadline)
                        return
                    body = _limited(response.iter_bytes())
                    wait_s = self._exchange.wait_s(response.status_code, response.headers, deadline)
                    if wait_s is None:
                        raise self._exchange.refusal(response.status_code, body)
            except httpx.ConnectError as error:
                failures += 1
                if failures >= CONNECT_TRIES or time.monotonic() + LEAST_WAIT_S >= deadline:
                    raise self._exchange.failed(error) from None
                wait_s = LEAST_WAIT_S
            except (httpx.HTTPError, OSError) as error:
                raise self._exchange.failed(error) from None
            time.sleep(wait_s)

    def _read(self, response: httpx.Response, deadline: float) -> Iterator[Event]:
        reader = Reader(self._exchange, response.headers.get("content-type", ""))
        for piece in response.iter_bytes():
            yield from reader.feed(piece)
            if time.monotonic() > deadline:
                raise self._exchange.too_long()
        yield from reader.finish()


def _limited(pieces: Iterator[bytes]) -> bytes:
    body = b""
    for piece in pieces:
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            break
    return body
