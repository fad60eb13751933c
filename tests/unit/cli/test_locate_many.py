"""`globe locate` for many photos, against a plain model server and against a real gateway before a server that plays vLLM."""

import csv
import io
import json
import re

import pytest
from cli_inputs import picture
from command_line import ended, globe, refused
from PIL import Image
from scripted_vllm import gateway, scripted_vllm

PARIS = "Paris, France  [48.8534, 2.3488]"


@pytest.fixture
def folder(tmp_path):
    """Three photos, one of them in a folder below, a file that is none, a hidden one, and one of another kind."""
    (tmp_path / "photos" / "below").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.PNG", "below/c.jpeg", ".hidden.png")):
        (tmp_path / "photos" / name).write_bytes(picture(number))
    (tmp_path / "photos" / "bad.jpg").write_text("no picture")
    (tmp_path / "photos" / "notes.txt").write_text("x")
    return tmp_path / "photos"


@pytest.fixture
def vllm():
    with scripted_vllm() as script:
        yield script


def geotagged(lat: tuple, lon: tuple) -> bytes:
    image, out = Image.new("RGB", (30, 20)), io.BytesIO()
    exif = image.getexif()
    exif.get_ifd(0x8825).update({1: "N", 2: lat, 3: "E", 4: lon})
    image.save(out, "JPEG", exif=exif)
    return out.getvalue()


def names(lines: list[str]) -> list[str]:
    return [re.split(r"  +", line)[0].rpartition("/")[2] for line in lines]


def test_a_folder_gives_a_line_for_each_photo_in_order_and_those_that_are_none_do_not_stop_it(model, folder):
    done = globe("locate", str(folder), "--url", model.url)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert names(lines) == ["a.png", "b.PNG", "bad.jpg", "c.jpeg"]
    assert [PARIS in line for line in lines] == [True, True, False, True]
    assert "is not a picture" in lines[2]
    assert done.stderr.splitlines()[-1] == "globe: 1 of 4 photos have no answer; their lines say why"


def test_json_is_a_line_for_each_photo_and_one_document_for_one(model, folder):
    done = globe("locate", str(folder), "--url", model.url, "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["photo"].rpartition("/")[2], row["status"], row.get("city")) for row in rows] == [
        ("a.png", "ok", "Paris"), ("b.PNG", "ok", "Paris"), ("bad.jpg", "bad_photo", None), ("c.jpeg", "ok", "Paris"),
    ]  # fmt: skip
    one = json.loads(globe("locate", str(folder / "a.png"), "--url", model.url, "--json").stdout)
    assert rows[0] == {
        "photo": str(folder / "a.png"),
        **one,
        "latency_s": rows[0]["latency_s"],
        "first_token_s": rows[0]["first_token_s"],
    }


@pytest.mark.parametrize("ending", ["", "/", "/v1"])
def test_a_gateway_is_asked_by_its_address_in_any_form(vllm, folder, ending):
    with gateway(vllm) as url:
        done = globe("locate", str(folder / "a.png"), str(folder / "b.PNG"), "--url", f"{url}{ending}", "-n", "3", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["city"], row["n"], row["answered"], row["confidence"]) for row in rows] == [("Paris", 3, 3, 1.0)] * 2
    assert "text" not in rows[0]


def test_a_gateway_is_asked_by_chat_where_the_question_is_the_users_own(vllm, folder, tmp_path):
    (tmp_path / "p.txt").write_text("which town?")
    with gateway(vllm) as url:
        done = globe("locate", str(folder / "a.png"), "--url", url, "--prompt", str(tmp_path / "p.txt"), "--json")
    assert json.loads(done.stdout)["text"].startswith("<think>"), done.stderr
    assert vllm.asked[-1]["messages"][0]["content"][1]["text"] == "which town?"


