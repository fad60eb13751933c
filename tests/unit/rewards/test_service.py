"""Asking the reward service while it dies, hangs and lies: what comes out is what an undisturbed service says, or nothing."""

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recorder import recorder
from scoring_server import DIGEST, KEY, NAME, ScoringServer, score_of, scoring_server

from globe.errors import GlobeError, InputError
from globe.rewards import waiting
from globe.rewards.localizability import Judge, question
from globe.rewards.probe import PROBE
from globe.rewards.service import RewardService

PICTURES = [f"data:{number // 8}" for number in range(32)]
COMPLETIONS = [f"completion {number}" for number in range(32)]
TRUE = [score_of(picture, question(completion)) for picture, completion in zip(PICTURES, COMPLETIONS, strict=True)]
Ask = Callable[..., list[float | None]]


@pytest.fixture
def client() -> Iterator[Callable[..., RewardService]]:
    """Makes a client of a server; `told` of it is what it has said."""
    made: list[RewardService] = []

    def make(url: str, judge: Judge | None = None, **settings: Any) -> RewardService:
        told: list[str] = []
        made.append(RewardService(judge or Judge(url, NAME, KEY, DIGEST), tell=told.append, **{"timeout_s": 20, **settings}))
        made[-1].told = told  # type: ignore[attr-defined]
        return made[-1]

    yield make
    for one in made:
        one.close()


def scores(service: RewardService, pictures: list[str] = PICTURES, completions: list[str] = COMPLETIONS) -> list[float | None]:
    return asyncio.run(service.scores(pictures, completions))


def asked(server: ScoringServer) -> list[tuple[str, str]]:
    """Questions without the probe."""
    return [(picture, text) for picture, text in server.asked if picture != PROBE[0]]


def test_a_whole_batch_is_in_flight_at_once_and_each_batch_takes_the_same_connections(client):
    with scoring_server(latency_s=1.5) as server:
        service = client(server.url)
        assert scores(service) == pytest.approx(TRUE, abs=1e-12)
        assert server.most_at_once == len(COMPLETIONS)
        opened = server.connections
        assert scores(service) == pytest.approx(TRUE, abs=1e-12)
        assert server.connections == opened


def test_each_pair_is_asked_once_and_scored_in_the_order_given(client):
    with scoring_server() as server:
        got = scores(client(server.url), ["data:a", "data:a", "data:b", "data:a"], ["palms", "fog", "palms", "palms"])
        pairs = [("data:a", question("palms")), ("data:a", question("fog")), ("data:b", question("palms"))]
        assert sorted(asked(server)) == sorted(pairs)
        assert got == pytest.approx([score_of(*pairs[number]) for number in (0, 1, 2, 0)], abs=1e-12)


@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "reset", "cut", "garbage", "no-logprobs", "unconstrained"])
def test_a_fault_amid_a_batch_changes_no_score_and_only_what_is_missing_is_asked_again(client, fault):
    with scoring_server(fault=lambda number, text: fault if number % 3 == 0 else "") as server:
        service = client(server.url)
        assert scores(service) == pytest.approx(TRUE, abs=1e-12)
        times = [asked(server).count((picture, question(text))) for picture, text in zip(PICTURES, COMPLETIONS, strict=True)]
        faulty = len(server.asked) // 3
        assert sum(times) == len(COMPLETIONS) + faulty
        assert times.count(1) > len(times) // 2
    assert any("waiting for reward service" in text and "32 answers missing" in text for text in service.told)
    assert "answers again" in service.told[-1]


def test_a_service_that_accepts_and_never_answers_is_asked_again_after_the_timeout(client):
    with scoring_server(fault=lambda number, text: "hangs" if number in (5, 6) else "") as server:
        service = client(server.url, timeout_s=5.0)
        assert scores(service) == pytest.approx(TRUE, abs=1e-12)
        assert len(asked(server)) == len(COMPLETIONS) + 2
    assert "no answer within 5 s" in service.told[0]


def start(log: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parents[1] / "shared" / "scoring_server.py"), "--log", str(log), *more],
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def test_a_service_killed_amid_a_batch_and_started_again_gives_the_scores_of_one_left_alone(client, tmp_path):
    first, url = start(tmp_path / "log", "--latency-s", "0.2", "--die-after", "10")
    service, second = client(url), None

    async def disturbed() -> list[float | None]:
        nonlocal second
        going = asyncio.ensure_future(service.scores(PICTURES, COMPLETIONS))
        while first.poll() is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        assert not going.done()
        second, _ = start(tmp_path / "log", "--port", url.split(":")[2].removesuffix("/v1"))
        return await going

    try:
        assert asyncio.run(disturbed()) == pytest.approx(TRUE, abs=1e-12)
    finally:
        for process in (first, second):
            if process:
                process.kill()
                process.wait()
    assert first.returncode == -9


