"""The way to the engine: vLLM's chat completions, with retries on another replica, and never half an answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from globe.gateway.answers import Answer, BrokenOff, Progress, events, whole
from globe.gateway.engine import Elsewhere, EngineKey, refusal
from globe.gateway.metrics import Metrics
from globe.gateway.peers import Peers
from globe.gateway.question_body import body_of
from globe.gateway.refused import Refused
from globe.gateway.request_id import CURRENT, HEADER
from globe.gateway.settings import GatewaySettings
from globe.gateway.status import Status
from globe.served import MODEL_HEADER

LOG = logging.getLogger(__name__)
PATH = "/v1/chat/completions"
HOP_HEADER = "x-globe-hop"
"""Says that a request comes from another replica's gateway, and is to go no further."""
PROOF_HEADER = "x-globe-hop-proof"
"""Proves it; see `EngineKey.proof`."""
DOWN_S = 5.0
"""When to ask again if no engine answers: one that starts takes longer, but another replica may be found."""
BUSY_S = 2.0
"""When to ask again if every engine has too much to do."""
READ_BYTES = 2**18
OWN = ""
"""This pod's engine, among the places that may answer."""
_FAILURES = (aiohttp.ClientError, OSError, BrokenOff, Elsewhere)
"""Why another replica is asked."""


@dataclass(frozen=True)
class _Question:
    """What is asked, wherever it goes."""

    body: bytes
    choices: int
    authorization: str | None
    hopped: bool
    own: bool = False
    """Whether it is for this pod's engine alone, even if that has hung."""


class Chunks(AsyncIterator[dict[str, Any]]):
    """A streamed answer. Close it (`aclose`) unless it has ended: then the engine stops working on it."""

    def __init__(self, upstream: Upstream, question: _Question) -> None:
        self.digest = ""
        """Of the checkpoint that answers, from the first chunk on; empty if the engine doesn't say."""
        self._upstream = upstream
        self._deadline_s = upstream.deadline_s()
        self._source = upstream._chunks(question, self)

    async def __anext__(self) -> dict[str, Any]:
        async with self._upstream.waiting(self._deadline_s):
            return await anext(self._source)

    async def aclose(self) -> None:
        """End it."""
        await self._source.aclose()


