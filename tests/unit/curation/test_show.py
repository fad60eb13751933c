"""`globe curate` as people call it: what it prints, where it says that the sets lie, and which recipe it takes."""

import json

import pytest
from command_line import ended, globe
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for shade in range(4):
        exif = Image.Exif()
        exif[0x8825] = {1: "N", 2: (41, 54, 0), 3: "E", 4: (12, 29, 0)}
        Image.new("RGB", (300, 200), (60 * shade, 20, 20)).save(folder / f"{shade}.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture
def teachers(serve, good_reply):
    content = json.dumps({"choices": [{"message": {"content": json.dumps(good_reply)}}]}).encode()
    server = serve(lambda path, body: (200, {}, content))
    return ["--teacher", f"a@{server.url}", "--teacher", f"b@{server.url}"]


def test_a_summary_is_printed_and_says_where_the_sets_lie(photos, teachers, tmp_path):
    done = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "out" / "curation.json").read_text())
    lines = done.stdout.splitlines()
    assert lines[0] == f"{figures['in']} pictures in, {figures['kept']} kept"
    assert "1 could not be used: 1 picture not readable" in lines
    sets = f"sets: train {figures['splits']['train']}, test {figures['splits']['test']}, reward model 0, pool {figures['pool']}"
    assert sets in lines
    for place in (tmp_path / "out", tmp_path / "out" / "curation.json", tmp_path / "out" / "decisions.jsonl"):
        assert any(line.endswith(str(place)) and place.exists() for line in lines)


def test_json_is_one_document_and_nothing_else(photos, teachers, tmp_path):
    done = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "out"), "--json")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "curation.json").read_text())
    plan = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "none"), "--plan", "--json")
    assert set(json.loads(plan.stdout)["calls"].values()) == {4}
    told = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "none"), "--plan").stdout
    assert told.count(": 4 calls") == 2
    assert "5 rows in 1 part, about 4 usable pictures" in told
    assert "would stop" not in told
    arguments = ["curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "none"), "--plan"]
    strict = globe(*arguments, "--set", "max_unusable_percent=19").stdout
    assert "as many of all, 20.0%, would stop the curation: max_unusable_percent=19" in strict
    assert not (tmp_path / "none").exists()


def test_the_recipe_is_the_full_size_one_unless_another_is_named(photos, teachers, tmp_path):
    done = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "out"))
    assert "curation recipe mp16: 120 s a call" in done.stderr
    demo = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "out2"), "--recipe", "demo")
    assert "curation recipe demo: 5 s a call" in demo.stderr


def test_a_teacher_that_nobody_runs_is_named_in_one_line(photos, tmp_path):
    teachers = ["--teacher", "a@http://127.0.0.1:9/v1", "--teacher", "b@http://127.0.0.1:9/v1"]
    done = globe("curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "out"), "--set", "retries=0")
    ended(done, 2, "a at http://127.0.0.1:9/v1")


def test_sets_that_nothing_can_be_trained_on_are_named(photos, teachers, tmp_path):
    arguments = ["curate", "--source", str(photos), *teachers, "--out", str(tmp_path / "out"), "--recipe", "demo"]
    told = globe(*arguments).stdout
    assert "nothing to train on" not in told
    figures = json.loads((tmp_path / "out" / "curation.json").read_text())
    assert figures["pool"]
    assert figures["splits"]["train"]
    one_country = globe(*arguments, "--set", "balance_verdicts=true").stdout
    assert 'nothing to train on in reward_model: it needs "yes" and "no"; pictures of several countries' in one_country
    strict = globe(*arguments, "--set", "min_score=1", "--set", "pool=kept")
    assert "nothing to train on in sft, pool: " in strict.stdout, strict.stderr
