"""The stages `annotate` and `curation` by hand, with the toy world's teachers."""

import json
from pathlib import Path

import pytest

from globe.curation.annotate import annotate
from globe.curation.asking import Share
from globe.curation.curation import SETS, curation, given
from globe.curation.named import SIMULATED
from globe.curation.recipe import CurationRecipe
from globe.data.shards import count_rows
from globe.demo.world import write_world
from globe.errors import InputError

RECIPE = CurationRecipe(timeout_s=1.0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=24)
    return folder


@pytest.fixture(scope="module")
def curated(world, tmp_path_factory):
    """A curation whose pictures two annotators had asked about before, and their results."""
    store = tmp_path_factory.mktemp("store")
    parts = [annotate(data=world, teachers=SIMULATED, recipe=RECIPE, share=Share(index, 2), store=store) for index in (0, 1)]
    replies = [Path(part.outcome.outputs["replies"]) for part in parts]
    result = curation(data=world, teachers=SIMULATED, recipe_name="demo", recipe=RECIPE, store=store, replies=replies)
    return store, parts, result


def test_annotators_share_the_pictures_between_them(curated):
    _, parts, _ = curated
    assert sum(part.outcome.figures["pictures"] for part in parts) == 24
    assert [part.outcome.figure for part in parts] == [
        f"part {number} of 2: {part.outcome.figures['pictures']} pictures" for number, part in enumerate(parts, start=1)
    ]


def test_a_curation_uses_what_annotators_were_told(curated):
    _, parts, result = curated
    told = {line for part in parts for line in Path(part.outcome.outputs["replies"]).read_text().splitlines()}
    used = Path(result.outcome.outputs["data"], "replies.jsonl").read_text().splitlines()
    keys = {json.loads(line)["key"] for line in used}
    assert keys == {json.loads(line)["key"] for line in told}


def test_its_figures_and_its_line_say_what_was_kept(curated):
    figures = curated[2].outcome.figures
    assert figures["in"] == 24
    assert curated[2].outcome.figure.startswith(f"{figures['kept']} of 24 kept; ")
    assert curated[2].outcome.figure.endswith("of right ones kept")


def test_a_curated_folder_can_be_given_instead(curated, tmp_path):
    data = curated[2].outcome.outputs["data"]
    result = given(uri=data, store=tmp_path)
    assert result.outcome.outputs == {"data": data}
    assert result.outcome.figures == {
        "in": sum(count_rows(Path(data) / name) for name in SETS),
        "kept": count_rows(Path(data) / "sft"),
    }


def test_a_folder_that_lacks_a_set_is_refused(world, tmp_path):
    with pytest.raises(InputError, match=r"start_from curation: .*no dataset sft there"):
        given(uri=str(world), store=tmp_path)
