"""Many things at once: answers in order, and an end after the first failure."""

import time

import pytest

from globe.storage.effort import Effort
from globe.storage.transfer import FILES_AT_ONCE, Fetching, for_all
from globe.storage.uris import Uri


def test_answers_come_in_the_order_of_the_items():
    assert for_all(lambda number: number * 2, list(range(50)), Effort()) == [number * 2 for number in range(50)]
    assert for_all(str, [], Effort()) == []


def test_after_a_failure_no_more_is_begun_and_after_ctrl_c_what_is_under_way_is_called_off():
    effort, begun = Effort(), []

    def fails(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)  # files take a while; the threads must not be through with all before the caller is awake
        raise KeyboardInterrupt if number == 0 else ValueError("on purpose")

    with pytest.raises(KeyboardInterrupt):
        for_all(fails, [0], effort)
    assert effort.stop.is_set()
    with pytest.raises(ValueError, match="on purpose"):
        for_all(fails, list(range(1, 1000)), Effort())
    assert len(begun) < 1000 - FILES_AT_ONCE


def test_a_fetched_file_counts_when_it_is_as_long_and_has_the_hash_that_was_promised(tmp_path):
    file = tmp_path / "x"
    file.write_text("x")
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    promised = [(1, ""), (1, sha256), (2, ""), (1, "0" * 64)]
    met = [Fetching(Uri("b", "x"), file, size, digest).is_met_by(file) for size, digest in promised]
    assert met == [True, True, False, False]
