"""However a source is cut into parts, and cut anew, the result is the same."""

import json
import shutil
from base64 import b64decode
from io import BytesIO

import pytest
from odd_photos import write_odd_photos
from PIL import Image
from small_curation import ODD, RECIPE, cut_to, files_of, rows_of

from globe.curation.curate import curate
from globe.errors import InputError


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
