import io
import shutil

import pytest
import yaml
from PIL import Image

from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe, Negatives
from globe.curation.sets.card import CARD_FILE
from globe.curation.sets.hub import configs
from globe.curation.sets.outputs import SETS
from globe.curation.teachers.teacher import Teacher
from globe.data.rows import provenance_of
from globe.data.shards import read_dataset
from globe.demo.teacher_server import running_teachers
from globe.demo.world import write_world

datasets = pytest.importorskip("datasets", reason="the library is no part of the curation image")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A curated folder as it is uploaded: its card is the README."""
    folder = tmp_path_factory.mktemp("published")
    write_world(folder / "world", pictures=60)
    recipe = CurationRecipe(timeout_s=3.0, concurrency=4, negatives=Negatives(other_picture=0.5))
    with running_teachers(folder / "world") as specs:
        curate(folder / "world", folder / "out", [Teacher.parse(spec) for spec in specs], recipe)
    shutil.copy(folder / "out" / CARD_FILE, folder / "out" / "README.md")
    return folder / "out"


@pytest.mark.parametrize("name", SETS)
def test_the_datasets_library_reads_the_rows_that_were_written_with_their_pictures(published, tmp_path, name):
    rows = list(read_dataset(published / name))
    (split, read), *others = datasets.load_dataset(str(published), name, cache_dir=str(tmp_path)).items()
    assert rows
    assert (others, set(split.split("_and_"))) == ([], {row.split for row in rows})
    for row, found in zip(rows, read, strict=True):
        assert found.pop("image").tobytes() == Image.open(io.BytesIO(row.image)).tobytes()
        assert found | {"provenance": provenance_of(found)} == row.model_dump(exclude={"image"})


def test_it_reads_a_sets_files_without_the_card_too(published, tmp_path):
    read = datasets.load_dataset("parquet", data_files=str(published / "sft" / "*.parquet"), cache_dir=str(tmp_path))["train"]
    assert [one["image"] for one in read] == [row.image for row in read_dataset(published / "sft")]


def test_a_set_without_rows_is_not_offered_to_it():
    assert configs({"sft": ["train"], "test": []})["configs"] == configs({"sft": ["train"]})["configs"]


def test_the_cards_head_says_where_the_files_are(published):
    head = yaml.safe_load((published / CARD_FILE).read_text(encoding="utf-8").split("---\n")[1])
    files = {one["config_name"]: one["data_files"][0]["path"] for one in head["configs"]}
    assert all(list(published.glob(path)) == sorted((published / name).glob("*.parquet")) for name, path in files.items())
    assert set(files) == set(SETS)
