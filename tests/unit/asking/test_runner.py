"""Every row is there exactly once, whatever the server does and whenever the run is killed; nothing is asked twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import globe, globe_process
from fault_server import FAULTS, fault_server, rows

from globe.asking import runner
from globe.asking.call import CallFailed
from globe.asking.journal import Journal
from globe.asking.recipe import AskingRecipe
from globe.asking.runner import OUTAGE_CALLS
from globe.data.shards import write_dataset
from globe.figures.predictions import read_predictions

TIMED = ("latency_s", "first_token_s", "attempts")
KILLS = 20


def command(url: str, dataset: Path, out: Path, *settings: str) -> list[str]:
    words = ["evaluate", "--url", url, "--model", "faulty", "--dataset", str(dataset), "--out", str(out), "--json"]
    return [*words, *(word for setting in settings for word in ("--set", setting))]


def untimed(out: Path) -> list[dict]:
    return [{name: value for name, value in record.items() if name not in TIMED} for record in read_predictions(out)]


def test_a_tenth_of_faults_changes_nothing_but_the_time(tmp_path):
    pictures = rows(160)
    write_dataset(tmp_path / "test", pictures)
    with fault_server(pictures) as server:
        assert globe(*command(server.url, tmp_path / "test", tmp_path / "quiet")).returncode == 0

    def fault(name: str, call: int) -> str:
        number = int(name[1:])
        kinds = len(FAULTS)
        return FAULTS[number // 10 % kinds] if number % 10 == 0 and call <= (2 if number < 10 * kinds else 1) else ""

    with fault_server(pictures, fault) as server:
        done = globe(*command(server.url, tmp_path / "test", tmp_path / "faulty", "timeout_s=2"))
        assert done.returncode == 0, done.stderr
        assert set(server.answers.values()) == {1}
        assert [record["id"] for record in read_predictions(tmp_path / "faulty")] == [row.id for row in pictures]
        assert untimed(tmp_path / "faulty") == untimed(tmp_path / "quiet")
        assert json.loads(done.stdout)["timing"]["retried"] >= 24
        attempts = {record["id"]: record["attempts"] for record in read_predictions(tmp_path / "faulty")}
        assert attempts == {name: server.calls[name] for name in attempts}


def test_what_fails_for_good_is_counted_named_and_asked_again_by_the_next_run(tmp_path):
    pictures = rows(30)
    write_dataset(tmp_path / "test", pictures)
    broken = {"p0003": "html", "p0010": "500", "p0029": "cut"}
    with fault_server(pictures, lambda name, _: broken.get(name, "")) as server:
        done = globe(*command(server.url, tmp_path / "test", tmp_path / "out", "attempts=2"))
        metrics = json.loads(done.stdout)
        assert (metrics["n"], metrics["timing"]["failed_calls"]) == (30, 3)
        errors = {record["id"]: record["error"] for record in read_predictions(tmp_path / "out") if record["error"]}
        assert errors.keys() == broken.keys()
        assert "a page of HTML" in errors["p0003"]
        assert "500" in errors["p0010"]
        assert "ended before the answer did" in errors["p0029"]
        broken.clear()
        again = json.loads(globe(*command(server.url, tmp_path / "test", tmp_path / "out", "attempts=2")).stdout)
        assert again["timing"]["failed_calls"] == 0
        assert set(server.answers.values()) == {1}


def test_a_server_that_answers_no_more_is_given_up_long_before_every_picture_was_tried(tmp_path):
    pictures = rows(600)
    write_dataset(tmp_path / "test", pictures)
    with fault_server(pictures, lambda name, _: "" if name < "p0100" else "html") as server:
        done = globe(*command(server.url, tmp_path / "test", tmp_path / "out", "attempts=1", "concurrency=8"))
        assert done.returncode == 1
        assert f"the last {OUTAGE_CALLS} calls failed" in done.stderr
        assert "100 answers are kept, and the same command asks for the rest" in done.stderr
        assert "a page of HTML" in done.stderr
        assert len(server.calls) <= 100 + OUTAGE_CALLS + 2 * 8
    assert len(Journal(tmp_path / "out").answered) == 100


def test_a_wait_that_the_server_asks_for_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "QUIET_S", 0.1)
    pictures, told = rows(4), []
    with fault_server(pictures, lambda _, call: "429" if call == 1 else "") as server, Journal(tmp_path) as journal:
        run = runner.Run(server.url, "faulty", AskingRecipe(), journal, lambda done, total, figure: told.append(figure))
        run.ask(iter(pictures), len(pictures), 0.0)
    assert any("the server asks to wait 1 s more" in figure for figure in told), told
    assert len(journal.answered) == len(pictures)


def test_the_pause_has_an_end_however_often_a_call_failed():
    for failures in (100, 5000):
        assert 0 < runner._pause_s(CallFailed("busy", again=True, overloaded=True), failures) <= 1.5 * runner.LONGEST_PAUSE_S


ZYGOTE = """
import os, sys
from pathlib import Path
from globe.asking.client import find_model
from globe.asking.call import CallFailed
from globe.asking.journal import alone
from globe.evaluation.evaluate import Endpoint, evaluate
from globe.evaluation.recipe import EvaluationRecipe
import globe.evaluation.reports, globe.asking.call, openai

