"""One call of a served model about one picture."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from globe.asking.client import brief, connection, key_hint
from globe.asking.recipe import AskingRecipe
from globe.asking.reply import OddReply, Reply, ReplyReader
from globe.data.images import data_url
from globe.errors import GlobeError, InputError
from globe.served import MODEL_HEADER, require_model

OVERLOADED = (429, 503)
"""HTTP statuses that say "not now"."""
PASSING = (408, 409, 425, *OVERLOADED)
"""Those below 500, and beside these, that another try may change; all others say that the request itself is wrong."""
MAX_WAIT_S = 600.0
"""The longest time that a server's Retry-After is believed."""


class CallFailed(Exception):
    """A call brought no answer."""

    def __init__(
        self,
        reason: str,
        *,
        again: bool,
        overloaded: bool = False,
        busy: bool = False,
        retry_after_s: float = 0.0,
        refusal: str = "",
    ) -> None:
        """Tell what happened.

        Args:
            reason: One line.
            again: Whether another try may bring an answer.
            overloaded: Whether it may have failed because the server has too much to do.
            busy: Whether the server itself says so.
            retry_after_s: How long the server asks to be left alone.
            refusal: What the server finds wrong with the request.
        """
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.overloaded = overloaded
        self.busy = busy
        self.retry_after_s = retry_after_s
        self.refusal = refusal


def decoding(model: str, recipe: AskingRecipe) -> dict[str, Any]:
    """The part of a request that all pictures and samples share."""
    shared: dict[str, Any] = {"model": model, "max_tokens": recipe.max_tokens, "temperature": recipe.temperature}
    for name in ("frequency_penalty", "presence_penalty"):
        if penalty := getattr(recipe, name):
            shared[name] = penalty
    return shared


def turn(picture_url: str, recipe: AskingRecipe, sample: int) -> dict[str, Any]:
    """The part of a request that asks about a picture.

    Args:
        picture_url: The picture's address: a `data:` URL.
        recipe: Prompt, temperature and seed.
        sample: Which of several answers this is to be, from 0; each is drawn with a seed of its own.
    """
    content = [{"type": "image_url", "image_url": {"url": picture_url}}, {"type": "text", "text": recipe.question}]
    drawn = {"seed": (recipe.seed + sample) % 2**32} if recipe.temperature else {}
    return {"messages": [{"role": "user", "content": content}]} | drawn


class Caller:
    """A connection to a served model; use it as an asynchronous context manager."""

    def __init__(self, url: str, model: str, recipe: AskingRecipe, key: str = "", digest: str = "") -> None:
        """Connect.

        Args:
            url: Base URL of the server.
            model: Name of the served model.
            recipe: Prompt, decoding and time limit.
            key: The server's key; empty for the one in GLOBE_API_KEY.
            digest: Digest of the model that every answer must come from; empty if unknown.

        Raises:
            InputError: This is not a URL, or the key in the environment cannot be sent.
        """
        self._client = connection(url, recipe.timeout_s, 0, key)
        self._url, self._key, self._digest = url, key, digest
        self._recipe = recipe
        self._request = decoding(model, recipe)
        self._optional: dict[str, Any] = {"logprobs": True}
        if recipe.stream:
            self._optional |= {"stream": True, "stream_options": {"include_usage": True}}

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def call(self, image: bytes, sample: int = 0) -> Reply:
        """Ask once about a picture; a server that refuses an option which changes no answer is asked without it from then on.

        Args:
            image: PNG, JPEG or WEBP bytes.
            sample: Which of several answers this is to be, from 0.

        Raises:
            CallFailed: There was no answer within the recipe's time, or something else came.
            GlobeError: Another model than the one that is meant has answered.
        """
        about = self._about(image, sample)
        while True:
            started, request = time.monotonic(), self._request | self._optional | about
            try:
                async with asyncio.timeout(self._recipe.timeout_s):
                    reply, first_token_s = await self._ask(request, started)
                return replace(reply, latency_s=round(time.monotonic() - started, 4), first_token_s=first_token_s)
            except TimeoutError:
                reason = f"no complete answer within {self._recipe.timeout_s:g} s"
                raise CallFailed(reason, again=True, overloaded=True) from None
            except CallFailed as failed:
                if not self._goes_without(failed.refusal, request):
                    raise

    def _about(self, image: bytes, sample: int) -> dict[str, Any]:
        try:
            url = data_url(image)
        except InputError as error:
            raise CallFailed(str(error), again=False) from None
        return turn(url, self._recipe, sample)

    async def _ask(self, request: dict[str, Any], started: float) -> tuple[Reply, float | None]:
        from openai import APIStatusError, AsyncStream

        reader, first_token_s = ReplyReader(), None
        try:
            # The client's own way to any path: its `create` looks at every word of a request, which took most of the time.
            stream = await self._client.post(
                "/chat/completions", body=request, cast_to=object, stream=True, stream_cls=AsyncStream[object]
            )
            async with stream:
                require_model(stream.response.headers.get(MODEL_HEADER), self._digest, self._url)
                async for piece in stream.response.aiter_bytes():
                    reader.feed(piece)
                    if reader.begun and first_token_s is None:
                        first_token_s = round(time.monotonic() - started, 4)
            return reader.finish(), first_token_s
        except OddReply as error:
            raise CallFailed(brief(error, self._url, self._key), again=True) from None
        except APIStatusError as error:
            raise _refusal(error, self._url, self._key) from None
        except GlobeError:
            raise
        except Exception as error:  # the client's own, and those of its transport, which it passes on if bytes are no HTTP
            raise CallFailed(brief(error, self._url, self._key), again=True) from None

    def _goes_without(self, refusal: str, request: Mapping[str, Any]) -> bool:
        """Whether a refused request can be sent in another form, which is then used for all further ones."""
        if "max_completion_tokens" in refusal and "max_tokens" in request:  # newer hosted models have another name for it
            self._request.pop("max_tokens", None)
            self._request["max_completion_tokens"] = self._recipe.max_tokens
            return True
        for name in ("stream_options", "logprobs", "stream"):
            if name in request and re.search(rf"\b(top_)?{name}\b", refusal):
                self._optional.pop(name, None)
                if name == "stream":
                    self._optional.pop("stream_options", None)
                return True
        return False


def _refusal(error: Any, url: str, key: str) -> CallFailed:
    """What a status other than 200 means."""
    status, told = error.status_code, brief(error, url, key)
    return CallFailed(
        (told if str(status) in told else f"HTTP status {status}: {told}") + key_hint(status, url, key),
        again=status >= 500 or status in PASSING,
        overloaded=status in OVERLOADED,
        busy=status in OVERLOADED,
        retry_after_s=retry_after_s(error.response.headers.get("retry-after", "")),
        refusal=str(error) if status in (400, 422) else "",
    )


def retry_after_s(header: str) -> float:
    """The wait that a Retry-After header asks for, in seconds: it holds a number of them, or a date (RFC 9110, 10.2.3)."""
    try:
        wait_s = float(header)
    except ValueError:
        try:
            wait_s = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(wait_s, MAX_WAIT_S) if wait_s > 0 else 0.0
