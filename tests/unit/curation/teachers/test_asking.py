import hashlib
import io
import json
import time
from collections import Counter

import pytest
from PIL import Image

from globe.curation.recipe import CurationRecipe
from globe.curation.rules.evidence import Evidence
from globe.curation.teachers.asking import BATCH_ROWS, ask_teachers
from globe.curation.teachers.questions import Answers
from globe.curation.teachers.replies import ReplyLog, SegmentationReply
from globe.curation.teachers.teacher import Teacher
from globe.data.images import data_url, reencode
from globe.data.pictures import UNREADABLE
from globe.data.shards import read_dataset, write_dataset
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError


def test_every_picture_is_asked_about_once_and_what_the_log_has_is_not_asked_again(serve, good_reply, tmp_path):
    write_world(tmp_path / "world", pictures=10)
    first, *others = read_dataset(tmp_path / "world")
    rows = [first, *others, first.model_copy(update={"id": "again"})]
    write_dataset(tmp_path / "source", rows)
    content = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda path, body: (200, {}, content))
    teachers = [Teacher("vlm", "a", server.url)]
    figures = []
    with ReplyLog(tmp_path / "replies.jsonl") as log:
        for _ in range(2):
            asked = ask_teachers(tmp_path / "source", teachers, CurationRecipe(), log, lambda *call: figures.append(call))
            assert (asked.rows, list(asked.digests), asked.quarantined) == (11, [row.id for row in rows], {})
    assert asked.digests["again"] == asked.digests[first.id]
    assert len(server.requests) == 10
    assert figures[-1] == (11, 11, "0 replies, 0 unusable, 10 from before")


def test_pictures_are_told_of_in_the_datasets_order_however_long_each_takes_to_prepare(serve, good_reply, tmp_path):
    write_world(tmp_path / "world", pictures=5 * BATCH_ROWS)
    rows = list(read_dataset(tmp_path / "world"))
    large = io.BytesIO()
    Image.effect_noise((2400, 1800), 40).save(large, "PNG")
    rows[0] = rows[0].model_copy(update={"image": large.getvalue()})
    damaged = rows[BATCH_ROWS + 1] = rows[BATCH_ROWS + 1].model_copy(update={"image": rows[BATCH_ROWS + 1].image[:100]})
    write_dataset(tmp_path / "source", rows)
    content = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda path, body: (200, {}, content))
    with ReplyLog(tmp_path / "replies.jsonl") as log:
        asked = ask_teachers(tmp_path / "source", [Teacher("vlm", "a", server.url)], CurationRecipe(), log, lambda *call: None)
    sendable = [row for row in rows if row is not damaged]
    assert list(asked.digests.items()) == [(row.id, hashlib.sha256(reencode(row.image)).digest()) for row in sendable]
    assert asked.quarantined == {damaged.id: UNREADABLE}
    assert len(server.requests) == len(set(asked.digests.values()))


def witnesses(good_reply):
    """Answers as two VLMs and three witnesses behind one URL."""

    def answer(path, body):
        if path == "/v1/segmentation/classes":
            return 200, {}, json.dumps({"classes": ["sky", "road", "building"]}).encode()
        told = {
            "/v1/coordinates": {"lat_deg": 41.9, "lon_deg": 12.5, "confidence": 0.8},
            "/v1/segmentation": {"shares": {"sky": 0.25}},
            "/v1/alignment": {"score": 0.5 if body.get("texts") == ["cobbles by a", "cobbles by b"] else -1},
        }.get(path)
        if told is None:
            content = json.dumps({**good_reply, "reasoning": f"cobbles by {body['model']}"})
            told = {"choices": [{"message": {"content": content}}]}
        return 200, {}, json.dumps(told).encode()

    return answer


def test_every_kind_of_teacher_is_asked_what_it_is_for_and_once(serve, good_reply, tmp_path):
    write_world(tmp_path / "world", pictures=6)
    server = serve(witnesses(good_reply))
    kinds = [("vlm", "a"), ("vlm", "b"), ("coordinates", "c"), ("segmentation", "s"), ("alignment", "l")]
    teachers = [Teacher(kind, name, server.url) for kind, name in kinds]
    with ReplyLog(tmp_path / "replies.jsonl") as log:
        for _ in range(2):
            asked = ask_teachers(tmp_path / "world", teachers, CurationRecipe(), log, lambda *call: None)
        found = [Evidence.of(Answers(teachers, log).about(digest)) for digest in asked.digests.values()]
    paths = Counter(path for path, _, _ in server.requests)
    # The two reasonings are the same for all pictures, so they are compared once.
    assert paths == {
        "/v1/segmentation/classes": 1,
        "/v1/chat/completions": 12,
        "/v1/coordinates": 6,
        "/v1/segmentation": 6,
        "/v1/alignment": 1,
    }
    assert len(found) == 6
    for evidence in found:
        assert sorted(evidence.vlms) == ["a", "b"]
        assert evidence.positions["c"].lat_deg == 41.9
        assert evidence.segments["s"] == SegmentationReply(shares={"sky": 0.25}, known=["sky", "road", "building"])
        assert evidence.alignments == {("a", "b"): 0.5}


