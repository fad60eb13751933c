"""Questions to a model are answered in batches: a device takes about as long for one as for many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Batcher(Generic[Question, Answer]):
    """Collects questions while the device is busy, and for a moment when it is not.

    What waits here is bounded by whoever lets questions in.
    """

    def __init__(
        self,
        judge: Callable[[list[Question]], list[Answer]],
        device: Executor,
        *,
        most: int = 32,
        wait_s: float = 0.005,
    ) -> None:
        """Start nothing yet.

        Args:
            judge: Answers a batch, in its order.
            device: Where `judge` runs; of one thread if several models share a device.
            most: Questions of one batch.
            wait_s: How long the first question of a batch waits for others. Much less than a batch takes.
        """
        self._judge, self._device, self._most, self._wait_s = judge, device, most, wait_s
        self._waiting: asyncio.Queue[tuple[Question, asyncio.Future[Answer]]] = asyncio.Queue()
        self.batches = 0
        """Answered so far."""

    async def ask(self, question: Question) -> Answer:
        """Wait for an answer; whatever `judge` raises for this question alone is raised here."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((question, answer))
        return await answer

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            batch = await self._collect()
            await self._answer([one for one in batch if not one[1].done()])  # done: whoever asked has left

    async def _collect(self) -> list[tuple[Question, asyncio.Future[Answer]]]:
        batch = [await self._waiting.get()]
        until = asyncio.get_running_loop().time() + self._wait_s
        while len(batch) < self._most:
            try:
                async with asyncio.timeout_at(until if self._waiting.empty() else None):
                    batch.append(await self._waiting.get())
            except TimeoutError:
                break
        return batch

    async def _answer(self, batch: list[tuple[Question, asyncio.Future[Answer]]]) -> None:
        if not batch:
            return
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._device, self._judge, [question for question, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                _tell(batch[0][1], error)
                return
            # One question spoils the others, or together they are more than the device's memory holds.
            await self._answer(batch[: len(batch) // 2])
            await self._answer(batch[len(batch) // 2 :])
            return
        self.batches += 1
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if not waiting.done():
                waiting.set_result(answer)


def _tell(waiting: asyncio.Future[Answer], error: Exception) -> None:
    if not waiting.done():
        waiting.set_exception(error)
