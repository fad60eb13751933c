"""A notice reaches a real server, whatever that does; the address is nowhere to be seen, and no run fails for it."""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import pairwise

import pytest
from local_server import http_server
from webhook_server import OK, webhook_server

from globe.errors import InputError
from globe.run import webhook
from globe.run.notice import as_json, as_slack
from globe.run.summary import RunSummary
from globe.run.webhook import notify, webhook_of

PATH = "/services/T0PLANTED/B0PLANTED/planted-secret-0815"
SUMMARY = RunSummary("ab-12", "GLOBE training", "run ab-12 has failed", "failed", reasons=("the claim is full",))


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """The same attempts as in a run, without the pauses between them."""
    monkeypatch.setattr(webhook, "FIRST_PAUSE_S", 0.01)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def told(url: str, **more: str) -> str:
    return notify(SUMMARY, {"GLOBE_WEBHOOK_URL": url, **more})


@pytest.mark.parametrize(("form", "content"), [("json", as_json), ("slack", as_slack)])
def test_the_notice_arrives_as_it_is_described(form, content):
    with webhook_server() as server:
        note = told(server.url + PATH, GLOBE_WEBHOOK_FORMAT=form, GLOBE_RUN_PAGE="https://kf/pipeline")
    assert note == f"the webhook has been told ({form})"
    assert server.notices == [content(SUMMARY, "https://kf/pipeline/#/runs/details/ab-12")]
    assert server.paths == [PATH]
    assert server.headers[0]["Content-Type"] == "application/json"


def test_without_a_webhook_nothing_is_said_or_sent():
    assert notify(SUMMARY, {}) == ""
    assert notify(SUMMARY, {"GLOBE_WEBHOOK_URL": " \n"}) == ""


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("https://hooks.slack.com/services/x", "slack"),
        ("https://hooks.slack-gov.com/services/x", "slack"),
        ("https://hooks.slack.com.evil.example/x", "json"),
        ("https://chat.example.org/hooks/x", "json"),
    ],
)
def test_slacks_own_hosts_get_slacks_format(url, form):
    assert webhook_of({"GLOBE_WEBHOOK_URL": url}).format == form
    assert webhook_of({"GLOBE_WEBHOOK_URL": f" {url}\n"}).url == url
    assert url not in repr(webhook_of({"GLOBE_WEBHOOK_URL": url}))


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"GLOBE_WEBHOOK_URL": "planted-secret-0815"}, "GLOBE_WEBHOOK_URL"),
        ({"GLOBE_WEBHOOK_URL": "ftp://planted-secret-0815/x"}, "GLOBE_WEBHOOK_URL"),
        ({"GLOBE_WEBHOOK_URL": "https://planted-secret-0815:port/x"}, "GLOBE_WEBHOOK_URL"),
        ({"GLOBE_WEBHOOK_URL": "https:///planted-secret-0815"}, "GLOBE_WEBHOOK_URL"),
        ({"GLOBE_WEBHOOK_URL": "file:///planted-secret-0815"}, "GLOBE_WEBHOOK_URL"),
        ({"GLOBE_WEBHOOK_URL": "https://h/x", "GLOBE_WEBHOOK_FORMAT": "planted-secret-0815"}, "GLOBE_WEBHOOK_FORMAT"),
        ({"GLOBE_WEBHOOK_URL": "https://h/x", "GLOBE_RUN_PAGE": "planted-secret-0815"}, "GLOBE_RUN_PAGE"),
    ],
)
def test_a_wrong_variable_is_named_without_its_value_and_fails_no_run(settings, variable):
    with pytest.raises(InputError, match=variable) as raised:
        webhook_of(settings)
    assert "planted" not in str(raised.value)
    note = notify(SUMMARY, settings)
    assert note.startswith("the webhook has not been told: ")
    assert variable in note
    assert "planted" not in note


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_until_it_does(status):
    with webhook_server(lambda number: (status, {}, "busy") if number < 4 else OK) as server:
        assert told(server.url) == "the webhook has been told (json)"
    assert len(server.notices) == 4
    assert server.notices == [server.notices[0]] * 4


def test_what_does_not_pass_ends_in_a_note():
    with webhook_server(lambda number: (503, {}, "down for today")) as server:
        assert told(server.url) == "the webhook has not been told: it answered 503: down for today"
    assert len(server.notices) == 4


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_a_refusal_is_not_repeated(status):
    with webhook_server(lambda number: (status, {}, "invalid_payload\n")) as server:
        assert told(server.url) == f"the webhook has not been told: it answered {status}: invalid_payload"
    assert len(server.notices) == 1


