import io
import json
from base64 import b64decode

import pytest
from odd_photos import reply_about, write_odd_photos
from PIL import Image

from globe.curation import plan
from globe.curation.curate import curate
from globe.curation.plan import plan_curation
from globe.curation.recipe import CurationRecipe
from globe.curation.show import plan_lines
from globe.curation.teachers.teacher import Teacher
from globe.data.shards import read_dataset, write_dataset
from globe.demo.world import write_world
from globe.errors import InputError
from globe.training.image_tokens import image_tokens
from globe.training.shapes import model_shape

RECIPE = CurationRecipe(part_rows=8, max_unusable_percent=60.0)


@pytest.fixture
def table(tmp_path):
    """Photos of which none is there twice: who asks about duplicates depends on the cut."""
    table = write_odd_photos(tmp_path / "photos", 40)
    first, *others = table.read_text().splitlines(keepends=True)
    once = [line for number, line in enumerate(others) if number % 11 != 10 and number % 13 != 12]
    table.write_text("".join([first, *once]))
    return table


def test_a_plan_is_what_the_curation_then_asks_and_stores(serve, table, tmp_path):
    def answer(path, body):
        picture = b64decode(body["messages"][0]["content"][0]["image_url"]["url"].split(",")[1])
        content = json.dumps(reply_about(body["model"], picture))
        return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()

    server = serve(answer)
    teachers = [Teacher("vlm", name, server.url) for name in ("a", "b")]
    planned = plan_curation(table, teachers, RECIPE)
    assert not server.requests
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
    result = curate(table, tmp_path / "out", teachers, RECIPE)
    assert planned["in"] == result["in"]
    assert planned["quarantined"] == result["quarantined"]
    assert sum(planned["calls"].values()) == len(server.requests)
    parts = sorted((tmp_path / "out" / "parts").iterdir())
    assert planned["parts"] == len(parts)
    stored = sum(len(row.image) for part in parts for row in read_dataset(part / "source"))
    assert planned["storage_bytes"]["parts"] == stored


def test_a_plan_of_a_dataset_counts_only_pictures_that_anybody_can_be_asked_about(serve, tmp_path):
    write_world(tmp_path / "world", pictures=6)
    first, second, *others = read_dataset(tmp_path / "world")
    rows = [first.model_copy(update={"image": b"GIF89a"}), second.model_copy(update={"country": ""}), *others]
    write_dataset(tmp_path / "source", rows)
    reply = json.dumps({"choices": [{"message": {"content": json.dumps(reply_about("a", first.image))}}]}).encode()
    server = serve(lambda path, body: (200, {}, reply))
    teachers = [Teacher("vlm", name, server.url) for name in ("a", "b")]
    planned = plan_curation(tmp_path / "source", teachers, RECIPE)
    assert not server.requests
    result = curate(tmp_path / "source", tmp_path / "out", teachers, RECIPE)
    assert planned["quarantined"] == result["quarantined"] == {"picture_not_readable": 1, "no_country": 1}
    assert sum(planned["calls"].values()) == len(server.requests)


def test_a_picture_in_two_parts_is_asked_about_in_each_and_the_plan_says_so(serve, tmp_path, good_reply):
    for number, shade in enumerate((10, 90, 170, 10)):
        Image.new("RGB", (16, 16), (shade, 0, 0)).save(tmp_path / f"{number}.png")
    rows = [f"{number}.png,41.9,12.5,Italy,Rome" for number in range(4)]
    table = tmp_path / "photos.csv"
    table.write_text("\n".join(["image,lat,lon,country,city", *rows]))
    body = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda *question: (200, {}, body))
    teachers = [Teacher("vlm", name, server.url) for name in ("a", "b")]
    told = {}
    for part_rows, asked in ((4, 3), (2, 4)):
        recipe = CurationRecipe(part_rows=part_rows, max_unusable_percent=60.0)
        told[part_rows] = "\n".join(plan_curation(table, teachers, recipe)["assumptions"])
        before = len(server.requests)
        result = curate(table, tmp_path / f"of {part_rows}", teachers, recipe)
        assert result["quarantined"] == {"duplicate_picture": 1}
        assert len(server.requests) - before == asked * len(teachers)
    assert "it would be asked about in each" in told[2]
    assert "it would be asked about in each" not in told[4]


def test_tokens_follow_the_pictures_sizes_and_the_teachers_architecture(tmp_path):
    write_world(tmp_path / "world", pictures=4)
    teachers = [Teacher.parse(f"{name}@http://127.0.0.1:9/v1") for name in ("qwen2.5-vl-72b", "internvl3-78b")]
    planned = plan_curation(tmp_path / "world", [*teachers, Teacher.parse("coordinates:geo@http://127.0.0.1:9/v1")], RECIPE)
    qwen, internvl = (planned["tokens"][teacher.spec] for teacher in teachers)
    (side,) = {Image.open(io.BytesIO(row.image)).width for row in read_dataset(tmp_path / "world")}
    assert qwen["picture"] == 4 * image_tokens(model_shape("qwen2.5-vl-7b").vision, side, side, plan.MAX_PIXELS)
    assert internvl["picture"] == 4 * image_tokens(model_shape("internvl3-8b").vision, side, side, plan.MAX_PIXELS)
    assert qwen["reply"] == internvl["reply"] == 4 * plan.REPLY_TOKENS
    assert set(planned["tokens"]) == set(planned["gpu_hours"]) == {teacher.spec for teacher in teachers}
    assert set(planned["calls"].values()) == {4}
    assert planned["storage_bytes"]["parts"] == 0  # a dataset of one part is used as it lies


def test_gpu_hours_are_the_tokens_at_the_recipes_throughput(tmp_path):
    write_world(tmp_path / "world", pictures=4)
    teachers = [Teacher.parse(f"{name}@http://127.0.0.1:9/v1") for name in ("a", "b")]
    slow = RECIPE.model_copy(update={"gpu_tokens_per_s": 0.01})
    planned = plan_curation(tmp_path / "world", teachers, slow)
    spec = teachers[0].spec
    assert planned["gpu_hours"][spec] == round(sum(planned["tokens"][spec].values()) / 0.01 / 3600, 1) > 0
    assert any("0.01 tokens a second" in one for one in planned["assumptions"])


def test_of_a_long_source_only_the_first_rows_are_read_and_the_plan_says_so(table, monkeypatch):
    monkeypatch.setattr(plan, "SAMPLE_ROWS", 10)
    teachers = [Teacher.parse(f"{name}@http://127.0.0.1:9/v1") for name in ("a", "b")]
    planned = plan_curation(table, teachers, RECIPE)
    assert planned["sampled"] == 10
    usable = 10 - sum(planned["quarantined"].values())
    assert planned["usable"] == round(planned["in"] * usable / 10)
    assert planned["assumptions"][0].startswith("the first 10 rows stand for all")
    assert f"{sum(planned['quarantined'].values())} of the first 10 could not be used" in "\n".join(plan_lines(planned))


def test_what_cannot_be_curated_cannot_be_planned(tmp_path):
    with pytest.raises(InputError, match="no such folder or table"):
        plan_curation(tmp_path / "nothing", [Teacher.parse(f"{name}@http://127.0.0.1:9/v1") for name in "ab"], RECIPE)


def test_a_test_set_that_is_not_there_is_told_by_the_plan_already(table):
    teachers = [Teacher.parse(f"{name}@http://127.0.0.1:9/v1") for name in ("a", "b")]
    with pytest.raises(InputError, match="test_sets: nowhere"):
        plan_curation(table, teachers, RECIPE.model_copy(update={"test_sets": ["nowhere"]}))
