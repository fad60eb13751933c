"""Localizability: can anybody tell from this picture and this reasoning where it was taken?

The reward is the reward model's probability of "yes", P(yes) / (P(yes) + P(no)), asked of a vLLM server (paper section 3.3,
R_loc). The answer is constrained to the two words, so both always have a probability; the first token decides. An answer
that cannot be had, or that another model gave, is an error and never a silent 0: training on noise is worse than stopping.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from globe.errors import GlobeError
from globe.served import MODEL_HEADER, require_model

if TYPE_CHECKING:
    from openai import AsyncOpenAI

QUESTION = "Does the picture with this reasoning tell where it was taken? Answer yes or no."
ATTEMPTS = 4
CONCURRENCY = 32
READY_POLL_S = 0.5


def question(completion: str) -> str:
    """The text of the user turn, after the picture: the question and the whole completion it is about."""
    return f"{QUESTION}\n{completion}"


@dataclass(frozen=True)
class RewardService:
    """Where the reward model is served."""

    url: str
    """Base URL that ends in /v1."""
    model: str
    timeout_s: float = 60.0
    startup_s: float = 1800.0
    """Longest wait for a service that does not listen yet."""
    key: str = field(default="", repr=False)
    """The service's key; empty if it has none."""
    digest: str = ""
    """Digest of the reward model, which every answer must come from; empty if nobody knows it."""

    async def probabilities(self, pictures: Sequence[str], completions: Sequence[str]) -> list[float]:
        """P(yes) of each pair of picture and completion.

        Equal pairs are asked once: sampled groups repeat themselves, and the service is deterministic.

        Args:
            pictures: Data URLs.
            completions: As many completions.

        Returns:
            As many probabilities in [0, 1].

        Raises:
            GlobeError: The service did not answer after several tries, or is not the reward model's.
        """
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, OpenAIError  # heavy; only trainings with a service need it

        pairs = list(dict.fromkeys(zip(pictures, completions, strict=True)))
        limit = asyncio.Semaphore(CONCURRENCY)
        # A run's server is behind no proxy and redirects nobody: who does either would read key and pictures, and score.
        async with AsyncOpenAI(
            base_url=self.url,
            api_key=self.key or "none",
            timeout=self.timeout_s,
            max_retries=ATTEMPTS - 1,
            http_client=DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False),
        ) as client:
            await self._wait_until_ready(client)

            async def ask(picture: str, completion: str) -> float:
                content = [
                    {"type": "image_url", "image_url": {"url": picture}},
                    {"type": "text", "text": question(completion)},
                ]
                async with limit:
                    answer = await client.chat.completions.with_raw_response.create(
                        model=self.model,
                        messages=[{"role": "user", "content": content}],  # type: ignore[misc, list-item]
                        max_tokens=1,
                        temperature=0.0,
                        logprobs=True,
                        top_logprobs=20,
                        extra_body={"structured_outputs": {"choice": ["yes", "no"]}},
                    )
                reply = answer.parse()
                self._require_judge(answer.headers, [reply.model])
                tokens = reply.choices[0].logprobs
                if not tokens or not tokens.content:
                    raise GlobeError(f"reward service {self.url}: the reply holds no logprobs; it must be a vLLM server")
                return yes_share([(top.token, top.logprob) for top in tokens.content[0].top_logprobs])

            try:
                scores = await asyncio.gather(*(ask(*pair) for pair in pairs))
            except OpenAIError as error:
                raise self._failure(error) from error
        known = dict(zip(pairs, scores, strict=True))
        return [known[pair] for pair in zip(pictures, completions, strict=True)]

    async def _wait_until_ready(self, client: "AsyncOpenAI") -> None:
        """Wait for a service that is still starting; one that answers costs a request of a millisecond."""
        from openai import APIConnectionError, OpenAIError

        deadline = time.monotonic() + self.startup_s
        quick = client.with_options(max_retries=0)
        while True:
            try:
                answer = await quick.models.with_raw_response.list()
                self._require_judge(answer.headers, [card.id for card in answer.parse().data])
                return
            except APIConnectionError as error:
                if time.monotonic() > deadline:
                    raise GlobeError(f"reward service {self.url} was not ready within {self.startup_s:.0f} s") from error
            except OpenAIError as error:
                raise self._failure(error) from error
            await asyncio.sleep(READY_POLL_S)

    def _require_judge(self, headers: Mapping[str, str], names: Collection[str]) -> None:
        """Check who has answered: its checkpoint's digest, and the name that it is served under."""
        require_model(headers.get(MODEL_HEADER), self.digest, f"reward service {self.url}")
        if self.model not in names:
            raise GlobeError(f"reward service {self.url}: {', '.join(names)[:100] or 'no model'} answers, not {self.model}")

    def _failure(self, error: Exception) -> GlobeError:
        if getattr(error, "status_code", 0) == 401:
            return GlobeError(f"reward service {self.url} does not take this run's key (401), so it is another run's server")
        return GlobeError(f"reward service {self.url} does not answer ({error}); training stops here")


def yes_share(logprobs: Sequence[tuple[str, float]]) -> float:
    """P(yes) / (P(yes) + P(no)) from the first token's alternatives.

    A token counts for a word when the word starts with it ("y", "ye", "yes"): how a tokenizer cuts the word is its own affair.

    Raises:
        GlobeError: No alternative starts either word.
    """
    from math import exp

    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in logprobs:
        text = token.strip().lower()
        for word in mass:
            if text and word.startswith(text):
                mass[word] += exp(logprob)
    total = mass["yes"] + mass["no"]
    if not total:
        raise GlobeError("reward service: neither yes nor no among the first token's alternatives")
    return mass["yes"] / total