def test_a_server_that_wants_a_pause_gets_it():
    with webhook_server(lambda number: (429, {"Retry-After": "2"}, "") if number == 1 else OK) as server:
        assert "has been told" in told(server.url)
    (pause_s,) = [after - before for before, after in pairwise(server.times_s)]
    assert pause_s >= 2


def test_a_server_that_wants_too_long_a_pause_gets_no_second_notice():
    with webhook_server(lambda number: (429, {"Retry-After": "3600"}, "tomorrow")) as server:
        assert told(server.url) == "the webhook has not been told: it answered 429: tomorrow"
    assert len(server.notices) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed_not_even_to_the_same_host(status):
    with webhook_server() as other, webhook_server(lambda number: (status, {"Location": other.url + PATH}, PATH)) as server:
        note = told(server.url + PATH)
    assert note == f"the webhook has not been told: it answered {status}, another address; give the final one"
    assert (len(server.notices), other.notices) == (1, [])


def test_a_server_that_hangs_up_is_tried_again():
    with webhook_server(lambda number: None if number < 3 else OK) as server:
        assert "has been told" in told(server.url)
    assert len(server.notices) == 3


def test_a_host_that_is_not_there_makes_a_note():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        note = told(f"http://127.0.0.1:{free.getsockname()[1]}{PATH}")  # bound, so nobody else's, but nobody listens
    assert "refused" in note
    assert "planted" not in note


@contextmanager
def dripping() -> Iterator[str]:
    """A server that answers a byte at a time, for ever."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            while not over.wait(0.05):
                self.wfile.write(b".")
                self.wfile.flush()

        def log_message(self, *arguments: object) -> None:
            pass

    with http_server(Handler) as url:
        try:
            yield url
        finally:
            over.set()


def test_a_server_that_never_ends_its_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(webhook, "PATIENCE_S", 1.5)
    with dripping() as url:
        assert told(url) == "the webhook has not been told: gave up after 2 s"


def test_a_proxy_that_the_environment_names_is_used(monkeypatch):
    with webhook_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        assert "has been told" in told("http://chat.example.org/hooks/x")
    assert proxy.paths == ["http://chat.example.org/hooks/x"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda number: OK,
        lambda number: (500, {}, f"cannot serve {PATH}"),
        lambda number: (404, {}, f"no such page: {PATH} planted-secret-0815"),
        lambda number: (302, {"Location": PATH}, ""),
        lambda number: None,
    ],
    ids=["ok", "500", "404", "302", "hangs up"],
)
def test_the_address_is_nowhere_in_what_is_printed_or_logged(answer):
    code = (
        "import logging, os, sys; logging.basicConfig(level=logging.DEBUG, stream=sys.stdout); "
        "from globe.run import webhook; webhook.FIRST_PAUSE_S = 0.01; "
        "from globe.run.webhook import made_up, notify, webhook_of; "
        "print(webhook_of(os.environ)); print(notify(made_up('failed'), os.environ))"
    )
    with webhook_server(answer) as server:
        environment = os.environ | {"GLOBE_WEBHOOK_URL": server.url + PATH, "NO_PROXY": "127.0.0.1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert server.paths[0] == PATH
    assert "the webhook has" in done.stdout
    assert "planted" not in (done.stdout + done.stderr).lower()


def test_a_secret_of_the_process_leaves_in_no_notice():
    summary = RunSummary("r", "p", "t", "failed", reasons=("403 for key planted-secret-0815",))
    with webhook_server() as server:
        environment = {"GLOBE_WEBHOOK_URL": server.url, "AWS_SECRET_ACCESS_KEY": "planted-secret-0815"}
        assert "has been told" in notify(summary, environment)
    assert server.notices[0]["reasons"] == ["403 for key ***"]


def test_words_of_the_address_are_no_secrets_of_the_run():
    with webhook_server() as server:
        address = f"{server.url}/training"
        summary = RunSummary("r", "GLOBE training", "GLOBE training: succeeded", "succeeded", reasons=(f"see {address}",))
        assert "has been told" in notify(summary, {"GLOBE_WEBHOOK_URL": address})
    (told,) = server.notices
    assert (told["pipeline"], told["title"]) == (summary.pipeline, summary.title)
    assert told["reasons"] == ["see ***"]


def test_a_bug_of_ours_fails_no_run():
    broken = RunSummary("r", "p", "t", "nonsense")  # no such state, so Slack's head has no symbol
    assert told("http://127.0.0.1:9") != ""
    note = notify(broken, {"GLOBE_WEBHOOK_URL": "http://127.0.0.1:9/x", "GLOBE_WEBHOOK_FORMAT": "slack"})
    assert note == "the webhook has not been told: KeyError"


def test_the_http_library_logs_no_address_even_where_all_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    with webhook_server() as server:
        told(server.url + PATH)
    assert "planted" not in caplog.text.lower()
