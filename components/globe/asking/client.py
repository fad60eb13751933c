"""Finding a served model: any OpenAI-compatible server, on this machine or hosted with a key."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from globe.console import one_line
from globe.errors import GlobeError, InputError
from globe.keys import SERVER_KEY, THIS_MACHINE, key_for, why_withheld
from globe.served import MODEL_HEADER

CONTACT_S = 10.0
"""How long a server may take to list its models: it answers at once or not at all."""
CONTACT_RETRIES = 3
VERSION_S = 3.0
MAX_LIST_BYTES = 8 * 1024 * 1024
MAX_ERROR_CHARS = 300
MAX_VERSION_CHARS = 64


@dataclass(frozen=True)
class Served:
    """A model that a server serves, as its model card describes it."""

    name: str
    root: str = ""
    """The model's folder on the server's machine; empty if the server does not say."""
    max_model_len: int = 0
    """Tokens that prompt and answer may have together; 0 if the server does not say."""
    digest: str = ""
    """Digest of its checkpoint, which servers of ours say; empty for others."""
    key: str = field(default="", repr=False)
    """The key of the server where that is a run's or a command's own; empty for the one in GLOBE_API_KEY."""


def find_model(url: str, name: str = "", key: str = "") -> Served:
    """Ask a server for a model.

    Args:
        url: Base URL, usually ending in /v1.
        name: Name that the model is served under; empty for the server's first one.
        key: The server's key; empty for the one in GLOBE_API_KEY.

    Raises:
        InputError: This is not a URL, or the server serves no such model.
        GlobeError: No OpenAI-compatible server answers there, or it serves nothing.
    """
    found = asyncio.run(served_models(url, key))
    for model in found:
        if not name or model.name == name:
            return model
    raise InputError(f"{url}: no model {name!r} there; it serves {', '.join(one_line(model.name) for model in found[:20])}")


async def served_models(url: str, key: str = "") -> list[Served]:
    """The models that a server serves, at least one.

    Raises:
        InputError: This is not a URL.
        GlobeError: No OpenAI-compatible server answers there within a few seconds, or it serves nothing.
    """
    from openai import APIStatusError, OpenAIError

    try:
        async with asyncio.timeout(CONTACT_S), connection(url, CONTACT_S, CONTACT_RETRIES, key) as client:
            found = [replace(model, key=key) for model in await _listed(client)]
    except InputError:
        raise
    except TimeoutError:
        raise GlobeError(f"{url}: no answer within {CONTACT_S:.0f} s; is a model server running there?") from None
    except APIStatusError as error:
        more = key_hint(error.status_code, url, key) or _hint(url)
        raise GlobeError(f"{url}: HTTP status {error.status_code} instead of a list of models{more}") from None
    except OpenAIError as error:
        raise GlobeError(f"{url}: no model server answers there ({brief(error, url, key)})") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise GlobeError(f"{url}: what answers there is not a model server: it returns no list of models{_hint(url)}") from None
    except Exception as error:  # the transport's own: the client passes on whatever breaks a reply off
        raise GlobeError(f"{url}: no model server answers there ({brief(error, url, key)})") from None
    if not found:
        raise GlobeError(f"{url}: the server there serves no model")
    return found


async def _listed(client: Any) -> list[Served]:
    body = bytearray()
    async with client.models.with_streaming_response.list() as response:
        async for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_LIST_BYTES:
                raise ValueError
        digest = response.headers.get(MODEL_HEADER, "")
    return [replace(_served(card), digest=digest) for card in json.loads(bytes(body))["data"]]


def server_version(url: str, key: str = "") -> str:
    """The release of the server, which vLLM tells beside its API; empty if it does not say."""

    async def ask() -> str:
        root = url.rstrip("/").removesuffix("/v1")
        async with asyncio.timeout(VERSION_S), connection(root, VERSION_S, 0, key) as client:
            told = (await client.get("/version", cast_to=object))["version"]
            return told if isinstance(told, str) and told.isprintable() and len(told) <= MAX_VERSION_CHARS else ""

    try:
        return asyncio.run(ask())
    except Exception:  # nothing depends on it
        return ""


def connection(url: str, timeout_s: float, retries: int, key: str = "") -> Any:
    """The OpenAI client for a server.

    Args:
        url: Base URL.
        timeout_s: For each piece of a reply, in seconds; limit a whole call yourself.
        retries: How often the client itself repeats a call.
        key: The server's key; empty for the one in GLOBE_API_KEY.

    Raises:
        InputError: This is not a URL, or the key in the environment cannot be sent.
    """
    from openai import AsyncOpenAI, Timeout

    check_url(url)
    timeout = Timeout(timeout_s, connect=min(timeout_s, CONTACT_S))
    return AsyncOpenAI(
        base_url=url,
        api_key=key or _key(url) or "none",
        timeout=timeout,
        max_retries=retries,
        http_client=_transport(direct=bool(key) or urlsplit(url).hostname in THIS_MACHINE),
    )


def _transport(*, direct: bool) -> Any:
    """The faster of the client's two transports where its package is installed: it takes a third of the other's time."""
    from openai import DefaultAioHttpClient, DefaultAsyncHttpxClient

    # A proxy cannot reach this machine, and a run's servers, which have a key of their own, are behind none.
    try:
        return DefaultAioHttpClient(trust_env=not direct, follow_redirects=False)  # to a host that nobody has named
    except RuntimeError:
        return DefaultAsyncHttpxClient(trust_env=not direct, follow_redirects=False)


def _key(url: str) -> str:
    # The key goes nowhere but into requests' headers.
    key = key_for(url, SERVER_KEY)
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{SERVER_KEY.variable}: holds characters that no request can carry; set it to the server's key alone")
    return key


def check_url(url: str) -> None:
    """Refuse what cannot be a server's URL, before anything waits for it.

    Raises:
        InputError: It is not an http(s) URL, or holds a password.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() or not character.isprintable() for character in url):
        raise InputError(f"--url {url!r}: not an http(s) URL; give a server's base URL, for example http://localhost:8000/v1")
    if parts.username or parts.password:
        raise InputError(
            f"--url with a name or password before {parts.hostname}: set {SERVER_KEY.variable} to the server's key instead"
        )


def brief(error: Exception, url: str, key: str = "") -> str:
    """An error as one short line: some contain the whole page that the server there sent, and some the key that it was sent."""
    told = (
        one_line(str(error.__cause__ or "")) or one_line(str(error)) or type(error).__name__
    )  # the client only says "timed out"
    text = told.replace(key or _key(url) or "\0", "***")
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]}..."


def _served(card: Mapping[str, Any]) -> Served:
    root, room = card.get("root"), card.get("max_model_len")
    known = room if isinstance(room, int) and not isinstance(room, bool) else 0
    return Served(str(card["id"]), root if isinstance(root, str) else "", max(0, known))


def key_hint(status: int, url: str, key: str = "") -> str:
    """What to do about an HTTP status that says that the key is wrong; empty for any other.

    Args:
        status: The status.
        url: Where it came from.
        key: The key of a server of ours that was sent; empty for the one in GLOBE_API_KEY.
    """
    if status not in (401, 403):
        return ""
    if key:
        return f"; it does not take the key that its server was started with, so another server answers at {url}"
    return f"; {why_withheld(url, SERVER_KEY) or f'set {SERVER_KEY.variable} to a key that it takes'}"


def _hint(url: str) -> str:
    return "" if url.rstrip("/").endswith("/v1") else f"; base URLs usually end in /v1, try {url.rstrip('/')}/v1"
