"""Ask a served model where a picture was taken: any OpenAI-compatible server, in practice vLLM."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from globe.answer.prompt import PROMPT
from globe.asking.answers import Location, geocode
from globe.asking.recipe import AskingRecipe
from globe.data.images import data_url
from globe.errors import GlobeError, InputError

CONTACT_S = 10.0
"""How long a server may take to list its models: it answers at once or not at all."""
CONTACT_RETRIES = 3
MAX_ERROR_CHARS = 300
RETRY_PAUSE_S = 10.0
"""The longest pause before the client tries again."""
LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Served:
    """A model that a server serves, as its model card describes it."""

    name: str
    root: str = ""
    """The model's folder on the server's machine; empty if the server does not say."""
    max_model_len: int = 0
    """Tokens that prompt and answer may have together; 0 if the server does not say."""


def find_model(url: str, name: str = "") -> Served:
    """Ask a server for a model.

    Args:
        url: Base URL, usually ending in /v1.
        name: Name that the model is served under; empty for the server's first one.

    Raises:
        InputError: This is not a URL, or the server serves no such model.
        GlobeError: No OpenAI-compatible server answers there, or it serves nothing.
    """
    found = asyncio.run(served_models(url))
    for model in found:
        if not name or model.name == name:
            return model
    raise InputError(f"{url}: no model {name!r} there; it serves {', '.join(model.name for model in found)}")


async def served_models(url: str) -> list[Served]:
    """The models that a server serves, at least one.

    Raises:
        InputError: This is not a URL.
        GlobeError: No OpenAI-compatible server answers there within a few seconds, or it serves nothing.
    """
    import httpx
    from openai import APIStatusError, OpenAIError

    check_url(url)
    try:
        async with asyncio.timeout(CONTACT_S), _connection(url, CONTACT_S, CONTACT_RETRIES) as client:
            reply = await client.get("/models", cast_to=httpx.Response)
            cards = reply.json()["data"]
            found = [Served(str(card["id"]), str(card.get("root") or ""), _room(card)) for card in cards]
    except TimeoutError:
        raise GlobeError(f"{url}: no answer within {CONTACT_S:.0f} s; is a model server running there?") from None
    except APIStatusError as error:
        raise GlobeError(f"{url}: HTTP status {error.status_code} instead of a list of models{_hint(url)}") from None
    except OpenAIError as error:
        raise GlobeError(f"{url}: no model server answers there ({_brief(error)})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GlobeError(f"{url}: what answers there is not a model server: it returns no list of models{_hint(url)}") from None
    if not found:
        raise GlobeError(f"{url}: the server there serves no model")
    return found


def _room(card: Mapping[str, Any]) -> int:
    """How many tokens prompt and answer may have together, according to a model's card; 0 if it says nothing usable."""
    room = card.get("max_model_len")
    return room if isinstance(room, int) and room > 0 else 0


def check_url(url: str) -> None:
    """Refuse what cannot be a server's URL, before anything waits for it.

    Raises:
        InputError: It is not an http(s) URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise InputError(f"--url {url!r}: not an http(s) URL; give a server's base URL, for example http://localhost:8000/v1")


class LocateClient:
    """A connection to a served model; use it as an asynchronous context manager."""

    def __init__(self, url: str, model: str, recipe: AskingRecipe) -> None:
        """Connect.

        Args:
            url: Base URL of the server.
            model: Name of the served model.
            recipe: Prompt, decoding, time limit and number of attempts.
        """
        self._client = _connection(url, recipe.timeout_s, recipe.attempts - 1)
        self._patience_s = (recipe.timeout_s + RETRY_PAUSE_S) * recipe.attempts
        self._prompt = recipe.prompt or PROMPT
        self._request: dict[str, Any] = {"model": model, "max_tokens": recipe.max_tokens, "temperature": recipe.temperature}

    async def __aenter__(self) -> "LocateClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def locate(self, image: bytes) -> Location:
        """Ask about one picture.

        Args:
            image: PNG, JPEG or WEBP bytes.

        Returns:
            The answer; if all attempts failed, its status is `call_failed` and its error the reason.
        """
        from openai import OpenAIError

        content = [{"type": "image_url", "image_url": {"url": data_url(image)}}, {"type": "text", "text": self._prompt}]
        try:
            async with asyncio.timeout(self._patience_s):  # the client's own limit applies to each piece of an answer
                reply = await self._client.chat.completions.create(
                    messages=[{"role": "user", "content": content}],
                    logprobs=True,
                    **self._request,
                )
            choice = reply.choices[0]
            text = choice.message.content or ""
            if not isinstance(text, str):
                raise TypeError
            tokens = choice.logprobs.content if choice.logprobs else None
        except TimeoutError:
            return Location("call_failed", error=f"no complete answer within {self._patience_s:.0f} s")
        except OpenAIError as error:
            return Location("call_failed", error=f"{type(error).__name__}: {_brief(error)}")
        except (AttributeError, IndexError, TypeError, ValueError):
            return Location("call_failed", error="the reply is not a chat completion")
        return geocode(text, tokens or [], cut_off=choice.finish_reason == "length")


def _connection(url: str, timeout_s: float, retries: int) -> Any:
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

    transport = DefaultAsyncHttpxClient(trust_env=urlsplit(url).hostname not in LOCAL)  # a proxy cannot reach this machine
    timeout = Timeout(timeout_s, connect=min(timeout_s, CONTACT_S))
    return AsyncOpenAI(base_url=url, api_key="none", timeout=timeout, max_retries=retries, http_client=transport)


def _hint(url: str) -> str:
    return "" if url.rstrip("/").endswith("/v1") else f"; base URLs usually end in /v1, try {url.rstrip('/')}/v1"


def _brief(error: Exception) -> str:
    """An error as one short line: some errors contain the whole page that a server sent."""
    text = " ".join(str(error).split())
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}..."