url, dataset, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
for line in sys.stdin:  # a process for each run, which need not import everything anew
    pid = os.fork()
    if not pid:
        with alone(out):
            evaluate(Endpoint(url, find_model(url)), dataset, out, EvaluationRecipe(concurrency=4), lambda *_: None)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


def test_a_run_that_is_killed_again_and_again_ends_like_one_that_was_left_alone(tmp_path):
    pictures, chance = rows(200), random.Random(5)
    write_dataset(tmp_path / "test", pictures)
    with fault_server(pictures, latency_s=0.04) as server:
        assert globe(*command(server.url, tmp_path / "test", tmp_path / "quiet", "concurrency=64")).returncode == 0
        server.calls.clear()
        words = [sys.executable, "-c", ZYGOTE, server.url, str(tmp_path / "test"), str(tmp_path / "out")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as zygote:
            assert zygote.stdin
            assert zygote.stdout
            kept: dict[str, int] = {}
            killed = 0
            for _ in range(KILLS):
                zygote.stdin.write("go\n")
                pid = int(zygote.stdout.readline())
                asked, deadline = sum(server.calls.values()) + chance.randint(0, 5), time.monotonic() + 60
                while sum(server.calls.values()) < asked and time.monotonic() < deadline:
                    time.sleep(0.005)
                time.sleep(chance.uniform(0, 0.06))  # before, while or after an answer is kept
                os.kill(pid, signal.SIGKILL)
                killed += int(zygote.stdout.readline()) == signal.SIGKILL
                assert {name: server.calls[name] for name in kept} == kept, "what was answered is not asked again"
                kept = {name: server.calls[name] for name, _ in Journal(tmp_path / "out").answered}
            zygote.stdin.close()
        assert killed == KILLS
        assert 0 < len(kept) < len(pictures)
        done = globe_process(*command(server.url, tmp_path / "test", tmp_path / "out"))
        assert done.returncode == 0, done.stderr
        assert {name: server.calls[name] for name in kept} == kept
    assert untimed(tmp_path / "out") == untimed(tmp_path / "quiet")


def test_a_second_run_in_one_folder_is_refused_with_the_firsts_process(tmp_path):
    pictures = rows(40)
    write_dataset(tmp_path / "test", pictures)
    with fault_server(pictures, latency_s=0.3) as server:
        words = command(server.url, tmp_path / "test", tmp_path / "out", "concurrency=2")
        with subprocess.Popen(
            [sys.executable, "-m", "globe.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as first:
            while not server.calls:
                time.sleep(0.05)
            second = globe(*words)
            assert second.returncode == 2
            assert f"process {first.pid} is evaluating there" in second.stderr
            first.communicate()
        assert first.returncode == 0
        assert set(server.calls.values()) == {1}


@pytest.mark.parametrize(
    "damage", [b"\xff\xfe\x00", b"[]\n{}\n", b'{"id": "p0001", "sample": 0, "text": 7}\n', b'{"started": "x"}\n']
)
def test_a_damaged_journal_costs_what_was_damaged(tmp_path, damage):
    pictures = rows(8)
    write_dataset(tmp_path / "test", pictures)
    with fault_server(pictures) as server:
        words = command(server.url, tmp_path / "test", tmp_path / "out")
        assert globe(*words).returncode == 0
        journal = tmp_path / "out" / "journal.jsonl"
        lines = journal.read_bytes().splitlines(keepends=True)
        journal.write_bytes(b"".join(lines[:4]) + damage + lines[4][:30] + b"\n" + b"".join(lines[5:7]))
        assert globe(*words).returncode == 0
        assert sorted(server.answers.values()) == [1] * 5 + [2] * 3
    assert len(read_predictions(tmp_path / "out")) == 8
