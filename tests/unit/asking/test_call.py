"""One call of a real server: what is asked, and what becomes of odd replies."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import pytest
from cli_inputs import picture
from fault_server import stream
from recorder import recorder

from globe.answer.prompt import DIRECT_PROMPT, PROMPT
from globe.asking.call import Caller, CallFailed, retry_after_s
from globe.asking.recipe import AskingRecipe
from globe.keys import FORM_VARIABLE, SERVER_KEY

OK = b"HTTP/1.1 200 OK\r\n"


def call(url: str, calls: int = 1, name: str = "stand-in", key: str = "", **settings):
    async def ask():
        async with Caller(url, name, AskingRecipe(**{"timeout_s": 20, **settings}), key) as caller:
            return [await caller.call(picture(), sample) for sample in range(calls)]

    return asyncio.run(ask())


def test_a_stream_says_when_its_first_token_came(model):
    model.chat = (200, "text/event-stream", stream(model.text).decode())
    (reply,) = call(model.url)
    assert reply.text == model.text
    assert 0 < reply.first_token_s <= reply.latency_s
    assert (model.asked[0]["stream"], model.asked[0]["stream_options"]) == (True, {"include_usage": True})


def test_a_whole_answer_has_no_first_token_whether_it_was_asked_for_or_not(model):
    for streamed in (True, False):
        (reply,) = call(model.url, stream=streamed)
        assert (reply.text, reply.first_token_s) == (model.text, None)
    assert [asked.get("stream", False) for asked in model.asked] == [True, False]


def test_the_recipe_decides_what_is_asked(model):
    decoding = {"temperature": 0.1, "frequency_penalty": 0.7, "presence_penalty": 0.6, "max_tokens": 512}
    call(model.url, 2, **decoding, seed=2**32 - 1, prompt="Where?")
    call(model.url)
    call(model.url, reasoning=False)
    first, second, plain, direct = model.asked
    assert {name: first[name] for name in (*decoding, "logprobs")} == {**decoding, "logprobs": True}
    assert [first["seed"], second["seed"]] == [2**32 - 1, 0]
    assert not {"seed", "frequency_penalty", "presence_penalty"} & plain.keys()
    assert model.prompts == ["Where?", "Where?", PROMPT, DIRECT_PROMPT]
    assert direct["model"] == "stand-in"


def test_the_key_in_the_environment_is_sent_and_told_nobody(model, monkeypatch):
    call(model.url)
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret-123")
    call(model.url)
    assert model.keys == ["Bearer none", "Bearer sk-secret-123"]
    model.chat = (401, "application/json", '{"error": {"message": "Incorrect API key provided: sk-secret-123"}}')
    with pytest.raises(CallFailed, match=r"Incorrect API key provided: \*\*\*") as failed:
        call(model.url)
    assert not failed.value.again


def test_the_key_is_not_read_on_its_way_to_a_host_far_off(monkeypatch, capsys):
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret-123")
    with recorder(401) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(CallFailed, match=r"GLOBE_API_KEY is not sent to http://model\.example/v1: whoever is on the way"):
            call("http://model.example/v1")
    assert (proxy.paths, set(proxy.keys)) == (["http://model.example/v1/chat/completions"], {"Bearer none"})
    assert "GLOBE_API_KEY is not sent to http://model.example/v1" in capsys.readouterr().err


def test_in_a_run_of_a_cluster_the_key_goes_to_the_hosts_of_its_secret_alone(model, monkeypatch):
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret-123")
    monkeypatch.setenv(FORM_VARIABLE, "1")
    call(model.url)
    monkeypatch.setenv(SERVER_KEY.hosts_variable, urlsplit(model.url).netloc)
    call(model.url)
    assert model.keys == ["Bearer none", "Bearer sk-secret-123"]


def test_a_redirect_takes_neither_key_nor_picture_along(monkeypatch):
    monkeypatch.setenv("GLOBE_API_KEY", "sk-secret-123")
    with (
        recorder() as collector,
        recorder(307, f"{collector.url}/v1/chat/completions") as server,
        pytest.raises(CallFailed, match="307"),
    ):
        call(f"{server.url}/v1")
    assert collector.paths == []


def test_no_proxy_reads_the_key_of_a_runs_own_server(monkeypatch):
    with recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(CallFailed):
            call("http://server.invalid/v1", key="the-runs-own")
    assert proxy.paths == []


class Picky:
    """Refuses requests with certain options, as hosted models do."""

    def __init__(self, model, refused: dict[str, str]) -> None:
        self.model, self.refused, self.plain = model, refused, model.reply
        model.reply = self.reply

    def reply(self, path, body):
        asked = json.loads(body)
        for name, message in self.refused.items():
            if name in asked:
                self.model.asked.append(asked)
                return 400, "application/json", json.dumps({"error": {"message": message, "param": name}})
        return self.plain(path, body)


def test_what_a_server_refuses_is_not_asked_for_again(model):
    refused = {
        "logprobs": "'logprobs' is not supported with this model",
        "stream_options": "stream_options: extra inputs are not permitted",
        "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
    }
    Picky(model, refused)
    replies = call(model.url, 3, max_tokens=77)
    assert [reply.text for reply in replies] == [model.text] * 3
    assert len(model.asked) == 3 + 3  # each option costs one refusal
    assert not refused.keys() & model.asked[-1].keys()
    assert model.asked[-1]["max_completion_tokens"] == 77


def test_a_server_that_streams_nothing_is_asked_for_whole_answers(model):
    Picky(model, {"stream": "stream is not available here"})
    assert call(model.url)[0].text == model.text


def test_another_refusal_is_final(model):
    model.chat = (400, "application/json", '{"error": {"message": "this upstream model takes no pictures"}}')
    with pytest.raises(CallFailed, match="takes no pictures") as failed:
        call(model.url)
    assert not failed.value.again
    assert len(model.asked) == 1


@pytest.mark.parametrize(
    ("status", "again", "overloaded"),
    [(500, True, False), (502, True, False), (503, True, True), (429, True, True), (408, True, False), (404, False, False),
     (401, False, False), (403, False, False), (413, False, False), (418, False, False)],
)  # fmt: skip
@pytest.mark.parametrize(
    "body", ["", "<html>\n" * 500, '{"error": {"message": "\\u001b[31mno"}}', "\0\ud83d".encode("utf-8", "replace").decode()]
)
def test_a_status_says_whether_to_try_again(model, status, again, overloaded, body):
    model.chat = (status, "text/html", body)
    with pytest.raises(CallFailed, match=str(status)) as failed:
        call(model.url)
    assert (failed.value.again, failed.value.overloaded, failed.value.busy) == (again, overloaded, overloaded)
    assert failed.value.reason.isprintable()
    assert len(failed.value.reason) < 400
    assert ("set GLOBE_API_KEY to a key that it takes" in failed.value.reason) == (status in (401, 403))


@pytest.mark.parametrize(
    "reply",
    [b"", b"hello\n", b"\xff" * 100, OK + b"\r\n", OK + b"Content-Length: 500\r\n\r\n{", OK + b"Content-Length: x\r\n\r\n{}",
     OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
     OK + b"X: y\r\n" * 40_000 + b"\r\n", OK + b"Content-Length: 0\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n",
     b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 101 Switch\r\n\r\n",
     b"HTTP/1.1 302 Found\r\nLocation: /v1/loop\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: ftp://[\r\n\r\n"],
)  # fmt: skip
def test_whatever_bytes_come_they_cost_one_call(raw_server, reply):
    with pytest.raises(CallFailed) as failed:
        call(raw_server(reply), timeout_s=5)
    assert failed.value.reason.isprintable()
    assert len(failed.value.reason) < 500


def test_where_nobody_listens_the_reason_is_that_and_no_timeout():
    with pytest.raises(CallFailed, match="Cannot connect to host 127") as failed:
        call("http://127.0.0.1:9/v1")
    assert failed.value.again


def test_a_server_that_takes_too_long_is_given_up(model):
    model.hangs = True
    with pytest.raises(CallFailed, match=r"no complete answer within 0\.3 s") as failed:
        call(model.url, timeout_s=0.3)
    assert (failed.value.again, failed.value.overloaded, failed.value.busy) == (True, True, False)


def test_a_picture_that_is_none_is_not_sent(model):
    async def ask():
        async with Caller(model.url, "stand-in", AskingRecipe()) as caller:
            await caller.call(b"text")

    with pytest.raises(CallFailed, match="only JPEG, PNG and WEBP"):
        asyncio.run(ask())
    assert not model.asked


def test_a_wait_may_be_seconds_or_a_date():
    assert [retry_after_s(header) for header in ("3", "0.5", "", "soon", "-1", "nan", "1e9")] == [3, 0.5, 0, 0, 0, 0, 600]
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < retry_after_s(format_datetime(later, usegmt=True)) <= 90
    assert retry_after_s(format_datetime(later - timedelta(days=1), usegmt=True)) == 0
