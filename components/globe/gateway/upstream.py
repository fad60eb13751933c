"""The way to the engine: vLLM's chat completions, with retries on another replica, and never half an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from globe.gateway.settings import GatewaySettings


class Upstream:
    """The engine of this pod, and the gateways of the others."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings

    async def complete(
        self, request: Mapping[str, Any], *, authorization: str | None = None, hopped: bool = False
    ) -> dict[str, Any]:
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
        raise NotImplementedError

    def stream(
        self, request: Mapping[str, Any], *, authorization: str | None = None, hopped: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        """The chunks of a streamed chat completion, parsed; retried only until the first one has come.

        Raises:
            Refused: As `complete`; also after chunks were given, if the stream ends without a finish reason of stop or length.
        """
        raise NotImplementedError
