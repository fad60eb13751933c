from report_inputs import LYON, PARIS, TOKYO, answered

from globe.report.answers import Prediction, choose, confusions, prediction_of, statuses, surest_errors


def shown(*records: dict) -> list[Prediction]:
    return [prediction_of(record) for record in records]


def test_what_is_shown_is_the_models_reasoning_or_all_it_said() -> None:
    found = shown(answered(0, PARIS, "red earth"), answered(1, None, "palm <answer>", "not_parsed"))
    assert [one.reasoning for one in found] == ["red earth", "palm <answer>"]
    assert [one.kind for one in found] == ["right", "unplaced"]


def test_errors_are_ranked_by_how_often_then_by_how_far() -> None:
    found = shown(answered(0, LYON), answered(1, LYON), answered(2, TOKYO), answered(6, TOKYO))
    assert confusions(found) == [
        ("Paris, France", "Lyon, France", 2, 392.2),
        ("Paris, France", "Tokyo, Japan", 1, 9711.6),
    ]


def test_right_answers_are_chosen_from_different_places_first() -> None:
    found = shown(*(answered(i, PARIS if i < 6 else TOKYO) for i in range(12)))
    assert [one.id for one in choose(found, right=3, wrong=3, unplaced=3)] == ["p0", "p10", "p1"]


def test_errors_are_chosen_by_distance() -> None:
    found = shown(answered(0, LYON), answered(1, TOKYO), answered(6, PARIS))
    assert [one.id for one in choose(found, right=0, wrong=2, unplaced=0)] == ["p1", "p6"]


def test_a_status_nobody_knows_is_counted_too() -> None:
    found = shown(answered(0, PARIS), answered(1, None, "", "new_status"), answered(2, None, "", "call_failed"))
    assert statuses(found) == [("ok", 1), ("call_failed", 1), ("new_status", 1)]


def test_a_country_alone_is_never_right_however_near_its_point_is() -> None:
    (found,) = shown(answered(0, PARIS) | {"level": "country"})
    assert (found.distance_km, found.kind) == (0.0, "wrong")


def test_the_surest_errors_are_wrong_places_by_confidence() -> None:
    wrong = [answered(i, LYON) | {"confidence": sure} for i, sure in ((0, 0.4), (1, 0.9), (2, None), (3, 7.0))]
    others = [answered(4, PARIS) | {"confidence": 1.0}, answered(5, LYON) | {"confidence": 1.0, "level": "country"}]
    found = shown(*wrong, *others)
    assert [one.id for one in surest_errors(found, 5)] == ["p1", "p0"]
    assert [one.id for one in choose(found, right=0, wrong=0, unplaced=0, sure=1)] == ["p1"]


def test_agreement_serves_as_confidence_where_no_probability_is_known() -> None:
    (found,) = shown(answered(0, PARIS) | {"confidence": None, "agreement": 0.75})
    assert found.confidence == 0.75
