"""Requests to addresses that people configure: what an answer is, and that none costs more than it may."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from webhook_server import webhook_server

from globe import web
from globe.web import Answer, Unanswered, ask, is_web_address, within


@pytest.mark.parametrize("url", ["http://h", "https://h:1/a?b=c", "https://me:secret@h/x", "https://bücher.example/x"])
def test_a_web_address_has_a_scheme_and_a_host(url):
    assert is_web_address(url)


@pytest.mark.parametrize("url", ["", "h", "//h/x", "https://", "https:///x", "ftp://h/x", "javascript:alert(1)", "http://h:x/"])
def test_anything_else_is_none(url):
    assert not is_web_address(url)


def test_an_answer_is_read_to_its_limit_and_no_further(monkeypatch):
    monkeypatch.setattr(web, "LONGEST_ANSWER", 10)
    with webhook_server(lambda number: (200, {}, "0123456789abcdef")) as server:
        assert ask("POST", server.url, {}) == Answer(200, "0123456789")


@pytest.mark.parametrize(("ahead_s", "least_s", "most_s"), [(None, 7, 7), (3600, 3000, 3600), (-3600, 0, 0)])
def test_a_pause_may_be_given_in_seconds_or_as_a_date(ahead_s, least_s, most_s):
    header = "7" if ahead_s is None else format_datetime(datetime.now(UTC) + timedelta(seconds=ahead_s))
    with webhook_server(lambda number: (429, {"Retry-After": header}, "")) as server:
        answer = ask("POST", server.url, {})
    assert answer.passes
    assert least_s <= answer.retry_after_s <= most_s


@pytest.mark.parametrize("header", ["soon", "-1", "1.5", ""])
def test_a_pause_that_cannot_be_read_is_none(header):
    with webhook_server(lambda number: (429, {"Retry-After": header}, "")) as server:
        assert ask("POST", server.url, {}).retry_after_s is None


@pytest.mark.parametrize("token", ["planted-secret\n", "planted-sécret-\u2603"])
def test_a_header_that_cannot_be_sent_is_not_quoted(token):
    with webhook_server() as server, pytest.raises(Unanswered) as raised:
        ask("POST", server.url, {}, headers={"Authorization": f"Bearer {token}"})
    assert "planted" not in str(raised.value)
    assert server.notices == []


def test_a_server_that_says_nothing_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(web, "TIMEOUT_S", 0.2)

    def late(number: int) -> tuple[int, dict[str, str], str]:
        time.sleep(1)
        return 200, {}, ""

    with webhook_server(late) as server, pytest.raises(Unanswered, match="no answer within"):
        ask("POST", server.url, {})


def test_work_within_its_time_returns_or_raises_what_it_does():
    assert within(10, lambda: None) is None
    assert within(10, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(10, lambda: 1 // 0)


def test_work_that_takes_longer_is_left_behind():
    with pytest.raises(Unanswered, match="gave up after 1 s"):
        within(0.6, lambda: time.sleep(5))