def test_a_gateway_that_tells_no_more_than_the_country_is_told_so(vllm, folder):
    with gateway(vllm, max_precision="country") as url:
        told = globe("locate", str(folder / "a.png"), "--url", url).stdout.splitlines()
    assert told[0].startswith("France  [47.1381, 2.7880, the country's centre]")
    assert told[1] == "this server tells no more than the country"


@pytest.mark.parametrize("one", [True, False], ids=["one photo", "a folder"])
def test_more_answers_than_a_gateway_gives_is_bad_input_and_told_once(vllm, folder, one):
    with gateway(vllm) as url:
        done = globe("locate", str(folder / "a.png" if one else folder), "--url", url, "-n", "99")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(rf"globe: {url}: n: .*less than or equal to \d+", done.stderr.splitlines()[-1])


def test_files_of_other_kinds_in_a_folder_are_counted(model, folder):
    assert "left out 1 .txt; photos end in" in globe("locate", str(folder), "--url", model.url).stderr


def test_no_more_photos_than_that_are_asked_about_at_once(vllm, tmp_path):
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    vllm.pause_s = 0.1
    with gateway(vllm) as url:
        done = globe("locate", str(tmp_path), "--url", url, "--concurrency", "3")
    assert (done.returncode, len(done.stdout.splitlines()), vllm.most_at_once) == (0, 9, 3)


def test_a_server_that_is_gone_ends_it_after_ten_photos(model, tmp_path, monkeypatch):
    monkeypatch.setattr("globe.evaluation.locate.RETRY_S", 0.0)
    for number in range(30):
        (tmp_path / f"{number:02}.png").write_bytes(picture(number))
    model.chat = (500, "text/plain", "oh")
    done = globe("locate", str(tmp_path), "--url", model.url)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 10)
    assert "10 photos in a row" in done.stderr.splitlines()[-1]


def test_several_samples_need_no_temperature_of_the_recipe(model, folder):
    done = globe("locate", str(folder / "a.png"), "--url", model.url, "--samples", "3", "--json")
    assert json.loads(done.stdout)["agreement"] == 1.0
    assert {asked["temperature"] for asked in model.asked} == {0.7}
    assert sorted(asked["seed"] for asked in model.asked) == [0, 1, 2]


def test_a_table_and_a_map_are_written_beside_what_is_printed(model, folder, tmp_path):
    model.text = "<think>=1+1\x1b[31m</think><answer>country: France\ncity: Paris</answer>"
    done = globe(
        "locate", str(folder), "--url", model.url, "--csv", str(tmp_path / "t.csv"), "--geojson", str(tmp_path / "m.geojson")
    )
    assert done.returncode == 1
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["status"], row["city"], row["lat_deg"], row["reasoning"]) for row in rows] == [
        ("ok", "Paris", "48.85341", "'=1+1"), ("ok", "Paris", "48.85341", "'=1+1"), ("bad_photo", "", "", ""),
        ("ok", "Paris", "48.85341", "'=1+1"),
    ]  # fmt: skip
    features = json.loads((tmp_path / "m.geojson").read_text())["features"]
    point = {"type": "Point", "coordinates": [2.3488, 48.85341]}
    assert [feature["geometry"] for feature in features] == [point, point, None, point]
    assert features[0]["properties"]["reasoning"] == "'=1+1"


@pytest.mark.parametrize("option", ["--csv", "--geojson"])
def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(model, folder, tmp_path, option):
    for place in (tmp_path / "none" / "x", tmp_path):
        refused(globe("locate", str(folder), "--url", model.url, option, str(place)), str(place), "cannot be written")
    assert model.asked == []


@pytest.mark.parametrize("option", ["--csv", "--geojson"])
def test_nothing_is_written_over_a_photo_or_before_there_is_an_answer(model, folder, tmp_path, option):
    photo, old = folder / "a.png", tmp_path / "old"
    content = photo.read_bytes()
    refused(globe("locate", str(folder), "--url", model.url, option, str(photo)), option, "is one of the photos")
    assert photo.read_bytes() == content
    old.write_text("what was there")
    ended(globe("locate", str(folder), "--url", "http://127.0.0.1:1/v1", option, str(old)), 1, "no model server answers")
    ended(globe("locate", str(folder), "--url", "http://127.0.0.1:1/v1", option, str(tmp_path / "new")), 1, "no model server")
    assert (old.read_text(), (tmp_path / "new").exists()) == ("what was there", False)
    assert globe("locate", str(photo), "--url", model.url, option, str(old)).returncode == 0
    assert "what was there" not in old.read_text()


