import random

from globe.curation.duplicates import Duplicates


def test_a_row_repeats_another_by_its_id_or_its_picture_be_that_a_repeat_or_not():
    with Duplicates() as found:
        rows = [("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"2"), ("c", b"4"), ("d", b"3")]
        reasons = [found.repeats(*row) for row in rows]
        assert reasons == ["", "", "duplicate_id", "duplicate_picture", "duplicate_id", "duplicate_picture"]
        assert [found.add_sent(digest) for digest in (b"1", b"1")] == [True, False]


def test_what_was_noted_is_found_by_the_rows_number():
    noted = {number: random.Random(number).choice(["duplicate_id", "duplicate_picture"]) for number in range(3, 500, 7)}
    with Duplicates() as found:
        for number, reason in noted.items():
            found.note(number, reason)
        assert [found.reason(number) for number in range(600)] == [noted.get(number, "") for number in range(600)]
