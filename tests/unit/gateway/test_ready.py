"""The watch over an engine: nobody is sent here before it has answered, and one that hangs is found."""

import time

import pytest
from cli_inputs import checkpoint
from engine_double import DIGEST, engine_double
from gateway_here import gateway_here, until

from globe.gateway import ready
from globe.gateway.ready import question
from globe.models.checkpoints import read_checkpoint


def test_readiness_is_proven_by_a_whole_answer_to_a_question_with_all_that_clients_use():
    with engine_double(always="ending") as engine:
        engine.warm = False
        with gateway_here(ready=False, engine_url=engine.url) as gateway:
            until(lambda: len(engine.own) > 1)
            assert (gateway.get("/ready").status, gateway.get("/ready").code) == (503, "starting")
            engine.always = "aborted"
            until(lambda: len(engine.own) > 2)
            assert gateway.get("/ready").status == 503
            engine.always = "whole"
            until(lambda: gateway.get("/ready").status == 200)
    asked = engine.own[0]
    assert {part["type"] for part in asked["messages"][0]["content"]} == {"image_url", "text"}
    assert asked["logprobs"]
    assert asked["response_format"]["type"] == "json_schema"


def test_an_engine_that_falls_ill_and_recovers_proves_itself_again():
    with engine_double() as engine, gateway_here(engine_url=engine.url) as gateway:
        assert len(engine.own) == 1
        engine.healthy = False
        until(lambda: gateway.get("/ready").status == 503)
        assert (gateway.get("/ready").code, gateway.get("/live").status) == ("no_engine", 200)
        engine.healthy = True
        until(lambda: gateway.get("/ready").status == 200)
        assert len(engine.own) == 2


def test_an_engine_that_hangs_is_found_and_so_is_one_that_goes_on():
    with (
        engine_double() as engine,
        gateway_here(engine_url=engine.url, probe_every_s=0.5, probe_timeout_s=0.5) as gateway,
    ):
        engine.always, engine.warm = "hangs", False
        until(lambda: gateway.get("/live").status == 503)
        assert (gateway.get("/ready").code, gateway.get("/health").status) == ("hung", 200)
        engine.always = "whole"
        until(lambda: gateway.get("/ready").status == 200)
        assert gateway.get("/live").status == 200
    assert {body["max_tokens"] for body in engine.own[1:]} == {1}


def test_a_server_that_takes_connections_and_says_nothing_hangs_until_it_answers_again(monkeypatch):
    monkeypatch.setattr(ready, "PATIENCE_S", 0.2)
    monkeypatch.setattr(ready, "EVERY_S", 0.1)
    with engine_double() as engine, gateway_here(engine_url=engine.url, probe_timeout_s=1.5) as gateway:
        engine.silent, silent_s = True, time.monotonic()
        until(lambda: gateway.get("/ready").status == 503)
        assert gateway.get("/ready").code == "no_engine"
        assert gateway.get("/live").status == 200  # it may be busy
        until(lambda: gateway.get("/live").status == 503)
        assert time.monotonic() > silent_s + 1.5
        engine.silent = False
        until(lambda: gateway.get("/ready").status == 200)
        assert gateway.get("/live").status == 200


def test_a_server_that_says_nothing_from_its_start_on_is_not_hung_for_it_may_be_starting(monkeypatch):
    monkeypatch.setattr(ready, "PATIENCE_S", 0.2)
    monkeypatch.setattr(ready, "EVERY_S", 0.1)
    with engine_double() as engine:
        engine.silent = True
        with gateway_here(ready=False, engine_url=engine.url, probe_timeout_s=0.3) as gateway:
            time.sleep(1.5)
            assert (gateway.get("/ready").code, gateway.get("/live").status) == ("no_engine", 200)


@pytest.mark.parametrize("says", [True, False])
def test_an_engine_that_does_not_know_its_digest_serves_the_operators_checkpoint(tmp_path, says):
    folder = checkpoint(tmp_path / "m")
    expected = DIGEST if says else read_checkpoint(folder).digest
    with engine_double() as engine:
        engine.says_digest = says
        with gateway_here(engine_url=engine.url, checkpoint=folder) as gateway:
            assert gateway.get("/health").headers["x-globe-model"] == expected
            assert gateway.ask().headers["x-globe-model"] == expected


@pytest.mark.parametrize("fault", ["full", "ending"])
def test_an_engine_that_refuses_the_watchs_question_does_not_hang(fault):
    with (
        engine_double() as engine,
        gateway_here(engine_url=engine.url, probe_every_s=0.3, probe_timeout_s=0.3) as gateway,
    ):
        engine.always, engine.warm = fault, False
        asked = len(engine.own)
        until(lambda: len(engine.own) > asked + 1)
        assert gateway.get("/live").status == 200


def test_while_clients_are_answered_the_watch_asks_nothing():
    with (
        engine_double() as engine,
        gateway_here(engine_url=engine.url, probe_every_s=1) as gateway,
    ):
        ends_s = time.monotonic() + 3
        while time.monotonic() < ends_s:
            gateway.ask()
        assert len(engine.own) == 1


def test_the_watchs_own_question_is_small():
    assert question("globe", whole=False)["max_tokens"] == 1
    assert len(question("globe", whole=True)["messages"][0]["content"][0]["image_url"]["url"]) < 1000
