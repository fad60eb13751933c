import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from odd_photos import reply_about, write_odd_photos
from PIL import Image

from globe.curation.curate import curate
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.teacher import Teacher
from globe.data.images import exif_position, reencode
from globe.data.shards import dataset_digest, read_dataset, write_dataset
from globe.demo.teacher_server import running_teachers
from globe.demo.truth import load_truth
from globe.demo.world import write_world
from globe.errors import GlobeError, InputError

RECIPE = CurationRecipe(timeout_s=3.0, concurrency=4)
OUTPUTS = ("sft", "reward_model", "pool", "test")


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


def rows_of(folder):
    return {row.id: row for row in read_dataset(folder)}


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


def test_a_curation_killed_midway_goes_on_without_asking_again_and_ends_the_same(curated, world, teachers, tmp_path):
    out = tmp_path / "out"
    code = (
        "import sys, pathlib\n"
        "from globe.curation.curate import curate\n"
        "from globe.curation.recipe import CurationRecipe\n"
        "from globe.curation.teachers.teacher import Teacher\n"
        "source, out, *specs = sys.argv[1:]\n"
        "recipe = CurationRecipe(timeout_s=3.0, concurrency=2)\n"
        "curate(pathlib.Path(source), pathlib.Path(out), [Teacher.parse(spec) for spec in specs], recipe)\n"
    )
    command = [sys.executable, "-c", code, str(world), str(out), *(teacher.spec for teacher in teachers)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    replies = out / "parts" / "00000" / "replies.jsonl"
    try:
        deadline = time.monotonic() + 300
        while (not replies.exists() or replies.stat().st_size < 60_000) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (out / "curation.json").exists()
    before = replies.read_bytes()
    assert 60_000 <= len(before) < 200_000
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


def test_photos_of_a_test_set_are_told_by_the_very_same_picture_however_small_teachers_get_them(pair, tmp_path):
    for shade in range(5):
        Image.new("RGB", (80, 60), (50 * shade, 20, 20)).save(tmp_path / f"{shade}.png")
    header, rows = "id,image,lat,lon,country,city\n", [f"{n},{n}.png,41.9,12.5,Italy,Rome\n" for n in range(5)]
    (tmp_path / "train.csv").write_text("".join([header, *rows]))
    (tmp_path / "test.csv").write_text("".join([header, *(f"of test {row}" for row in rows[:3])]))
    recipe = RECIPE.model_copy(update={"max_side_px": 28, "test_sets": [str(tmp_path / "test.csv")], "test_share": 0.0})
    curate(tmp_path / "train.csv", tmp_path / "out", pair[0], recipe)
    decisions = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    leaks = {one["id"]: one["leak_of"] for one in decisions if one["reason"] == "same_picture_as_test"}
    assert leaks == {str(n): f"of test {n}" for n in range(3)}
    for _, body, _ in pair[1].requests:
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        assert max(Image.open(BytesIO(b64decode(url.split(",")[1]))).size) == 28


def test_a_picture_that_the_source_has_to_train_on_and_to_test_with_is_not_trained_on_wherever_it_is_cut(pair, tmp_path):
    for n in range(6):
        Image.new("RGB", (24, 18), (40 * n, 10, 20)).save(tmp_path / f"{n}.png")
    listed = [("a", 0, "train"), ("b", 1, "train"), ("c", 2, "train"), ("d", 3, "test"), ("e", 4, "train")]
    repeats = [("again", 0, "test"), ("b", 5, "test"), ("f", 2, "train"), ("g", 3, "test")]  # only of a and b a test row is lost
    lines = [f"{row_id},{n}.png,41.9,12.5,Italy,Rome,{split}\n" for row_id, n, split in [*listed, *repeats]]
    (tmp_path / "t.csv").write_text("id,image,lat,lon,country,city,split\n" + "".join(lines))
    recipe = ODD.model_copy(update={"max_unusable_percent": 100.0})
    told = []
    for part_rows in (1, 4, 100):
        out = tmp_path / str(part_rows)
        result = curate(tmp_path / "t.csv", out, pair[0], recipe.model_copy(update={"part_rows": part_rows}))
        told.append((out / "decisions.jsonl").read_text())
        assert set(rows_of(out / "pool")) == {"c", "e"}
        assert set(rows_of(out / "test")) == {"d"}
        assert result["leakage"]["left_out"] == {"held out": {"same_id_as_test": 1, "same_picture_as_test": 1}}
    leaks = {one["id"]: (one["reason"], one["leak_of"]) for one in map(json.loads, told[0].splitlines()) if "leak_of" in one}
    assert leaks == {"a": ("same_picture_as_test", "again"), "b": ("same_id_as_test", "b")}
    assert len(set(told)) == 1


def test_a_source_whose_only_test_row_repeats_another_has_its_own_split_wherever_it_is_cut(pair, tmp_path):
    for n in range(9):
        Image.new("RGB", (24, 18), (25 * n, 10, 20)).save(tmp_path / f"{n}.png")
    lines = [f"{n},{n}.png,41.9,12.5,Italy,Rome,train\n" for n in range(9)] + ["again,0.png,41.9,12.5,Italy,Rome,test\n"]
    (tmp_path / "t.csv").write_text("id,image,lat,lon,country,city,split\n" + "".join(lines))
    for part_rows in (1, 100):
        out = tmp_path / str(part_rows)
        curate(tmp_path / "t.csv", out, pair[0], cut_to(part_rows))
        assert set(rows_of(out / "pool")) == {str(n) for n in range(1, 9)}
        assert not rows_of(out / "test")


def test_an_empty_source_is_refused(teachers, tmp_path):
    write_dataset(tmp_path / "source", [])
    with pytest.raises(InputError, match="no usable picture"):
        curate(tmp_path / "source", tmp_path / "out", teachers, RECIPE)


@pytest.fixture
def pair(serve):
    """Two teachers who always say the same of a picture, and the server that they share."""

    def answer(path, body):
        picture = b64decode(body["messages"][0]["content"][0]["image_url"]["url"].split(",")[1])
        content = json.dumps(reply_about(body["model"], picture))
        return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()

    server = serve(answer)
    return [Teacher("vlm", name, server.url) for name in ("a", "b")], server


ODD = CurationRecipe(max_unusable_percent=60.0)


def files_of(out):
    """The bytes of all that a curation is for."""
    named = [
        *(path for name in OUTPUTS for path in sorted((out / name).iterdir())),
        out / "decisions.jsonl",
        out / "curation.json",
    ]
    return {str(path.relative_to(out)): path.read_bytes() for path in named}


def below(folder):
    """The bytes of every file that lies in a folder, however deep."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut_to(part_rows):
    return ODD.model_copy(update={"part_rows": part_rows})


def test_the_result_is_the_same_byte_for_byte_however_the_source_is_cut(pair, tmp_path):
    table = write_odd_photos(tmp_path / "photos", 90)
    for part_rows in (7, 50, 1000):
        result = curate(table, tmp_path / str(part_rows), pair[0], cut_to(part_rows))
        assert len(list((tmp_path / str(part_rows) / "parts").iterdir())) == -(-90 // part_rows)
    assert set(result["quarantined"]) >= {"duplicate_id", "duplicate_picture", "file_missing", "picture_not_readable"}
    assert result["kept"]
    assert result["dropped"]
    whole = files_of(tmp_path / "1000")
    assert files_of(tmp_path / "7") == whole
    assert files_of(tmp_path / "50") == whole


def test_repeats_of_repeats_are_told_alike_wherever_the_source_is_cut(pair, tmp_path):
    """Each row repeats another by its id or its picture, also rows that are repeats themselves."""
    (tmp_path / "photos").mkdir()
    for name, shade in {"p": 10, "q": 90, "r": 170, "s": 250}.items():
        Image.new("RGB", (24, 18), (shade, shade, 20)).save(tmp_path / "photos" / f"{name}.png")
    rows = ["ap", "bq", "bp", "aq", "cr", "cp", "ds", "er", "br", "fs", "dx", "gp", "xs", "xx", "gq"]
    lines = [f"{row[0]},{row[1]}.png,41.9,12.5,Italy,Rome\n" for row in rows]  # x.png is missing
    (tmp_path / "photos" / "t.csv").write_text("id,image,lat,lon,country,city\n" + "".join(lines))
    recipe = ODD.model_copy(update={"max_unusable_percent": 100.0})
    decisions = set()
    for part_rows in (1, 2, 3, 4, 5, 7, 100):
        out = tmp_path / str(part_rows)
        curate(tmp_path / "photos" / "t.csv", out, pair[0], recipe.model_copy(update={"part_rows": part_rows}))
        decisions.add((out / "decisions.jsonl").read_text())
    (told,) = decisions
    assert [one["id"] for one in map(json.loads, told.splitlines()) if one["outcome"] != "quarantined"] == list("abcd")


def test_decisions_tell_of_every_row_in_the_sources_order(pair, tmp_path):
    table = write_odd_photos(tmp_path / "photos", 40)
    curate(table, tmp_path / "out", pair[0], cut_to(9))
    decisions = [json.loads(line) for line in (tmp_path / "out" / "decisions.jsonl").read_text().splitlines()]
    listed = [line.split(",")[0] for line in table.read_text().splitlines()[1:]]
    assert [one["id"] for one in decisions] == listed
    again = [one["reason"] for one in decisions if one["id"] == "photo 0"]
    assert again == [again[0], "duplicate_id"]
    assert again[0] != "duplicate_id"


def test_a_source_cut_otherwise_or_grown_is_read_anew_but_nothing_is_asked_twice(pair, tmp_path):
    (teachers, server), out = pair, tmp_path / "out"
    table = write_odd_photos(tmp_path / "photos", 60)
    first, *others = table.read_text().splitlines(keepends=True)
    table.write_text("".join([first, *others[:40]]))
    curate(table, out, teachers, cut_to(15))
    curate(table, out, teachers, cut_to(6))
    before = len(server.requests)
    table.write_text("".join([first, *others[40:], *others[:40]]))  # what is new comes first: every row changes its part
    grown = curate(table, out, teachers, cut_to(6))
    asked = [(body["model"], body["messages"][0]["content"][0]["image_url"]["url"]) for _, body, _ in server.requests]
    assert len(asked) == len(set(asked)) > before
    assert grown == curate(table, tmp_path / "fresh", teachers, cut_to(6))
    assert files_of(out) == files_of(tmp_path / "fresh")


def test_a_source_that_changes_while_it_is_read_is_read_anew_and_no_row_falls_between_two_parts(pair, tmp_path):
    (teachers, server), out = pair, tmp_path / "out"
    table = write_odd_photos(tmp_path / "photos", 40)
    first, *others = table.read_text().splitlines(keepends=True)

    def shrink(done, total, figure):
        if "replies" in figure:  # the first part has been read, the second one has not
            table.write_text("".join([first, *others[3:]]))

    with pytest.raises(InputError, match=r"photos\.csv: changed while it was read; run again"):
        curate(table, out, teachers, cut_to(20), shrink)
    assert not (out / "curation.json").exists()
    before = len(server.requests)
    assert curate(table, out, teachers, cut_to(20))["in"] == 37
    sent = [(body["model"], body["messages"][0]["content"][0]["image_url"]["url"]) for _, body, _ in server.requests]
    assert len(sent) == len(set(sent)) >= before
    curate(table, tmp_path / "fresh", teachers, cut_to(20))
    assert files_of(out) == files_of(tmp_path / "fresh")


def test_a_kill_while_the_parts_of_another_cut_are_put_aside_loses_no_reply_of_the_first_cut(pair, tmp_path, monkeypatch):
    (teachers, server), out = pair, tmp_path / "out"
    table = write_odd_photos(tmp_path / "photos", 40)
    curate(table, out, teachers, cut_to(15))
    finished, before = files_of(out), len(server.requests)

    def kill(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            curate(table, out, teachers, cut_to(8))
    curate(table, out, teachers, cut_to(15))
    assert files_of(out) == finished
    assert len(server.requests) == before


@pytest.mark.parametrize("name", ["facts.parquet", "refused.jsonl", "replies.jsonl", "replies.jsonl cut"])
def test_a_file_of_a_part_that_somebody_removed_or_cut_is_made_again(pair, tmp_path, name):
    table = write_odd_photos(tmp_path / "photos", 30)
    curate(table, tmp_path / "out", pair[0], cut_to(20))
    finished = files_of(tmp_path / "out")
    name, cut, _ = name.partition(" cut")
    os.truncate(path := tmp_path / "out" / "parts" / "00001" / name, 500)
    if not cut:
        path.unlink()
    curate(table, tmp_path / "out", pair[0], cut_to(20))
    assert files_of(tmp_path / "out") == finished


@pytest.mark.parametrize("damage", ["a byte", "a line end"])
def test_of_a_journal_damaged_in_its_middle_what_is_lost_and_nothing_else_is_asked_again(pair, tmp_path, damage):
    (teachers, server), table = pair, write_odd_photos(tmp_path / "photos", 30)
    curate(table, tmp_path / "out", teachers, cut_to(20))
    finished, before = files_of(tmp_path / "out"), len(server.requests)
    path = tmp_path / "out" / "parts" / "00000" / "replies.jsonl"
    *above, hit, next_one, last = path.read_bytes().splitlines(keepends=True)
    hit = b"X" + hit[1:] if damage == "a byte" else hit[:-1] + b" "  # of the same length
    path.write_bytes(b"".join([*above, hit, next_one, last]))
    curate(table, tmp_path / "out", teachers, cut_to(20))
    assert files_of(tmp_path / "out") == finished
    assert len(server.requests) - before == (1 if damage == "a byte" else 2)


def test_a_changed_rule_judges_anew_and_asks_nobody(pair, tmp_path):
    (teachers, server), table = pair, write_odd_photos(tmp_path / "photos", 30)
    curate(table, tmp_path / "out", teachers, cut_to(8))
    before = len(server.requests)
    strict = cut_to(8).model_copy(update={"min_score": 0.95})
    assert curate(table, tmp_path / "out", teachers, strict)["kept"] == 0
    assert len(server.requests) == before


def test_a_folder_stays_with_its_source_and_a_bad_source_costs_nothing_that_was_finished(pair, tmp_path):
    table, other = write_odd_photos(tmp_path / "photos", 30), write_odd_photos(tmp_path / "others", 20)
    curate(table, tmp_path / "out", pair[0], ODD)
    finished = files_of(tmp_path / "out")
    with pytest.raises(InputError, match=r"out: holds the curation of .*photos\.csv, and not of .*others"):
        curate(other, tmp_path / "out", pair[0], ODD)
    with pytest.raises(InputError, match="no such folder or table"):
        curate(tmp_path / "nothing", tmp_path / "out", pair[0], ODD)
    table.write_text("id,image\na,0.png\n")
    with pytest.raises(InputError, match="lacks a column"):
        curate(table, tmp_path / "out", pair[0], ODD)
    (tmp_path / "out" / "cut.json").write_text('{"source": "x"}')
    with pytest.raises(InputError, match=r"cut\.json: damaged .* give another folder"):
        curate(other, tmp_path / "out", pair[0], ODD)
    assert files_of(tmp_path / "out") == finished


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


@pytest.mark.parametrize("name", [*OUTPUTS, "parts", "earlier"])
def test_photos_that_lie_where_a_curation_would_write_stay_and_the_folder_is_refused(pair, tmp_path, name):
    table = write_odd_photos(tmp_path / name, 8)
    before = below(tmp_path / name)
    for rows in (8, 4):
        with pytest.raises(InputError, match=f"holds {name}, which no curation here has made; give another folder"):
            curate(table, tmp_path, pair[0], cut_to(rows))
    assert below(tmp_path / name) == before
    assert not pair[1].requests


def test_a_folder_within_the_source_is_refused_since_it_would_be_read_as_a_part_of_it(pair, tmp_path):
    write_odd_photos(tmp_path / "photos", 8)
    before = below(tmp_path / "photos")
    with pytest.raises(InputError, match=r"out: lies in the source .*photos, .* give a folder beside it"):
        curate(tmp_path / "photos", tmp_path / "photos" / "deep" / "out", pair[0], ODD)
    assert below(tmp_path / "photos") == before
    table = tmp_path / "photos" / "photos.csv"  # a table names its pictures, so nothing else beside it is read
    assert curate(table, tmp_path / "photos" / "out", pair[0], ODD)["in"] == 8


@pytest.mark.parametrize("name", ["read.json", "asked.json", "pictures.json"])
def test_a_record_of_a_part_that_is_damaged_is_named_and_made_again_once_it_is_removed(pair, tmp_path, name):
    table = write_odd_photos(tmp_path / "photos", 20)
    curate(table, tmp_path / "out", pair[0], ODD)
    finished, asked = files_of(tmp_path / "out"), len(pair[1].requests)
    os.truncate(tmp_path / "out" / "parts" / "00000" / name, 15)
    with pytest.raises(InputError, match=rf"{name}: damaged .*; remove .*, and it is made again") as told:
        curate(table, tmp_path / "out", pair[0], ODD)
    Path(str(told.value).partition("; remove ")[2].partition(",")[0]).unlink()
    curate(table, tmp_path / "out", pair[0], ODD)
    assert files_of(tmp_path / "out") == finished
    assert len(pair[1].requests) == asked


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda lines: lines[:-1], "00000: has 19 of the 20 rows"),
        (lambda lines: [], "of the 20 rows that were read"),
        (lambda lines: [*lines[:-1], b"X" + lines[-1][1:]], r"refused\.jsonl: damaged"),
    ],
)
def test_no_row_is_lost_with_the_record_of_those_that_were_refused(pair, tmp_path, damage, told):
    table = write_odd_photos(tmp_path / "photos", 30)
    curate(table, tmp_path / "out", pair[0], cut_to(20))
    finished, asked = files_of(tmp_path / "out"), len(pair[1].requests)
    path = tmp_path / "out" / "parts" / "00000" / "refused.jsonl"
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(InputError, match=told) as error:
        curate(table, tmp_path / "out", pair[0], cut_to(20))
    assert files_of(tmp_path / "out") == finished
    if "rows" in told:
        (path.parent / "read.json").unlink()
        assert f"remove {path.parent / 'read.json'}" in str(error.value)
    else:
        path.unlink()
    curate(table, tmp_path / "out", pair[0], cut_to(20))
    assert files_of(tmp_path / "out") == finished
    assert len(pair[1].requests) == asked


def test_a_question_that_failed_is_asked_again_after_the_curation_was_finished(serve, tmp_path):
    up = False

    def answer(path, body):
        picture = b64decode(body["messages"][0]["content"][0]["image_url"]["url"].split(",")[1])
        if not up and body["model"] == "b" and picture == lost:
            return 400, {}, b"{}"
        content = json.dumps(reply_about(body["model"], picture))
        return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()

    table = write_odd_photos(tmp_path / "photos", 30)
    server = serve(answer)
    teachers = [Teacher("vlm", name, server.url) for name in ("a", "b")]
    lost = reencode((tmp_path / "photos" / "4.png").read_bytes())
    assert curate(table, tmp_path / "out", teachers, cut_to(8))["teachers"][teachers[1].spec]["failed"] == 1
    up, before = True, len(server.requests)
    repaired = curate(table, tmp_path / "out", teachers, cut_to(8))
    assert len(server.requests) == before + 1
    assert repaired["teachers"][teachers[1].spec]["failed"] == 0
    curate(table, tmp_path / "fresh", teachers, cut_to(8))
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")


def test_two_curations_of_one_folder_do_not_run_at_once(pair, small, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / "curation.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another curation is writing here"):
            curate(small(3), tmp_path / "out", pair[0], RECIPE)
