import hashlib

import pytest

from globe.curation.rules.evidence import Evidence
from globe.curation.teachers.questions import (
    RESPONSE_FORMAT,
    Answers,
    about_classes,
    about_pair,
    about_picture,
    pairs_of,
    picture_key,
)
from globe.curation.teachers.replies import AlignmentReply, NoReply, Record, ReplyLog, SegmentationReply, VlmReply
from globe.curation.teachers.teacher import Teacher

VLM_A, VLM_B, VLM_C = (Teacher("vlm", name, "http://h/v1") for name in "abc")
SEGMENTS, ALIGNMENT = (Teacher(kind, kind, "http://h/v1") for kind in ("segmentation", "alignment"))
PICTURES = [hashlib.sha256(name.encode()).digest() for name in ("first", "second")]


def vlm_record(teacher, reasoning, picture=0, **changes):
    reply = VlmReply(**{"localizable": True, "score": 0.9, "reasoning": reasoning, "elements": [], **changes})
    key = about_picture(teacher, "p", PICTURES[picture], "data:").key
    return Record(id="p", teacher=teacher.model, key=key, status="ok", attempts=1, vlm=reply)


def answered(question, teacher, told):
    return Record(id=question.row_id, teacher=teacher.model, key=question.key, status="ok", attempts=1, **question.read(told))


def test_a_schema_asks_for_every_field_of_a_reply_and_for_no_other():
    schema = RESPONSE_FORMAT["json_schema"]["schema"]
    assert set(schema["properties"]) == set(schema["required"]) == set(VlmReply.model_fields)
    assert schema["additionalProperties"] is False


def test_what_a_schema_allows_is_a_reply(good_reply):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(good_reply, RESPONSE_FORMAT["json_schema"]["schema"])
    VlmReply.model_validate(good_reply)


def test_a_question_is_another_one_for_another_model_kind_or_picture_but_not_at_another_url():
    keys = {
        about_picture(Teacher(kind, model, "http://h/v1"), "p", picture, "data:").key
        for kind in ("vlm", "coordinates", "segmentation")
        for model in ("m", "n")
        for picture in PICTURES
    }
    assert len(keys) == 12
    moved = Teacher("vlm", "a", "http://elsewhere/v1")
    assert about_picture(moved, "q", PICTURES[0], "data:").key == about_picture(VLM_A, "p", PICTURES[0], "data:").key


def test_other_weights_under_the_same_name_are_asked_anew():
    keys = []
    for weights in ("", "1f", "2e", "1f"):
        teacher = Teacher("segmentation", "mine", "http://h/v1", weights=weights)
        keys.append((picture_key(teacher, b"picture"), about_classes(teacher).key))
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3
    assert {len({key[number] for key in keys}) for number in (0, 1)} == {3}


def test_the_reasonings_of_those_who_can_locate_a_picture_are_compared_two_by_two():
    records = [vlm_record(VLM_C, "z"), vlm_record(VLM_A, "x"), vlm_record(VLM_B, "y")]
    assert [(pair.between, pair.texts) for pair in pairs_of(records)] == [
        (("a", "b"), ("x", "y")),
        (("a", "c"), ("x", "z")),
        (("b", "c"), ("y", "z")),
    ]
    silent = [vlm_record(VLM_A, "x"), vlm_record(VLM_B, ""), vlm_record(VLM_C, "z", localizable=False)]
    assert not list(pairs_of(silent))


def test_a_score_is_asked_for_once_and_counts_for_whoever_said_the_same_two_texts(tmp_path):
    first = [vlm_record(VLM_A, "red roofs"), vlm_record(VLM_B, "tiles")]
    second = [vlm_record(VLM_B, "red roofs", picture=1), vlm_record(VLM_C, "tiles", picture=1)]
    [pair], [same] = pairs_of(first), pairs_of(second)
    assert pair.key(ALIGNMENT) == same.key(ALIGNMENT)
    with ReplyLog(tmp_path / "r") as log:
        for record in (*first, *second, answered(about_pair(ALIGNMENT, "p", pair), ALIGNMENT, b'{"score": 0.75}')):
            log.append(record)
        answers = Answers([VLM_A, VLM_B, VLM_C, ALIGNMENT], log)
        assert Evidence.of(answers.about(PICTURES[0])).alignments == {("a", "b"): 0.75}
        assert Evidence.of(answers.about(PICTURES[1])).alignments == {("b", "c"): 0.75}


def test_a_segmentation_models_classes_stand_with_each_of_its_replies(tmp_path):
    with ReplyLog(tmp_path / "r") as log:
        log.append(answered(about_classes(SEGMENTS), SEGMENTS, b'{"classes": ["sky", "palm", "sea"]}'))
        log.append(answered(about_picture(SEGMENTS, "p", PICTURES[0], "data:"), SEGMENTS, b'{"shares": {"sky": 0.5}}'))
        [record] = Answers([SEGMENTS], log).about(PICTURES[0])
        assert record.segmentation == SegmentationReply(shares={"sky": 0.5}, known=["sky", "palm", "sea"])
    with pytest.raises(NoReply):
        about_classes(SEGMENTS).read(b'{"labels": []}')


def test_a_pair_is_who_was_compared_whatever_the_server_says():
    [pair] = pairs_of([vlm_record(VLM_A, "x"), vlm_record(VLM_B, "y")])
    told = about_pair(ALIGNMENT, "p", pair).read(b'{"score": -0.5, "between": ["q", "r"]}')
    assert told == {"alignment": AlignmentReply(between=("a", "b"), score=-0.5)}
