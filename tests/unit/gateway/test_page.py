"""The page's files over HTTP: what is served, to whom, with which headers, and that nothing else is."""

import asyncio
import gzip
import json
import re
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import pytest
from starlette.testclient import TestClient

from globe.gateway.app import create_app
from globe.gateway.keyfile import make_key
from globe.gateway.page import STATIC
from globe.gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[3]
FOLDER = files("globe.gateway") / "static"
DANGEROUS = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|DOMParser|srcdoc"
MOST_BYTES = {"world.json": 150_000}


@pytest.fixture(scope="module")
def client():
    return TestClient(create_app(GatewaySettings()))


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def raw_get(path: str) -> tuple[int, bytes]:
    """Status and body for a path exactly as a client may write it, which no library puts in order first."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": unquote(path)}
    scope["headers"] = [(b"host", b"gateway")]
    scope |= {"raw_path": path.encode(), "query_string": b"", "root_path": "", "client": ("127.0.0.1", 1), "server": ("x", 80)}
    asyncio.run(create_app(GatewaySettings())(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def test_every_file_of_the_folder_is_served_byte_by_byte_and_told_what_it_is(client):
    assert sorted(one.name for one in FOLDER.iterdir()) == sorted((*STATIC, "index.html"))
    kinds = {"js": "text/javascript", "css": "text/css", "json": "application/json", "svg": "image/svg+xml"}
    for name in STATIC:
        answer = client.get(f"/static/{name}")
        assert (answer.status_code, answer.content) == (200, (FOLDER / name).read_bytes()), name
        assert answer.headers["content-type"].partition(";")[0] == kinds[name.rpartition(".")[2]], name
        assert answer.headers["content-encoding"] == "gzip", name


@pytest.mark.parametrize("path", ["/", "/static/app.js", "/static/world.json"])
def test_a_browser_is_told_to_run_nothing_that_is_not_a_file_of_ours(client, path):
    headers = client.get(path).headers
    policy = dict(one.strip().partition(" ")[::2] for one in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["img-src"] == "'self' blob: data:"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "geolocation=()" in headers["permissions-policy"]
    assert "set-cookie" not in headers


def test_the_page_holds_no_script_no_style_and_no_address_of_its_own():
    class Reader(HTMLParser):
        within, found = "", []

        def handle_starttag(self, tag, attributes):
            self.within = tag
            for name, value in attributes:
                if name == "style" or name.startswith("on"):
                    self.found.append((tag, name, value))
                if name in ("src", "href", "action") and not re.fullmatch(r"(static/[\w.]+|#\w+)", value):
                    self.found.append((tag, name, value))

        def handle_endtag(self, tag):
            self.within = ""

        def handle_data(self, data):
            if self.within in ("script", "style") and data.strip():
                self.found.append((self.within, data))

    reader = Reader()
    reader.feed(text_of("index.html"))
    assert reader.found == []


def test_no_file_names_another_host_or_turns_text_into_elements():
    for name in STATIC:
        text = text_of(name)
        hosts = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert hosts == set(), name
        if name.endswith(".js"):
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|DOMParser|srcdoc", text
            ), name
            assert "localStorage" not in text, name


def test_the_page_is_told_what_it_must_know_and_no_more(tmp_path):
    settings = {"max_samples": 3, "max_body_bytes": 12345, "max_precision": "region", "model": '"><b>'}
    page = TestClient(create_app(GatewaySettings(**settings))).get("/").text
    assert '<body data-samples="3" data-max-bytes="12345" data-key="" data-precision="region">' in page
    assert "Model: &quot;&gt;&lt;b&gt;" in page
    assert "{{" not in page


def test_the_page_asks_five_times_and_for_a_key_where_one_is_needed(tmp_path):
    keys = tmp_path / "keys.yaml"
    make_key(keys, "somebody")
    page = TestClient(create_app(GatewaySettings(keys_file=keys))).get("/").text
    assert 'data-samples="5"' in page
    assert 'data-key="required"' in page


@pytest.mark.parametrize(
    "path",
    [
        "/static/", "/static", "/static/page.py", "/static/index.html", "/static/../page.py", "/static/%2e%2e/page.py",
        "/static/..%2fpage.py", "/static/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd", "/static//etc/passwd", "/static/app.js/",
        "/static/app.js%00.css", "/static/App.js", "/static/..\\page.py", "/static/app.js;x", "/index.html", "/favicon.ico",
        "/static/app.js/../../page.py", "//static/app.js", "/static/%61pp.js%20",
    ],
)  # fmt: skip
def test_no_other_path_gives_a_file(path):
    status, body = raw_get(path)
    assert status == 404
    assert json.loads(body)["error"]["code"] == "not_found"


def test_what_a_browser_has_already_is_not_sent_again(client):
    for path in ("/", "/static/world.json"):
        first = client.get(path)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        for known in (tag, f'"other", {tag}', f"W/{tag}"):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_whoever_takes_no_gzip_gets_the_file_as_it_is_under_another_tag(client):
    packed, plain = (client.get("/static/app.js", headers={"Accept-Encoding": kinds}) for kinds in ("gzip, br", "identity"))
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert "content-encoding" not in plain.headers
    assert plain.content == packed.content
    assert plain.headers["etag"] != packed.headers["etag"]


def test_head_says_the_same_without_the_file(client):
    got, headed = client.get("/static/app.js"), client.head("/static/app.js")
    assert headed.content == b""
    assert {**headed.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}


def test_the_page_can_only_be_read(client):
    for path in ("/", "/static/app.js"):
        for method in ("POST", "PUT", "DELETE"):
            assert client.request(method, path).status_code == 405


def test_an_operator_may_want_no_page():
    client = TestClient(create_app(GatewaySettings(page=False)))
    assert [client.get(path).status_code for path in ("/", "/static/app.js")] == [404, 404]


def test_the_page_is_no_part_of_the_described_interface(client):
    assert not [path for path in client.get("/openapi.json").json()["paths"] if path == "/" or path.startswith("/static")]


def test_the_files_are_small_enough_for_a_slow_line():
    sizes = {name: len((FOLDER / name).read_bytes()) for name in (*STATIC, "index.html")}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES.get(name, 40_000)} == {}
    assert sum(len(gzip.compress((FOLDER / name).read_bytes())) for name in sizes) < 130_000


def test_a_wheel_of_the_package_holds_the_page(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    held = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("globe/gateway/static/")}
    assert held == {*STATIC, "index.html"}
