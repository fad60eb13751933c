"""The summary that `submit` leaves for a CI job's page, with the evaluation's figures where they can be read."""

import json
from pathlib import Path

import pytest

from pipelines.remote.watch import duration_text

from .kfp_api_double import Fault, KfpApiDouble
from .kfp_backend import KfpBackend

RUN = "0000-1"
FIGURES = {
    "n": 200,
    "accuracy": {"1": 4.0, "25": 31.5, "200": 48.0, "750": 71.25, "2500": 88.0},
    "ci95": {
        "1": [1.5, 7.0],
        "25": [25.0, 38.0],
        "200": [41.0, 55.0],
        "750": [65.0, 77.5],
        "2500": [83.0, 92.5],
        "median_km": [None, 400.0],
    },
    "median_km": 241.3,
    "parsed_percent": 99.5,
    "country_match": 70.0,
}


def result(verdict: str = "promote", run: str = RUN, **changes) -> str:
    gate = {"verdict": verdict, "reasons": ["within 25 km 31.5% against 30.0% (promoted)"], "baseline": "promoted"}
    return json.dumps({"run": run, "evaluation": "abc", "image": "sha256:0", "metrics": FIGURES, "gate": gate} | changes)


@pytest.fixture
def summary(tmp_path) -> Path:
    return tmp_path / "summary.md"


def test_a_good_run_is_summed_up_with_its_page_its_stages_and_its_figures(command, summary, tmp_path):
    place = tmp_path / "result.json"
    place.write_text(result())
    with KfpApiDouble() as server:
        ended = command(server, "--wait", "--name", "try-1", "--summary", str(summary), "--result", str(place))
    assert ended.code == 0
    assert summary.read_text().splitlines() == [
        "## globe-evaluation: succeeded",
        "",
        "|  |  |",
        "| --- | --- |",
        f"| run | [try-1](<{server.url}/#/runs/details/{RUN}>) |",
        "| state | succeeded |",
        "| time | 6 min |",
        "",
        "### Gate",
        "",
        "**promote**",
        "",
        "- within 25 km 31.5% against 30.0% (promoted)",
        "",
        "### Accuracy",
        "",
        "| within | accuracy | 95% interval |",
        "|---|---|---|",
        "| 1 km | 4.0% | 1.5 to 7.0 |",
        "| 25 km | 31.5% | 25.0 to 38.0 |",
        "| 200 km | 48.0% | 41.0 to 55.0 |",
        "| 750 km | 71.2% | 65.0 to 77.5 |",
        "| 2500 km | 88.0% | 83.0 to 92.5 |",
        "",
        "200 pictures, median distance 241 km, 99.5% of the answers could be read",
        "",
        "### Stages",
        "",
        "| stage | state | time |  |",
        "| --- | --- | --- | --- |",
        "| source | succeeded | 1 min |  |",
        "| Evaluation of pictures | succeeded | 1 min |  |",
        "| gate | succeeded | 1 min |  |",
        "| promote | succeeded | 1 min |  |",
        "| reject | skipped |  |  |",
        "| teardown | succeeded | 1 min |  |",
    ]
    assert "gate within 25 km 31.5% against 30.0% (promoted)" in ended.lines


def test_a_failure_is_summed_up_with_what_went_wrong(command, summary):
    with KfpApiDouble(KfpBackend("FAILED", error="pod OOMKilled")) as server:
        command(server, "--wait", "--summary", str(summary))
    text = summary.read_text()
    assert text.startswith("## globe-evaluation: failed\n")
    assert "### What went wrong\n\n- stage Evaluation of pictures failed\n- pod OOMKilled\n" in text
    assert "| gate | skipped |" in text


def test_a_run_that_nobody_knows_the_end_of_is_summed_up_as_that(command, summary):
    with KfpApiDouble(KfpBackend("RUNNING"), faults=[Fault("GET /runs/", 503, skip=2)]) as server:
        command(server, "--wait", "--patience", "1s", "--summary", str(summary))
    text = summary.read_text()
    assert text.startswith("## globe-evaluation: not known, the run goes on\n")
    assert f"<{server.url}/#/runs/details/{RUN}>" in text
    assert "planned by the test" in text
    assert "| source | succeeded |" in text


def test_a_run_that_was_refused_is_summed_up_as_not_started(command, summary):
    with KfpApiDouble(faults=[Fault("POST /runs", 400)]) as server:
        command(server, "--summary", str(summary))
    text = summary.read_text()
    assert text.startswith("## globe-evaluation: not started\n")
    assert "400 planned by the test" in text


def test_github_is_given_its_summary_without_being_asked_and_what_is_there_stays(command, summary):
    summary.write_text("# Before\n")
    with KfpApiDouble() as server:
        assert command(server, env={"GITHUB_STEP_SUMMARY": str(summary)}).code == 0
    assert summary.read_text().startswith("# Before\n## globe-evaluation: started\n")


def test_a_summary_that_cannot_be_written_is_found_before_anything_is_started(command, tmp_path):
    with KfpApiDouble() as server:
        ended = command(server, "--summary", str(tmp_path / "missing" / "summary.md"))
    assert ended.code == 2
    assert "--summary" in ended.err
    assert not server.backend.received


