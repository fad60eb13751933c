"""The door of a server, before an application that answers whatever it is asked. With the real vLLM: test_guarded_server.py."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import globe
from globe.served import MODEL_HEADER
from globe.serving.guard import DIGEST_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE, OPEN_VARIABLE, PATHS, Guard

KEY, DIGEST = "k" * 64, "0123456789abcdef"
WITH_KEY = [(b"authorization", f"Bearer {KEY}".encode())]
METHODS = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "get"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (KEY_FILE_VARIABLE, OPEN_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setenv(DIGEST_VARIABLE, DIGEST)


def application():
    """Answers every path and method with what it was asked, by starlette's own router."""

    def said(request):
        return PlainTextResponse(f"{request.method} {request.url.path}", headers={"x-inside": "yes"})

    return Starlette(routes=[Route("/{path:path}", said, methods=METHODS)])


def sent(scope, guard=None):
    """What goes out for a scope."""
    messages = []

    async def receive():
        return {"type": f"{scope['type']}.startup"} if scope["type"] == "lifespan" else {"type": "http.request", "body": b""}

    async def send(message):
        messages.append(message)

    asyncio.run((guard or Guard(application()))(scope, receive, send))
    return messages


def asked(path, method="GET", headers=(), **more):
    """Status and headers of an answer."""
    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": b"", **more}
    start = sent(scope | {"raw_path": path.encode(), "http_version": "1.1", "server": ("127.0.0.1", 8000), "scheme": "http"})[0]
    return start["status"], dict(start["headers"])


def test_health_needs_no_key_and_says_nothing_about_the_model():
    status, headers = asked("/health")
    assert (status, MODEL_HEADER.encode() in headers) == (200, False)


@pytest.mark.parametrize(("path", "method"), [item for item in PATHS.items() if item[0] != "/health"])
def test_every_other_path_needs_the_key_and_its_answers_say_which_model_is_served(path, method):
    status, headers = asked(path, method)
    assert (status, b"x-inside" in headers, headers[b"www-authenticate"]) == (401, False, b"Bearer")
    status, headers = asked(path, method, WITH_KEY)
    assert (status, headers[MODEL_HEADER.encode()]) == (200, DIGEST.encode())


CLOSED = ["/invocations", "/tokenize", "/detokenize", "/docs", "/openapi.json", "/scale_elastic_ep", "/load", "/ping", "/sleep"]
ODD = [
    "//v1/models",
    "/v1/models/",
    "/v1//models",
    "/V1/models",
    "/health/",
    "//health",
    "/health/../v1/models",
    "/v1/models ",
    "",
]
ODD += ["/v1/models\x00", "/health;/v1/models", "/health?x", "/./health", "v1/models", "/v1/completions", "/v1/responses", "*"]


@pytest.mark.parametrize("path", CLOSED + ODD)
@pytest.mark.parametrize("headers", [(), WITH_KEY])
def test_a_path_that_is_not_on_the_list_is_not_there_with_the_key_or_without(path, headers):
    for method in METHODS:
        assert asked(path, method, headers)[0] == 404


def test_a_path_has_the_one_method_that_is_used():
    for path, method in PATHS.items():
        assert [other for other in METHODS if asked(path, other, WITH_KEY)[0] == 200] == [method]


def test_a_path_below_which_the_server_lies_opens_no_other():
    for root in ("/health", "/v1", "/x"):
        for path in ("/x/v1/models", "/v1/models", "/health/v1/models"):
            assert asked(path, root_path=root)[0] in (401, 404)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [KEY.encode()],
        [f"Basic {KEY}".encode()],
        [f"Bearer {KEY[:-1]}".encode()],
        [f"Bearer {KEY}x".encode()],
        [f"Bearer {KEY} {KEY}".encode()],
        [f"Bearer x, Bearer {KEY}".encode()],
        ["Bearer ü".encode("latin-1")],
        [b"Bearer wrong", f"Bearer {KEY}".encode()],
        [f"Bearer {KEY}".encode(), b"Bearer wrong"],
    ],
)
def test_only_the_key_itself_opens_and_only_if_it_is_said_once(values):
    assert asked("/v1/models", headers=[(b"authorization", value) for value in values])[0] == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_schemes_name_may_be_written_in_any_case_and_spaces_do_not_matter(scheme):
    assert asked("/v1/models", headers=[(b"authorization", f"{scheme}  {KEY} ".encode())])[0] == 200


