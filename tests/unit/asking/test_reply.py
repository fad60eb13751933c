"""What servers send: answers in every form that they have, and everything that is none."""

import json
import math

import pytest
from fault_server import stream

from globe.asking.reply import MAX_REPLY_BYTES, OddReply, ReplyReader, Token, answer_probability, completed

TEXT = "<think>a sign\u2028with\u0085odd ends</think><answer>country: France\ncity: Saint-Étienne</answer>"


def read(body: bytes, size: int = 1 << 20):
    reader = ReplyReader()
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    return reader.finish()


def whole(content, finish="stop", **more) -> bytes:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}, **more}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 1 << 20])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_stream_is_the_same_however_it_is_cut_into_pieces(size, end):
    reply = read(stream(TEXT).replace(b"\n", end), size)
    assert (reply.text, reply.cut_off, reply.prompt_tokens) == (TEXT, False, 30)
    assert reply.confidence == pytest.approx(math.exp(-0.1 * len(["country:", "France\ncity:", "Saint-Étienne</answer>"])))


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
def test_a_server_that_was_asked_for_a_stream_may_send_a_whole_answer(size):
    for body in (whole(TEXT), json.dumps(json.loads(whole(TEXT)), indent=2).encode()):
        reply = read(body, size)
        assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == (TEXT, 7, 3)


def test_an_answer_in_parts_is_joined():
    parts = [{"type": "text", "text": "country: "}, {"type": "image", "data": "x"}, {"type": "text", "text": "France"}]
    assert read(whole(parts)).text == "country: France"


def test_half_of_a_surrogate_pair_is_replaced_and_two_halves_are_joined():
    assert read(b'{"choices": [{"message": {"content": "a\\ud83d b"}}]}').text == "a\ufffd b"
    halves = (
        b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n\ndata: {"choices": [{"delta": {"content": "\\ude00"}}]}\n\n'
    )
    assert read(halves + b"data: [DONE]\n\n").text == "😀"


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_what_was_ended_before_the_model_ended_it_shows(finish):
    assert read(whole("<think>a tow", finish=finish)).cut_off
    assert not read(whole(TEXT)).cut_off


def test_a_stream_that_ends_without_saying_why_may_not_be_whole():
    assert read(b'data: {"choices": [{"delta": {"content": "country: Nig"}}]}\n\ndata: [DONE]\n\n').cut_off


@pytest.mark.parametrize("finish", ["abort", "error"])
def test_an_answer_that_the_server_broke_off_is_none(finish):
    """vLLM ends a request that is aborted so, with status 200 and what it had until then: half a name may be another place's."""
    half = "country: Nig"
    piece = json.dumps({"choices": [{"delta": {"content": half}, "finish_reason": finish}]})
    for body in (whole(half, finish=finish), f"data: {piece}\n\ndata: [DONE]\n\n".encode()):
        with pytest.raises(OddReply, match=f"broke the answer off .finish_reason {finish}"):
            read(body)


def test_comments_names_and_blank_lines_of_a_stream_say_nothing():
    body = b": ping\n\nevent: message\nid: 3\nretry: 5\n" + stream(TEXT) + b"\n\n: bye\n"
    assert read(body).text == TEXT


