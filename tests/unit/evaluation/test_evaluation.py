"""Stage evaluation against a server that says what it is told to: asked once, and never again for the same question."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from globe.data.rows import Row
from globe.data.shards import write_dataset
from globe.errors import GlobeError, InputError
from globe.evaluation.evaluate import evaluate
from globe.evaluation.evaluation import evaluation, find_finished_evaluation
from globe.evaluation.recipe import EvaluationRecipe
from globe.evaluation.titles import POLICY
from globe.models.checkpoints import Checkpoint
from globe.serving.recipe import ServingRecipe
from globe.signing import KEY_VARIABLE

CHECKPOINT = Checkpoint("/m", "/m/globe-checkpoint.json", "b", "r", "", 3, {"model.safetensors": "0"})
RECIPE, SERVING = EvaluationRecipe(max_tokens=48), ServingRecipe()


@pytest.fixture
def policy(model):
    """The server, as the run's own: it serves CHECKPOINT as the policy, and asks for a key."""
    model.name, model.digest, model.key = POLICY, CHECKPOINT.digest, "the-runs-key"
    return model


@pytest.fixture
def test_set(tmp_path) -> Path:
    rows = []
    for number, place in enumerate((("France", "Paris", 48.8566, 2.3522), ("Peru", "Lima", -12.0432, -77.0282))):
        file = io.BytesIO()
        Image.new("RGB", (56, 56), (80 * number, 0, 0)).save(file, "PNG")
        country, city, lat_deg, lon_deg = place
        rows.append(
            Row(id=city, image=file.getvalue(), country=country, city=city, lat_deg=lat_deg, lon_deg=lon_deg, split="test")
        )
    write_dataset(tmp_path / "test", rows)
    return tmp_path / "test"


def ask(server, test_set, store, **more):
    """The stage, about the policy that the run serves."""
    given = {"policy": CHECKPOINT, "url": server.url, "recipe": RECIPE, "serving": SERVING, "key": lambda: "the-runs-key"}
    return evaluation(test=test_set, store=store, **given | more)


def test_every_picture_is_asked_once_and_the_answers_are_scored(policy, test_set, tmp_path):
    model = policy  # it says Paris of every picture
    made = ask(policy, test_set, tmp_path / "store")
    metrics = made.outcome.figures[POLICY]
    assert (len(model.asked), metrics["n"], metrics["accuracy"]["25"]) == (2, 2, 50.0)
    assert made.outcome.figure.startswith("2 pictures: 50.0% within 25 km")
    assert {path.name for path in (made.folder / POLICY).iterdir()} >= {"predictions.jsonl", "metrics.json", "report.html"}

    model.page = (500, "text/plain", "asked again")
    again = ask(policy, test_set, tmp_path / "store", key=lambda: pytest.fail("nobody is asked, so no key is needed"))
    assert (again.reused, again.outcome) == (True, made.outcome)


def test_a_finished_evaluation_is_found_for_the_same_question_only(policy, test_set, tmp_path):
    store = tmp_path / "store"
    assert find_finished_evaluation(store, CHECKPOINT, test_set, RECIPE, SERVING) is None
    made = ask(policy, test_set, store)
    assert find_finished_evaluation(store, CHECKPOINT, test_set, RECIPE, SERVING).key == made.key
    strict = RECIPE.model_copy(update={"gate": RECIPE.gate.model_copy(update={"min_accuracy_percent": 60})})
    assert (
        find_finished_evaluation(store, CHECKPOINT, test_set, strict, SERVING).key == made.key
    )  # the gate judges, it asks nothing
    for other, recipe in (
        (replace(CHECKPOINT, files={"model.safetensors": "1"}), RECIPE),
        (replace(CHECKPOINT, prompt="Which town?"), RECIPE),
        (CHECKPOINT, RECIPE.model_copy(update={"max_tokens": 49})),
    ):
        assert find_finished_evaluation(store, other, test_set, recipe, SERVING) is None


def test_a_model_that_is_served_to_see_other_pictures_is_asked_again_and_one_that_is_served_faster_is_not(
    policy, test_set, tmp_path
):
    store = tmp_path / "store"
    ask(policy, test_set, store)

    def found(**values):
        return find_finished_evaluation(store, CHECKPOINT, test_set, RECIPE, SERVING.model_copy(update=values)) is not None

    assert found(max_num_seqs=8, gpu_memory_utilization=0.5)
    assert not any((found(max_pixels=200_704), found(dtype="float32"), found(max_model_len=2048)))


