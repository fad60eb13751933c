"""`globe evaluate --dataset`: tables, data sets by name and their pictures, and what is wrong with them."""

import json
import zipfile

from cli_inputs import evaluate, picture
from command_line import ended


def test_a_table_in_a_folder_with_another_tables_photos_is_refused(model, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "p.png").write_bytes(picture(ord(name)))
        (tmp_path / name / "t.csv").write_text(f"id,image,lat,lon\n{name},p.png,48.85,2.35\n")
    assert evaluate(model, tmp_path / "a" / "t.csv", tmp_path / "out").returncode == 0
    assert evaluate(model, tmp_path / "a" / "t.csv", tmp_path / "out").returncode == 0
    ended(evaluate(model, tmp_path / "b" / "t.csv", tmp_path / "out"), 2, "photos of a source other than")


def test_photos_that_cannot_be_used_are_told(model, tmp_path):
    (tmp_path / "p.png").write_bytes(picture())
    (tmp_path / "t.csv").write_text("id,image,lat,lon\na,p.png,48.85,2.35\nb,gone.png,48.85,2.35\n")
    stopped = evaluate(model, tmp_path / "t.csv", tmp_path / "out")
    ended(stopped, 2, "1 of 2 rows (50.0%) cannot be used: 1 file_missing (first: b)", "--set max_unusable_percent=50")
    assert not model.asked
    done = evaluate(model, tmp_path / "t.csv", tmp_path / "out", "--json", "--set", "max_unusable_percent=50")
    assert json.loads(done.stdout)["n"] == 1
    assert "1 photos could not be used (file_missing), the first b" in done.stderr
    (tmp_path / "t.csv").write_text("id,image,lat,lon\nb,gone.png,48.85,2.35\n")
    ended(evaluate(model, tmp_path / "t.csv", tmp_path / "out2"), 2, "no photo could be used")


def test_a_table_of_which_most_pictures_are_missing_gives_no_figures(model, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    lines = "".join(f"{number},{number}.png,48.85,2.35\n" for number in range(11))
    (tmp_path / "t.csv").write_text(f"id,image,lat,lon\n{lines}")
    done = evaluate(model, tmp_path / "t.csv", tmp_path / "out")
    ended(done, 2, "t.csv: 9 of 11 rows (81.8%) cannot be used: 9 file_missing (first: 2)")
    assert not model.asked
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_exchanged_columns_within_valid_ranges_are_refused(model, tmp_path):
    lines = []
    for number, (lat, lon, country) in enumerate([(48.86, 2.35, "France"), (52.52, 13.4, "DE"), (41.9, 12.5, "Italy")]):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
        lines.append(f"{number},{number}.png,{lat},{lon},{country}\n")
    (tmp_path / "t.csv").write_text(f"id,image,lon,lat,country\n{''.join(lines)}")
    done = evaluate(model, tmp_path / "t.csv", tmp_path / "out")
    ended(done, 2, "t.csv: 3 of 3 positions", "is not in France, but is with lat and lon swapped; swap them")
    assert not model.asked


def test_a_data_set_is_found_by_its_name_with_its_pictures_in_a_zip(model, tmp_path):
    (tmp_path / "test_mini.csv").write_text("id,latitude,longitude,country,creator_username\n7,48.85,2.35,FR,anna\n")
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        archive.writestr("osv-test-mini-3k/7.jpg", picture(7))
    images = ("--images", str(tmp_path / "pictures.zip"))
    ended(evaluate(model, "osv-test-mini-3k", tmp_path / "out", *images), 2, "2999 of 3000 rows")
    done = evaluate(model, "osv-test-mini-3k", tmp_path / "out", *images, "--json", "--set", "max_unusable_percent=100")
    assert json.loads(done.stdout)["n"] == 1
    assert "2999 photos could not be used (row_not_in_table)" in done.stderr
    record = json.loads((tmp_path / "out" / "source" / "completeness.json").read_text())
    assert (record["name"], record["rows_expected"], record["usable"]) == ("osv5m-mini-3k", 3000, 1)
    ended(evaluate(model, "im2gps9k@/x", tmp_path / "out2"), 2, "no data set is called 'im2gps9k'")


def test_a_published_checkpoint_is_checked_against_what_was_expected_of_it(model, tmp_path):
    rows = "".join(f"{number}.jpg,user{number},48.85,2.35\n" for number in range(12))
    (tmp_path / "im2gps3k_places365.csv").write_text(f"IMG_ID,AUTHOR,LAT,LON\n{rows}")
    with zipfile.ZipFile(tmp_path / "im2gps3ktest.zip", "w") as archive:
        for number in range(12):
            archive.writestr(f"im2gps3ktest/{number}.jpg", picture(number))
    more = ("--recipe", "globe-qwen2.5-vl-7b", "--limit", "10", "--json", "--set", "max_unusable_percent=100")
    done = evaluate(model, f"im2gps3k@{tmp_path}", tmp_path / "out", *more)
    assert done.returncode == 0, done.stderr
    expected = json.loads((tmp_path / "out" / "metrics.json").read_text())["expected"]
    assert (expected["dataset"], expected["n"], expected["within_25_km_percent"]) == ("im2gps3k", 10, [37, 40])
    assert (expected["measured_percent"], expected["outcome"]) == (100.0, "above")
    assert "above: 100.0% within 25 km of 10 pictures" in done.stderr
    assert {prompt.splitlines()[0][:34] for prompt in model.prompts} == {"You are a geolocation expert. You "}
    assert {(asked["temperature"], asked["max_tokens"]) for asked in model.asked} == {(0.0, 1024)}


def test_images_that_are_nowhere_are_refused(model, tmp_path):
    (tmp_path / "t.csv").write_text("id,lat,lon\na,48.85,2.35\n")
    done = evaluate(model, tmp_path / "t.csv", tmp_path / "out", "--images", str(tmp_path / "nowhere"))
    ended(done, 2, "nowhere", "no such folder or archive")