def test_a_completion_that_is_refused_has_no_score_and_costs_no_other(client):
    with scoring_server(fault=lambda number, text: "400" if text.endswith((" 3", " 17")) else "") as server:
        service = client(server.url)
        got = scores(service)
        assert [number for number, score in enumerate(got) if score is None] == [3, 17]
        assert [score for score in got if score is not None] == pytest.approx(
            [score for number, score in enumerate(TRUE) if number not in (3, 17)], abs=1e-12
        )
        assert len(asked(server)) == len(COMPLETIONS)
    assert "does not take 2 of 32 completions (HTTP status 400" in service.told[0]


def test_beyond_the_patience_the_error_says_who_was_waited_for_and_why(client):
    with scoring_server(fault=lambda number, text: "503" if text.endswith(" 9") else "") as server:
        service = client(server.url, patience_s=0.6)
        with pytest.raises(GlobeError, match=r"has given no answer for \d s \(HTTP status 503\); 1 of 32 completions have no"):
            scores(service)


def test_patience_counts_from_the_last_answer(client, monkeypatch):
    monkeypatch.setattr(waiting, "FIRST_PAUSE_S", 0.3)
    known: list[str] = []

    def one_new_each_round(number: int, text: str) -> str:
        if text in known or number < 2:
            return ""
        if time.monotonic() - last[0] < 0.25:
            return "503"
        last[0] = time.monotonic()
        known.append(text)
        return ""

    last = [time.monotonic()]
    with scoring_server(fault=one_new_each_round) as server:
        service = client(server.url, patience_s=1.0)
        assert scores(service, PICTURES[:8], COMPLETIONS[:8]) == pytest.approx(TRUE[:8], abs=1e-12)


@pytest.mark.parametrize("fault", ["another", "401"])
def test_another_server_in_its_place_ends_it_at_once(client, fault):
    with scoring_server(fault=lambda number, text: fault if number > 1 else "hangs" if text.endswith(" 0") else "") as server:
        with pytest.raises(GlobeError, match="reward service http"):
            scores(client(server.url))
        assert len(asked(server)) == len(set(asked(server)))  # nothing twice


@pytest.mark.parametrize("fault", ["no-logprobs", "unconstrained", "garbage", "400"])
def test_a_service_that_cannot_give_scores_is_refused_by_the_first_question(client, fault):
    with scoring_server(fault=lambda number, text: fault) as server:
        with pytest.raises(InputError, match=r"cannot be used: .*it must give the log-probabilities"):
            client(server.url).prove()
        with pytest.raises(InputError, match="it must give the log-probabilities"):
            scores(client(server.url))
        assert asked(server) == []


def test_a_service_that_can_is_proven_by_a_question_about_a_real_picture(client):
    with scoring_server() as server:
        assert client(server.url).prove() is True
        assert server.asked == [(PROBE[0], question(PROBE[1]))]


def test_a_service_that_does_not_listen_yet_is_not_refused_but_waited_for_before_the_first_batch(client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"  # bound, so nobody else's, but nobody listens
        assert client(url).prove() is False
        with pytest.raises(GlobeError, match="has given no answer for 0 s"):
            scores(client(url, startup_s=0.0, patience_s=99))


def test_a_proxy_of_the_environment_neither_reads_the_key_nor_scores(client, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scoring_server() as server, recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert scores(client(server.url)) == pytest.approx(TRUE, abs=1e-12)
    assert proxy.paths == []


def test_a_redirect_takes_no_picture_along_and_gives_no_score(client):
    with scoring_server() as other, recorder(307, f"{other.url}/chat/completions") as server:
        with pytest.raises(GlobeError, match="307"):
            scores(client(server.url))
        assert other.asked == []


def test_a_service_that_does_not_take_the_key_is_told_at_once_and_without_it(client):
    with scoring_server() as server:
        judge = replace(Judge(server.url, NAME, KEY, DIGEST), key="not-the-key")
        with pytest.raises(GlobeError, match=r"does not take this run's key \(401\)") as caught:
            scores(client(server.url, judge))
        assert "not-the-key" not in str(caught.value) + repr(judge)
        assert server.asked == []
