"""Online geocoders: asked once, spaced, retried; against a real HTTP server that behaves badly on purpose."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from globe.errors import GlobeError, InputError
from globe.geo import online
from globe.geo.online import OnlineGeocoder, resolver

PARIS = [
    {
        "lat": "48.85",
        "lon": "2.35",
        "display_name": "Paris",
        "address": {"city": "Paris", "country": "France", "country_code": "fr"},
    }
]


class _Nominatim(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[float, str]]] = []
    failures = 0
    reply: ClassVar[Any] = None
    """What is answered instead of a place, as JSON."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)["q"][0]
        type(self).asked.append((time.monotonic(), query))
        if type(self).failures > 0:
            type(self).failures -= 1
            self.send_error(503)
            return
        found = PARIS if "Paris" in query else []
        body = json.dumps(found if type(self).reply is None else type(self).reply).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[_Nominatim]]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Nominatim)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("GLOBE_NOMINATIM_URL", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("GLOBE_CACHE_DIR", str(tmp_path))
    _Nominatim.asked, _Nominatim.failures, _Nominatim.reply = [], 0, None
    yield _Nominatim
    http.shutdown()
    http.server_close()


def _nominatim(rps: float = 1000.0) -> OnlineGeocoder:
    find = resolver("nominatim")
    assert isinstance(find, OnlineGeocoder)
    return OnlineGeocoder("nominatim", find._ask, requests_per_s=rps, wait_s=0.01)


def test_a_place_is_asked_for_once_and_kept_on_disk(server: type[_Nominatim]) -> None:
    first = _nominatim()("Paris, France")
    assert (first.city, first.country_code, first.lat_deg, first.lon_deg) == ("Paris", "FR", 48.85, 2.35)
    assert _nominatim()("paris,  France".replace("  ", " ")) == first
    assert _nominatim()("Nowhere, France").match == "none"
    assert _nominatim()("Nowhere, France").match == "none"
    assert len(server.asked) == 2


def test_a_failing_service_is_retried_and_then_an_error_never_a_missing_place(server: type[_Nominatim]) -> None:
    server.failures = 2
    assert _nominatim()("Paris, France").city == "Paris"
    server.failures = 99
    with pytest.raises(GlobeError, match="failed 4 times"):
        _nominatim()("Paris, Texas")
    server.failures = 0
    assert _nominatim()("Paris, Texas").city == "Paris"


@pytest.mark.parametrize(
    "reply",
    [
        3, {"status": "ok"}, ["Paris"], [None], [{"lat": "48.85", "lon": "2.35"}],
        *([{**PARIS[0], "lat": lat}] for lat in ("north", "nan", "999", None, True, [48.85])),
        [{k: v for k, v in PARIS[0].items() if k != "lat"}],
    ],
)  # fmt: skip
def test_a_reply_that_makes_no_sense_is_a_failure_never_a_place_or_a_missing_one(server: type[_Nominatim], reply: Any) -> None:
    server.reply = reply
    with pytest.raises(GlobeError, match="failed 4 times"):
        _nominatim()("Paris, France")
    server.reply = None
    assert _nominatim()("Paris, France").city == "Paris"


def test_names_that_are_no_text_are_left_out_of_a_place(server: type[_Nominatim]) -> None:
    server.reply = [{**PARIS[0], "address": {"city": 5, "country": ["France"], "country_code": 7}}]
    found = _nominatim()("Paris, France")
    assert (found.city, found.country_code, found.lat_deg, found.match) == (None, "FR", 48.85, "country")


def test_a_cache_that_is_none_is_named(server: type[_Nominatim], tmp_path: Path) -> None:
    (tmp_path / "geocoder.sqlite").write_text("not a database, by far " * 50)
    with pytest.raises(GlobeError, match=r"geocoder\.sqlite: the geocoder's cache failed"):
        resolver("nominatim")


@pytest.mark.parametrize("rate", ["fast", "0", "-1", "nan", "inf"])
def test_a_rate_that_is_none_is_refused(server: type[_Nominatim], monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    monkeypatch.setenv("GLOBE_GEOCODER_RPS", rate)
    with pytest.raises(InputError, match="GLOBE_GEOCODER_RPS"):
        resolver("nominatim")


def test_requests_are_spaced(server: type[_Nominatim], monkeypatch: pytest.MonkeyPatch) -> None:
    clock, started = [100.0], []  # by a clock of its own: on a busy machine requests arrive closer together than they were sent

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(online, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=sleep, time=time.time))
    find = _nominatim(rps=20)
    ask = find._ask
    find._ask = lambda query: (started.append(clock[0]), ask(query))[1]
    for i in range(4):
        find(f"Paris {i}")
    assert [b - a for a, b in pairwise(started)] == pytest.approx([0.05] * 3)
    assert len(server.asked) == 4


def test_a_service_without_its_key_or_address_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_MAPS_KEY", raising=False)
    monkeypatch.setenv("GLOBE_NOMINATIM_URL", "ftp://127.0.0.1:1")
    with pytest.raises(InputError, match="GLOBE_NOMINATIM_URL"):
        resolver("nominatim")
    monkeypatch.delenv("GLOBE_NOMINATIM_URL")
    for name, text in (
        ("azure", "AZURE_MAPS_KEY"),
        ("nominatim", "GLOBE_NOMINATIM_URL"),
        ("bing", "offline, nominatim or azure"),
    ):
        with pytest.raises(InputError, match=text):
            resolver(name)
