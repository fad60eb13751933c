"""Which bytes are a whole answer, and which are not."""

import asyncio
import json

import pytest

from globe.gateway.answers import BrokenOff, Progress, events, whole


def document(*ends: object) -> bytes:
    return json.dumps({"choices": [{"finish_reason": end} for end in ends]}).encode()


@pytest.mark.parametrize("ends", [["stop"], ["length"], ["stop", "length"]])
def test_an_answer_that_the_model_or_its_limit_has_ended_is_whole(ends):
    assert [choice["finish_reason"] for choice in whole(document(*ends), len(ends))["choices"]] == ends


@pytest.mark.parametrize(
    ("body", "choices"),
    [
        *((document(end), 1) for end in ("abort", "error", "tool_calls", "content_filter", "", None, ["stop"], 1)),
        (document("stop"), 2),
        (document("stop", "stop"), 1),
        (document("stop", "abort"), 2),
        *((body, 1) for body in (b"", b"null", b"[]", b"{}", b'{"choices": null}', b'{"choices": [1]}', b"\xff", b"[" * 10**5)),
    ],
)
def test_nothing_else_is(body, choices):
    with pytest.raises(BrokenOff):
        whole(body, choices)


def chunk(index: int = 0, end: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": index, "delta": {"content": "x"}, "finish_reason": end}]}).encode()


def test_a_stream_is_whole_when_every_answer_has_ended_and_it_says_so():
    progress = Progress(2)
    taken = [progress.take(event) for event in (chunk(0), chunk(1, "stop"), chunk(0, "length"), b'{"choices": []}')]
    assert all(taken)
    assert not progress.done
    assert progress.take(b"[DONE]") is None
    assert progress.done


@pytest.mark.parametrize(
    "sent",
    [
        [b"[DONE]"],
        [chunk(0, "stop"), b"[DONE]"],
        [chunk(0, "abort")],
        [b'{"error": {"message": "x"}}'],
        [b"{"],
        [b"[1]"],
        [b'{"choices": [{"index": 0}]}'],
    ],
)
def test_a_stream_that_breaks_off_is_not(sent):
    progress = Progress(2)
    for event in sent[:-1]:
        progress.take(event)
    with pytest.raises(BrokenOff):
        progress.take(sent[-1])
    assert not progress.done


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_events_are_found_wherever_a_stream_is_cut(size):
    stream = b'data: {"a": 1}\n\n: a comment\n\ndata: \xe3\x81\x82\n\ndata: [DONE]\n\ndata: half'

    async def pieces():
        for start in range(0, len(stream), size):
            yield stream[start : start + size]

    async def found() -> list[bytes]:
        return [event async for event in events(pieces())]

    assert asyncio.run(found()) == [b'{"a": 1}', "あ".encode(), b"[DONE]"]
