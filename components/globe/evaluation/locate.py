"""Locate photos: the command a user types after a run, for one photo or many.

Whoever answers is found out first: a GLOBE gateway is asked by its own POST /locate, which also knows the radius, and any other
OpenAI-compatible server by chat completions, as an evaluation asks it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from globe.asking.answers import Location, located
from globe.asking.call import Caller, CallFailed
from globe.asking.client import Served, check_url, find_model
from globe.asking.reply import Reply
from globe.asking.samples import consistent
from globe.client import AsyncGlobe, Refused, Unavailable, WronglyAsked
from globe.client.exchange import gateway_root, is_gateway
from globe.console import tell, waiting
from globe.data.sendable import sendable
from globe.errors import GlobeError, InputError
from globe.evaluation.answering import answering, given, require_one
from globe.evaluation.radius_file import radius_of
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.usage import checkpoint_of, evaluation_recipe, names_by_stage, warn
from globe.models.checkpoints import Checkpoint

CONCURRENCY = 8
TRIES = 3
"""Of each call where many photos are asked about; with one, the user waits, and the reason helps more than further tries."""
RETRY_S = 1.0
MOST_FAILED_IN_A_ROW = 10
"""Then nobody answers any more, and the rest of the photos would only take time."""
OF_ALL = (401, 403, 404)
"""Statuses of a gateway that the next photo would get as well."""

Ask = Callable[[Path], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Asking:
    """Whom to ask, and how."""

    url: str = ""
    """Base URL of a served model, usually ending in /v1, or a gateway's address."""
    model: str = ""
    """Name of the served model; empty for the server's first one."""
    checkpoint: Path | None = None
    """Folder of a checkpoint, or of any Hugging Face model, to serve just for this, instead of `url`."""
    recipe: str = ""
    """Evaluation recipe, serving recipe, or the name of both; empty for what the model's manifest says."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Values that replace the evaluation recipe's."""
    prompt: str = ""
    """The user turn after the picture; empty for the recipe's, the manifest's or the default one."""
    samples: int = 0
    """Answers to ask for each photo; 0 for what the recipe says."""

    @property
    def is_plain(self) -> bool:
        """Whether the question is left to the model's own side."""
        return not (self.model or self.recipe or self.overrides or self.prompt)


def locate(photo: Path, asking: Asking) -> dict[str, Any]:
    """Say where a photo was taken; progress goes to stderr.

    Args:
        photo: JPEG, PNG or WEBP file; its EXIF rotation is applied, and its metadata never leaves this machine.
        asking: Whom to ask, and how.

    Returns:
        status, country, city, lat_deg, lon_deg, reasoning, confidence and more, with the model's text unless a gateway is asked;
        radius_km and radius_level_percent where a radius was calibrated for the same question.

    Raises:
        InputError: The photo cannot be used, or neither or both of a URL and a checkpoint are given.
        GlobeError: The server does not answer.
    """
    require_one(asking.url, asking.checkpoint)
    sendable(photo)  # a mistake is told before a server is started

    async def one() -> dict[str, Any]:
        async with opened(tries=1) as ask:
            return await ask(photo)

    with _askable(asking) as (opened, where), waiting(f"{where}: waiting for the answer"):
        return asyncio.run(one())


def locate_all(
    photos: Sequence[Path], asking: Asking, told: Callable[[Path, dict[str, Any]], None], concurrency: int = CONCURRENCY
) -> int:
    """Say where each of many photos was taken; progress goes to stderr.

    Args:
        photos: The files.
        asking: Whom to ask, and how.
        told: Called with each photo and what `locate` returns for it, in the order of the photos; without an answer that is a
            status (bad_photo or call_failed) and an error.
        concurrency: How many are asked about at once.

    Returns:
        How many photos have no answer.

    Raises:
        InputError: Neither or both of a URL and a checkpoint are given.
        GlobeError: The server does not answer, or no longer.
    """
    require_one(asking.url, asking.checkpoint)

    async def each() -> int:
        failed = 0
        async with opened(tries=TRIES) as ask:
            async for photo, answer in _in_order(photos, ask, concurrency):
                failed += "error" in answer and answer["status"] in ("bad_photo", "call_failed")
                told(photo, answer)
        return failed

    with _askable(asking) as (opened, _):
        return asyncio.run(each())


