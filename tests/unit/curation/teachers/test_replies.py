import contextlib
import json
import os
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from globe.curation.teachers import replies
from globe.curation.teachers.replies import (
    AlignmentReply,
    CoordinateReply,
    MalformedReply,
    NoReply,
    Record,
    ReplyLog,
    SegmentationReply,
    parse_vlm,
    parse_witness,
    question_key,
)
from globe.errors import GlobeError, InputError


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
def test_no_text_raises_anything_else(text):
    with contextlib.suppress(MalformedReply):
        parse_vlm(text)
    for model in (CoordinateReply, SegmentationReply, AlignmentReply):
        with contextlib.suppress(MalformedReply, NoReply):
            parse_witness(model, text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (CoordinateReply, '{"lat_deg": NaN, "lon_deg": 1, "confidence": 0.5}'),
        (CoordinateReply, '{"lat_deg": 91, "lon_deg": 1, "confidence": 0.5}'),
        (CoordinateReply, '{"lat_deg": 1, "lon_deg": 181, "confidence": 0.5}'),
        (CoordinateReply, '{"lat_deg": 1, "lon_deg": 1, "confidence": 7}'),
        (SegmentationReply, '{"shares": {"sky": 1.5}}'),
        (SegmentationReply, '{"shares": {"sky": NaN}}'),
        (SegmentationReply, '{"shares": {"<image>": 0.5}}'),
        (SegmentationReply, json.dumps({"shares": {"c" * 121: 0.5}})),
        (SegmentationReply, json.dumps({"shares": {f"class {number}": 0.0 for number in range(5000)}})),
        (SegmentationReply, '{"shares": ["sky"]}'),
        (AlignmentReply, '{"between": ["a", "b"], "score": 1.01}'),
        (AlignmentReply, '{"between": ["a", "b"], "score": "much"}'),
    ],
)
def test_a_witness_that_says_what_cannot_be_is_malformed(model, body):
    with pytest.raises(MalformedReply):
        parse_witness(model, body.encode())


@pytest.mark.parametrize(
    "body", ["[]", " " * 2**20, "{}", "<html>", '{"error": "busy"}', "[" * 100_000, '{"lat_deg": 1, "lon_deg": 1']
)
def test_what_lacks_the_agreed_fields_is_no_witness_at_all(body):
    for model in (CoordinateReply, SegmentationReply, AlignmentReply):
        with pytest.raises(NoReply):
            parse_witness(model, body.encode())


def test_what_the_question_decides_is_not_taken_from_the_reply():
    told = parse_witness(AlignmentReply, b'{"score": 0.5, "between": ["x", "y"]}', between=("a", "b"))
    assert told == AlignmentReply(between=("a", "b"), score=0.5)


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


def test_a_disk_that_takes_no_more_loses_nothing_that_was_written(tmp_path):
    """The kernel cuts a line off in its middle, as a full disk does: RLIMIT_FSIZE stands for the disk's size."""
    path = tmp_path / "replies.jsonl"
    code = (
        "import pathlib, resource, sys\n"
        "from globe.curation.teachers.replies import Record, ReplyLog\n"
        "from globe.errors import GlobeError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with ReplyLog(pathlib.Path(sys.argv[1])) as log:\n"
        "    for number in range(100):\n"
        "        try:\n"
        "            log.append(Record(id='p', teacher='t', key=f'{number:032x}', status='ok', attempts=1))\n"
        "        except GlobeError as error:\n"
        "            print(number, error)\n"
        "            break\n"
        "    assert log.get(f'{number - 1:032x}').id == 'p'\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, capture_output=True, text=True, check=True)
    written, told = done.stdout.split(maxsplit=1)
    assert told.startswith(f"{path}: cannot be written (File too large); mend that, then run again")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == int(written) > 5
    assert all(line.endswith(b"}\n") for line in lines)
    with ReplyLog(path) as log:
        assert all(log.is_finished(f"{number:032x}") for number in range(int(written)))


def test_nobody_is_asked_when_there_is_hardly_room_for_the_replies(tmp_path, monkeypatch):
    disk = os.statvfs(tmp_path)
    with ReplyLog(tmp_path / "r") as log:
        log.check_room()
    monkeypatch.setattr(replies, "LEAST_FREE_BYTES", 2 * disk.f_blocks * disk.f_frsize)
    with ReplyLog(tmp_path / "r") as log, pytest.raises(GlobeError, match=r"left on its disk; free some"):
        log.check_room()


def test_a_key_costs_little_memory(tmp_path):
    count = 20_000
    with ReplyLog(tmp_path / "r") as log:
        tracemalloc.start()
        for number in range(count):
            log.append(record(number))
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert taken / count < 200
        assert log.get(record(count - 1).key) == record(count - 1)
