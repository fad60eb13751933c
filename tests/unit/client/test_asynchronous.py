"""The asynchronous client does what the plain one does."""

import asyncio

import pytest
from cli_inputs import picture

from globe.client import AsyncGlobe, Located, Reasoning, Refused, Unavailable


def run(work):
    return asyncio.run(work)


def test_many_photos_are_located_at_once(vllm, url):
    vllm.pause_s = 0.2

    async def work():
        async with AsyncGlobe(url) as globe:
            return await asyncio.gather(*(globe.locate(picture(colour)) for colour in range(6)))

    assert [one.city for one in run(work())] == ["Paris"] * 6
    assert vllm.most_at_once > 3


def test_events_stream_in(vllm, url):
    vllm.pause_s = 0.02

    async def work():
        async with AsyncGlobe(url) as globe:
            return [event async for event in globe.locate_stream(picture())]

    events = run(work())
    assert "".join(event.text for event in events if isinstance(event, Reasoning)) == "Tall stone buildings line the street."
    assert isinstance(events[-1], Located)


def test_not_now_is_asked_again_and_a_refusal_is_not(scripted, answer):
    async def work():
        async with AsyncGlobe(scripted.url, timeout_s=10) as globe:
            return await globe.locate(picture())

    scripted.refuse(503, Retry_After="1")
    scripted.answer(answer)
    assert run(work()).city == "Paris"
    assert len(scripted.asked) == 2
    scripted.replies.clear()
    scripted.refuse(422, "damaged_picture")
    with pytest.raises(Refused, match="damaged_picture"):
        run(work())
    scripted.replies.clear()
    scripted.refuse(503, "overloaded", Retry_After="60")
    with pytest.raises(Unavailable, match="overloaded"):
        run(work())


def test_nobody_there_is_told():
    async def work():
        async with AsyncGlobe("http://127.0.0.1:9", timeout_s=20) as globe:
            return await globe.locate(picture())

    with pytest.raises(Unavailable, match="no answer"):
        run(work())
