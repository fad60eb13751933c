"""globe-radius.json: where it lies, for which question it holds, and what becomes of an answer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_inputs import checkpoint
from simulated import answers

from globe.answer.prompt import PROMPT
from globe.asking.answers import Location
from globe.asking.recipe import AskingRecipe
from globe.errors import InputError
from globe.evaluation.promote import promote
from globe.evaluation.radius_file import (
    add_radius,
    calibrate_evaluation,
    publish_radius,
    radius_of,
    radius_text,
    read_radius,
    write_radius,
)
from globe.figures.predictions import write_predictions
from globe.figures.radius import ANYWHERE_KM, Group, Radius
from globe.files import write_json
from globe.models.checkpoints import RADIUS_FILE, read_checkpoint
from globe.models.publish import publish_checkpoint
from globe.run.events import Reporter
from globe.run.stage import Outcome, run_stage

PARIS = Location("ok", level="city", lat_deg=48.9, lon_deg=2.3, confidence=0.7)


def evaluation(folder: Path, question: dict[str, Any], metrics: dict[str, Any] | None = None, n: int = 400) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder, answers("calibrated", n))
    write_json(folder / "question.json", question)
    if metrics:
        write_json(folder / "metrics.json", metrics)
    return folder


def asked(model: Any, prompt: str = PROMPT, temperature: float = 0.0) -> dict[str, Any]:
    return {"model": "m", "checkpoint": model.digest, "prompt": prompt, "temperature": temperature, "samples": 1, "dataset": "d1"}


def test_it_lies_beside_the_manifest_and_gives_an_answer_its_radius(tmp_path: Path) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    radius = calibrate_evaluation(evaluation(tmp_path / "e", asked(model)))
    assert add_radius(radius, model) == str(tmp_path / "m" / RADIUS_FILE)
    assert read_radius(model) == radius
    found = radius_of(PARIS, model, AskingRecipe())
    assert found == {"radius_km": radius.of(0.7, False), "radius_level_percent": 90.0}
    assert radius.data["dataset_digest"] == "d1"


def test_it_changes_nothing_of_what_the_checkpoint_is(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "m")
    before = read_checkpoint(folder)
    add_radius(calibrate_evaluation(evaluation(tmp_path / "e", asked(before))), before)
    again = publish_checkpoint(folder, base_model="b", recipe="r", parent="p", step=3)
    assert read_checkpoint(folder).digest == again.digest == before.digest


def test_it_is_refused_for_a_model_that_was_not_asked(tmp_path: Path) -> None:
    model, other = (read_checkpoint(checkpoint(tmp_path / name)) for name in "mo")
    radius = calibrate_evaluation(evaluation(tmp_path / "e", asked(model)))
    with pytest.raises(
        InputError, match=f"is checkpoint {other.digest[:12]}, and the evaluation asked checkpoint {model.digest[:12]}"
    ):
        add_radius(radius, other)
    unknown = calibrate_evaluation(evaluation(tmp_path / "u", {"model": "m", "checkpoint": ""}))
    with pytest.raises(InputError, match="does not say which checkpoint it asked"):
        add_radius(unknown, model)
    assert not (tmp_path / "o" / RADIUS_FILE).exists()


@pytest.mark.parametrize(
    ("recipe", "location"),
    [
        (AskingRecipe(prompt="Where?"), PARIS),
        (AskingRecipe(temperature=0.7), PARIS),
        (AskingRecipe(), replace(PARIS, confidence=None)),
        (AskingRecipe(), Location("not_geocoded", country="Atlantis", confidence=0.9)),
        (AskingRecipe(), Location("call_failed")),
    ],
)
def test_another_question_and_answers_without_position_or_confidence_have_no_radius(
    tmp_path: Path, recipe: AskingRecipe, location: Location
) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    add_radius(calibrate_evaluation(evaluation(tmp_path / "e", asked(model))), model)
    assert radius_of(location, model, recipe) == {}


def test_the_manifest_of_an_evaluation_says_more_than_its_question(tmp_path: Path) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    manifest = {"model_digest": model.digest, "temperature": 0.1, "frequency_penalty": 0.7, "presence_penalty": 0.7}
    add_radius(calibrate_evaluation(evaluation(tmp_path / "e", asked(model), {"manifest": manifest})), model)
    original = AskingRecipe(temperature=0.1, frequency_penalty=0.7, presence_penalty=0.7)
    assert radius_of(PARIS, model, original).keys() == {"radius_km", "radius_level_percent"}
    assert radius_of(PARIS, model, original.model_copy(update={"presence_penalty": 0.0})) == {}


@pytest.mark.parametrize("unknown", ["model_digest", "prompt_sha256", "temperature", "samples"])
def test_a_radius_that_does_not_say_whose_answers_it_is_for_or_of_how_many_is_used_for_none(tmp_path: Path, unknown: str) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    radius = calibrate_evaluation(evaluation(tmp_path / "e", asked(model)))
    write_radius(
        radius.model_copy(update={"question": {k: v for k, v in radius.question.items() if k != unknown}}), tmp_path / "m"
    )
    assert radius_of(PARIS, model, AskingRecipe()) == {}


def test_a_radius_of_an_unknown_question_is_used_for_none(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "e", {})
    (folder / "question.json").write_text("[]")
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    write_radius(calibrate_evaluation(folder), tmp_path / "m")
    assert radius_of(PARIS, model, AskingRecipe()) == {}


@pytest.mark.parametrize("text", ["{", "[]", "[" * 99_999])
def test_a_question_that_cannot_be_read_is_an_unknown_one(tmp_path: Path, text: str) -> None:
    folder = evaluation(tmp_path / "e", {})
    (folder / "question.json").write_text(text)
    assert calibrate_evaluation(folder).question == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"level_percent": 900}', "\x00", '{"groups": [], "by": "x"}'])
def test_a_damaged_file_costs_the_radius_and_not_the_answer(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    (tmp_path / "m" / RADIUS_FILE).write_text(text)
    assert radius_of(PARIS, model, AskingRecipe()) == {}
    assert f"no radius: {tmp_path / 'm' / RADIUS_FILE}" in capsys.readouterr().err
    with pytest.raises(InputError, match=RADIUS_FILE):
        read_radius(model)


def test_a_model_without_a_manifest_or_a_file_has_none(tmp_path: Path) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    assert read_radius(None) is read_radius(model) is read_radius(replace(model, manifest="")) is None


def test_a_promotion_brings_it_and_never_fails_for_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    model = read_checkpoint(checkpoint(store / "grpo" / "k" / "checkpoint"))
    folder = evaluation(store / "evaluation" / "e" / "policy", asked(model) | {"checkpoint": ""})
    assert "promised; " in publish_radius(model, folder, store)
    assert radius_of(PARIS, model, AskingRecipe())
    assert "400 of" not in publish_radius(model, folder, store)
    assert publish_radius(model, evaluation(tmp_path / "few", asked(model), n=20), store).startswith("radius: none, because")
    assert publish_radius(model, tmp_path / "nowhere", store).startswith("radius: none, because")


def test_the_promoted_model_has_the_radius_of_the_evaluation_that_earned_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "grpo" / "k" / "checkpoint"))

    def work(folder: Path, reporter: Reporter) -> Outcome:
        evaluation(folder / "policy", asked(model))
        return Outcome("done", {"folder": str(folder)})

    earned = run_stage("evaluation", store=tmp_path, inputs={}, settings={}, code=(), work=work)
    promote(policy=model, evaluation=earned, store=tmp_path)
    radius = read_radius(model)
    assert radius is not None
    assert f"it covers {radius.measured['coverage_percent']:.1f}%" in capsys.readouterr().err


def test_nothing_is_written_to_a_folder_outside_the_store(tmp_path: Path) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "own"))
    said = publish_radius(model, evaluation(tmp_path / "store" / "e", asked(model)), tmp_path / "store")
    assert "is not in the store" in said
    assert not (tmp_path / "own" / RADIUS_FILE).exists()


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    folder = evaluation(tmp_path / "e", asked(model))
    (tmp_path / "m" / RADIUS_FILE).mkdir()
    assert publish_radius(model, folder, tmp_path).startswith("radius: none, because")


@pytest.mark.parametrize(
    ("kilometres", "said"),
    [
        (0.0, "within 1 km with 90%"),
        (3.2, "within 4 km with 90%"),
        (316.2, "within 320 km with 90%"),
        (1234.5, "within 1,300 km with 90%"),
        (ANYWHERE_KM, "anywhere on Earth"),
    ],
)
def test_people_are_told_a_round_number_that_is_not_too_small(kilometres: float, said: str) -> None:
    assert radius_text({"radius_km": kilometres, "radius_level_percent": 90.0}).startswith(said)
    assert radius_text({"lat_deg": 1.0}) == ""


def test_the_file_is_json_that_says_what_it_was_made_from(tmp_path: Path) -> None:
    model = read_checkpoint(checkpoint(tmp_path / "m"))
    add_radius(calibrate_evaluation(evaluation(tmp_path / "e", asked(model))), model)
    content = json.loads((tmp_path / "m" / RADIUS_FILE).read_text())
    assert content.keys() == Radius.model_fields.keys()
    assert content["question"].keys() == {"model_digest", "prompt_sha256", "temperature", "samples"}
    assert content["data"].keys() == {"dataset_digest", "predictions_sha256"}
    assert content["measured"]["measured_on"] + content["measured"]["calibrated_on"] == 400
    assert [Group(**group).n for group in content["groups"]]
