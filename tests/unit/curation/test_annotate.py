import json
from pathlib import Path

from globe.curation.annotate import annotate
from globe.curation.asking import Share
from globe.curation.named import SIMULATED
from globe.curation.recipe import CurationRecipe
from globe.data.shards import read_dataset
from globe.demo.world import write_world


def test_a_parts_pictures_are_asked_of_every_teacher_once(tmp_path):
    world = tmp_path / "world"
    write_world(world, pictures=16)
    share = Share(0, 2)
    result = annotate(data=world, teachers=SIMULATED, recipe=CurationRecipe(timeout_s=1.0), share=share, store=tmp_path / "store")
    mine = {row.id for row in read_dataset(world) if share.has(row.id)}
    replies = [json.loads(line) for line in Path(result.outcome.outputs["replies"]).read_text().splitlines()]
    assert sorted((reply["id"], reply["teacher"]) for reply in replies) == sorted(
        (row_id, teacher) for row_id in mine for teacher in ("toy-vlm-a", "toy-vlm-b", "toy-coordinates")
    )
    assert result.outcome.figure == f"part 1 of 2: {len(mine)} pictures"


def test_the_same_replies_serve_whatever_becomes_of_them_later(tmp_path):
    world = tmp_path / "world"
    write_world(world, pictures=6)

    def key(**values):
        recipe = CurationRecipe(timeout_s=1.0, **values)
        return annotate(data=world, teachers=SIMULATED, recipe=recipe, share=Share(0, 1), store=tmp_path / "store").key

    assert key() == key(min_score=0.9, agree_km=10.0, test_share=0.5)
    assert key() != key(max_side_px=512)
