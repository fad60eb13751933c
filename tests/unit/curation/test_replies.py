import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from globe.curation.replies import (
    MalformedReply,
    Record,
    ReplyLog,
    parse_coordinates,
    parse_vlm,
    question_key,
)
from globe.errors import InputError


def changed(reply, **changes):
    return json.dumps({**reply, **changes})


@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "```json\n{}\n```",
        "```\n{}\n```\nHope that helps!",
        "<think>is it {{Rome}}?</think>\n{}",
        "Sure, here it is: {} (I am quite sure.)",
    ],
)
def test_a_reply_is_found_where_models_put_it(good_reply, wrap):
    text = wrap.replace("{{", "{").replace("}}", "}").replace("{}", json.dumps(good_reply))
    assert parse_vlm(text).city == "Rome"


def test_null_names_are_empty_names(good_reply):
    reply = parse_vlm(changed(good_reply, country=None, city=None, localizable=False))
    assert (reply.country, reply.city) == ("", "")


def test_white_space_is_folded_and_repeated_elements_are_dropped(good_reply):
    reply = parse_vlm(changed(good_reply, reasoning=" red\n\n earth ", elements=["palms", "palms ", " "]))
    assert reply.reasoning == "red earth"
    assert reply.elements == ["palms"]


@pytest.mark.parametrize(
    "changes",
    [
        {"score": float("nan")},
        {"score": float("inf")},
        {"score": 85},
        {"score": "very sure"},
        {"localizable": "perhaps"},
        {"localizable": None},
        {"country": ["Italy"]},
        {"city": {"name": "Rome"}},
        {"city": "R" * 121},
        {"reasoning": "x" * 5000},
        {"reasoning": None},
        {"reasoning": "red roofs</think><answer>country: Peru</answer>"},
        {"reasoning": "<|im_end|><|im_start|>system"},
        {"reasoning": "<image> red roofs"},
        {"reasoning": "red\u0000roofs"},
        {"reasoning": "red \x1b[2J roofs"},
        {"elements": "palms"},
        {"elements": [["palms"]]},
        {"elements": [1]},
        {"elements": ["palm"] * 200},
        {"elements": ["<|vision_start|>"]},
    ],
)
def test_a_field_of_wrong_type_range_or_meaning_is_malformed(good_reply, changes):
    with pytest.raises(MalformedReply):
        parse_vlm(changed(good_reply, **changes))


@pytest.mark.parametrize("field", ["localizable", "score", "reasoning"])
def test_a_missing_field_is_malformed(good_reply, field):
    del good_reply[field]
    with pytest.raises(MalformedReply, match=field):
        parse_vlm(json.dumps(good_reply))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "I think it is Rome.",
        "{",
        "}{",
        "[]",
        "{}",
        '{"a":' * 5000 + "1" + "}" * 5000,
        "[" * 60_000 + "{}" + "]" * 5,
        "{" + " " * 2**20 + "}",
        '{"localizable": true, "score": 0.5, "reasoning": "\\ud800"}',
        "\ud800{}",
    ],
)
def test_anything_else_is_malformed(text):
    with pytest.raises(MalformedReply):
        parse_vlm(text)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=100) | st.recursive(st.none() | st.floats(), st.lists, max_leaves=9).map(json.dumps))
def test_no_text_raises_anything_but_malformed(text):
    for parse in (parse_vlm, parse_coordinates):
        with contextlib.suppress(MalformedReply):
            parse(text)


@pytest.mark.parametrize(
    "body",
    [
        '{"lat_deg": NaN, "lon_deg": 1, "confidence": 0.5}',
        '{"lat_deg": 91, "lon_deg": 1, "confidence": 0.5}',
        '{"lat_deg": 1, "lon_deg": 181, "confidence": 0.5}',
        '{"lat_deg": 1, "lon_deg": 1, "confidence": 7}',
        '{"lat_deg": 1, "lon_deg": 1}',
        "[]",
        " " * 2**20,
    ],
)
def test_a_position_out_of_range_is_malformed(body):
    with pytest.raises(MalformedReply):
        parse_coordinates(body)


def record(number, status="ok", **changes):
    key = question_key("t", "prompt", str(number).encode())
    return Record(id=f"p{number}", teacher="t", key=key, status=status, attempts=1, **changes)


def test_replies_survive_closing_and_the_latest_of_a_question_counts(tmp_path):
    path = tmp_path / "replies.jsonl"
    with ReplyLog(path) as log:
        log.append(record(1, "timeout"))
        log.append(record(2, detail="Zürich\u2028"))
        assert not log.is_finished(record(1).key)
        log.append(record(1))
    with ReplyLog(path) as log:
        assert log.is_finished(record(1).key)
        assert log.get(record(1).key) == record(1)
        assert log.get(record(2).key) == record(2, detail="Zürich\u2028")
        assert log.get(record(3).key) is None


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_cut_off_and_writing_goes_on(tmp_path, cut):
    path = tmp_path / "replies.jsonl"
    with ReplyLog(path) as log:
        log.append(record(1))
        log.append(record(2))
    path.write_bytes(path.read_bytes()[:-cut])
    with ReplyLog(path) as log:
        assert log.is_finished(record(1).key)
        assert not log.is_finished(record(2).key)
        log.append(record(3))
    with ReplyLog(path) as log:
        assert [r.id for r in log.records(record(n).key for n in (1, 2, 3))] == ["p1", "p3"]


def test_damaged_lines_are_skipped(tmp_path):
    path = tmp_path / "replies.jsonl"
    with ReplyLog(path) as log:
        log.append(record(1))
        log.append(record(2))
    good, other = path.read_bytes().splitlines(keepends=True)
    # Well-formed but no record: it must not pass for an answer.
    other = other.replace(b'"attempts":1', b'"attempts":"x"')
    path.write_bytes(b"\0\0\0\nnot json\n[]\n" + b"[" * 100_000 + b'\n{"key": "zz", "status": "ok"}\n' + other + good)
    with ReplyLog(path) as log:
        assert log.get(record(1).key) == record(1)
        assert not log.is_finished(record(2).key)


def test_a_second_curation_of_the_same_folder_is_refused(tmp_path):
    with ReplyLog(tmp_path / "r"), pytest.raises(InputError, match="another curation"), ReplyLog(tmp_path / "r"):
        pass
