import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from globe.witness.batches import Batcher


def answered(judge, questions, **settings):
    """Answers, or what was raised, of questions that are asked at once; and the batches that were judged."""
    batches = []

    def noted(batch):
        batches.append(list(batch))
        return judge(batch)

    async def ask_all():
        with ThreadPoolExecutor(1) as device:
            batcher = Batcher(noted, device, **settings)
            running = asyncio.create_task(batcher.run())
            found = await asyncio.gather(*map(batcher.ask, questions), return_exceptions=True)
            running.cancel()
        return found

    return asyncio.run(ask_all()), batches


def squares(batch):
    return [number * number for number in batch]


def test_questions_that_are_asked_at_once_are_answered_in_batches_each_with_its_own_answer():
    found, batches = answered(squares, range(70), most=32, wait_s=1.0)
    assert found == [number * number for number in range(70)]
    assert [len(batch) for batch in batches] == [32, 32, 6]


def test_what_comes_while_the_device_is_busy_makes_the_next_batch():
    entered, go_on = threading.Event(), threading.Event()

    def judge(batch):
        if not entered.is_set():
            entered.set()
            go_on.wait(60)
        return squares(batch)

    async def ask():
        with ThreadPoolExecutor(1) as device:
            batcher = Batcher(judge, device, wait_s=0.0)
            running = asyncio.create_task(batcher.run())
            first = asyncio.create_task(batcher.ask(1))
            await asyncio.to_thread(entered.wait, 60)
            others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4)]
            await asyncio.sleep(0)
            go_on.set()
            found = await asyncio.gather(first, *others)
            running.cancel()
            return found, batcher.batches

    assert asyncio.run(ask()) == ([1, 4, 9, 16], 2)


def test_a_question_that_the_model_fails_on_spoils_no_other():
    def judge(batch):
        if 13 in batch:
            raise ValueError("thirteen")
        return squares(batch)

    found, _ = answered(judge, range(20), wait_s=1.0, most=20)
    assert isinstance(found.pop(13), ValueError)
    assert found == [number * number for number in range(20) if number != 13]


def test_a_batch_that_is_too_large_for_the_device_is_answered_in_smaller_ones():
    def judge(batch):
        if len(batch) > 3:
            raise MemoryError
        return squares(batch)

    found, batches = answered(judge, range(10), wait_s=1.0, most=10)
    assert found == [number * number for number in range(10)]
    assert max(len(batch) for batch in batches[1:]) == 5


def test_who_has_left_is_not_asked_about():
    judged = []

    def judge(batch):
        judged.extend(batch)
        return squares(batch)

    async def ask():
        with ThreadPoolExecutor(1) as device:
            batcher = Batcher(judge, device, wait_s=0.0)
            leaving, staying = (asyncio.create_task(batcher.ask(number)) for number in (7, 8))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.sleep(0)
            running = asyncio.create_task(batcher.run())
            found = await staying
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            return found

    assert asyncio.run(ask()) == 64
    assert judged == [8]
