import pytest

from globe.curation.measure import Measure
from globe.curation.rules.verify import Annotation, Verdict
from globe.curation.teachers.replies import VlmReply
from globe.demo.truth import load_truth
from globe.demo.world import write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=40)
    return folder


def reply(truth, **changes):
    values = {"localizable": True, "score": 0.9, "country": truth.country, "city": truth.city}
    return VlmReply(**{**values, "reasoning": ", ".join(truth.cues), "elements": truth.cues, **changes})


def verdict(accepted):
    annotation = Annotation(() if accepted else ("entity_not_seen",), (), 0.9)
    return Verdict(True, {"a": annotation}, "a" if accepted else None, "a", "kept", ())


def counted(world, accepted=True, localizable=True, **changes):
    measure = Measure.of(world)
    row_id, truth = next((row_id, truth) for row_id, truth in load_truth(world).items() if truth.localizable == localizable)
    measure.add(row_id, {"a": reply(truth, **changes)}, verdict(accepted))
    return {key: value for key, value in measure.figures().items() if value}


def test_a_source_that_is_no_toy_world_is_not_measured(tmp_path):
    assert Measure.of(tmp_path) is None


def test_an_annotation_true_in_place_and_cues_is_right(world):
    assert counted(world) == {"right_annotations": 1, "right_kept": 1, "right_kept_share": 1.0}
    assert counted(world, accepted=False) == {"right_annotations": 1}


@pytest.mark.parametrize(
    "changes",
    [{"city": "Atlantis"}, {"country": "Atlantis"}, {"localizable": False}, {"reasoning": "snow, sand, water, red earth"}],
)
def test_one_that_names_another_place_or_an_invented_cue_is_wrong(world, changes):
    assert counted(world, accepted=False, **changes) == {"wrong_annotations": 1, "wrong_removed": 1, "wrong_removed_share": 1.0}
    assert counted(world, **changes) == {"wrong_annotations": 1}


def test_a_cue_that_is_denied_is_not_invented(world):
    truth = next(truth for truth in load_truth(world).values() if truth.localizable)
    reasoning = f"{', '.join(truth.cues)}. There are no cacti, oaks, palms or pines."
    assert counted(world, reasoning=reasoning) == {"right_annotations": 1, "right_kept": 1, "right_kept_share": 1.0}


def test_of_an_unlocatable_picture_it_is_right_to_say_so(world):
    measure = Measure.of(world)
    row_id, truth = next((row_id, truth) for row_id, truth in load_truth(world).items() if not truth.localizable)
    measure.add(row_id, {"a": reply(truth, localizable=False, country="", city="")}, verdict(True))
    measure.add(row_id, {"a": reply(truth)}, verdict(False))
    assert (measure.right_kept, measure.wrong_removed) == (1, 1)