def test_a_table_and_a_map_are_not_the_same_file(model, folder, tmp_path):
    same = str(tmp_path / "x")
    refused(globe("locate", str(folder), "--url", model.url, "--csv", same, "--geojson", same), "a file of its own")


def test_an_address_with_a_key_in_it_is_refused_and_the_key_is_not_quoted(model, folder):
    with scripted_vllm() as script, gateway(script) as url:
        said = globe("locate", str(folder), "--url", f"{url}/?key=globe_secret")
        refused(said, "GLOBE_API_KEY")
        assert "globe_secret" not in said.stderr


def test_the_distance_to_the_photos_own_position_is_told_when_asked_for(model, tmp_path):
    (tmp_path / "home.jpg").write_bytes(geotagged((48.0, 51.0, 12.3), (2.0, 20.0, 55.7)))
    (tmp_path / "none.png").write_bytes(picture())
    untold = globe("locate", str(tmp_path / "home.jpg"), "--url", model.url, "--json").stdout
    assert "exif" not in untold
    told = json.loads(globe("locate", str(tmp_path / "home.jpg"), "--url", model.url, "--compare-exif", "--json").stdout)["exif"]
    assert told == pytest.approx({"lat_deg": 48.853417, "lon_deg": 2.348806, "distance_km": 0.001}, abs=1e-3)
    one = globe("locate", str(tmp_path / "home.jpg"), "--url", model.url, "--compare-exif")
    assert one.stdout.splitlines()[-1] == "0.0 km from the position in the file"
    model.text = "<think>x</think><answer>country: Italy\ncity: Rome</answer>"
    far = globe("locate", str(tmp_path), "--url", model.url, "--compare-exif", "--csv", str(tmp_path / "t.csv"))
    assert [line.rpartition("  ")[2] for line in far.stdout.splitlines()] == ["1,108.3 km off", "[41.8919, 12.5113]"]
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["exif_distance_km"][:4] for row in rows] == ["1108", ""]
    none = globe("locate", str(tmp_path / "none.png"), "--url", model.url, "--compare-exif")
    assert none.stdout.splitlines()[-1] == "the file holds no position to compare with"


def test_the_key_comes_from_a_file_and_is_gone_afterwards(model, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_API_KEY", "another")
    model.key = "the-key"
    (tmp_path / "key").write_text("the-key\n")
    assert globe("locate", str(folder / "a.png"), "--url", model.url, "--key-file", str(tmp_path / "key")).returncode == 0
    ended(globe("locate", str(folder / "a.png"), "--url", model.url), 1, "401")
    assert "the-key" not in globe("locate", "--help").stdout


@pytest.mark.parametrize("content", [None, b"", b" \n", b"a b", b"\xff", b"a\nb", b"x" * 5000])
def test_a_file_without_a_key_is_refused_and_not_quoted(model, folder, tmp_path, content):
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    result = globe("locate", str(folder / "a.png"), "--url", model.url, "--key-file", str(tmp_path / "key"))
    refused(result, "--key-file")
    assert "xxx" not in result.stderr


def test_a_file_name_that_would_steer_a_terminal_is_told_harmlessly(model, tmp_path):
    for name in ("a\x1b[31m.png", "b\u202egnp.png", "=cmd.png"):
        (tmp_path / name).write_bytes(picture())
    done = globe("locate", str(tmp_path), "--url", model.url, "--csv", str(tmp_path / "t.csv"))
    assert done.returncode == 0, done.stderr
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "\x1b" not in (tmp_path / "t.csv").read_text()
