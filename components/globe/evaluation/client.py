"""Ask a served model where a picture was taken: any OpenAI-compatible URL, vLLM's in practice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from globe.data.images import data_url
from globe.errors import GlobeError
from globe.geo.answer import PROMPT, Answer, parse
from globe.geo.places import find_place


@dataclass(frozen=True)
class Location:
    """What a model answered about one picture."""

    status: str
    """ok | no_answer | not_parsed | not_geocoded | call_failed"""
    text: str
    country: str = ""
    city: str = ""
    lat_deg: float | None = None
    lon_deg: float | None = None
    reasoning: str = ""
    confidence: float | None = None
    """Probability that the model gave its answer part, given its reasoning: the product over the answer's tokens."""


class LocateClient:
    """A connection to a served model; use it as an asynchronous context manager."""

    def __init__(self, url: str, model: str, *, max_tokens: int, temperature: float, timeout_s: float, attempts: int) -> None:
        from openai import AsyncOpenAI

        self._client = AsyncOpenAI(base_url=url, api_key="none", timeout=timeout_s, max_retries=attempts - 1)
        self._model = model
        self._request: dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature}
        self.url = url

    async def __aenter__(self) -> "LocateClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def locate(self, image: bytes, prompt: str = PROMPT, model: str = "") -> Location:
        """Ask about one picture.

        Args:
            image: PNG, JPEG or WEBP bytes.
            prompt: The user turn after the picture.
            model: Name of another served model than the one this client was made for.

        Returns:
            The answer; a request that failed after all tries has the status `call_failed` and the reason as text.
        """
        from openai import OpenAIError

        content = [{"type": "image_url", "image_url": {"url": data_url(image)}}, {"type": "text", "text": prompt}]
        try:
            reply = await self._client.chat.completions.create(
                model=model or self._model,
                messages=[{"role": "user", "content": content}],  # type: ignore[misc, list-item]
                logprobs=True,
                **self._request,
            )
        except OpenAIError as error:
            return Location("call_failed", f"{type(error).__name__}: {error}")
        choice = reply.choices[0]
        tokens = choice.logprobs.content if choice.logprobs else None
        return geocode(choice.message.content or "", tokens or [])

    async def served_models(self) -> list[str]:
        """Names of the models that the server serves.

        Raises:
            GlobeError: No OpenAI-compatible server answers.
        """
        from openai import OpenAIError

        try:
            names = [model.id for model in (await self._client.models.list()).data]
        except OpenAIError as error:
            raise GlobeError(f"{self.url}: no model server answers there ({error})") from error
        if not names:
            raise GlobeError(f"{self.url}: the server there serves no model")
        return names


def geocode(text: str, tokens: Sequence[Any] = ()) -> Location:
    """Parse a model's text and look its place up in the gazetteer."""
    answer = parse(text)
    if not text.strip():
        return Location("no_answer", text)
    if answer.ambiguous or not answer.country:
        return Location("not_parsed", text, reasoning=answer.reasoning or "")
    match = find_place(answer.city or "", answer.country, answer.region)
    found = match.match != "none" and match.lat_deg is not None
    return Location(
        status="ok" if found else "not_geocoded",
        text=text,
        country=answer.country,
        city=answer.city or "",
        lat_deg=match.lat_deg if found else None,
        lon_deg=match.lon_deg if found else None,
        reasoning=answer.reasoning or "",
        confidence=_answer_probability(answer, tokens),
    )


def _answer_probability(answer: Answer, tokens: Sequence[Any]) -> float | None:
    """Product of the probabilities of the tokens after the reasoning."""
    text, start = "", None
    for index, token in enumerate(tokens):
        text += token.token
        if start is None and "<answer>" in text:
            start = index + 1
    if start is None:
        return None
    return math.exp(sum(token.logprob for token in tokens[start:]))
