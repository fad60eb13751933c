"""P(yes) from a first token's alternatives, however the tokenizer cuts the words; and asking a service for it."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from typing import Any

import pytest
from recorder import recorder

from globe.errors import GlobeError
from globe.rewards.localizability import QUESTION, RewardService, question, yes_share


def test_the_two_words_share_the_whole_probability():
    assert yes_share([("yes", log(0.3)), ("no", log(0.1))]) == pytest.approx(0.75)


def test_pieces_cases_and_spaces_count_for_their_word():
    tokens = [("Yes", log(0.2)), (" y", log(0.1)), ("ye", log(0.1)), ("NO", log(0.2)), ("n", log(0.2)), ("the", log(0.2))]
    assert yes_share(tokens) == pytest.approx(0.5)


def test_a_word_that_merely_starts_alike_counts_for_nothing():
    assert yes_share([("yesterday", log(0.5)), ("north", log(0.3)), ("yes", log(0.1)), ("no", log(0.1))]) == pytest.approx(0.5)


def test_neither_word_is_an_error_and_never_a_score():
    with pytest.raises(GlobeError, match="neither yes nor no"):
        yes_share([("maybe", log(0.9)), ("", log(0.1))])


def test_the_question_holds_the_whole_completion():
    assert question("<think>a</think>") == f"{QUESTION}\n<think>a</think>"


class Judge:
    """A reward service over real HTTP: `logprobs(completion)` decides what it says, `asked` keeps the requests."""

    def __init__(self, logprobs: Callable[[str], Any]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.name = self.answers_as = "judge"
        self.key, self.digest = "the-key", "0123456789abcdef"
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply({"object": "list", "data": [{"id": judge.name, "object": "model", "created": 0, "owned_by": "us"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                judge.asked.append(body)
                message = {"role": "assistant", "content": "yes"}
                choice = {"index": 0, "finish_reason": "stop", "message": message}
                choice["logprobs"] = logprobs(body["messages"][0]["content"][1]["text"])
                self.reply({"id": "1", "object": "chat.completion", "created": 0, "model": judge.answers_as, "choices": [choice]})

            def reply(self, body: Any) -> None:
                locked = self.headers["Authorization"] != f"Bearer {judge.key}"
                data = b"{}" if locked else json.dumps(body).encode()
                self.send_response(401 if locked else 200)
                self.send_header("Content-Type", "application/json")
                if judge.digest and not locked:
                    self.send_header("X-Globe-Model", judge.digest)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self.service = RewardService(url, "judge", timeout_s=5, key="the-key", digest="0123456789abcdef")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def judge() -> Iterator[Callable[[Callable[[str], Any]], Judge]]:
    pytest.importorskip("openai")
    running: list[Judge] = []

    def start(logprobs: Callable[[str], Any]) -> Judge:
        running.append(Judge(logprobs))
        return running[-1]

    yield start
    for one in running:
        one.close()


def said(yes: float) -> dict[str, Any]:
    top = [{"token": "yes", "logprob": log(yes), "bytes": None}, {"token": "no", "logprob": log(1 - yes), "bytes": None}]
    return {"content": [{**top[0], "top_logprobs": top}]}


def test_each_pair_is_asked_once_and_scored_in_the_order_given(judge):
    server = judge(lambda text: said(0.9 if "palms" in text else 0.2))
    scores = asyncio.run(
        server.service.probabilities(["data:a", "data:a", "data:b", "data:a"], ["palms", "fog", "palms", "palms"])
    )
    assert scores == pytest.approx([0.9, 0.2, 0.9, 0.9])
    contents = [body["messages"][0]["content"] for body in server.asked]
    assert sorted((picture["image_url"]["url"], text["text"]) for picture, text in contents) == [
        ("data:a", question("fog")),
        ("data:a", question("palms")),
        ("data:b", question("palms")),
    ]


def test_a_service_that_says_no_probabilities_stops_the_training(judge):
    server = judge(lambda text: None)
    with pytest.raises(GlobeError, match="no logprobs"):
        asyncio.run(server.service.probabilities(["data:a"], ["palms"]))


def test_a_proxy_of_the_environment_neither_reads_the_key_nor_scores(judge, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = judge(lambda text: said(0.9))
    with recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert asyncio.run(server.service.probabilities(["data:a"], ["palms"])) == pytest.approx([0.9])
    assert proxy.paths == []


def test_a_redirect_takes_no_picture_along_and_gives_no_score(judge):
    other = judge(lambda text: said(0.9))
    with recorder(307, f"{other.service.url}/chat/completions") as server:
        assert "307" in refusal(server, replace(other.service, url=server.url))
    assert other.asked == []


def refusal(server, service=None):
    """The one line that says why the judge is not believed."""
    with pytest.raises(GlobeError) as caught:
        asyncio.run((service or server.service).probabilities(["data:a"], ["palms"]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("told", ["another", ""])
def test_a_service_of_another_model_is_not_asked(judge, told):
    server = judge(lambda text: said(0.9))
    server.digest = told
    assert "and model 0123456789ab was meant; nothing of it is used" in refusal(server)
    assert server.asked == []


def test_a_service_that_is_exchanged_between_two_questions_gives_no_score(judge):
    server = judge(lambda text: said(0.9))

    def exchanged(text):
        server.digest = "another"
        return said(0.9)

    server = judge(exchanged)
    assert "reward service http://127.0.0.1" in refusal(server)
    assert len(server.asked) == 1


def test_an_answer_under_another_name_gives_no_score(judge):
    server = judge(lambda text: said(0.9))
    server.answers_as = "policy"
    assert refusal(server).endswith("policy answers, not judge")
    server.name = "policy"
    assert refusal(server).endswith("policy answers, not judge")
    assert len(server.asked) == 1


def test_a_service_that_does_not_take_the_key_is_told_at_once_and_without_it(judge):
    server = judge(lambda text: said(0.9))
    text = refusal(server, replace(server.service, key="not-the-key"))
    assert "does not take this run's key (401)" in text
    assert "not-the-key" not in text + repr(replace(server.service, key="not-the-key"))
    assert server.asked == []


def test_a_service_that_never_listens_is_an_error_after_the_time_for_its_start():
    pytest.importorskip("openai")
    service = RewardService("http://127.0.0.1:9/v1", "judge", startup_s=0.0)
    with pytest.raises(GlobeError, match="was not ready within 0 s"):
        asyncio.run(service.probabilities(["data:a"], ["palms"]))
