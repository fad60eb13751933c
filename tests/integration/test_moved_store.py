"""A store made by the real stages, moved or copied: everything is reused, and no path leads back."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from globe.curation.curation import curation
from globe.curation.curation import given as given_curation
from globe.curation.recipe import CurationRecipe
from globe.data.recipe import SourceRecipe
from globe.data.shards import read_dataset
from globe.data.source import source
from globe.models.base_model import base_model
from globe.models.given import given as given_checkpoint
from globe.run import artifacts
from globe.run.stage import StageResult


def stages(store: Path) -> list[StageResult]:
    """A toy world, a model, curated sets, and each of them given to a later run out of the same store."""
    raw = source(source="toy", recipe=SourceRecipe(toy_pictures=60), store=store)
    model = base_model(model="tiny", seed=0, store=store)
    data, recipe = Path(raw.outcome.outputs["data"]), CurationRecipe()
    curated = curation(data=data, teachers="simulated", recipe_name="demo", recipe=recipe, store=store)
    sets = curated.outcome.outputs["data"]
    return [
        raw,
        model,
        curated,
        source(source=sets, recipe=SourceRecipe(), store=store),
        given_curation(uri=sets, store=store),
        given_checkpoint(stage="sft", model=model.outcome.outputs["checkpoint"], store=store),
    ]


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    store = tmp_path_factory.mktemp("original") / "store"
    assert not any(result.reused for result in stages(store))
    return store


@pytest.mark.parametrize("way", ["copied", "moved"])  # in this order: the move takes the original away
def test_a_store_in_another_place_is_reused_and_used_alone(original, tmp_path, way):
    place = tmp_path / "elsewhere" / "store"
    weights = {path: path.read_bytes() for path in original.rglob("*.safetensors")}
    if way == "copied":
        shutil.copytree(original, place)
        for path in weights:
            path.write_bytes(b"no weights any more")
    else:
        place.parent.mkdir()
        shutil.move(original, place)
    found = stages(place)
    if way == "copied":
        for path, content in weights.items():
            path.write_bytes(content)  # whole again for the move, after which it must be what its manifest says
    assert [result.name for result in found if not result.reused] == []
    for result in found:
        assert str(original.parent) not in json.dumps(asdict(result), default=str)
        for output in result.outcome.outputs.values():
            assert Path(output).is_relative_to(place)
    artifacts.write_checkpoint(str(tmp_path / "artifact"), found[-1])
    checkpoint = artifacts.checkpoint(str(tmp_path / "artifact"))
    assert Path(checkpoint.uri).is_relative_to(place)
    assert len(list(read_dataset(Path(found[3].outcome.outputs["data"])))) > 0
