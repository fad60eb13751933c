"""Work for a client that may leave."""

import asyncio

import pytest

from globe.gateway.refused import Refused
from globe.gateway.sse import EventStream, unless_gone


class Request:
    """A client that leaves after a time."""

    def __init__(self, leaves_s: float) -> None:
        self.leaves_s = leaves_s

    async def receive(self) -> dict:
        await asyncio.sleep(self.leaves_s)
        return {"type": "http.disconnect"}


def test_work_that_is_done_in_time_gives_its_result_or_its_error():
    async def work(result: object) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    assert asyncio.run(unless_gone(Request(10), work(7))) == 7
    with pytest.raises(KeyError):
        asyncio.run(unless_gone(Request(10), work(KeyError("x"))))


def test_work_that_nobody_waits_for_is_cancelled_and_has_ended():
    ended = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.01)
            ended.append(True)

    with pytest.raises(Refused, match="the client left"):
        asyncio.run(unless_gone(Request(0.02), work()))
    assert ended == [True]


@pytest.mark.parametrize("leaves_s", [10, 0.05])
def test_a_stream_is_sent_piece_by_piece_and_closed_when_it_ends_or_its_client_leaves(leaves_s):
    sent, closed = [], []

    async def events():
        try:
            yield b"data: 1\n\n"
            await asyncio.sleep(0.2)
            yield b"data: 2\n\n"
        finally:
            closed.append(True)

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(EventStream(events(), {"a": "b"})({"type": "http"}, Request(leaves_s).receive, send))
    assert (b"content-type", b"text/event-stream; charset=utf-8") in sent[0]["headers"]
    assert (b"a", b"b") in sent[0]["headers"]
    assert b"content-length" not in dict(sent[0]["headers"])
    whole = [b"data: 1\n\n", b"data: 2\n\n", b""]
    assert [message["body"] for message in sent[1:]] == (whole if leaves_s > 1 else whole[:1])
    assert closed == [True]
