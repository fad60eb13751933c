import fcntl
import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from io import BytesIO

import pytest
from odd_photos import write_odd_photos
from PIL import Image
from small_curation import ODD, OUTPUTS, RECIPE, rows_of

from globe.curation.curate import curate
from globe.curation.teachers.teacher import Teacher
from globe.data.images import exif_position
from globe.data.shards import dataset_digest, read_dataset, write_dataset
from globe.demo.teacher_server import running_teachers
from globe.demo.truth import load_truth
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, pictures=300)
    return folder


@pytest.fixture(scope="module")
def teachers(world):
    with running_teachers(world) as specs:
        yield [Teacher.parse(spec) for spec in specs]


@pytest.fixture(scope="module")
def curated(world, teachers, tmp_path_factory):
    out = tmp_path_factory.mktemp("curated")
    calls = []
    result = curate(world, out, teachers, RECIPE, lambda *call: calls.append(call))
    return out, result, calls


def test_curation_removes_the_wrong_annotations_and_keeps_the_right_ones(curated):
    measured = curated[1]["measured"]
    assert measured["wrong_annotations"] > 150
    assert measured["right_annotations"] > 250
    assert measured["wrong_removed_share"] >= 0.95
    assert measured["right_kept_share"] >= 0.90


def test_every_picture_is_accounted_for(curated, world):
    out, result, _ = curated
    assert result["in"] == 300 == result["kept"] + sum(result["dropped"].values()) + sum(result["quarantined"].values())
    assert json.loads((out / "curation.json").read_text()) == result
    assert len((out / "decisions.jsonl").read_text().splitlines()) == 300
    for figures in result["teachers"].values():
        assert figures["asked"] == 300
        assert sum(figures[key] for key in ("answered", "malformed", "timeouts", "failed")) == 300
    sizes = {name: len(rows_of(out / name)) for name in OUTPUTS}
    assert result["splits"] == {"train": sizes["sft"], "test": sizes["test"], "reward_model": sizes["reward_model"]}
    assert result["pool"] == sizes["pool"]


def test_the_datasets_hold_what_each_stage_needs(curated, world):
    out, _, _ = curated
    source, truth = rows_of(world), load_truth(world)
    sft, reward_model, pool, test = (rows_of(out / name) for name in OUTPUTS)
    held_out = {row_id for row_id, row in source.items() if row.split == "test"}
    assert set(test) == held_out
    assert set(pool) == set(source) - held_out
    assert set(sft) < set(pool)
    assert all(row.reasoning and row.entities and row.localizable for row in sft.values())
    assert all(row.provenance["reasoning"].startswith("toy-vlm") for row in sft.values())
    assert all(row.reasoning and row.localizable is not None for row in reward_model.values())
    assert {row.split for row in reward_model.values()} == {"train", "test"}
    assert not any(row.reasoning for row in [*pool.values(), *test.values()])
    agreeing = sum(row.localizable == truth[row_id].localizable for row_id, row in reward_model.items())
    assert agreeing / len(reward_model) > 0.97
    assert any(row.localizable is False for row in reward_model.values())
    assert sum(set(row.entities) == set(truth[row.id].cues) for row in pool.values()) > 0.8 * len(pool)
    for row in [*sft.values(), *pool.values(), *test.values()]:
        assert (row.image, row.country, row.city) == (source[row.id].image, source[row.id].country, source[row.id].city)


def test_progress_counts_every_picture_and_ends_with_the_figure(curated):
    calls = curated[2]
    assert [done for done, _, _ in calls[:300]] == list(range(1, 301))
    assert calls[-1][:2] == (300, 300)
    assert calls[-1][2].startswith("kept ")


@pytest.mark.parametrize("written_bytes", [60_000, 190_000])
def test_a_curation_killed_midway_goes_on_without_asking_again_and_ends_the_same(
    curated, world, teachers, tmp_path, written_bytes
):
    out = tmp_path / "out"
    replies = out / "parts" / "00000" / "replies.jsonl"
    code = f"""
import os, pathlib, signal, sys
from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.teacher import Teacher
source, out, replies, *specs = sys.argv[1:]
def report(*call):
    if os.path.exists(replies) and os.path.getsize(replies) >= {written_bytes}:
        os.kill(os.getpid(), signal.SIGKILL)
recipe = CurationRecipe(timeout_s=3.0, concurrency=2)
curate(pathlib.Path(source), pathlib.Path(out), [Teacher.parse(spec) for spec in specs], recipe, report)
"""
    command = [sys.executable, "-c", code, str(world), str(out), str(replies), *(teacher.spec for teacher in teachers)]
    killed = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=500)
    assert killed.returncode == -signal.SIGKILL
    assert not (out / "curation.json").exists()
    before = replies.read_bytes()
    assert written_bytes <= len(before) < written_bytes + 20_000
    replies.write_bytes(before + b'{"id": "toy-0')  # torn, as a kill within a write leaves it
    result = curate(world, out, teachers, RECIPE)
    answered = [r["key"] for r in map(json.loads, replies.read_text().splitlines()) if r["status"] in ("ok", "malformed")]
    assert len(answered) == len(set(answered))
    assert replies.read_bytes().startswith(before)
    assert result["kept"] == curated[1]["kept"]
    assert result["measured"] == curated[1]["measured"]
    assert [dataset_digest(out / name) for name in OUTPUTS] == [dataset_digest(curated[0] / name) for name in OUTPUTS]


