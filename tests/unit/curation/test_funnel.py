from xml.etree import ElementTree

import pytest

from globe.curation.funnel import FunnelRow, funnel, funnel_lines, funnel_of, funnel_table, removed, write_funnel

RESULT = {
    "in": 100,
    "kept": 40,
    "dropped": {"entity_not_seen": 30, "wrong_place": 5, "not_localizable": 15, "near_duplicate_of_test": 4},
    "quarantined": {"picture_not_readable": 6, "no_country": 0},
}


def test_the_funnel_leads_from_all_to_kept():
    rows = funnel(100, [("broken", 10), ("wrong", 20)], 65, "not counted")
    assert [(row.name, row.count, row.left, row.width) for row in rows] == [
        ("pictures in", 100, 0, 100),
        ("not counted", 5, 95, 5),
        ("broken", 10, 85, 10),
        ("wrong", 20, 65, 20),
        ("passed every check", 65, 0, 65),
    ]


def test_pictures_leave_in_the_order_in_which_the_rules_are_applied_however_many_each_drops():
    assert removed(RESULT) == [
        ("picture not readable", 6),
        ("not localizable", 15),
        ("wrong place", 5),
        ("entity not seen", 30),
        ("near duplicate of test", 4),
    ]


def test_what_leaves_and_what_stays_is_what_came_in():
    first, *steps = funnel_of(RESULT)
    assert first == FunnelRow("pictures in", "all", 100, 0.0, 100.0)
    assert sum(row.count for row in steps) == first.count
    assert not any(row.kind == "rest" for row in steps)


@pytest.mark.parametrize("result", [{}, {"in": 0, "kept": 0}])
def test_the_funnel_of_nothing_is_empty(result):
    assert funnel_of(result) == []
    assert list(funnel_lines(result)) == []


def test_a_terminal_shows_a_line_for_each_step_with_its_count_and_share():
    lines = list(funnel_lines(RESULT))
    assert len(lines) == len(funnel_of(RESULT))
    assert lines[0].split()[:4] == ["pictures", "in", "100", "100.0%"]
    assert lines[-1].split()[:5] == ["passed", "every", "check", "40", "40.0%"]
    assert len({line.index("%") for line in lines}) == 1


def test_the_table_and_the_picture_beside_the_result_have_every_step(tmp_path):
    write_funnel(tmp_path, RESULT)
    assert (tmp_path / "funnel.md").read_text() == funnel_table(RESULT) + "\n"
    picture = ElementTree.parse(tmp_path / "funnel.svg").getroot()
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    bars = [float(rect.get("width")) for rect in picture.iter("{http://www.w3.org/2000/svg}rect")]
    rows = funnel_of(RESULT)
    assert texts == [text for row in rows for text in (row.name, f"{row.signed_count} ({row.width:.1f}%)")]
    assert [width / bars[0] for width in bars] == pytest.approx([row.width / 100 for row in rows], abs=1e-3)


def test_a_reason_from_a_folder_that_somebody_gave_does_nothing_to_the_table_or_the_picture(tmp_path):
    hostile = {"in": 2, "kept": 1, "dropped": {"<script>alert(1)</script>|\n\x1b[2J": 1}}
    write_funnel(tmp_path, hostile)
    ElementTree.parse(tmp_path / "funnel.svg")
    assert "<script" not in (tmp_path / "funnel.svg").read_text() + (tmp_path / "funnel.md").read_text()
    assert len((tmp_path / "funnel.md").read_text().splitlines()) == 5
    assert "\x1b" not in "".join(funnel_lines(hostile))
