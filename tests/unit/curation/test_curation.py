"""The stage `curation` by hand, with the toy world's teachers: in one go, and of parts that annotators brought."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from odd_photos import write_odd_photos
from odd_teachers import completion_about, picture_in

from globe.curation.annotate import annotate
from globe.curation.curation import SETS, _weights_asked, complete, curation, given, merged
from globe.curation.cut import cut
from globe.curation.recipe import CurationRecipe
from globe.curation.source_part import source_part
from globe.curation.teachers.named import SIMULATED
from globe.data.recipe import SourceRecipe
from globe.data.shards import count_rows, dataset_digest, read_dataset, write_dataset
from globe.data.source import source
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError

RECIPE = CurationRecipe(timeout_s=8.0, concurrency=4)
"""No teacher takes as long, even on a busy machine: then two curations would have asked it again at different times."""
SOURCE = SourceRecipe(toy_pictures=24)
NAMED = {"teachers": SIMULATED, "recipe_name": "demo", "recipe": RECIPE}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=24)
    return folder


@pytest.fixture(scope="module")
def curated(world, tmp_path_factory):
    """A curation of one dataset in one go."""
    store = tmp_path_factory.mktemp("store")
    return store, curation(data=world, store=store, **NAMED)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The same pictures, read and asked about in three parts by two annotators."""
    store = tmp_path_factory.mktemp("parts")
    same = {"source": "toy", "store": store}
    shares = cut(recipe=SOURCE, part_rows=9, annotators=2, **same)
    read = [source_part(recipe=SOURCE, shares=shares, part=part, **same) for mine in shares.numbers for part in shares.of(mine)]
    asking = {"source_recipe": SOURCE, "teachers": SIMULATED, "recipe": RECIPE, **same}
    return store, [(part, annotate(part=part, **asking)) for part in read]


def test_what_annotators_bring_makes_the_same_sets_as_one_curation(curated, parts):
    store, brought = parts
    result = merged(source="toy", parts=brought, source_recipe=SOURCE, store=store, **NAMED)
    one, several = (Path(done.outcome.outputs["data"]) for done in (curated[1], result))
    assert [dataset_digest(one / name) for name in SETS] == [dataset_digest(several / name) for name in SETS]
    for name in ("decisions.jsonl", "curation.json"):
        assert (one / name).read_bytes() == (several / name).read_bytes()
    assert result.outcome.figure == curated[1].outcome.figure
    assert [part.outcome.figures["part"] for part, _ in brought] == [0, 2, 1]


