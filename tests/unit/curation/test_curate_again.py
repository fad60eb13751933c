"""What is done again of a curation that stands, when a file, a rule or the source has changed."""

import json
import os
from base64 import b64decode
from pathlib import Path

import pytest
from odd_photos import reply_about, write_odd_photos
from small_curation import ODD, OUTPUTS, below, cut_to, files_of

from globe.curation.curate import curate
from globe.curation.teachers.teacher import Teacher
from globe.data.images import reencode
from globe.errors import InputError


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