class Upstream:
    """The engine of this pod, and the gateways of the others."""

    def __init__(self, settings: GatewaySettings, status: Status | None = None, metrics: Metrics | None = None) -> None:
        """Nothing is asked yet.

        Raises:
            InputError: The peers' name, or the engine's key, cannot be used.
        """
        self.status = status or Status()
        self._metrics = metrics or Metrics(self.status)
        self._settings = settings
        self._key = EngineKey()
        self._peers = Peers(settings)
        self._session: aiohttp.ClientSession | None = None
        self._waits: set[asyncio.Timeout] = set()

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    def give_up(self) -> None:
        """End every question that is still open: whoever asked gets 503."""
        self.status.closing = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())

    async def has_peers(self) -> bool:
        """Whether another replica is ready."""
        return bool(await self._peers.found())

    def came_from_a_gateway(self, body: bytes, proof: str | None) -> bool:
        """Whether a replica's gateway has written this very body: it has checked, counted and prepared everything."""
        return self._key.proves(body, proof)

    async def complete(self, request: Mapping[str, Any], *, authorization: str | None = None, hopped: bool = False) -> Answer:
        """A whole chat completion.

        Args:
            request: The body for vLLM's /v1/chat/completions: only what the gateway itself has written, pictures as data URLs.
            authorization: The client's header, for another replica's gateway.
            hopped: The request comes from another replica's gateway, and goes no further.

        Returns:
            vLLM's document; every choice ended with `stop` or `length`.

        Raises:
            Refused: 400 or 422 as vLLM says, 503 (no replica answers, or the answer was broken off), 504.
        """
        return await self._complete(_question(request, authorization, hopped))

    async def prove(self, request: Mapping[str, Any]) -> Answer:
        """A whole answer of this pod's own engine, whatever is known about it.

        Raises:
            Refused: As `complete`.
        """
        return await self._complete(replace(_question(request, None, True), own=True))

    async def _complete(self, question: _Question) -> Answer:
        failures: list[Exception] = []
        async with self.waiting(self.deadline_s()):
            async for place in self._places(question):
                try:
                    async with self._asked(place, question) as response:
                        answer = whole(await response.read(), question.choices)
                        answer.digest = response.headers.get(MODEL_HEADER, "")
                except _FAILURES as failed:
                    failures.append(self._missed(place, failed))
                else:
                    self._got(place)
                    return answer
        raise _unavailable(failures)

    def stream(self, request: Mapping[str, Any], *, authorization: str | None = None, hopped: bool = False) -> Chunks:
        """The chunks of a streamed chat completion, parsed; retried only until the first one has come.

        Raises:
            Refused: As `complete`; also after chunks were given, if the stream ends without a finish reason of stop or length.
        """
        return Chunks(self, _question(request, authorization, hopped))

    def deadline_s(self) -> float:
        """Until when an answer that begins now may take, on the loop's clock."""
        return asyncio.get_running_loop().time() + self._settings.answer_timeout_s

    @asynccontextmanager
    async def waiting(self, deadline_s: float) -> AsyncIterator[None]:
        """Wait for others no longer than until a deadline, and no longer than this process is to go on.

        Raises:
            Refused: 504 or 503.
        """
        try:
            async with asyncio.timeout_at(0 if self.status.closing else deadline_s) as wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if self.status.closing:
                raise Refused(503, "this server is shutting down; ask again", "shutting_down", retry_after_s=BUSY_S) from None
            limit_s = self._settings.answer_timeout_s
            raise Refused(504, f"there was no whole answer within {limit_s:g} s", "timeout") from None

    async def _chunks(self, question: _Question, told: Chunks) -> AsyncGenerator[dict[str, Any]]:
        failures: list[Exception] = []
        async for place in self._places(question):
            begun, progress = False, Progress(question.choices)
            try:
                async with self._asked(place, question) as response:
                    told.digest = response.headers.get(MODEL_HEADER, "")
                    async for event in events(response.content.iter_any()):
                        if (chunk := progress.take(event)) is None:
                            break
                        self._got(place)
                        begun = True
                        yield chunk
                    if not progress.done:
                        raise BrokenOff("a stream that was cut off")
                    return
            except _FAILURES as failed:
                failures.append(self._missed(place, failed))
                if begun:
                    break
        raise _unavailable(failures)

    async def _places(self, question: _Question) -> AsyncIterator[str]:
        """Where an answer may come from, in order; the next one is asked for when the last has failed."""
        if question.own or not self.status.hung:
            yield OWN
        if not question.hopped:
            for peer in (await self._peers.found())[: self._settings.attempts - 1]:
                yield peer

    @asynccontextmanager
    async def _asked(self, place: str, question: _Question) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer with status 200.

        Raises:
            Refused: The request itself is at fault.
            Elsewhere: This place cannot answer it just now.
            aiohttp.ClientError: Nobody answers there.
        """
        async with await self._sent(place, question) as response:
            if response.status != 200:
                raise refusal(response.status, response.headers, await response.read(), own=place == OWN)
            yield response

    async def _sent(self, place: str, question: _Question) -> aiohttp.ClientResponse:
        session = self.session()
        headers = {"Content-Type": "application/json", HEADER: CURRENT.get() or "none"}
        if place == OWN:
            headers |= self._key.header
            url = self._settings.engine_url + PATH
            try:
                return await session.post(url, data=question.body, headers=headers)
            except aiohttp.ClientConnectorError:
                raise
            # On a busy machine both processes stand still at times: then a connection is given up that has been made.
            except (aiohttp.ConnectionTimeoutError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                return await session.post(url, data=question.body, headers=headers)
        headers |= {HOP_HEADER: "1"} | ({"Authorization": question.authorization} if question.authorization else {})
        if proof := self._key.proof(question.body):
            headers[PROOF_HEADER] = proof
        return await session.post(place + PATH, data=question.body, headers=headers)

    def get(self, path: str) -> Any:
        """A request to the engine for something else than an answer, as an asynchronous context manager."""
        return self.session().get(self._settings.engine_url + path, headers=self._key.header)

    def session(self) -> aiohttp.ClientSession:
        """What makes all connections; it follows no redirect to anywhere and knows no proxy.

        Each request has a connection of its own. vLLM closes a kept one after 5 s without use, on a busy machine just as it is
        used again; then a question is lost, which costs more than the half millisecond of a new connection.
        """
        if not self._session:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=READ_BYTES,
            )
        return self._session

    def _got(self, place: str) -> None:
        if place == OWN:
            self.status.answered()

    def _missed(self, place: str, failed: Exception) -> Exception:
        self._metrics.retries.labels("peer" if place else "engine").inc()
        LOG.warning("%s: %s: %s", CURRENT.get(), place or "the engine", failed or type(failed).__name__)
        return failed


def _question(request: Mapping[str, Any], authorization: str | None, hopped: bool) -> _Question:
    return _Question(body_of(request), request.get("n") or 1, authorization, hopped)


def _unavailable(failures: list[Exception]) -> Refused:
    """What a client is told when every place has failed."""
    if failures and all(isinstance(failed, Elsewhere) and failed.busy for failed in failures):
        return Refused(503, "the model has too much to do just now; ask again soon", "overloaded", retry_after_s=BUSY_S)
    if any(isinstance(failed, BrokenOff) for failed in failures):
        return Refused(503, "the answer was broken off, and nothing of it counts; ask again", "broken_off", retry_after_s=DOWN_S)
    return Refused(503, "the model does not answer just now; ask again soon", "unavailable", retry_after_s=DOWN_S)
