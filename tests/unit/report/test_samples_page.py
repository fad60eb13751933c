"""Pages of a training's samples: what a reader sees, whatever a model wrote, in a bounded size."""

from pathlib import Path

import pytest
from page_reader import loaded, read_page
from PIL import Image

from globe.report.samples_page import newest_samples, write_samples_page
from globe.report.training_page import write_training_page
from globe.run.stage import Outcome, StageResult
from globe.training.samples import SAMPLES, Answer, Group, Scored

TRUTH = {"solution": {"country": "Kenya", "city": "Nairobi", "lat_deg": -1.3, "lon_deg": 36.8}}
EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)> {{ 7 * 7 }} \u202egnp.exe & \"'"


def photo(folder: Path, side_px: int = 64) -> Path:
    path = folder / "photo.png"
    Image.effect_noise((side_px, side_px), 90).save(path)
    return path


def answer(text: str, score: float | None = 0.25) -> Answer:
    return Answer(text, -0.5, (Scored("visual_precision", score, f"because {text}"),))


def page_of(folder: Path, step: int = 50) -> str:
    return (folder / f"step-{step:06d}.html").read_text(encoding="utf-8")


def test_a_page_shows_picture_truth_answers_and_each_reward_with_its_reason(tmp_path):
    write_samples_page(tmp_path, 50, [Group(photo(tmp_path), TRUTH, (answer("palms"), answer("snow", None)))])
    page = read_page(page_of(tmp_path))
    said = page.text["samples"]
    for text in ("Samples of step 50", "Nairobi, Kenya", "palms", "visual precision 0.25", "because palms", "−0.50", "–"):
        assert text in said
    assert sum(tag == "img" and a["src"].startswith("data:image/") for tag, a in page.tags) == 1


def test_what_a_model_writes_is_text_and_nothing_else(tmp_path):
    write_samples_page(tmp_path, 50, [Group(photo(tmp_path), {"solution": {"country": EVIL, "city": ""}}, (answer(EVIL),))])
    text = page_of(tmp_path)
    page = read_page(text)
    assert "script" not in page.names
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    assert all(url.startswith("data:image/png;base64,") for url in loaded(page))
    assert "alert(1)</script>" in page.text["samples"]
    assert "{{ 7 * 7 }}" in page.text["samples"]
    assert "\u202e" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("character", ["x", "'", "Ж", "&"])
def test_a_page_is_bounded_however_much_is_sampled_and_says_what_it_leaves_out(tmp_path, character):
    groups = [Group(photo(tmp_path, 2000), TRUTH, tuple(answer(character * 20_000) for _ in range(64)))] * 40
    write_samples_page(tmp_path, 50, groups)
    assert 100_000 < len(page_of(tmp_path).encode()) < 2_000_000
    assert "more prompts of this step are in completions.jsonl" in page_of(tmp_path)


def test_a_picture_that_is_missing_is_said_to_be(tmp_path):
    write_samples_page(tmp_path, 50, [Group(tmp_path / "none.png", {}, (answer("?"),))])
    assert "no picture" in page_of(tmp_path)
    assert "an unknown place" in page_of(tmp_path)


def test_the_index_links_all_pages_the_newest_first(tmp_path):
    for step in (50, 100, 1000):
        write_samples_page(tmp_path, step, [Group(photo(tmp_path), TRUTH, (answer(f"at {step}"),))])
    page = read_page((tmp_path / "index.html").read_text(encoding="utf-8"))
    links = [a["href"] for tag, a in page.tags if tag == "a"]
    assert links == ["step-001000.html", "step-000100.html", "step-000050.html"]
    assert all((tmp_path / link).exists() for link in links)
    assert "step 1000 (the newest)" in page.text["pages"]


def test_the_page_of_the_curves_ends_with_the_newest_samples(tmp_path):
    assert newest_samples(tmp_path) is None
    write_samples_page(tmp_path / SAMPLES, 50, [Group(photo(tmp_path), TRUTH, (answer(EVIL),))])
    write_training_page(str(tmp_path / "page.html"), StageResult("grpo", "k", tmp_path, Outcome("done"), 1.0, reused=True))
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "Samples of step 50" in page.text["samples"]
    assert "script" not in page.names
    assert all(url.startswith("data:image/png;base64,") for url in loaded(page))
