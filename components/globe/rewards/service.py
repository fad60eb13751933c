"""Asking the reward service: all completions at once, and again for as long as it takes.

A service that has died, hangs or answers nonsense is waited for, and then only what it still owes is asked again. So a score is
always the service's own, and never a 0 for one that could not be had: training on invented scores is worse than waiting.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

import aiohttp

from globe.errors import InputError, first_error
from globe.rewards.localizability import NEEDED, Judge, Refused, Unanswered, Unusable
from globe.rewards.probe import PROBE
from globe.rewards.waiting import Waiting

STARTUP_S = 1800.0
IDLE_S = 3.0
"""How long a connection is kept between two batches: less than the 5 s after which vLLM closes it."""
Pair = tuple[str, str]
Result = TypeVar("Result")


class RewardService:
    """The one client of a process. Its connections live on a loop of its own, for ms-swift asks in a new one each time."""

    def __init__(
        self,
        judge: Judge,
        *,
        timeout_s: float = 60.0,
        patience_s: float = 1800.0,
        startup_s: float = STARTUP_S,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Open no connection yet.

        Args:
            judge: Whom to ask.
            timeout_s: Longest wait for one answer.
            patience_s: Longest wait for a service that has gone away, counted from its last answer.
            startup_s: Longest wait for its first answer, while it still starts.
            tell: Told what is being waited for.
        """
        self.judge = judge
        self._timeout_s, self._patience_s, self._startup_s, self._tell = timeout_s, patience_s, startup_s, tell
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="globe-reward-service", daemon=True)
        self._thread.start()
        self._client = self._on_loop(_client(judge)).result()
        self._proven = False

    def close(self) -> None:
        """End the client and its loop."""
        self._on_loop(self._client.close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def prove(self) -> bool:
        """Ask one real question about a tiny picture, to see whether this service can be used.

        Returns:
            False if nobody answers there yet.

        Raises:
            InputError: It cannot be used; names what is needed.
            GlobeError: Another model answers.
        """
        try:
            self._on_loop(self._prove()).result()
        except Unanswered:
            return False
        return True

    async def scores(self, pictures: Sequence[str], completions: Sequence[str]) -> list[float | None]:
        """P(yes) of each pair of picture and completion.

        Equal pairs are asked once: sampled groups repeat themselves, and the service is deterministic.

        Args:
            pictures: Data URLs.
            completions: As many completions.

        Returns:
            As many probabilities in [0, 1]; None for a completion that the service does not take, such as one too long for it.

        Raises:
            GlobeError: The service gave no answer for longer than the patience, or is not the reward model's.
        """
        pairs = list(zip(pictures, completions, strict=True))
        found = await asyncio.wrap_future(self._on_loop(self._all(dict.fromkeys(pairs))))
        return [found[pair] for pair in pairs]

    def _on_loop(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _all(self, pairs: Collection[Pair]) -> dict[Pair, float | None]:
        found: dict[Pair, float | None] = {}
        await self._until_proven()
        waiting = Waiting(self.judge.where, self._patience_s, self._tell)
        while missing := [pair for pair in pairs if pair not in found]:
            before, reasons = len(found), await self._round(missing, found)
            if reasons:
                await waiting.pause(reasons[0], missing=len(reasons), of=len(pairs), progress=len(found) > before)
        waiting.over()
        return found

    async def _round(self, pairs: Sequence[Pair], found: dict[Pair, float | None]) -> list[str]:
        """Ask all at once. Adds what is answered to `found`, and returns why the others are not."""
        reasons: list[str] = []
        refusals: list[str] = []

        async def ask(pair: Pair) -> None:
            try:
                found[pair] = await self._ask(*pair)
            except Refused as error:
                found[pair] = None
                refusals.append(str(error))
            except Unanswered as error:
                reasons.append(str(error))

        try:
            async with asyncio.TaskGroup() as group:
                for pair in pairs:
                    group.create_task(ask(pair))
        except BaseExceptionGroup as errors:
            raise first_error(errors) from None
        if refusals:
            self._tell(f"{self.judge.where} does not take {len(refusals)} of {len(pairs)} completions ({refusals[0]})")
        return reasons

    async def _ask(self, picture: str, completion: str) -> float:
        url, body = f"{self.judge.url.rstrip('/')}/chat/completions", self.judge.request(picture, completion)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.post(url, data=body, allow_redirects=False) as answer,
            ):
                return self.judge.read(answer.status, answer.headers, await answer.read())
        except TimeoutError:
            raise Unanswered(f"no answer within {self._timeout_s:g} s") from None
        except aiohttp.InvalidURL:
            raise InputError(f"{self.judge.where}: this is no URL") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unanswered(f"{type(error).__name__}: {error}".removesuffix(": ")) from None

    async def _until_proven(self) -> None:
        """Before the first batch: wait for a service that still starts, and see whether it can be used."""
        waiting = Waiting(self.judge.where, self._startup_s, self._tell)
        while not self._proven:
            try:
                await self._prove()
            except Unanswered as error:
                await waiting.pause(str(error), missing=1, of=1)
        waiting.over()

    async def _prove(self) -> None:
        try:
            await self._ask(*PROBE)
        except (Unusable, Refused) as error:
            raise InputError(f"{self.judge.where} cannot be used: {error}; {NEEDED}") from None
        self._proven = True


async def _client(judge: Judge) -> aiohttp.ClientSession:
    # A run's server is behind no proxy and redirects nobody: who does either would read key and pictures, and score.
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {judge.key or 'none'}", "Content-Type": "application/json"},
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),  # as many connections as a batch has completions
        timeout=aiohttp.ClientTimeout(total=None),  # `_ask` limits each call as a whole
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
