"""Where a run's pictures come from: drawn, given as a dataset, or read from photos."""

import shutil
from pathlib import Path

import pytest

from globe.data.recipe import SourceRecipe
from globe.data.shards import count_rows, read_dataset
from globe.data.source import source
from globe.errors import InputError

FEW = SourceRecipe(toy_pictures=12)


def test_the_toy_world_is_drawn_once_for_each_number_and_seed(tmp_path):
    drawn = source(source="toy", recipe=FEW, store=tmp_path)
    assert count_rows(Path(drawn.outcome.outputs["data"])) == 12
    assert source(source="toy", recipe=FEW, store=tmp_path).reused
    other = source(source="toy", recipe=FEW.model_copy(update={"seed": 1}), store=tmp_path)
    assert not other.reused
    assert other.key != drawn.key


def test_a_dataset_is_taken_where_it_lies_and_of_a_curated_folder_its_test_set(tmp_path):
    drawn = Path(source(source="toy", recipe=FEW, store=tmp_path / "store").outcome.outputs["data"])
    (tmp_path / "curated").mkdir()
    drawn.rename(tmp_path / "curated" / "test")
    for given in (tmp_path / "curated", tmp_path / "curated" / "test"):
        taken = source(source=str(given), recipe=FEW, store=tmp_path / "other")
        assert taken.outcome.outputs["data"] == str(tmp_path / "curated" / "test")
        assert taken.outcome.figures == {"pictures": 12}


def test_photos_are_read_into_the_stages_folder(tmp_path):
    drawn = source(source="toy", recipe=FEW, store=tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    lines = ["image,lat,lon"]
    for row in list(read_dataset(Path(drawn.outcome.outputs["data"])))[:3]:
        (photos / f"{row.id}.png").write_bytes(row.image)
        lines.append(f"{row.id}.png,{row.lat_deg},{row.lon_deg}")
    (photos / "photos.csv").write_text("\n".join(lines))
    read = source(source=str(photos / "photos.csv"), recipe=FEW, store=tmp_path)
    assert count_rows(Path(read.outcome.outputs["data"])) == 3
    assert Path(read.outcome.outputs["data"]).parent == read.folder
    zipped = shutil.make_archive(str(tmp_path / "packed"), "zip", photos)
    packed = source(source=zipped, recipe=FEW, store=tmp_path)
    assert list(read_dataset(Path(packed.outcome.outputs["data"]))) == list(read_dataset(Path(read.outcome.outputs["data"])))
    with pytest.raises(InputError, match="no such folder or table"):
        source(source=str(tmp_path / "absent"), recipe=FEW, store=tmp_path)


def test_a_named_data_set_is_a_source_and_a_part_of_it_stops_the_run_unless_the_recipe_allows_it(tmp_path, monkeypatch):
    drawn = source(source="toy", recipe=FEW, store=tmp_path / "store")
    place = tmp_path / "sets" / "im2gps3k"
    (place / "im2gps3ktest").mkdir(parents=True)
    lines = ["IMG_ID,LAT,LON"]
    for row in list(read_dataset(Path(drawn.outcome.outputs["data"])))[:3]:
        (place / "im2gps3ktest" / f"{row.id}.png").write_bytes(row.image)
        lines.append(f"{row.id}.png,{row.lat_deg},{row.lon_deg}")
    (place / "im2gps3k_places365.csv").write_text("\n".join(lines))
    monkeypatch.setenv("GLOBE_DATASETS", str(tmp_path / "sets"))
    with pytest.raises(InputError, match=r"2994 of 2997 rows \(99\.9%\) cannot be used: 2994 row_not_in_table"):
        source(source="im2gps3k", recipe=FEW, store=tmp_path / "store")
    allowed = FEW.model_copy(update={"max_unusable_percent": 100.0})
    read = source(source=f"img2gps3k@{place}", recipe=allowed, store=tmp_path / "store")
    assert read.outcome.figure == "3 photos, 2994 of 2997 could not be used"
    assert read.outcome.figures["completeness"]["source"] == "https://github.com/lugiavn/revisiting-im2gps"
    assert source(source="im2gps3k", recipe=allowed, store=tmp_path / "store").reused
