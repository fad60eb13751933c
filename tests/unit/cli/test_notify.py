"""`globe notify-test`: an admin's way to see whether the secret is right."""

import json

import pytest
from command_line import ended, globe, refused
from webhook_server import webhook_server

from globe.run.webhook import made_up, payload_of, webhook_of

SECRET = "planted-secret-0815"


@pytest.fixture
def webhook(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with webhook_server(lambda number: (200, {}, "ok") if number == 1 else (404, {}, "no_service")) as server:
        monkeypatch.setenv("GLOBE_WEBHOOK_URL", f"{server.url}/{SECRET}")
        yield server


@pytest.mark.parametrize("state", ["succeeded", "rejected", "failed"])
def test_it_sends_what_a_run_would_send_and_says_so(webhook, state):
    done = globe("notify-test", "--state", state, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sent": True, "format": "json"})
    (notice,) = webhook.notices
    assert (notice["state"], notice["schema"]) == (state, "globe-run/1")
    environment = {"GLOBE_WEBHOOK_URL": webhook.url}
    assert notice == payload_of(webhook_of(environment), made_up(state), environment)


def test_a_webhook_that_does_not_take_it_is_exit_code_1_and_the_address_is_not_shown(webhook):
    assert globe("notify-test").returncode == 0
    done = globe("notify-test")
    ended(done, 1, "GLOBE_WEBHOOK_URL: not sent: it answered 404: no_service")
    assert SECRET not in done.stdout + done.stderr


def test_show_prints_the_notice_and_sends_nothing(webhook, monkeypatch):
    monkeypatch.setenv("GLOBE_WEBHOOK_FORMAT", "slack")
    done = globe("notify-test", "--show")
    assert done.returncode == 0
    assert json.loads(done.stdout)["blocks"][0]["type"] == "header"
    assert webhook.notices == []


@pytest.mark.parametrize("url", ["", SECRET])
def test_no_address_or_a_wrong_one_is_bad_input(monkeypatch, url):
    monkeypatch.setenv("GLOBE_WEBHOOK_URL", url)
    done = globe("notify-test")
    refused(done, "GLOBE_WEBHOOK_URL")
    assert SECRET not in done.stderr
