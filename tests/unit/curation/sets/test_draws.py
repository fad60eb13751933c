import random

import pytest

from globe.curation.sets.draws import RANKS, Draw, rank


@pytest.mark.parametrize("limit", [0, 1, 700, 20_000])
def test_the_lowest_ranks_are_found_among_any_number(limit):
    ranks = [rank(0, "row", f"p{n}") for n in range(20_000)]
    random.Random(1).shuffle(ranks)
    draw = Draw(limit)
    taken = {place for place in ranks if draw.offer(place)}
    lowest = sorted(ranks)[: limit or None]
    assert draw.count == len(lowest)
    assert set(lowest) <= taken
    for count in (1, draw.count // 2 or 1, draw.count):
        assert draw.highest(count) == lowest[count - 1]
    assert draw.highest(0) == -1


def test_what_cannot_be_among_the_lowest_is_refused_at_once_so_little_is_kept():
    draw = Draw(100)
    taken = sum(draw.offer(rank(0, "row", f"p{n}")) for n in range(100_000))
    assert taken < 10_000


def test_a_rank_depends_on_seed_purpose_and_id_and_is_spread_evenly():
    assert len({rank(0, "row", "a"), rank(1, "row", "a"), rank(0, "lent", "a"), rank(0, "row", "b")}) == 4
    low = sum(rank(0, "row", f"p{n}") < 0.2 * RANKS for n in range(10_000))
    assert 1850 < low < 2150