def test_what_fails_is_asked_again_when_all_else_has_been_and_only_then_a_models_nonsense_counts(serve, good_reply, tmp_path):
    write_world(tmp_path / "world", pictures=30)
    calls = Counter()

    def answer(path, body):
        picture = body["messages"][0]["content"][0]["image_url"]["url"]
        calls[picture] += 1
        number = list(calls).index(picture)
        if number == 0:
            return 502, {}, b""
        if number == 1 or (number == 2 and calls[picture] == 1):
            return 200, {}, json.dumps({"choices": [{"message": {"content": "I cannot tell."}}]}).encode()
        return 200, {}, json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()

    teachers = [Teacher("vlm", "a", serve(answer).url)]
    recipe = CurationRecipe(retries=0, rounds=2, concurrency=1)
    with ReplyLog(tmp_path / "replies.jsonl") as log:
        asked = ask_teachers(tmp_path / "world", teachers, recipe, log, lambda *call: None)
        found = Counter(record.status for digest in asked.digests.values() for record in Answers(teachers, log).about(digest))
        assert found == {"ok": 28, "malformed": 1, "failed": 1}
        assert asked.unanswered == 1
        assert sorted(calls.values()) == 27 * [1] + 3 * [2]
        before = dict(calls)
        ask_teachers(tmp_path / "world", teachers, recipe, log, lambda *call: None)
    assert {picture: calls[picture] - before[picture] for picture in calls if calls[picture] > before[picture]} == {
        next(iter(calls)): 2
    }


@pytest.mark.parametrize("killed_after", [10, 40, 59])
def test_a_pass_that_goes_on_is_not_ended_by_what_never_works_and_ends_as_one_left_alone(
    serve, good_reply, tmp_path, killed_after
):
    """Of 60 pictures 12 are always refused: not too many of all, but all that a pass which goes on asks first."""
    write_world(tmp_path / "world", pictures=60)
    refused = {data_url(reencode(row.image)) for number, row in enumerate(read_dataset(tmp_path / "world")) if number % 5 == 4}

    def answer(path, body):
        if body["messages"][0]["content"][0]["image_url"]["url"] in refused:
            return 400, {}, b"{}"
        return 200, {}, json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()

    def kill(done, total, figure):
        if done == killed_after:
            raise GlobeError("ended here")

    server = serve(answer)
    teachers, recipe = [Teacher("vlm", "a", server.url)], CurationRecipe(retries=0, concurrency=4)

    def asked_by(name, report=lambda *call: None):
        with ReplyLog(tmp_path / name) as log:
            asked = ask_teachers(tmp_path / "world", teachers, recipe, log, report)
            found = {digest: [one.status for one in Answers(teachers, log).about(digest)] for digest in asked.digests.values()}
        return asked, found

    alone = asked_by("alone.jsonl")
    assert (alone[0].unanswered, len(server.requests)) == (12, 72)
    with pytest.raises(GlobeError, match="ended here"):
        asked_by("killed.jsonl", kill)
    assert asked_by("killed.jsonl") == alone


def test_a_segmentation_model_that_does_not_say_what_it_knows_stops_the_run_before_any_picture_is_sent(serve, tmp_path):
    write_world(tmp_path / "world", pictures=6)
    server = serve(lambda path, body: (404, {}, b"{}"))
    teachers = [Teacher("vlm", "a", server.url), Teacher("segmentation", "s", server.url)]
    with ReplyLog(tmp_path / "replies.jsonl") as log, pytest.raises(InputError, match=r"teacher s at .* \(HTTP status 404\)"):
        ask_teachers(tmp_path / "world", teachers, CurationRecipe(), log, lambda *call: None)
    assert {path for path, _, _ in server.requests} == {"/v1/segmentation/classes"}


def test_a_failure_ends_every_call_under_way_and_leaves_nothing_behind(serve, good_reply, tmp_path, caplog):
    """The other teacher's calls last long: they are given up, not left to run on against a closed connection and log."""
    write_world(tmp_path / "world", pictures=30)
    slow = serve(lambda path, body: time.sleep(0.5) or (200, {}, b"{}"))
    dead = serve(lambda path, body: (401, {}, b"{}"))
    teachers = [Teacher("vlm", "a", slow.url), Teacher("vlm", "b", dead.url)]
    with ReplyLog(tmp_path / "replies.jsonl") as log, pytest.raises(InputError, match=r"teacher b at .* \(HTTP status 401\)"):
        ask_teachers(tmp_path / "world", teachers, CurationRecipe(concurrency=30), log, lambda *call: None)
    assert {json.loads(line)["teacher"] for line in (tmp_path / "replies.jsonl").read_text().splitlines()} <= {"b"}
    assert not caplog.records
