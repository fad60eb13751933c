"""A record is complete, holds nothing twice and nothing secret, and costs a task next to nothing, whatever the server does."""

import time

import pytest
from mlflow_double import mlflow_double

from globe.run import mlflow_record
from globe.run.mlflow_record import flat
from globe.run.tracked import tracked
from globe.run.tracking import Record

SECRET = "planted-secret-0815"
CURVE = [{"step": step, "loss": 1 / step, "learning_rate": 1e-9 * step, "epoch": 0.5, "note": "x"} for step in range(1, 11)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(mlflow_record, "PAUSE_S", 0.01)
    monkeypatch.setattr(mlflow_record, "AGAIN_S", 0.01)


def variables(server, **more):
    return {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_RUN_ID": "task", **more}


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_curve_arrives_while_the_training_goes_on():
    with mlflow_double() as server, tracked("sft", variables(server)) as record:
        for values in CURVE[:3]:
            record.step(values["step"], 10, values)
        until(lambda: len(server.runs["task"].curve("sft/loss")) == 3)
        assert server.runs["task"].curve("sft/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
        assert server.runs["task"].curve("sft/learning_rate") == []  # rounded until the end


def test_the_end_adds_what_is_missing_once_and_exactly():
    with mlflow_double() as server, tracked("sft", variables(server)) as record:
        for values in CURVE[:3]:
            record.step(values["step"], 10, {"loss": round(values["loss"], 8)})
        until(lambda: len(server.runs["task"].metrics) == 3)
        record.finish(curve=CURVE, figures={"rows": 4, "loss": None, "held": {"n": 2, "share": float("nan")}, "right": True})
        record.finish(curve=CURVE, figures={"rows": 4})
    task = server.runs["task"]
    assert [step for step, _ in task.curve("sft/loss")] == list(range(1, 11))
    assert task.curve("sft/learning_rate") == [(values["step"], values["learning_rate"]) for values in CURVE]
    final = {metric["key"]: metric["value"] for metric in task.metrics if not metric["timestamp"]}
    assert final == {"rows": 4.0, "held.n": 2.0}
    assert not [metric for metric in task.metrics if "note" in metric["key"]]


@pytest.mark.parametrize("lost", range(1, 12))
def test_an_answer_that_is_lost_on_its_way_doubles_no_step(lost):
    with mlflow_double(lambda number: 1 if number == lost else 0) as server, tracked("sft", variables(server)) as record:
        for values in CURVE:
            record.step(values["step"], 10, values)
            time.sleep(0.005)
        record.finish(curve=CURVE, params={"a": 1}, tags={"t": "v"}, parent_tags={"p": "v"})
    task = server.runs["task"]
    assert task.curve("sft/loss") == [(values["step"], values["loss"]) for values in CURVE]
    assert (task.params, task.tags["t"]) == ({"sft.a": "1"}, "v")
    assert server.runs["pipeline"].tags == {"p": "v"}


def test_a_training_that_fails_leaves_its_curve():
    def diverge(server):
        with tracked("grpo", variables(server)) as record:
            record.step(1, 10, {"reward": 0.5})
            record.step(2, 10, {"reward": 0.25})
            raise ZeroDivisionError

    with mlflow_double() as server, pytest.raises(ZeroDivisionError):
        diverge(server)
    assert server.runs["task"].curve("grpo/reward") == [(1, 0.5), (2, 0.25)]


def test_a_curve_that_makes_no_sense_fails_no_training(capsys):
    with mlflow_double() as server, tracked("sft", variables(server)) as record:
        record.finish(curve=[{"loss": 1.0}])
        record.finish(figures={"huge": 10**400})
    assert "[sft] note MLflow: KeyError; its record of this task is incomplete" in capsys.readouterr().err


def test_however_much_there_is_it_goes_in_batches_that_mlflow_takes():
    curve = [{"step": step} | {f"m{number}": 1.0 for number in range(30)} for step in range(1, 101)]
    with mlflow_double() as server, tracked("sft", variables(server)) as record:
        record.finish(curve=curve, params={f"p{number}": "x" * 9000 for number in range(250)})
    assert max(server.sizes) <= 1000
    assert (len(server.runs["task"].metrics), len(server.runs["task"].params)) == (3000, 250)
    assert {len(value) for value in server.runs["task"].params.values()} == {6000}


def test_names_that_mlflow_does_not_take_are_mended():
    with mlflow_double() as server, tracked("grpo", variables(server)) as record:
        record.finish(curve=[{"step": 1, "rewards/Größe(x)/mean": 1.0}])
    assert server.runs["task"].curve("grpo/rewards/Gr__e_x_/mean") == [(1, 1.0)]


def test_no_secret_is_recorded_by_name_or_by_value(capsys):
    params = {"recipe": {"hub_token": SECRET, "environment": {"A": SECRET}, "text": f"see {SECRET}", "max_tokens": 8}}
    with mlflow_double() as server, tracked("sft", variables(server, MLFLOW_TRACKING_TOKEN=SECRET)) as record:
        record.finish(params=params, tags={"note": SECRET}, parent_tags={"note": SECRET})
    assert server.runs["task"].params == {"sft.recipe.text": "see ***", "sft.recipe.max_tokens": "8"}
    assert SECRET not in str(server.runs)
    assert server.asked[0][1]["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in "".join(capsys.readouterr())


def test_a_server_in_trouble_is_told_of_once_and_asked_again_at_the_end(capsys):
    with mlflow_double(lambda number: 503 if number <= 3 else 0) as server, tracked("sft", variables(server)) as record:
        record.step(1, 10, {"loss": 1.0})
        until(lambda: len(server.asked) >= 3)
        record.finish(curve=CURVE)
    assert len(server.runs["task"].curve("sft/loss")) == 10
    said = capsys.readouterr().err.splitlines()
    assert said == ["[sft] note MLflow: it answered 503; the training goes on without"]


def test_a_server_that_never_recovers_costs_two_notes_and_no_error(capsys):
    with mlflow_double(lambda number: 500) as server, tracked("sft", variables(server)) as record:
        record.step(1, 10, {"loss": 1.0})
        until(lambda: len(server.asked) >= 1)
        record.finish(curve=CURVE)
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "[sft] note MLflow: it answered 500; its record of this task is incomplete"
    assert len(said) <= 2


def test_a_run_that_may_not_be_written_is_asked_once_until_the_end(capsys):
    with mlflow_double(lambda number: 403) as server, tracked("sft", variables(server)) as record:
        for values in CURVE:
            record.step(values["step"], 10, values)
            time.sleep(0.02)
        until(lambda: server.asked)
        assert len(server.asked) == 1
        record.finish(curve=CURVE)
        assert len(server.asked) == 2
    assert "it answered 403" in capsys.readouterr().err


def test_parameters_of_another_try_that_differ_keep_nothing_else_from_being_recorded(capsys):
    with mlflow_double() as server:
        server.runs["task"].params["sft.a"] = "0"
        with tracked("sft", variables(server)) as record:
            record.finish(params={"a": 1}, figures={"rows": 4}, tags={"t": "v"}, curve=CURVE)
    task = server.runs["task"]
    assert (task.params["sft.a"], task.tags["t"]) == ("0", "v")
    assert len(task.curve("sft/loss")) == 10
    assert "Changing param values is not allowed" in capsys.readouterr().err


def test_a_server_that_says_nothing_holds_the_end_up_for_its_time_alone(monkeypatch, capsys):
    monkeypatch.setattr(mlflow_record, "PATIENCE_S", 0.5)

    def late(number: int) -> int:
        time.sleep(3)
        return 503

    with mlflow_double(late) as server, tracked("sft", variables(server)) as record:
        record.finish(curve=CURVE)
    assert "gave up after 0 s; its record of this task is incomplete" in capsys.readouterr().err


def test_points_that_nobody_takes_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(mlflow_record, "MOST_WAITING", 5)
    monkeypatch.setattr(mlflow_record, "PAUSE_S", 60.0)
    with mlflow_double() as server, tracked("sft", variables(server)) as record:
        for values in CURVE:
            record.step(values["step"], 10, {"loss": values["loss"]})
        assert len(record._waiting) == 6
        record.finish(curve=CURVE)
    assert [step for step, _ in server.runs["task"].curve("sft/loss")] == list(range(1, 11))


def test_a_store_that_is_no_server_gets_no_record():
    with tracked("sft", {"MLFLOW_TRACKING_URI": "./mlruns", "MLFLOW_RUN_ID": "task"}) as record:
        assert type(record) is Record


def test_nested_mappings_become_dotted_names():
    assert flat({"a": {"b": {"c": 1}, "d": []}, "e": ""}, "x.") == {"x.a.b.c": 1, "x.a.d": [], "x.e": ""}