def test_a_witness_of_the_runs_own_is_not_started_to_merge_and_leaves_no_port(serve, tiny_witnesses, tmp_path, monkeypatch):
    """Its weights may be gone by then; and two runs, each of which started it at another port, end the same."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def answer(path, body):
        return 200, {}, completion_about(body["model"], picture_in(body))

    folder = tmp_path / "tiny-segmenter"
    shutil.copytree(tiny_witnesses.segmentation, folder)
    url, table = serve(answer).url, str(write_odd_photos(tmp_path / "photos", 12))
    named = NAMED | {"teachers": f"a@{url},b@{url},segmentation:{folder}"}
    source_recipe = SourceRecipe(max_unusable_percent=90.0)
    same = {"source": table, "store": tmp_path / "store"}
    alone = source(source=table, recipe=source_recipe, store=tmp_path / "alone").outcome.path("data")
    expected = curation(data=alone, store=tmp_path / "alone", **named)
    shares = cut(recipe=source_recipe, part_rows=12, annotators=1, **same)
    (part,) = (source_part(recipe=source_recipe, shares=shares, part=one, **same) for one in shares.of(0))
    asking = {"source_recipe": source_recipe, "teachers": named["teachers"], "recipe": RECIPE}
    asked = annotate(part=part, **asking, **same)
    for path in folder.iterdir():
        path.unlink()
    result = merged(parts=[(part, asked)], source_recipe=source_recipe, **same, **named)
    one, other = (Path(done.outcome.outputs["data"]) for done in (expected, result))
    figures = [json.loads((data / "curation.json").read_text()) for data in (one, other)]
    assert figures[0]["teachers"] == figures[1]["teachers"]
    assert list(figures[0]["teachers"]) == [f"a@{url}", f"b@{url}", "segmentation:tiny-segmenter"]
    assert figures[1]["teachers"]["segmentation:tiny-segmenter"]["answered"] > 5
    assert [dataset_digest(one / name) for name in SETS] == [dataset_digest(other / name) for name in SETS]
    elsewhere = replace(asked, inputs=asked.inputs | {"segmentation weights": "0" * 64})
    with pytest.raises(GlobeError, match=r"segmentation weights: changed between parts 1 and 2; run the annotators again"):
        _weights_asked([(part, asked), (part, elsewhere)])


def test_a_test_set_that_has_changed_is_guarded_against_anew(world, curated, parts, tmp_path):
    """In one go and of parts: what was curated against its former content is not used again."""
    trained = [row for row in read_dataset(world) if row.split == "train"]
    guarded = NAMED | {"recipe": RECIPE.model_copy(update={"test_sets": [str(tmp_path / "set")]})}
    for row in trained[:2]:
        write_dataset(tmp_path / "set", [row])
        for result in (
            curation(data=world, store=curated[0], **guarded),
            merged(source="toy", parts=parts[1], source_recipe=SOURCE, store=parts[0], **guarded),
        ):
            told = (Path(result.outcome.outputs["data"]) / "decisions.jsonl").read_text().splitlines()
            assert [one["id"] for one in map(json.loads, told) if one.get("test_set") == str(tmp_path / "set")] == [row.id]


def test_a_part_that_is_missing_or_of_another_cut_is_told(parts):
    store, brought = parts
    with pytest.raises(GlobeError, match=r"3 parts of 24 rows are expected, but got: 1, 2; run the annotators again"):
        complete([part for part in brought if part[0].outcome.figures["part"] != 2])
    shares = cut(source="toy", recipe=SOURCE, part_rows=20, annotators=1, store=store)
    other = source_part(source="toy", recipe=SOURCE, shares=shares, part=shares.of(0)[1], store=store)
    with pytest.raises(GlobeError, match="3 parts of 24 rows are expected, but got: 1, 2, 2, 3"):
        complete([*brought, (other, brought[0][1])])


def test_parts_whose_teachers_were_each_others_models_are_not_put_together(serve, tmp_path):
    """Within a part they were two; between the two pods' questions, the address of the first began to lead to the second."""
    behind = {"a": "x", "b": "y"}

    def answer(path, body):
        return 200, {}, completion_about(body["model"], picture_in(body), model=behind[body["model"]])

    source_recipe = SourceRecipe(max_unusable_percent=60.0)
    url, table = serve(answer).url, str(write_odd_photos(tmp_path / "photos", 20))
    same = {"source": table, "store": tmp_path / "store"}
    named = NAMED | {"teachers": f"a@{url},b@{url}"}
    asking = {"source_recipe": source_recipe, "teachers": named["teachers"], "recipe": RECIPE, **same}
    shares = cut(recipe=source_recipe, part_rows=10, annotators=2, **same)
    read = [source_part(recipe=source_recipe, shares=shares, part=part, **same) for part in shares.of(0) + shares.of(1)]
    first = annotate(part=read[0], **asking)
    behind |= {"a": "y", "b": "z"}
    second = annotate(part=read[1], **asking)
    with pytest.raises(InputError, match=r"teachers a and b: both are model y \(replies that were received\)"):
        merged(parts=[(read[0], first), (read[1], second)], source_recipe=source_recipe, **same, **named)
    assert not list((tmp_path / "store").glob("curation/*/result.json"))


def test_parts_of_different_sources_are_not_put_together(parts):
    read, asked = parts[1][2]
    listing = {"photos.csv": "another"}
    outcome = replace(read.outcome, figures={**read.outcome.figures, "listing": listing})
    with pytest.raises(
        GlobeError,
        match=r"curation: the source changed between parts 1 and 2 \(dataset: \w+ .*photos\.csv: .* another now",
    ):
        complete([*parts[1][:2], (replace(read, outcome=outcome), asked)])


def test_its_figures_and_its_line_say_what_was_kept(curated):
    figures = curated[1].outcome.figures
    assert figures["in"] == 24
    assert curated[1].outcome.figure.startswith(f"{figures['kept']} of 24 kept; ")
    assert curated[1].outcome.figure.endswith("of right ones kept")


def test_a_curated_folder_can_be_given_instead(curated, tmp_path):
    data = curated[1].outcome.outputs["data"]
    result = given(uri=data, store=tmp_path)
    assert result.outcome.outputs == {"data": data}
    assert result.outcome.figures == {
        "in": sum(count_rows(Path(data) / name) for name in SETS),
        "kept": count_rows(Path(data) / "sft"),
    }


def test_a_folder_that_lacks_a_set_is_refused(world, tmp_path):
    with pytest.raises(InputError, match=r"start_from curation: .*no dataset sft there"):
        given(uri=str(world), store=tmp_path)
