"""`globe report` as people call it."""

import json

import pytest
from command_line import globe, refused
from report_sample import further_keys, many_records

from globe.figures.metrics import summarize
from globe.figures.predictions import write_predictions


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two evaluations of the same pictures, by a weak model and by a stronger one."""
    home = tmp_path_factory.mktemp("evaluations")
    truths = [record["truth"] for record in many_records(80)]
    for name, skill in (("weak", 0.3), ("strong", 0.9)):
        records = [record | {"id": f"p{i}", "truth": truths[i]} for i, record in enumerate(many_records(80, seed=3, skill=skill))]
        (home / name).mkdir()
        write_predictions(home / name, records)
        metrics = summarize(records, rounds=50) | further_keys(80) | {"model": f"{name} model"}
        (home / name / "metrics.json").write_text(json.dumps(metrics))
    return home


def test_one_evaluation_gets_its_page_beside_it(folders):
    done = globe("report", str(folders / "weak"))
    page = folders / "weak" / "report.html"
    assert (done.returncode, done.stdout.split()) == (0, ["report", str(page)])
    assert "weak model" in page.read_text(encoding="utf-8")


def test_several_stand_side_by_side_under_the_names_given(folders, tmp_path):
    page = tmp_path / "new" / "page.html"
    done = globe("report", str(folders / "weak"), str(folders / "strong"), "--names", "before, after", "--out", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert "<h1>before · after</h1>" in text
    assert "before → after" in text
    assert not any((folders / name / "comparison.html").exists() for name in ("weak", "strong"))


def test_json_has_the_figures_of_metrics_json_and_the_differences(folders):
    done = globe("report", str(folders / "weak"), str(folders / "strong"), "--json")
    told = json.loads(done.stdout)
    assert [one["name"] for one in told["evaluations"]] == ["weak model", "strong model"]
    for name, one in zip(("weak", "strong"), told["evaluations"], strict=True):
        assert one["figures"] == json.loads((folders / name / "metrics.json").read_text())
    assert [(one["a"], one["b"], one["n"]) for one in told["differences"]] == [("weak model", "strong model", 80)]


def test_markdown_is_short_enough_for_a_comment(folders):
    done = globe("report", str(folders / "weak"), str(folders / "strong"), "--markdown")
    assert done.stdout.startswith("| | weak model | strong model |\n|---|---|---|\n| pictures | 80 | 80 |\n")
    assert len(done.stdout) < 1500


def test_the_schema_needs_no_folder_and_describes_metrics_json():
    told = json.loads(globe("report", "--schema").stdout)
    assert told["required"] == ["n", "accuracy"]


def test_bad_input_is_one_line(folders, tmp_path):
    weak = str(folders / "weak")
    refused(globe("report"), "name the evaluation folders")
    refused(globe("report", str(tmp_path)), "metrics.json", str(tmp_path))
    refused(globe("report", weak, "--json", "--markdown"), "either --json or --markdown")
    refused(globe("report", weak, "--out", str(tmp_path)), "is a folder")
    refused(globe("report", weak, "--images", str(tmp_path / "none")), "--images", "none: no such folder")
    (tmp_path / "file").write_text("")
    refused(globe("report", weak, "--out", str(tmp_path / "file" / "page.html")), "--out", "is not a folder")
    refused(globe("report", weak, "--names", "a,b"), "2 names for 1 folders")
