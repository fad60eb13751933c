import hashlib
import json

import pytest
from odd_photos import write_odd_photos

from globe.curation.guard.facts import FACTS_NAME
from globe.curation.parts import PartFiles, ask_part, read_part
from globe.curation.recipe import CurationRecipe
from globe.curation.teachers.teacher import Teacher
from globe.data.named import given_path
from globe.data.parts import Part
from globe.data.shards import MANIFEST_NAME, dataset_digest, read_dataset
from globe.data.sources import read_source
from globe.errors import InputError

RECIPE = CurationRecipe(retries=0)


@pytest.fixture
def given(tmp_path):
    return given_path(write_odd_photos(tmp_path / "photos", 30))


def read(given, folder, part=Part(0, 20)):
    files = PartFiles(folder / "source", folder, folder)
    read_part(given, part, files, 1536, lambda done: None)
    return files


def test_repeats_within_the_part_are_refused_with_what_tells_them_in_the_whole(given, tmp_path):
    files = read(given, tmp_path / "part")
    ids = [row.id for row in read_dataset(files.data)]
    assert len(ids) == len(set(ids))
    repeats = {one.id: one for one in files.refused() if one.sha256}
    assert {row_id: one.reason for row_id, one in repeats.items()} == {"photo 0": "duplicate_id"}
    (again,) = read_source(given, part=Part(12, 1))
    assert repeats["photo 0"].sha256 == hashlib.sha256(again.image).hexdigest()
    assert "photo 10" in ids  # the picture of photo 9, had that been readable
    assert files.listed() == 20 == len(ids) + sum(one.n for one in files.lost().values())


def test_a_part_that_was_read_is_not_read_again_and_one_that_was_killed_is(given, tmp_path):
    files = read(given, tmp_path / "part")
    digest, written = dataset_digest(files.data), (files.data / MANIFEST_NAME).stat().st_mtime_ns
    read(given, tmp_path / "part")
    assert (files.data / MANIFEST_NAME).stat().st_mtime_ns == written
    (files.read / "read.json").unlink()
    (files.data / MANIFEST_NAME).unlink()
    (files.data / "part.tmp").write_bytes(b"half a shard")
    read(given, tmp_path / "part")
    assert dataset_digest(files.data) == digest


def test_facts_that_were_removed_are_made_again_as_whoever_cannot_read_them_is_told(given, tmp_path):
    files = read(given, tmp_path / "part")
    path, data = files.read / FACTS_NAME, dataset_digest(files.data)
    facts = path.read_bytes()
    path.write_bytes(facts[:-50])
    with pytest.raises(InputError, match="remove it, and it is made again"):
        list(files.facts())
    path.unlink()
    read(given, tmp_path / "part")
    assert path.read_bytes() == facts
    assert dataset_digest(files.data) == data


@pytest.fixture
def teacher(serve, good_reply):
    content = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda path, body: (200, {}, content))
    return server, [Teacher("vlm", "a", server.url)]


def test_teachers_are_asked_once_and_only_a_changed_question_opens_a_part_again(given, teacher, tmp_path):
    server, teachers = teacher
    files = read(given, tmp_path / "part")
    ask_part(files, teachers, RECIPE, lambda *call: None)
    asked = len(server.requests)
    assert asked == len({row.image for row in read_dataset(files.data)})
    calls = []
    ask_part(files, teachers, RECIPE.model_copy(update={"concurrency": 2, "min_score": 0.9}), lambda *call: calls.append(call))
    assert not calls
    ask_part(files, [*teachers, Teacher("vlm", "b", server.url)], RECIPE, lambda *call: None)
    assert [body["model"] for _, body, _ in server.requests[asked:]] == ["b"] * asked


def test_a_part_whose_teachers_are_away_stays_open_and_goes_on_when_they_are_back(given, teacher, tmp_path):
    _, teachers = teacher
    files = read(given, tmp_path / "part")
    with pytest.raises(InputError, match="gave no usable reply"):
        ask_part(files, [Teacher("vlm", "a", "http://127.0.0.1:9/v1")], RECIPE, lambda *call: None)
    assert not (files.asked / "asked.json").exists()
    ask_part(files, teachers, RECIPE, lambda *call: None)
    assert files.unanswered() == 0
    assert set(files.pictures().digests) == {row.id for row in read_dataset(files.data)}