def test_a_model_behind_a_url_is_asked_by_its_own_name_and_anew_in_every_run(model, test_set, tmp_path):
    def asked(run: str):
        values = {"test": test_set, "recipe": RECIPE, "serving": SERVING, "store": tmp_path / "store"}
        return evaluation(policy=None, url=model.url, model_name=model.name, run=run, **values)

    first, other, again = asked("run-1"), asked("run-2"), asked("run-1")
    assert (first.reused, other.reused, again.reused) == (False, False, True)
    assert len(model.asked) == 4
    assert first.inputs.keys() == {"test", "server", "model", "run"}
    assert first.outcome.figures[POLICY]["model"] == model.name


def test_answers_of_a_server_that_was_restarted_with_another_model_are_not_scored(model, test_set, tmp_path):
    model.root, reply = "/models/a", model.reply

    def restarted(path: str, body: bytes):
        answer = reply(path, body)
        model.root = "/models/b" if "chat" in path else model.root
        return answer

    def asked():
        values = {"test": test_set, "recipe": RECIPE, "serving": SERVING, "store": tmp_path / "store"}
        return evaluation(policy=None, url=model.url, model_name=model.name, run="run-1", **values)

    model.reply = restarted
    with pytest.raises(GlobeError, match="serves /models/b as stand-in by now, and served /models/a at first"):
        asked()
    assert not list(tmp_path.glob("store/evaluation/*/result.json"))
    model.reply, model.root = reply, "/models/a"
    before = len(model.asked)
    assert asked().outcome.figures[POLICY]["n"] == 2
    assert len(model.asked) == before + 2  # none of the doubtful answers was taken over


def test_a_server_of_another_model_is_not_asked(model, test_set, tmp_path):
    with pytest.raises(InputError, match=f"no model '{POLICY}' there; it serves stand-in"):
        ask(model, test_set, tmp_path / "store")
    assert model.asked == []


@pytest.mark.parametrize("told", ["0123456789abcdef", ""])
def test_a_server_of_other_weights_under_the_policys_name_is_not_asked(policy, test_set, tmp_path, told):
    policy.digest = told
    with pytest.raises(GlobeError, match=f"and model {CHECKPOINT.digest[:12]} was meant") as caught:
        ask(policy, test_set, tmp_path / "store")
    assert "\n" not in str(caught.value)
    assert policy.asked == []
    assert not list(tmp_path.glob("store/evaluation/*/result.json"))


def test_a_server_that_is_exchanged_while_it_is_asked_ends_the_evaluation_and_its_answer_is_not_kept(policy, test_set, tmp_path):
    reply = policy.reply

    def exchanged(path, body):
        policy.digest = "another" if "chat" in path else policy.digest
        return reply(path, body)

    policy.reply = exchanged
    with pytest.raises(GlobeError, match="model another answers there"):
        ask(policy, test_set, tmp_path / "store")
    assert not [line for path in tmp_path.rglob("journal.jsonl") for line in path.read_text().splitlines() if "Paris" in line]


def test_a_server_that_does_not_take_the_runs_key_is_told_in_one_line_without_the_key(policy, test_set, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_API_KEY", "the-runs-key")  # of hosted servers: a run's own never gets it
    with pytest.raises(GlobeError, match=r"401 .*does not take the key that its server was started with") as caught:
        ask(policy, test_set, tmp_path / "store", key=lambda: "another-runs-key")
    assert "\n" not in str(caught.value)
    assert "another-runs-key" not in str(caught.value)
    assert set(policy.keys) == {"Bearer another-runs-key"}


@pytest.mark.parametrize("key", ["", "0123456789abcdef" * 2], ids=["without a key", "with a signing key"])
def test_an_evaluation_that_was_ended_in_the_middle_goes_on_and_asks_nothing_twice(policy, test_set, tmp_path, monkeypatch, key):
    """Signed, its folder is made what was vouched for: the answers, and which question they answer."""
    monkeypatch.setenv(KEY_VARIABLE, key)
    with monkeypatch.context() as ended:
        ended.setattr("globe.evaluation.evaluation.evaluate", _evaluate_and_end)
        with pytest.raises(GlobeError, match="ended"):
            ask(policy, test_set, tmp_path / "store")
    assert len(policy.asked) == 2
    made = ask(policy, test_set, tmp_path / "store")
    assert (made.reused, made.outcome.figures[POLICY]["n"], len(policy.asked)) == (False, 2, 2)


def _evaluate_and_end(endpoint, pictures, out, recipe, progress):
    evaluate(endpoint, pictures, out, recipe, progress)
    for name in ("predictions.jsonl", "metrics.json", "report.html"):
        (out / name).unlink()
    raise GlobeError("ended")
