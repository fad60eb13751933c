"""The server itself, over real HTTP: its limits, its errors, its key. The witnesses in it do as they are told."""

import asyncio
import json
import socket
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection

import aiohttp
import pytest
import uvicorn

from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_segmenter import toy_scene
from globe.witness.batches import Batcher
from globe.witness.server import Served, witness_app

IMAGE = data_url(png(toy_scene(0)[0]))
TEXTS = {"model": "letters", "texts": ["aaaa", "ab"]}


class Letters:
    """Scores two texts by how many letters they share; stops where it is told to."""

    def __init__(self):
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.batches = []

    def prepare(self, texts):
        return texts

    def judge(self, pairs):
        self.batches.append(len(pairs))
        self.entered.set()
        assert self.go_on.wait(60)
        if ("broken", "broken") in pairs:
            raise RuntimeError("no weights\nfor this")
        return [{"score": len(set(one) & set(other))} for one, other in pairs]


class Colours:
    """Says how red, green and blue a picture is."""

    classes = ("red", "green", "blue")

    def prepare(self, picture):
        return picture

    def judge(self, pictures):
        return [{"shares": dict(zip(self.classes, one.resize((1, 1)).getpixel((0, 0)), strict=True))} for one in pictures]


@contextmanager
def running(letters, **settings):
    """The server with both; gives its port."""
    app = witness_app([Served("alignment", "letters", letters), Served("segmentation", "colours", Colours())], **settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            letters.go_on.set()
            server.should_exit = True
            thread.join()


@pytest.fixture
def letters():
    return Letters()


@pytest.fixture
def port(letters):
    with running(letters) as found:
        yield found


def ask(port, path, body=None, headers=None):
    """Status, document and headers of an answer; a body is sent as it is, or as JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("GET" if data is None else "POST", path, data, headers or {})
    reply = connection.getresponse()
    answer = reply.status, json.loads(reply.read()), dict(reply.getheaders())
    connection.close()
    return answer


def test_it_lists_what_it_serves_and_answers_each(port):
    assert ask(port, "/health")[:2] == (200, {"status": "ok"})
    listed = ask(port, "/v1/models")[1]
    assert [(one["id"], one["kind"]) for one in listed["data"]] == [("letters", "alignment"), ("colours", "segmentation")]
    assert ask(port, "/v1/alignment", TEXTS)[:2] == (200, {"score": 1})
    assert ask(port, "/v1/segmentation/classes")[1] == {"model": "colours", "classes": ["red", "green", "blue"]}
    mean = dict(zip(Colours.classes, toy_scene(0)[0].resize((1, 1)).getpixel((0, 0)), strict=True))
    assert ask(port, "/v1/segmentation", {"model": "colours", "image": IMAGE})[:2] == (200, {"shares": mean})


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/v1/alignment", b"{", 400, "body: "),
        ("/v1/alignment", {"model": "letters"}, 400, "texts: "),
        ("/v1/segmentation", {"model": "colours", "image": "data:image/png;base64,AAAA"}, 400, "image"),
        ("/v1/alignment", TEXTS | {"model": "other"}, 404, "'letters' is"),
        ("/v1/coordinates", {"model": "geoclip", "image": IMAGE}, 404, "Not Found"),
        ("/v1/alignment", None, 405, "Method Not Allowed"),
        ("/v1/alignment", TEXTS | {"texts": ["broken", "broken"]}, 500, "the model failed (RuntimeError: no weights for this)"),
    ],
)
def test_what_cannot_be_answered_is_told_in_one_line_of_json_and_the_next_question_is_answered(port, path, body, status, said):
    got, document, _ = ask(port, path, body)
    assert got == status
    assert said in document["error"]["message"]
    assert "\n" not in document["error"]["message"]
    assert document["error"]["type"] == ("server_error" if status == 500 else "invalid_request_error")
    assert ask(port, "/v1/alignment", TEXTS)[1] == {"score": 1}


def test_a_body_that_never_ends_is_cut_off_at_its_limit(port):
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("POST", "/v1/segmentation")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    piece = b"x" * 2**20

    def send_for_ever():
        while True:
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))

    with pytest.raises(ConnectionError):
        send_for_ever()
    connection.close()
    assert ask(port, "/v1/alignment", TEXTS)[1] == {"score": 1}


def test_questions_too_many_are_told_to_come_back_and_the_others_get_their_answers(letters, monkeypatch):
    queued, ask_batcher = [], Batcher.ask

    async def ask_and_note(batcher, question):
        queued.append(question)
        return await ask_batcher(batcher, question)

    monkeypatch.setattr(Batcher, "ask", ask_and_note)

    async def ask_more_than_fit(port):
        async with aiohttp.ClientSession() as session:

            async def post(path, body):
                async with session.post(f"http://127.0.0.1:{port}/v1{path}", json=body) as reply:
                    return reply.status, reply.headers.get("Retry-After"), await reply.json()

            letters.go_on.clear()
            waiting = {asyncio.create_task(post("/alignment", TEXTS))}
            await asyncio.to_thread(letters.entered.wait, 60)
            waiting |= {asyncio.create_task(post("/alignment", TEXTS)) for _ in range(11)}
            refused = []
            while len(refused) < 8:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                refused += [task.result() for task in done]
            refused.append(await post("/segmentation", {"model": "colours", "image": IMAGE}))
            while len(queued) < 4:  # who is let in is not yet in the queue
                await asyncio.sleep(0.01)
            letters.go_on.set()
            answered = await asyncio.gather(*waiting)
            return refused, answered, await post("/alignment", TEXTS)

    with running(letters, most_inside=4) as port:
        refused, answered, later = asyncio.run(ask_more_than_fit(port))
    assert {(status, retry) for status, retry, _ in refused} == {(503, "1")}
    assert all("ask again later" in document["error"]["message"] for _, _, document in refused)
    assert [*answered, later] == [(200, None, {"score": 1})] * 5
    assert letters.batches == [1, 3, 1], "what waits while the device is busy is one batch"


def test_only_who_has_the_key_may_ask_and_anybody_may_see_that_it_lives(letters):
    with running(letters, key="sesame") as port:
        right = {"Authorization": "Bearer sesame"}
        for path, body in (("/v1/alignment", TEXTS), ("/v1/models", None), ("/v1/segmentation/classes", None)):
            for wrong in ({}, {"Authorization": "Bearer sesam"}, {"Authorization": "sesame"}, {"Authorization": "Bearer s\xe9"}):
                status, document, headers = ask(port, path, body, wrong)
                assert (status, headers["www-authenticate"]) == (401, "Bearer")
                assert "key" in document["error"]["message"]
            assert ask(port, path, body, right)[0] == 200
        assert ask(port, "/health")[0] == 200
    assert letters.batches == [1]


def test_a_slow_sender_keeps_nobody_waiting(port):
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"POST /v1/alignment HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        time.sleep(0.2)
        assert ask(port, "/v1/alignment", TEXTS)[1] == {"score": 1}
