"""How much of a data set could be used, and where that is too little."""

import pytest

from globe.data.completeness import Unusable, completeness_of, read_completeness, write_completeness
from globe.errors import InputError

REFUSED = {"duplicate_id": ["x"], "file_missing": [f"p{number}" for number in range(9)]}


def test_rows_are_counted_by_reason_with_the_first_ids(tmp_path):
    record = completeness_of("t", 11, 1, REFUSED, source="https://x", licence="CC0")
    assert record.unusable == {"duplicate_id": Unusable(1, ["x"]), "file_missing": Unusable(9, ["p0", "p1", "p2", "p3", "p4"])}
    assert record.unusable_percent == pytest.approx(100 * 10 / 11)
    assert record.notes()[0] == "9 photos could not be used (file_missing), the first p0"
    write_completeness(tmp_path, record)
    assert read_completeness(tmp_path) == record


def test_rows_that_the_published_table_has_and_this_one_lacks_are_lost_too():
    record = completeness_of("im2gps3k", 2_900, 2_900, {}, 2_997)
    assert record.unusable == {"row_not_in_table": Unusable(97)}
    assert record.unusable_percent == pytest.approx(100 * 97 / 2_997)
    with pytest.raises(InputError, match="im2gps3k: the table has 25600 rows, but im2gps3k has 2997"):
        completeness_of("im2gps3k", 25_600, 25_600, {}, 2_997)


def test_more_lost_than_the_limit_stops_with_one_line_that_says_how_to_allow_it(tmp_path):
    record = completeness_of("t", 11, 1, REFUSED)
    record.check(91, tmp_path)
    with pytest.raises(InputError) as caught:
        record.check(90.9, tmp_path)
    said = str(caught.value)
    assert "\n" not in said
    for part in (
        "10 of 11 rows (90.9%)",
        "9 file_missing (first: p0), 1 duplicate_id (first: x)",
        "--set max_unusable_percent=91",
    ):
        assert part in said


def test_a_reason_that_does_not_say_what_to_do_is_explained_and_what_is_wholly_unusable_cannot_be_allowed(tmp_path):
    record = completeness_of("t", 3, 1, {"position_not_a_number": ["a", "b"]})
    with pytest.raises(InputError, match=r"decimal degrees with a point, .*--set max_unusable_percent=67 "):
        record.check(20, tmp_path)
    for reason, told in (("no_position", "EXIF"), ("bad_id", "rename")):
        with pytest.raises(InputError, match=told) as caught:
            completeness_of("t", 2, 0, {reason: ["a", "b"]}).check(20, tmp_path)
        assert "--set" not in str(caught.value)


def test_a_dataset_without_a_record_has_none_and_a_damaged_one_is_named(tmp_path):
    assert read_completeness(tmp_path) is None
    for content in ("{", "[" * 99_999, "[]", '{"unusable": {"a": {"m": 1}}}', '{"unusable": {}, "other": 1}'):
        (tmp_path / "completeness.json").write_text(content)
        with pytest.raises(InputError, match=r"completeness\.json: cannot be read"):
            read_completeness(tmp_path)
