"""`globe evaluate` as people call it, against a server that says what a test wants."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_inputs import bad_places, checkpoint, evaluate, picture
from command_line import ended, globe, refused

from globe.answer.prompt import DIRECT_PROMPT, PROMPT
from globe.data.rows import Row
from globe.data.shards import dataset_digest, read_dataset, write_dataset
from globe.figures.predictions import read_predictions
from globe.models.checkpoints import MANIFEST_FILE, Usage

LONG = " ".join(["Narrow lanes, shutters and a tower of iron over the roofs."] * 20)
LONG_ANSWER = f"<think>{LONG}</think><answer>country: France\ncity: Paris</answer>"


def untimed(out: Path) -> list[dict[str, Any]]:
    """The predictions without what differs from run to run."""
    timed = ("latency_s", "first_token_s", "attempts")
    return [{k: v for k, v in record.items() if k not in timed} for record in read_predictions(out)]


def test_a_long_answer_is_scored_right_by_default(model, dataset, tmp_path):
    model.text = LONG_ANSWER
    assert len(LONG.split()) > 200
    done = evaluate(model, dataset, tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"]["25"] == 100.0
    assert {asked["max_tokens"] for asked in model.asked} == {1024}
    assert model.prompts == [PROMPT] * 5
    assert "asked with evaluation recipe benchmark" in done.stderr


def test_the_manifest_of_the_served_model_decides_how_it_is_asked(model, dataset, photo, tmp_path):
    usage = Usage("Which town?", evaluation={"max_tokens": 300, "temperature": 0.5})
    model.root = str(checkpoint(tmp_path / "m", usage))
    done = evaluate(model, dataset, tmp_path / "out", "--json")
    located = globe("locate", str(photo), "--url", model.url, "--json")
    assert (done.returncode, located.returncode) == (0, 0), done.stderr + located.stderr
    assert {(asked["max_tokens"], asked["temperature"]) for asked in model.asked} == {(300, 0.5)}
    assert model.prompts == ["Which town?"] * 6
    for said in (done.stderr, located.stderr):
        assert f"asked with the evaluation values of {tmp_path / 'm' / MANIFEST_FILE}" in said


def test_a_recipe_that_is_named_goes_before_the_manifests(model, dataset, tmp_path):
    model.root = str(checkpoint(tmp_path / "m", Usage(evaluation={"max_tokens": 300})))
    evaluate(model, dataset, tmp_path / "out", "--recipe", "demo", "--set", "temperature=0.25")
    assert {(asked["max_tokens"], asked["temperature"]) for asked in model.asked} == {(48, 0.25)}


def test_no_more_tokens_are_asked_for_than_the_server_has_room_for(model, dataset, tmp_path):
    model.max_model_len = 512
    evaluate(model, dataset, tmp_path / "out")
    assert {asked["max_tokens"] for asked in model.asked} == {512}


def test_answers_cut_off_are_counted_told_and_written_down_with_what_to_do(model, dataset, tmp_path):
    model.text, model.finish_reason = "<think>a tower</think><answer>country: France\ncity: Par", "length"
    done = evaluate(model, dataset, tmp_path / "out", "--json", "--set", "max_tokens=40")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["failures"]["cut_off"] == metrics["n"] == 5
    (warning,) = metrics["warnings"]
    assert "5 of 5 answers (100%) were cut off at 40 tokens" in warning
    assert "--set max_tokens=80" in warning
    assert warning in done.stderr
    report = (tmp_path / "out" / "report.html").read_text()
    assert "were cut off at 40 tokens" in report
    assert "answer cut off" in report


def test_an_answer_that_was_complete_before_the_cut_counts(model, dataset, tmp_path):
    model.text, model.finish_reason = "<think>x</think><answer>country: France\ncity: Paris</answer> and so on and on", "length"
    metrics = json.loads(evaluate(model, dataset, tmp_path / "out", "--json").stdout)
    assert (metrics["accuracy"]["25"], metrics["warnings"]) == (100.0, [])


def test_where_the_server_has_no_room_for_more_another_server_is_advised(model, dataset, tmp_path):
    model.text, model.finish_reason, model.max_model_len = "<think>a tower", "length", 64
    (warning,) = json.loads(evaluate(model, dataset, tmp_path / "out", "--json").stdout)["warnings"]
    assert "max_model_len is more than 64" in warning


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--set", "temperature=0.5"], "temperature was '0.0' and is now '0.5'"),
        (["--set", "max_tokens=20"], "max tokens was '1024' and is now '20'"),
        (["--set", "frequency_penalty=0.7"], "frequency penalty was '0.0' and is now '0.7'"),
        (["--set", "presence_penalty=0.7"], "presence penalty was '0.0' and is now '0.7'"),
        (["--set", "samples=3", "--set", "temperature=0.5"], "samples was '1' and is now '3'"),
        (["--set", "seed=7"], "seed was '0' and is now '7'"),
        (["--no-cot"], "Answer at once"),
        (["--dataset", "corrected"], "dataset was"),
        (["--prompt", "p.txt"], "Which town?"),
        (["--dataset", "other"], "dataset was"),
        (["--model", "another"], "model was 'stand-in' and is now 'another'"),
    ],
)
def test_a_folder_with_other_answers_is_refused_and_left_as_it_is(model, dataset, tmp_path, monkeypatch, change, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.txt").write_text("Which town?")
    row = Row(id="x", image=picture(9), lat_deg=1.0, lon_deg=1.0, country="Gabon", city="", split="test")
    write_dataset(tmp_path / "other", [row])
    corrected = [row.model_copy(update={"lat_deg": row.lat_deg + 1}) for row in read_dataset(dataset)]
    write_dataset(tmp_path / "corrected", corrected)
    assert evaluate(model, dataset, tmp_path / "out").returncode == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    if "--model" in change:
        model.name = "another"
    refused_call = evaluate(model, dataset, tmp_path / "out", *change)
    ended(refused_call, 2, named, "another folder")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before
    assert len(model.asked) == 5


def test_another_server_is_another_question_unless_both_are_known_to_serve_one_checkpoint(model, dataset, tmp_path):
    elsewhere = model.url.replace("127.0.0.1", "localhost")
    words = ["evaluate", "--model", model.name, "--dataset", str(dataset)]
    assert globe(*words, "--out", str(tmp_path / "a"), "--url", model.url).returncode == 0
    refused(globe(*words, "--out", str(tmp_path / "a"), "--url", elsewhere), "url was", "another folder")
    model.root = str(checkpoint(tmp_path / "m"))
    for url in (model.url, elsewhere):
        assert globe(*words, "--out", str(tmp_path / "b"), "--url", url).returncode == 0
    assert len(model.asked) == 5 + 5


def test_an_answer_without_reasoning_is_asked_for_with_a_prompt_of_its_own(model, dataset, tmp_path):
    model.root = str(checkpoint(tmp_path / "m", Usage("the manifest's, with reasons")))
    model.text = "<answer>country: France\ncity: Paris</answer>"
    done = evaluate(model, dataset, tmp_path / "out", "--no-cot", "--json")
    metrics = json.loads(done.stdout)
    assert metrics["accuracy"]["25"] == 100.0
    assert model.prompts == [DIRECT_PROMPT] * 5
    assert (metrics["manifest"]["prompt"], metrics["manifest"]["reasoning"]) == (DIRECT_PROMPT, False)
    (tmp_path / "p.txt").write_text("Which town?")
    refused(evaluate(model, dataset, tmp_path / "out", "--no-cot", "--prompt", str(tmp_path / "p.txt")), "--prompt or --no-cot")


def test_a_recipes_own_prompt_does_not_silence_no_cot(model, dataset, tmp_path):
    assert evaluate(model, dataset, tmp_path / "out", "--no-cot", "--recipe", "original").returncode == 0
    assert model.prompts == [DIRECT_PROMPT] * 5


@pytest.mark.parametrize("words", ["--no-cot --set prompt=Where?", "--no-cot --set reasoning=true", "--limit 3 --set limit=4"])
def test_what_is_said_twice_is_refused(model, dataset, tmp_path, words):
    refused(evaluate(model, dataset, tmp_path / "out", *words.split()), f"{words.split()[0]} says it already; give one of them")


def test_several_answers_to_a_picture_are_asked_for_with_seeds_of_their_own_and_all_kept(model, dataset, tmp_path):
    done = evaluate(
        model, dataset, tmp_path / "out", "--json", "--set", "samples=3", "--set", "temperature=0.7", "--set", "seed=40"
    )
    assert done.returncode == 0, done.stderr
    assert sorted(asked["seed"] for asked in model.asked) == sorted([40, 41, 42] * 5)
    for record in read_predictions(tmp_path / "out"):
        assert [one["city"] for one in record["samples"]] == ["Paris"] * 3
        assert (record["city"], record["agreement"], record["attempts"]) == ("Paris", 1.0, 3)


def test_an_evaluation_says_under_which_circumstances_it_was_made(model, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret-123")
    metrics = json.loads(evaluate(model, dataset, tmp_path / "out", "--json").stdout)
    assert metrics["manifest"]["dataset_digest"] == dataset_digest(dataset)
    assert metrics["timing"]["failed_calls"] == 0
    assert metrics["timing"]["latency_s"]["p95"] >= metrics["timing"]["latency_s"]["p50"] > 0
    assert set(model.keys) == {"Bearer sk-secret-123"}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-secret-123" in path.read_bytes()]


def test_another_checkpoint_under_the_same_name_is_another_question_and_a_moved_one_is_not(model, dataset, tmp_path):
    model.root = str(checkpoint(tmp_path / "a"))
    assert evaluate(model, dataset, tmp_path / "out").returncode == 0
    (tmp_path / "a").rename(tmp_path / "moved")
    model.root = str(tmp_path / "moved")
    assert evaluate(model, dataset, tmp_path / "out").returncode == 0
    assert len(model.asked) == 5
    model.root = str(checkpoint(tmp_path / "b"))
    ended(evaluate(model, dataset, tmp_path / "out"), 2, "checkpoint was")


def test_an_interrupted_evaluation_goes_on_with_the_same_question(model, dataset, tmp_path):
    assert evaluate(model, dataset, tmp_path / "out").returncode == 0
    journal, undisturbed = tmp_path / "out" / "journal.jsonl", untimed(tmp_path / "out")
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + lines[3][:20])
    (tmp_path / "out" / "predictions.jsonl").unlink()
    assert evaluate(model, dataset, tmp_path / "out").returncode == 0
    assert len(model.asked) == 5 + 3
    assert untimed(tmp_path / "out") == undisturbed


def test_a_first_look_asks_about_so_many_pictures_and_tells_its_interval(model, dataset, tmp_path):
    done = evaluate(model, dataset, tmp_path / "out", "--json", "--limit", "3")
    assert (json.loads(done.stdout)["n"], len(model.asked)) == (3, 3)
    assert "a first look at 3 pictures" in done.stderr
    refused(evaluate(model, dataset, tmp_path / "out"), "pictures was '3 by hash order, seed 0' and is now 'all'")
    refused(evaluate(model, dataset, tmp_path / "out", "--limit", "4"), "'4 by hash order, seed 0'")
    assert len(model.asked) == 3


@pytest.mark.parametrize("held", ["predictions.jsonl", "journal.jsonl"])
def test_answers_that_nobody_knows_the_question_of_are_refused(model, dataset, tmp_path, held):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / held).write_text("")
    ended(evaluate(model, dataset, tmp_path / "out"), 2, f"holds {held} but no question.json")
    (tmp_path / "out" / "question.json").write_text("{")
    ended(evaluate(model, dataset, tmp_path / "out"), 2, "question.json", "cannot be read")


def test_evaluate_prints_the_figures_and_where_the_files_lie(model, dataset, tmp_path):
    out = tmp_path / "out"
    done = evaluate(model, dataset, out)
    assert done.returncode == 0, done.stderr
    assert "5 predictions: 5 parsed" in done.stdout
    for name in ("report.html", "metrics.json", "predictions.jsonl"):
        assert str(out / name) in done.stdout
        assert (out / name).is_file()
    assert "{" not in done.stdout
    as_json = evaluate(model, dataset, out, "--json")
    assert json.loads(as_json.stdout) == json.loads((out / "metrics.json").read_text())


def test_an_outage_ends_an_evaluation_before_every_picture_was_asked(model, tmp_path):
    place: dict[str, Any] = {"lat_deg": 48.85, "lon_deg": 2.35, "country": "France", "city": "Paris", "split": "test"}
    write_dataset(tmp_path / "test", [Row(id=f"p{number}", image=picture(number), **place) for number in range(50)])
    model.chat = (400, "application/json", '{"message": "this model takes no pictures"}')
    done = evaluate(model, tmp_path / "test", tmp_path / "out", "--set", "concurrency=1")
    ended(done, 1, "11 of 50 calls failed", "this model takes no pictures")
    assert len(model.asked) == 11
    model.chat = None
    assert evaluate(model, tmp_path / "test", tmp_path / "out").returncode == 0
    assert len(model.asked) == 11 + 50  # what failed is asked again


@pytest.mark.parametrize(
    "setting",
    ["temperature=.inf", "temperature=.nan", "temperature=-1", "max_tokens=0", "seed=-1", "bootstrap_rounds=0", "timeout_s=.inf",
     "bootstrap_rounds=1000000000", "concurrency=0", "prompt=<image>", "tokens=3", "max_tokens=many"],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_before_anybody_is_asked(model, dataset, photo, tmp_path, setting):
    name = setting.partition("=")[0]
    refused(evaluate(model, dataset, tmp_path / "out", "--set", setting), name)
    assert not (tmp_path / "out").exists()
    ended(globe("locate", str(photo), "--url", model.url, "--set", setting), 2, name)
    assert not model.asked


ODD = [
    "", "<html>x</html>", "null", '{"choices": []}', '{"choices": null}', '{"error": {"message": "busy"}}', '{"error": "\\ud8"}',
    '{"choices": [{"message": {"content": [{"text": 7}]}}]}', '{"choices": [{"message": {"content": 7}}]}', "data: {\n\n",
]  # fmt: skip


def test_an_odd_reply_costs_one_row(model, dataset, tmp_path):
    plain = model.reply
    for number, body in enumerate(ODD):
        model.asked.clear()

        def reply(path, asked, body=body):
            status, kind, text = plain(path, asked)
            return (200, kind, body) if len(model.asked) == 2 and path.endswith("completions") else (status, kind, text)

        model.reply = reply
        done = evaluate(model, dataset, tmp_path / str(number), "--json", "--set", "concurrency=1", "--set", "attempts=1")
        assert done.returncode == 0, done.stderr
        statuses = [record["status"] for record in read_predictions(tmp_path / str(number))]
        assert statuses == ["ok", "call_failed", "ok", "ok", "ok"]
        assert read_predictions(tmp_path / str(number))[1]["error"]


def test_an_answer_with_half_a_pair_and_absurd_probabilities_is_an_answer(model, dataset, tmp_path):
    content = '"<think>\\ud83d</think><answer>country: France\\ncity: Paris</answer>"'
    for number, logprob in enumerate(("null", "5", "NaN", "1e400", "-1e400")):
        tokens = f'[{{"token": "<answer>", "logprob": 0}}, {{"token": "x", "logprob": {logprob}}}]'
        body = f'{{"choices": [{{"message": {{"content": {content}}}, "logprobs": {{"content": {tokens}}}}}]}}'
        model.chat = (200, "application/json", body)
        assert evaluate(model, dataset, tmp_path / str(number), "--json").returncode == 0
        found = {(record["status"], record["confidence"]) for record in read_predictions(tmp_path / str(number))}
        assert found == {("ok", 0.0 if logprob == "-1e400" else None)}


def test_a_disk_that_is_full_is_one_line_and_code_1(model, dataset, tmp_path):
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from globe.cli.app import main; main()"
    )
    words = ["evaluate", "--url", model.url, "--model", model.name, "--dataset", str(dataset), "--out", str(tmp_path / "out")]
    result = subprocess.run([sys.executable, "-B", "-c", script, *words], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1, result.stderr
    assert f"globe: {tmp_path / 'out'}: File too large" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_closed_stderr_takes_nothing_of_a_result(model, dataset, tmp_path):
    words = [
        "evaluate",
        "--url",
        model.url,
        "--model",
        model.name,
        "--dataset",
        str(dataset),
        "--out",
        str(tmp_path / "out"),
        "--json",
    ]
    shell = ["/bin/sh", "-c", 'exec "$0" -m globe.cli "$@" 2>&-', sys.executable, *words]
    result = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=60)
    assert json.loads(result.stdout)["n"] == 5


@pytest.mark.parametrize("out", ["s3://bucket/out", "https://host/out"])
def test_a_place_that_is_no_folder_of_this_machine_is_refused_and_no_folder_is_made_of_its_letters(
    model, dataset, tmp_path, monkeypatch, out
):
    monkeypatch.chdir(tmp_path)
    refused(evaluate(model, dataset, out), "is not on this machine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test"]


@pytest.mark.parametrize("number", range(7))
def test_an_out_that_cannot_be_a_folder_is_refused(model, dataset, tmp_path, number):
    ended(evaluate(model, dataset, bad_places(tmp_path)[number]), 2)
    assert (tmp_path / "a-file").read_text() == "x"
    assert not model.asked
