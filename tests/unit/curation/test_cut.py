import pytest
from odd_photos import write_odd_photos

from globe.curation.cut import MOST_ANNOTATORS, Shares, check_annotators, cut
from globe.data.recipe import SourceRecipe
from globe.data.shards import dataset_digest
from globe.demo.world import write_world
from globe.errors import InputError


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 100])
@pytest.mark.parametrize("annotators", [1, 3, 7])
def test_each_row_is_in_one_part_of_one_annotator(rows, annotators):
    shares = Shares("digest", rows, 10, annotators, {})
    mine = [part for number in shares.numbers for part in shares.of(number)]
    assert sorted(row for part in mine for row in range(part.first, min(part.end, rows))) == list(range(rows))
    assert all(shares.of(number) for number in shares.numbers)
    assert len(mine) == shares.parts


def test_a_source_is_cut_so_that_every_annotator_has_a_part_if_it_has_rows_enough(tmp_path):
    table = write_odd_photos(tmp_path / "photos", 30)

    def made(annotators, **recipe):
        return cut(source=str(table), recipe=SourceRecipe(**recipe), part_rows=12, annotators=annotators, store=tmp_path)

    assert (made(2).rows, made(2).part_rows, made(2).numbers) == (30, 12, [0, 1])
    assert (made(5).part_rows, made(5).parts) == (6, 5)
    assert made(200).numbers == list(range(30))
    assert (made(2, max_photos=25).rows, made(2, max_photos=25).part_rows) == (24, 8)  # at most 25, in parts of one size
    before = made(2).source
    (table.parent / "0.png").write_bytes((table.parent / "1.png").read_bytes() + b" ")
    assert made(2).source != before


def test_a_dataset_is_known_by_its_digest_and_the_toy_world_is_drawn(tmp_path):
    write_world(tmp_path / "world", pictures=8)
    recipe = SourceRecipe(toy_pictures=8)
    given = cut(source=str(tmp_path / "world"), recipe=recipe, part_rows=5, annotators=1, store=tmp_path / "store")
    digest = dataset_digest(tmp_path / "world")
    assert given == Shares(digest, 8, 5, 1, {"dataset": digest[:16]})
    assert cut(source="toy", recipe=recipe, part_rows=5, annotators=1, store=tmp_path / "store") == given


def test_there_is_at_least_one_annotator_and_not_more_than_teachers_could_answer():
    check_annotators(MOST_ANNOTATORS)
    for count in (0, -1, MOST_ANNOTATORS + 1):
        with pytest.raises(InputError, match=f"annotators: {count}: give 1 to"):
            check_annotators(count)