def test_other_headers_that_might_hold_a_key_do_not_count():
    others = [(name, KEY.encode()) for name in (b"x-api-key", b"api-key", b"proxy-authorization", b"cookie")]
    assert asked("/v1/models", headers=others)[0] == 401


def test_websockets_are_closed_before_they_open():
    for headers in ([], WITH_KEY):
        scope = {"type": "websocket", "path": "/v1/realtime", "headers": headers}
        assert [message["type"] for message in sent(scope)] == ["websocket.close"]


def test_what_is_neither_http_nor_the_servers_own_start_gets_no_answer():
    assert sent({"type": "webtransport", "path": "/v1/models", "headers": WITH_KEY}) == []


def lifespan(guard=None):
    ran = []

    async def inner(scope, receive, send):
        ran.append(scope["type"])
        await send({"type": "lifespan.startup.complete"})

    return sent({"type": "lifespan"}, guard or Guard(inner)), ran


def test_the_servers_own_start_passes():
    messages, ran = lifespan()
    assert (messages, ran) == ([{"type": "lifespan.startup.complete"}], ["lifespan"])


@pytest.mark.parametrize("file", [None, "missing", "empty"])
def test_without_a_key_the_server_does_not_start_and_answers_nobody(tmp_path, monkeypatch, file):
    monkeypatch.setenv(KEY_VARIABLE, " " if file is None else KEY)
    if file:
        monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / file))
        monkeypatch.setenv(OPEN_VARIABLE, "1")  # a file that was promised is not done without
        (tmp_path / "empty").write_text("\n")
    messages, ran = lifespan()
    assert (messages[0]["type"], ran) == ("lifespan.startup.failed", [])
    assert (KEY_FILE_VARIABLE if file else KEY_VARIABLE) in messages[0]["message"]
    assert {asked(path, method, WITH_KEY)[0] for path, method in PATHS.items()} == {503}


def test_uvicorn_ends_when_the_guard_finds_no_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE)
    code = (
        "import uvicorn; from starlette.applications import Starlette; from globe.serving.guard import Guard\n"
        "app = Starlette(); app.add_middleware(Guard); uvicorn.run(app, port=0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert f"no key: set {KEY_VARIABLE}" in done.stderr
    assert "Uvicorn running" not in done.stderr


def test_the_key_of_a_file_counts_and_not_the_environments(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("another\n")
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "key"))
    assert asked("/v1/models", headers=WITH_KEY)[0] == 401
    assert asked("/v1/models", headers=[(b"authorization", b"Bearer another")])[0] == 200


def test_a_server_that_may_be_open_answers_all_who_ask_what_is_on_the_list(monkeypatch):
    monkeypatch.setenv(OPEN_VARIABLE, "1")
    assert asked("/v1/models")[0] == 401  # it has a key
    monkeypatch.delenv(KEY_VARIABLE)
    status, headers = asked("/v1/models")
    assert (status, headers[MODEL_HEADER.encode()]) == (200, DIGEST.encode())
    assert asked("/invocations", "POST")[0] == 404


def test_it_is_loaded_with_nothing_but_the_standard_library():
    code = "import sys, globe.serving.guard; print(*{name.partition('.')[0] for name in sys.modules})"
    beside = str(Path(globe.__file__).parents[1])  # without site-packages an installed project isn't found by itself
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env={"PYTHONPATH": beside})
    assert set(done.stdout.split()) - sys.stdlib_module_names - {"__main__"} == {"globe"}, done.stderr