async def _in_order(photos: Sequence[Path], ask: Ask, concurrency: int) -> AsyncIterator[tuple[Path, dict[str, Any]]]:
    """What is said of each photo, in their order, while a few at once are asked about."""
    asked: deque[tuple[Path, asyncio.Task[dict[str, Any]]]] = deque()
    rest, in_a_row = iter(photos), 0
    try:
        while True:
            while len(asked) < concurrency and (photo := next(rest, None)) is not None:
                asked.append((photo, asyncio.create_task(_row(photo, ask))))
            if not asked:
                return
            first, task = asked.popleft()
            try:
                answer = await task
            except BaseException:
                asked.append((first, task))
                raise
            in_a_row = in_a_row + 1 if answer["status"] == "call_failed" else 0
            yield first, answer
            if in_a_row >= MOST_FAILED_IN_A_ROW:
                raise GlobeError(f"{in_a_row} photos in a row had no answer, the last one because of: {answer['error']}")
    finally:
        for _, task in asked:
            task.cancel()
        await asyncio.gather(*(task for _, task in asked), return_exceptions=True)


async def _row(photo: Path, ask: Ask) -> dict[str, Any]:
    try:
        return await ask(photo)
    except WronglyAsked:
        raise
    except InputError as error:
        return {"status": "bad_photo", "error": str(error)}
    except Refused as refused:
        if refused.status in OF_ALL:
            raise
        return {"status": "call_failed", "error": str(refused)}
    except (Unavailable, _NoAnswer) as error:
        return {"status": "call_failed", "error": str(error)}


class _NoAnswer(GlobeError):
    """A call brought no answer."""


Opened = Callable[..., AbstractAsyncContextManager[Ask]]


@contextmanager
def _askable(asking: Asking) -> Iterator[tuple[Opened, str]]:
    """Whoever answers, and where, for as long as a block runs."""
    if asking.url:
        check_url(asking.url)
    if asking.url and is_gateway(asking.url):
        root = gateway_root(asking.url)
        if asking.is_plain:
            served = find_model(f"{root}/v1")
            warn(checkpoint_of(served))
            yield lambda tries: _gateway(root, asking.samples), root
            return
        asking = Asking(**{**asking.__dict__, "url": f"{root}/v1"})
    names = names_by_stage(asking.recipe)
    place = given(asking.url, asking.model, asking.checkpoint, names.get("serving", ""))
    own = (names.get("evaluation", ""), asking.overrides, asking.prompt)
    if place.serving:  # a mistake in the recipe is reported before the server starts
        evaluation_recipe(place.checkpoint, None, *own)
        tell("serving it for this one question; `globe serve` keeps it running for more")
    with answering(place) as (base_url, served, made):
        settings, why = evaluation_recipe(made, served, *own)
        settings = settings.drawn(asking.samples) if asking.samples else settings
        tell(f"asked with {why}")
        yield lambda tries: _model(base_url, served, made, settings, tries), base_url


@asynccontextmanager
async def _gateway(root: str, samples: int) -> AsyncIterator[Ask]:
    async with AsyncGlobe(root) as globe:  # it asks again by itself

        async def ask(photo: Path) -> dict[str, Any]:
            return asdict(await globe.locate(photo, samples or 1))

        yield ask


@asynccontextmanager
async def _model(url: str, served: Served, made: Checkpoint | None, recipe: EvaluationRecipe, tries: int) -> AsyncIterator[Ask]:
    async with Caller(url, served.name, recipe, served.key, served.digest) as caller:

        async def ask(photo: Path) -> dict[str, Any]:
            image = await asyncio.to_thread(sendable, photo)
            samples = await asyncio.gather(*(_sample(caller, image, sample, tries) for sample in range(recipe.samples)))
            location = consistent(samples)
            if location.status == "call_failed":
                raise _NoAnswer(f"{url}: {location.error}")
            if location.status == "cut_off":
                more = f"allow more with --set max_tokens={2 * recipe.max_tokens}"
                tell(f"the answer was cut off at {recipe.max_tokens} tokens; {more}")
            return asdict(location) | radius_of(location, made, recipe)

        yield ask


async def _sample(caller: Caller, image: bytes, sample: int, tries: int) -> Location:
    while True:
        tries -= 1
        try:
            return located(await caller.call(image, sample))
        except CallFailed as failed:
            if not tries or not failed.again:
                return located(Reply(error=failed.reason))
            await asyncio.sleep(max(RETRY_S, failed.retry_after_s))
