"""Localizability: can anybody tell from this picture and this reasoning where it was taken?

The reward is the reward model's probability of "yes", P(yes) / (P(yes) + P(no)), asked of a vLLM server (paper section 3.3,
R_loc). The answer is constrained to the two words, so both always have a probability; the first token decides. Here is what is
asked and how an answer is read; :mod:`globe.rewards.service` does the asking.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp, isfinite
from typing import Any

from globe.errors import GlobeError
from globe.served import MODEL_HEADER, require_model

QUESTION = "Does the picture with this reasoning tell where it was taken? Answer yes or no."
NEEDED = (
    "it must give the log-probabilities of a constrained answer (chat completions with `logprobs`, `top_logprobs` and "
    "`structured_outputs`), as vLLM does; serve the reward model with `globe serve CHECKPOINT --bare`"
)
BUSY = (408, 425, 429)
REFUSED = (400, 413, 422)
"""A question that is too long, say: it would be refused again."""
SHOWN_CHARS = 200


class Unanswered(GlobeError):
    """There was no answer, and there may be one later."""


class Unusable(Unanswered):
    """There was an answer, and no score can be read from it."""


class Refused(GlobeError):
    """The service does not score this completion, however often it is asked."""


def question(completion: str) -> str:
    """The text of the user turn, after the picture: the question and the whole completion it is about."""
    return f"{QUESTION}\n{completion}"


@dataclass(frozen=True)
class Judge:
    """The reward model, as it is served."""

    url: str
    """Base URL that ends in /v1."""
    model: str
    """Name that it is served under."""
    key: str = field(default="", repr=False)
    """The service's key; empty if it has none."""
    digest: str = ""
    """Digest of the reward model, which every answer must come from; empty if nobody knows it."""

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"reward service {self.url}"

    def request(self, picture: str, completion: str) -> bytes:
        """The body of a question.

        Args:
            picture: Data URL.
            completion: The completion that is judged.
        """
        settings = {
            "model": self.model,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": True,
            "top_logprobs": 20,
            "structured_outputs": {"choice": ["yes", "no"]},
        }
        text = json.dumps({"type": "text", "text": question(completion)})
        turn = f'{{"role": "user", "content": [{_picture_part(picture)}, {text}]}}'
        return f'{json.dumps(settings)[:-1]}, "messages": [{turn}]}}'.encode()

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> float:
        """The score in an answer.

        Args:
            status: HTTP status.
            headers: The answer's.
            body: The answer's.

        Returns:
            P(yes), in [0, 1].

        Raises:
            Unanswered: This is no answer, or none that a score can be read from (`Unusable`).
            Refused: The service does not take this question.
            GlobeError: Whoever answers is not this reward model's service.
        """
        told = headers.get(MODEL_HEADER)
        if status >= 500 or status in BUSY:
            raise Unanswered(f"HTTP status {status}")
        if status == 401:
            raise GlobeError(f"{self.where} does not take this run's key (401), so it is another run's server")
        if status in REFUSED:
            require_model(told, self.digest, self.where)
            raise Refused(f"HTTP status {status}: {body[:SHOWN_CHARS].decode('utf-8', 'replace')}")
        if status != 200:
            raise GlobeError(f"{self.where}: HTTP status {status} instead of an answer, so no reward model is served there")
        if told is not None:  # a page of a proxy says nothing, and is no answer
            require_model(told, self.digest, self.where)
        try:
            reply = json.loads(body)
            name, logprobs = reply["model"], reply["choices"][0]["logprobs"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise Unusable("what came is no chat completion") from None
        require_model(told, self.digest, self.where)
        if name != self.model:
            raise GlobeError(f"{self.where}: {str(name)[:100]} answers, not {self.model}")
        return _score(logprobs)


@lru_cache(maxsize=64)
def _picture_part(url: str) -> str:
    """A picture's part of a question: a group shares it, and it may have a million characters."""
    return json.dumps({"type": "image_url", "image_url": {"url": url}})


def _score(logprobs: Any) -> float:
    if not logprobs or not logprobs.get("content"):
        raise Unusable("the answer holds no log-probabilities (logprobs)")
    try:
        return yes_share([(top["token"], top["logprob"]) for top in logprobs["content"][0]["top_logprobs"]])
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise Unusable("the answer's log-probabilities cannot be read") from None


def yes_share(logprobs: Sequence[tuple[str, float]]) -> float:
    """P(yes) / (P(yes) + P(no)) from the first token's alternatives.

    A token counts for a word when the word starts with it ("y", "ye", "yes"): how a tokenizer cuts the word is its own affair.

    Raises:
        Unusable: No alternative starts either word, or one has a probability that is no number.
    """
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in logprobs:
        text = token.strip().lower()
        for word in mass:
            if text and word.startswith(text):
                mass[word] += exp(logprob)
    total = mass["yes"] + mass["no"]
    if not total:
        raise Unusable("neither yes nor no is among the first token's alternatives")
    if not isfinite(total):
        raise Unusable("the answer's log-probabilities are no numbers")
    return mass["yes"] / total