def test_it_is_known_when_the_first_word_came():
    reader = ReplyReader()
    reader.feed(b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n')
    assert not reader.begun
    reader.feed(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
    assert reader.begun


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"<html><body>Welcome</body></html>", "a page of HTML"),
        (b"<!DOCTYPE html>\n<title>504</title>", "a page of HTML"),
        (b"upstream connect error", "not JSON: 'upstream connect error'"),
        (b"\xff\xfe\x00\x01", "not JSON"),
        (b"null", "not a chat completion"),
        (b"[]", "not a chat completion"),
        (b"{}", "no choices"),
        (b'{"choices": null}', "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": 7}', "choices are something else"),
        (b'{"choices": {"0": {}}}', "choices are something else"),
        (b'{"choices": [null]}', "choices are something else"),
        (b'{"choices": [{}]}', "no message"),
        (b'{"choices": [{"message": null}]}', "no message"),
        (b'{"choices": [{"message": "Paris"}]}', "no message"),
        (whole(7), "its content is a int"),
        (whole({"text": "Paris"}), "its content is a dict"),
        (whole(["Paris"]), "a list without any text"),
        (b'{"error": {"message": "model\\u001b[31m is loading"}}', "the server says: model is loading"),
        (b'{"error": "busy"}', "the server says: busy"),
        (b'{"object": "error", "message": "no room"}', "the server says: no room"),
        (b'{"error": {"code": 5}}', "the server says: {'code': 5}"),
        (b"[" * 100_000, "not JSON"),
        (b'{"choices": [{"message": {"content": "Par', "not JSON"),
        (b"data: {\n\n", "a piece of the stream is not JSON"),
        (b"data: 7\n\n", "a piece of the stream is not a chat completion"),
        (b"data:\n\n", "a piece of the stream is empty"),
        (b'data: {"error": {"message": "out of memory"}}\n\n', "the server says: out of memory"),
        (b'data: {"choices": {}}\n\n', "ended before"),
        (b'data: {"choices": [7]}\n\n', "choices are something else"),
        (stream(TEXT)[:300], "ended before the answer did"),
        (stream(TEXT)[:301], "ended before the answer did"),
        (b'data: {"choices": [{"delta": {"content": [1]}}]}\n\n', "a list without any text"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_named(body, said):
    for size in (1 << 20, 9):
        with pytest.raises(OddReply) as error:
            read(body, size)
        assert said in str(error.value)
        assert str(error.value).isprintable()
        assert len(str(error.value)) < 300


def test_a_reply_without_end_is_given_up():
    reader = ReplyReader()
    for _ in range(MAX_REPLY_BYTES // 2**20):
        reader.feed(b"x" * 2**20)
    with pytest.raises(OddReply, match="more than 32 MiB"):
        reader.feed(b"x")


def test_what_is_cut_within_a_last_word_is_told_from_an_end():
    body = stream(TEXT)
    for end in range(10, body.index(b'"stop"'), 37):
        with pytest.raises(OddReply, match="ended before the answer did"):
            read(body[:end])


def test_confidence_is_the_probability_of_the_answers_tokens_alone():
    parts = [("<think>x</think>", 0.1), ("<ans", 0.5), ("wer>", 0.5), ("country: France\n", 0.8), ("city: Paris</answer>", 0.5)]
    assert answer_probability([Token(text, math.log(chance)) for text, chance in parts]) == pytest.approx(0.4)


def test_without_an_answer_part_there_is_no_confidence():
    assert answer_probability([Token("country: France", -0.1)]) is None
    assert answer_probability([]) is None


@pytest.mark.parametrize(
    ("logprob", "confidence"),
    [("-0.5", math.exp(-0.5)), ("0", 1.0), ("0.0005", 1.0), ("5", None), ("4.99", None), ("NaN", None), ("Infinity", None),
     ("-Infinity", 0.0), ("-1e400", 0.0), ("null", None), ('"-1"', None), ("true", None), ("[]", None), ("1" + "0" * 400, None)],
)  # fmt: skip
def test_a_log_probability_is_believed_only_if_it_can_be_one(logprob, confidence):
    tokens = f'{{"content": [{{"token": "<answer>", "logprob": -9}}, {{"token": "x", "logprob": {logprob}}}]}}'
    body = f'{{"choices": [{{"message": {{"content": "<answer>x"}}, "logprobs": {tokens}}}]}}'
    assert read(body.encode()).confidence == pytest.approx(confidence)


@pytest.mark.parametrize("logprobs", ["null", "7", "[]", '{"content": null}', '{"content": [null]}', '{"content": {"a": 1}}'])
def test_log_probabilities_in_no_known_form_say_nothing(logprobs):
    body = f'{{"choices": [{{"message": {{"content": "<answer>x"}}, "logprobs": {logprobs}}}]}}'
    assert read(body.encode()).confidence is None


def test_a_stream_that_tells_only_some_log_probabilities_tells_none():
    known, unknown = (stream("<answer>x", logprob).split(b"\n\n") for logprob in (-0.1, None))
    assert read(b"\n\n".join(known)).confidence == pytest.approx(math.exp(-0.1))
    assert read(b"\n\n".join([*known[:2], *unknown[2:]])).confidence is None


@pytest.mark.parametrize("count", ['"7"', "-1", "1.5", "true", "null", "[]", "1e400"])
def test_counts_of_tokens_that_are_none_are_left_out(count):
    body = f'{{"choices": [{{"message": {{"content": "x"}}}}], "usage": {{"prompt_tokens": {count}}}}}'
    assert read(body.encode()).prompt_tokens is None


def test_what_somebody_else_has_read_as_json_reads_the_same():
    body = {"choices": [{"message": {"content": "<answer>x"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 7}}
    assert completed(body) == read(json.dumps(body).encode())
    reader = ReplyReader()
    for block in stream("<answer>x", -0.1).split(b"\n\n"):
        if block.startswith(b"data: {"):
            reader.take(json.loads(block[6:]))
    assert (reader.text, reader.finish()) == ("<answer>x", read(stream("<answer>x", -0.1)))
