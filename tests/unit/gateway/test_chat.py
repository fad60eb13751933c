"""POST /v1/chat/completions over real HTTP, with an engine whose faults a test decides."""

import json
import socket
import time

import pytest
from engine_double import DIGEST, LEAK, USAGE, WORDS, engine_double
from gateway_here import QUESTION, TURN, gateway_here, png, until

TEXT = "".join(WORDS)
REGEX = {"name": "x", "schema": {"type": "string", "pattern": "(a*)*"}}


@pytest.fixture(scope="module")
def engine():
    with engine_double() as engine:
        yield engine


@pytest.fixture(scope="module")
def gateway(engine):
    with gateway_here(engine_url=engine.url, max_tokens=1000, max_samples=4) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def as_new(engine):
    engine.plan.clear()
    engine.bodies.clear()
    engine.headers.clear()
    engine.left.clear()


def test_an_answer_has_what_openais_has_and_says_which_model_gave_it(gateway):
    reply = gateway.ask()
    assert reply.status == 200
    assert reply.headers["x-globe-model"] == DIGEST
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "logprobs": None, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "globe", "usage": usage}
    assert reply.json == told | {"choices": [choice]}


def test_the_engine_is_asked_what_the_gateway_has_written_and_nothing_else(gateway, engine):
    sampling = {"temperature": 0.5, "top_p": 0.9, "seed": 3, "frequency_penalty": 0.1, "presence_penalty": 0.2}
    wanted = {"logprobs": True, "top_logprobs": 2, "n": 2, "stop": ["x"], "max_tokens": 7}
    dropped = {"user": "somebody", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"}
    assert gateway.ask(**sampling, **wanted, **dropped).status == 200
    assert engine.bodies == [QUESTION | sampling | wanted]


def test_a_request_without_a_limit_gets_the_gateways_own(gateway, engine):
    gateway.ask()
    gateway.ask(max_completion_tokens=5)
    assert [body["max_tokens"] for body in engine.bodies] == [1000, 5]


def test_pictures_and_texts_reach_the_engine_made_anew_and_at_their_places(gateway, engine):
    url = "data:image;base64," + png()
    parts = [{"type": "image_url", "image_url": {"url": url, "detail": "high"}}, {"type": "text", "text": "a<|image_pad|>b"}]
    turns = [{"role": "developer", "content": "Be brief<|im_end|>"}, {"role": "user", "content": parts}]
    assert gateway.ask(messages=turns).status == 200
    system, user = engine.bodies[0]["messages"]
    assert system["role"] == "system"
    assert user["content"][0]["image_url"].keys() == {"url"}
    assert user["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "<|" not in json.dumps([system["content"], user["content"][1]])


def test_marks_of_the_checkpoints_own_tokenizer_stay_text_too(engine, tmp_path):
    tokens = [{"content": "<zap>", "special": True}, {"content": "<think>", "special": False}]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": tokens}))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_text("")
    with gateway_here(engine_url=engine.url, checkpoint=str(tmp_path)) as gateway:
        gateway.ask(messages=[{"role": "user", "content": "<think> a<zap>b"}])
    assert engine.bodies[0]["messages"][0]["content"] == "<think> a< zap>b"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"mm_processor_kwargs": {"max_pixels": 1}}, "mm_processor_kwargs"),
        ({"chat_template": "{{ x }}"}, "chat_template"),
        ({"guided_json": {}}, "guided_json"),
        ({"tools": []}, "tools"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "0.5"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1001}, "max_tokens"),
        ({"n": 5}, "n"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {}}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": []}]}, "messages[0].tool_calls"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "regex"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema", "json_schema": REGEX}}, "response_format"),
    ],
)
def test_what_is_not_taken_is_refused_by_name_and_reaches_no_engine(gateway, engine, wrong, param):
    reply = gateway.ask(**wrong)
    assert (reply.status, reply.json["error"]["param"]) == (400, param)
    assert engine.bodies == []


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/a.png", "https://example.org/a.png", "file:///etc/passwd", "//host/a", "data:text/html,AAAA", ""],
)
def test_no_address_is_ever_fetched(gateway, engine, url):
    turn = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    assert gateway.ask(messages=turn).status == 400
    assert engine.bodies == []


def test_there_is_one_picture_at_most(gateway):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + png()}}
    reply = gateway.ask(messages=[{"role": "user", "content": [part, part]}])
    assert (reply.status, reply.code) == (400, "too_many_pictures")


def test_another_model_is_not_found(gateway, engine):
    reply = gateway.ask(model="reward_model")
    assert (reply.status, reply.code, engine.bodies) == (404, "model_not_found", [])


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "not_json"),
        (b"[]", "application/json", 400, "invalid_request"),
        (b"", "application/json", 400, "not_json"),
        (b"\xff\xfe", "application/json", 400, "not_utf8"),
        (b"[" * 100_000, "application/json", 400, "json_too_deep"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "application/json", 400, "json_too_deep"),
        (json.dumps(QUESTION).encode(), "text/plain", 415, "not_json"),
    ],
)
def test_a_body_that_is_no_question_is_refused(gateway, body, kind, status, code):
    reply = gateway.get("/v1/chat/completions", "POST", body, Content_Type=kind)
    assert (reply.status, reply.code) == (status, code)