def test_a_finished_curation_asks_nobody_when_run_again(curated, world):
    out, result, _ = curated
    nobody = [Teacher.parse(f"{name}@http://127.0.0.1:9/v1") for name in ("toy-vlm-a", "toy-vlm-b")]
    again = curate(world, out, nobody, RECIPE)
    assert [figures["answered"] for figures in again["teachers"].values()] == [
        figures["answered"] for figures in list(result["teachers"].values())[:2]
    ]


@pytest.fixture
def small(world, tmp_path):
    def take(count, **changes):
        rows = [row.model_copy(update=changes) for row, _ in zip(read_dataset(world), range(count), strict=False)]
        write_dataset(tmp_path / "small", rows)
        return tmp_path / "small"

    return take


def test_a_teacher_that_is_down_stops_the_curation_and_is_named(teachers, small, tmp_path):
    dead = Teacher.parse("my-vlm@http://127.0.0.1:9/v1")
    with pytest.raises(InputError, match=r"my-vlm at http://127\.0\.0\.1:9/v1 gave no usable reply") as caught:
        curate(small(60), tmp_path / "out", [teachers[0], dead], RECIPE)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "curation.json").exists()
    assert not (tmp_path / "out" / "sft").exists()


def test_a_teacher_that_fails_too_often_stops_the_curation(serve, teachers, small, tmp_path, good_reply):
    replies = iter(range(10**6))
    content = json.dumps(good_reply)

    def answer(path, body):
        text = content if next(replies) % 2 else "I can't help with that."
        return 200, {}, json.dumps({"choices": [{"message": {"content": text}}]}).encode()

    flaky = Teacher("vlm", "flaky", serve(answer).url)
    with pytest.raises(GlobeError, match=r"flaky at .* over max_failed_share 0\.25"):
        curate(small(60), tmp_path / "out", [teachers[0], flaky], RECIPE.model_copy(update={"retries": 0}))
    assert not (tmp_path / "out" / "curation.json").exists()


def test_photos_are_curated_without_their_metadata(serve, tmp_path, good_reply):
    folder = tmp_path / "photos"
    folder.mkdir()
    for shade in range(4):
        exif = Image.Exif()
        exif[0x8825] = {1: "N", 2: (41, 54, 0), 3: "E", 4: (12, 29, 0)}
        Image.new("RGB", (300, 200), (60 * shade, 20, 20)).save(folder / f"{shade}.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    content = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda path, body: (200, {}, content))
    pair = [Teacher("vlm", name, server.url) for name in ("a", "b")]
    result = curate(folder, tmp_path / "out", pair, RECIPE)
    assert (result["in"], result["kept"], result["quarantined"]) == (5, 4, {"picture_not_readable": 1})
    assert result["measured"] is None
    assert result["splits"]["test"] >= 1
    assert result["splits"]["train"] >= 1
    for _, body, _ in server.requests:
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        picture = b64decode(url.split(",")[1])
        assert exif_position(picture) is None
        assert not Image.open(BytesIO(picture)).getexif()


def test_a_source_of_which_too_much_is_lost_stops_before_anybody_is_asked(teachers, tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.jpg")
    (tmp_path / "t.csv").write_text("image,lat,lon\na.jpg,41.9,12.5\ngone.jpg,41.9,12.5\n")
    with pytest.raises(InputError, match=r"t\.csv: 1 of 2 rows \(50\.0%\) cannot be used: 1 file_missing \(first: gone\.jpg\)"):
        curate(tmp_path / "t.csv", tmp_path / "out", teachers, RECIPE)
    assert not list((tmp_path / "out").rglob("replies.jsonl"))


def test_unreadable_repeated_and_countryless_pictures_are_quarantined(world, teachers, tmp_path):
    first, second, third, fourth, *_ = read_dataset(world)
    rows = [
        first,
        first.model_copy(update={"id": "again", "split": "test"}),
        second.model_copy(update={"image": b"GIF89a"}),
        third.model_copy(update={"country": ""}),
        fourth,
    ]
    write_dataset(tmp_path / "source", rows)
    result = curate(tmp_path / "source", tmp_path / "out", teachers, RECIPE)
    assert result["quarantined"] == {"duplicate_picture": 1, "picture_not_readable": 1, "no_country": 1}
    assert result["in"] == 5


def test_an_empty_source_is_refused(teachers, tmp_path):
    write_dataset(tmp_path / "source", [])
    with pytest.raises(InputError, match="no usable picture"):
        curate(tmp_path / "source", tmp_path / "out", teachers, RECIPE)


def test_neither_the_source_itself_nor_sets_that_were_made_elsewhere_are_written_over(pair, small, tmp_path):
    table, source = write_odd_photos(tmp_path / "photos", 30), small(4)
    with pytest.raises(InputError, match=r"small: is the source itself, .* give another folder"):
        curate(source, source, pair[0], RECIPE)
    write_dataset(tmp_path / "out" / "pool", read_dataset(source))
    theirs = tmp_path / "out" / "pool" / "notes.1.tmp"  # named as what a killed curation leaves
    theirs.write_text("kept")
    with pytest.raises(InputError, match="out: holds pool, which no curation here has made"):
        curate(table, tmp_path / "out", pair[0], ODD)
    assert dataset_digest(tmp_path / "out" / "pool") == dataset_digest(source)
    assert theirs.read_text() == "kept"
    assert not pair[1].requests


def test_two_curations_of_one_folder_do_not_run_at_once(pair, small, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "curation.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another curation is writing here"):
            curate(small(3), tmp_path / "out", pair[0], RECIPE)
