import pytest

from globe.curation.progress import Pace, time_left
from globe.data.parts import Part


@pytest.mark.parametrize(
    ("spent_s", "done", "to_do", "told"),
    [
        (29.0, 100, 900, ""),  # too early to say
        (60.0, 100, 1000, ", about 10 min left"),
        (3600.0, 1000, 2100, ", about 2 h 6 min left"),
        (60.0, 100, 1, ", about 1 min left"),
        (60.0, 100, 0, ""),
        (60.0, 0, 100, ""),
    ],
)
def test_time_left_is_told_once_the_pace_says_something(spent_s, done, to_do, told):
    assert time_left(spent_s, done, to_do) == told


def test_what_a_part_tells_is_told_of_the_whole():
    calls = []
    pace = Pace(lambda *call: calls.append(call), total=50, parts=3)
    pace.begin(Part(1, 20))
    pace.reading(7)
    pace.asking()(3, 20, "6 replies")
    pace.begin(Part(2, 20))
    pace.asking()(10, 10, "20 replies")
    pace.merging(30, 50, "20 kept")
    assert calls == [
        (20, 50, "part 2 of 3: 7 pictures read"),
        (23, 50, "part 2 of 3: 6 replies"),
        (50, 50, "part 3 of 3: 20 replies"),
        (30, 50, "20 kept"),
    ]


def test_a_source_of_one_part_is_not_said_to_have_parts():
    calls = []
    Pace(lambda *call: calls.append(call), total=5, parts=1).asking()(5, 5, "10 replies")
    assert calls == [(5, 5, "10 replies")]