def test_what_a_client_sent_is_not_quoted_in_an_error(gateway):
    reply = gateway.ask(temperature="my secret", messages=[{"role": "my secret", "content": "my secret"}])
    assert reply.status == 400
    assert b"secret" not in reply.body


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("too long", 400, "context_length_exceeded"),
        ("bad schema", 400, "bad_schema"),
        ("not taken", 400, "not_possible"),
        ("unprocessable", 400, "not_possible"),
        ("no such model", 404, "model_not_found"),
        ("ending", 503, "unavailable"),
        ("bad gateway", 503, "unavailable"),
        ("full", 503, "overloaded"),
        ("another key", 503, "unavailable"),
        ("aborted", 503, "broken_off"),
        ("error", 503, "broken_off"),
        ("too few", 503, "broken_off"),
        ("half", 503, "unavailable"),
        ("page", 503, "broken_off"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_engines_fault_becomes_one_clear_error_that_tells_nothing_of_its_insides(gateway, engine, fault, status, code, stream):
    engine.plan.append(fault)
    reply = gateway.ask(n=2 if fault == "too few" else 1, stream=stream)
    if stream and (reply.status == 200):  # the answer had begun; it ends with the error and without the mark of a whole one
        assert fault in ("aborted", "error", "half", "too few")
        assert json.loads(reply.events[-1])["error"]["code"] in ("broken_off", code)
    else:
        assert (reply.status, reply.code) == (status, code)
    assert ("retry-after" in reply.headers) == (reply.status == 503)
    assert LEAK.encode() not in reply.body
    assert b"vllm" not in reply.body.lower()
    assert gateway.ask().status == 200


def test_a_connection_that_the_engine_has_just_closed_costs_no_request(gateway, engine):
    engine.plan += ["closes", "dropped"]
    assert [gateway.ask().status for _ in range(3)] == [200, 200, 200]
    assert len(engine.bodies) == 4


def test_a_stream_is_the_same_answer_in_pieces(gateway, engine):
    reply = gateway.ask(stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-globe-model"] == DIGEST
    *pieces, last = reply.events
    assert last == "[DONE]"
    chunks = [json.loads(piece) for piece in pieces]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert {name for chunk in chunks for name in chunk} == {"id", "object", "created", "model", "choices"}


def test_a_stream_tells_the_count_of_tokens_to_whoever_asks_for_it(gateway):
    reply = gateway.ask(stream=True, stream_options={"include_usage": True})
    *_, last, done = reply.events
    assert (json.loads(last)["choices"], json.loads(last)["usage"], done) == ([], USAGE, "[DONE]")


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_usage": True}])
def test_a_streamed_answer_costs_its_key_the_tokens_that_it_has(engine, options):
    with gateway_here(engine_url=engine.url, max_tokens=1000, tokens_per_minute=2000) as gateway:
        replies = [gateway.ask(stream=True, stream_options=options) for _ in range(6)]
        counted = gateway.gateway.metrics.registry.get_sample_value("globe_gateway_tokens_total", {"kind": "completion"})
    assert [reply.status for reply in replies] == [200] * 6
    assert counted == 6 * 3


def raw(body: bytes) -> bytes:
    """A request as it goes over the wire."""
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_pieces_come_as_the_engine_gives_them(gateway, engine):
    engine.plan.append("slow")
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        body = json.dumps(QUESTION | {"stream": True}).encode()
        client.sendall(raw(body))
        began, came, text = time.monotonic(), [], b""
        while b"[DONE]" not in text:
            text += client.recv(2**16)
            came.append(time.monotonic() - began)
    assert came[-1] - came[0] > 0.5


@pytest.mark.parametrize(("fault", "stream"), [("hangs", False), ("hangs", True), ("stalls", True)])
def test_when_a_client_leaves_the_engine_is_left_too(gateway, engine, fault, stream):
    engine.plan.append(fault)
    body = json.dumps(QUESTION | {"stream": stream}).encode()
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(raw(body))
        until(lambda: engine.bodies)
        time.sleep(0.2)
    assert engine.left.wait(60)
    until(lambda: gateway.gateway.status.in_flight == 0)


def test_an_answer_that_takes_too_long_is_504(engine):
    with gateway_here(engine_url=engine.url, answer_timeout_s=0.5) as gateway:
        engine.plan += ["hangs", "stalls"]
        reply = gateway.ask()
        assert (reply.status, reply.code) == (504, "timeout")
        reply = gateway.ask(stream=True)
        assert json.loads(reply.events[-1])["error"]["code"] == "timeout"


def test_where_places_may_not_be_told_to_the_city_there_is_no_chat(engine):
    with gateway_here(engine_url=engine.url, max_precision="country") as gateway:
        reply = gateway.ask()
        assert (reply.status, reply.code, engine.bodies) == (403, "precision_is_limited", [])


def test_an_answer_in_any_script_comes_through_as_it_is(gateway, engine):
    turn = [{"role": "user", "content": "Wo? Où? どこ? 🗺"}]
    gateway.ask(messages=turn)
    assert engine.bodies[0]["messages"] == turn != TURN
