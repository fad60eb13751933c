"""The watch over the engine: it proves an answer before anybody is sent here, and finds an engine that hangs."""

from __future__ import annotations

import asyncio
import io
import logging
import time
from typing import Any

import aiohttp
from PIL import Image

from globe.data.images import data_url
from globe.gateway.answers import BrokenOff
from globe.gateway.refused import Refused
from globe.gateway.request_id import CURRENT
from globe.gateway.state import Gateway

LOG = logging.getLogger(__name__)
EVERY_S = 1.0
"""Between two looks at the engine's health: it says within 0.2 s that it has crashed."""
PATIENCE_S = 10.0
"""A busy server has taken 1.2 s for its health."""
_MISSES = 2
"""Health checks that must fail, one after another, unless the port is closed: one slow answer must not drop a replica."""
_SIDE_PX = 56
_SCHEMA = {"type": "object", "properties": {"place": {"enum": ["a", "b"]}}, "required": ["place"], "additionalProperties": False}


def question(model: str, *, whole: bool) -> dict[str, Any]:
    """What the engine is asked to prove that it answers.

    Args:
        model: Its name.
        whole: With all that clients use and that may be compiled at its first use: a picture, log-probabilities, a schema.
            Otherwise one token of text, which takes a busy engine no time.
    """
    if not whole:
        return {"model": model, "messages": [{"role": "user", "content": "?"}], "max_tokens": 1, "temperature": 0.0}
    buffer = io.BytesIO()
    Image.new("RGB", (_SIDE_PX, _SIDE_PX), (90, 120, 150)).save(buffer, "PNG")
    picture = {"type": "image_url", "image_url": {"url": data_url(buffer.getvalue())}}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA, "strict": True}}
    return {
        "model": model,
        "messages": [{"role": "user", "content": [picture, {"type": "text", "text": "Where was this photo taken?"}]}],
        "max_tokens": 8,
        "temperature": 0.7,
        "logprobs": True,
        "top_logprobs": 1,
        "response_format": form,
    }


class Watch:
    """Looks at one gateway's engine for as long as the gateway runs."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._status = gateway, gateway.status
        self._upstream, self._settings = gateway.upstream, gateway.settings
        self._missed = 0
        self._has_answered = False
        """The first question, and its server has not ended since."""
        self._silent_s: float | None = None
        """When it was asked for its health, if it has not answered that nor what was asked since."""

    async def forever(self) -> None:
        """Look at it, again and again."""
        CURRENT.set("watch")
        while True:
            try:
                await self.look()
            except Exception as error:  # whatever it is, the watch goes on: without it nothing here would ever be ready again
                LOG.error("watch: %s", type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Look once: at its health, and if need be at its answers."""
        status = self._status
        was_up = status.up
        status.up = await self._is_up()
        if status.up != was_up:
            LOG.warning("the engine %s", "is up" if status.up else "does not answer")
        if not status.up:
            status.proven, status.hung = False, self._is_silent()
        elif not status.proven:
            await self._prove()
        elif time.monotonic() - status.last_sign_s > self._settings.probe_every_s:
            await self._probe()

    async def _is_up(self) -> bool:
        asked_s = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S), self._upstream.get("/health") as response:
                healthy = response.status == 200
        except aiohttp.ClientConnectorError:
            self._missed, self._silent_s, self._has_answered = _MISSES, None, False
            return False
        except TimeoutError:
            healthy, self._silent_s = False, self._silent_s or asked_s
        except (aiohttp.ClientError, OSError):
            healthy, self._silent_s = False, None
        else:
            self._silent_s = None
        self._missed = 0 if healthy else self._missed + 1
        return healthy or (self._status.up and self._missed < _MISSES)

    def _is_silent(self) -> bool:
        """Whether its server takes connections and says nothing any more, neither of its health nor to anybody."""
        last_s = max(self._silent_s or time.monotonic(), self._status.last_sign_s)
        return self._has_answered and time.monotonic() - last_s > self._settings.probe_timeout_s

    async def _prove(self) -> None:
        """Have it answer a question, before any client does, and hear which model it serves."""
        try:
            answer = await self._upstream.prove(question(self._settings.model, whole=True))
            async with asyncio.timeout(PATIENCE_S), self._upstream.get("/v1/models") as response:
                cards = (await response.json(content_type=None))["data"]
        except (Refused, BrokenOff, aiohttp.ClientError, OSError, ValueError, LookupError, TypeError) as error:
            LOG.warning("the engine has not answered the first question: %s", getattr(error, "message", type(error).__name__))
            return
        card: dict[str, Any] = next((card for card in cards if card.get("id") == self._settings.model), {})
        self._status.digest = answer.digest or self._status.digest
        self._status.max_model_len = int(card.get("max_model_len") or 0)
        self._status.proven = self._has_answered = True
        LOG.warning("the engine has answered the first question: ready")

    async def _probe(self) -> None:
        """Ask something when nobody has had an answer for a while; meanwhile anybody's answer counts."""
        asked_s = time.monotonic()
        try:
            async with asyncio.timeout(self._settings.probe_timeout_s):
                await self._upstream.prove(question(self._settings.model, whole=False))
        except TimeoutError:
            if self._status.last_sign_s < asked_s:
                self._status.hung = True
                LOG.error(
                    "the engine takes questions and has answered none for %.0f s", time.monotonic() - self._status.last_sign_s
                )
        except Refused as refused:
            LOG.warning("the engine has not answered a question of the gateway's own: %s", refused.message)