def test_text_from_elsewhere_is_shown_as_it_is(command, summary, tmp_path):
    evil = "<img src=x onerror=alert(1)> | [a](javascript:b) `c` ![d](http://e) <!-- \n# heading\n\n| x | ~~y~~ **z**"
    place = tmp_path / "result.json"
    gate = {"verdict": "reject", "reasons": [evil]}
    place.write_text(result(gate=gate))
    with KfpApiDouble(KfpBackend("FAILED", error=evil)) as server:
        command(server, "--wait", "--name", evil, "--summary", str(summary), "--result", str(place))
    text = summary.read_text()
    assert "<img" not in text
    assert "<!--" not in text
    for line in text.splitlines():
        if "onerror" in line:
            assert line.startswith(("- ", "| run |"))
            assert line.count(" | ") == (1 if line.startswith("| run") else 0)
            assert "\\[a\\]" in line
            assert "\\`c\\`" in line
            assert "\\# heading" in line
    assert len([line for line in text.splitlines() if "onerror" in line]) == 3


def test_a_result_is_told_to_the_pipeline_under_the_runs_own_name(command, tmp_path):
    with KfpApiDouble() as server:
        command(server, "--name", "PR 7/ab", "--result", f"{tmp_path}/{{run}}.json")
    assert server.received("POST /runs")[0].body["runtime_config"]["parameters"]["result"] == f"{tmp_path}/PR-7-ab.json"


def test_a_result_that_the_settings_name_is_read_too(command, summary, tmp_path):
    place = tmp_path / "result.json"
    place.write_text(result())
    with KfpApiDouble() as server:
        command(server, "--wait", "--set", f"result={place}", "--summary", str(summary))
    assert "### Accuracy" in summary.read_text()


def test_a_rejection_names_the_gates_reasons(command, summary, tmp_path):
    place = tmp_path / "result.json"
    place.write_text(result("reject"))
    with KfpApiDouble(KfpBackend("REJECTED")) as server:
        ended = command(server, "--wait", "--summary", str(summary), "--result", str(place))
    assert ended.code == 1
    assert ended.lines[-2:] == [
        "end rejected by the gate after 6 min",
        "gate within 25 km 31.5% against 30.0% (promoted)",
    ]
    assert summary.read_text().startswith("## globe-evaluation: rejected by the gate\n")
    assert "**reject**" in summary.read_text()


def test_a_verdict_against_the_model_counts_even_if_the_run_succeeded(command, tmp_path):
    place = tmp_path / "result.json"
    place.write_text(result("reject"))
    with KfpApiDouble() as server:
        ended = command(server, "--wait", "--result", str(place))
    assert ended.code == 1
    assert "end rejected by the gate after 6 min" in ended.lines


@pytest.mark.parametrize(("decision", "code"), [("reject", 1), ("promote", 0)])
def test_an_inconclusive_verdict_counts_as_the_recipe_decided(command, summary, tmp_path, decision, code):
    place = tmp_path / "result.json"
    gate = {
        "verdict": "inconclusive",
        "decision": decision,
        "promotes": False,
        "reasons": ["n 20: about 400 pictures would decide"],
    }
    place.write_text(result(gate=gate))
    with KfpApiDouble() as server:
        ended = command(server, "--wait", "--summary", str(summary), "--result", str(place))
    assert ended.code == code
    text = summary.read_text()
    assert "**inconclusive**" in text
    assert "about 400 pictures would decide" in text
    assert "This run only judges: it promotes nothing." in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        (result(run="0000-0"), "the result of another run (0000-0); this one wrote none"),
        ("{", "not a result: Invalid JSON"),
        ("[]", "not a result"),
        (result(gate={"verdict": "maybe"}), "not a result: gate: verdict"),
        (result(metrics=FIGURES | {"accuracy": {"1": "many"}}), "not a result: metrics: accuracy: 1"),
        (result(metrics=FIGURES | {"ci95": {}}), "an accuracy without its interval"),
        (result(metrics=FIGURES | {"median_km": float("nan")}), "not a result: metrics: median_km"),
        (b"\xff\xfe", "not a result: not text"),
    ],
)
def test_figures_that_cannot_be_used_are_said_and_do_not_change_how_the_run_ended(command, summary, tmp_path, content, said):
    place = tmp_path / "result.json"
    if content is not None:
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    with KfpApiDouble() as server:
        ended = command(server, "--wait", "--summary", str(summary), "--result", str(place))
    assert ended.code == 0
    assert f"no figures {place}: " in "\n".join(ended.lines)
    assert said in ended.out
    assert "### Accuracy" not in summary.read_text()
    assert "No figures: " in summary.read_text()


def test_a_result_is_read_from_s3(command, summary, monkeypatch):
    import boto3
    from moto.server import ThreadedMotoServer

    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    try:
        host, port = s3.get_host_and_port()
        keys = {"AWS_ACCESS_KEY_ID": "test-key-id", "AWS_SECRET_ACCESS_KEY": "test-secret-key", "AWS_REGION": "us-east-1"}
        env = keys | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="results")
        client.put_object(Bucket="results", Key="evaluations/try-1.json", Body=result().encode())
        given = ["--wait", "--name", "try-1", "--summary", str(summary), "--result", "s3://results/evaluations/{run}.json"]
        with KfpApiDouble() as server:
            assert command(server, *given).code == 0
        assert "| 25 km | 31.5% | 25.0 to 38.0 |" in summary.read_text()
        with KfpApiDouble() as server:
            missing = command(server, "--wait", "--result", "s3://results/nothing.json")
        assert missing.code == 0
        assert "no figures s3://results/nothing.json: nothing there" in missing.lines
    finally:
        s3.stop()


@pytest.mark.parametrize("place", ["gs://bucket/key", "https://kfp.example/result.json", "s3:///key"])
def test_a_place_that_cannot_be_read_is_bad_input_before_anything_is_started(command, place):
    with KfpApiDouble() as server:
        ended = command(server, "--result", place)
    assert ended.code == 2
    assert not server.backend.received


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"), (18_130, "5 h 2 min"), (90_000, "25 h")],
)
def test_a_duration_is_told_as_people_say_it(seconds, text):
    assert duration_text(seconds) == text
