from globe.curation.rules.evidence import Evidence
from globe.curation.teachers.replies import AlignmentReply, CoordinateReply, Record, SegmentationReply, VlmReply

VLM = VlmReply(localizable=True, score=1, reasoning="")
POSITION = CoordinateReply(lat_deg=1, lon_deg=2, confidence=0.5)
SEGMENTS = SegmentationReply(shares={"sky": 0.5})


def record(teacher, status="ok", **reply):
    return Record(id="x", teacher=teacher, key="00", status=status, attempts=1, **reply)


def test_replies_are_sorted_by_the_kind_of_model_and_those_that_failed_are_left_out():
    records = [
        record("b", vlm=VLM),
        record("geo", coordinates=POSITION),
        record("a", vlm=VLM),
        record("eyes", segmentation=SEGMENTS),
        record("pairs", alignment=AlignmentReply(between=("a", "b"), score=0.7)),
        record("c", status="timeout"),
    ]
    found = Evidence.of(records)
    assert found == Evidence({"b": VLM, "a": VLM}, {"geo": POSITION}, {"eyes": SEGMENTS}, {("a", "b"): 0.7})
    assert found.models == ("b", "a", "geo")
    assert Evidence.of([]) == Evidence()
