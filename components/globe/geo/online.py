"""Online geocoders as a choice, never a default: Azure Maps (the paper's) and a self-hosted Nominatim, through geopy.

Answers are cached on disk (a place is asked for once, and a score can be repeated offline), requests are spaced, and failures
of the service are retried, then raised: an outage must not look like a place that does not exist. Keys and addresses come
from the environment: AZURE_MAPS_KEY; GLOBE_NOMINATIM_URL (your own server: the public one forbids bulk use).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from globe.errors import GlobeError, InputError
from globe.geo.countries import find_country
from globe.geo.distance import valid_position
from globe.geo.layout import cache_folder
from globe.geo.match import NO_MATCH, Match
from globe.geo.places import find_query, names_several

Find = Callable[[str], Match]
ATTEMPTS = 4
USER_AGENT = "globe-kubeflow"
MAX_TEXT_CHARS = 200
_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What geopy raises for a reply that is JSON but no answer: a proxy or a broken service, not a place that is missing."""


def resolver(name: str) -> Find:
    """The geocoder of that name: "offline", "nominatim" or "azure".

    Raises:
        InputError: no such geocoder, or its key or address is not set.
    """
    if name == "offline":
        return find_query
    if name == "nominatim":
        return OnlineGeocoder("nominatim", _nominatim(), requests_per_s=_requests_per_s(1.0))
    if name == "azure":
        return OnlineGeocoder("azure", _azure(), requests_per_s=_requests_per_s(20.0))
    raise InputError(f"--geocoder {name}: no such geocoder; choose offline, nominatim or azure")


def _requests_per_s(usual: float) -> float:
    text = os.environ.get("GLOBE_GEOCODER_RPS", "").strip()
    try:
        rate = float(text) if text else usual
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise InputError(f"GLOBE_GEOCODER_RPS={text}: requests a second, a number above 0")
    return rate


def _nominatim() -> Callable[[str], Any]:
    address = os.environ.get("GLOBE_NOMINATIM_URL", "")
    parts = urlsplit(address if "//" in address else f"//{address}")
    if not parts.netloc or parts.scheme not in ("", "http", "https"):
        raise InputError(
            "--geocoder nominatim: set GLOBE_NOMINATIM_URL to your own server, such as http://nominatim.example:8080"
        )
    from geopy.geocoders import Nominatim  # late: only an online geocoder needs it

    domain = parts.netloc + parts.path.rstrip("/")
    service = Nominatim(domain=domain, scheme=parts.scheme or "https", user_agent=USER_AGENT, timeout=20)
    return lambda text: service.geocode(text, language="en", addressdetails=True)


def _azure() -> Callable[[str], Any]:
    key = os.environ.get("AZURE_MAPS_KEY", "")
    if not key:
        raise InputError("--geocoder azure: set AZURE_MAPS_KEY to the subscription key of your Azure Maps account")
    from geopy.geocoders import AzureMaps  # late: only an online geocoder needs it

    service = AzureMaps(subscription_key=key, user_agent=USER_AGENT, timeout=20)
    return lambda text: service.geocode(text, language="en")


class OnlineGeocoder:
    """A geopy geocoder with a disk cache, a rate limit and retries. Callable with a query; thread-safe.

    Args:
        name: Of the service; part of the cache's key.
        ask: Gives geopy's Location for a text, or None.
        requests_per_s: At most so many requests start each second.
        cache: SQLite file; by default in the user's cache folder.
        attempts: Tries of a request whose service fails (time-out, 429, 5xx).
        wait_s: Wait before the second try; doubles for each further one, with jitter.
    """

    def __init__(
        self, name: str, ask: Callable[[str], Any], requests_per_s: float = 1.0, cache: Path | None = None,
        attempts: int = ATTEMPTS, wait_s: float = 1.0,
    ) -> None:  # fmt: skip
        self._name, self._ask = name, ask
        self._gap_s = 1.0 / requests_per_s if requests_per_s > 0 else 0.0
        self._attempts, self._wait_s = attempts, wait_s
        self._next = 0.0
        self._lock = threading.Lock()
        self._path = path = cache or cache_folder() / "geocoder.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
        self._cache("CREATE TABLE IF NOT EXISTS answers (id TEXT PRIMARY KEY, query TEXT, answer TEXT, asked REAL)")

    def __call__(self, text: str) -> Match:
        """The place of a query; asks the service only for what the cache lacks."""
        query = " ".join(text.encode("utf-8", "replace").decode().split())  # a lone surrogate can be neither sent nor kept
        if not query or names_several(query):
            return NO_MATCH
        identity = hashlib.sha256(f"{self._name}\n{query.casefold()}".encode()).hexdigest()
        row = self._cache("SELECT answer FROM answers WHERE id = ?", identity)
        if row is not None:
            return _match(json.loads(row[0]), query)
        answer = self._request(query)
        self._cache("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", identity, query, json.dumps(answer), time.time())
        return _match(answer, query)

    def _cache(self, statement: str, *values: Any) -> Any:
        try:
            with self._lock:
                return self._db.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise GlobeError(f"{self._path}: the geocoder's cache failed ({error}); delete it, or set GLOBE_CACHE_DIR") from None

    def _request(self, query: str) -> dict[str, Any] | None:
        from geopy.exc import (  # late: only an online geocoder needs it
            GeocoderAuthenticationFailure,
            GeocoderInsufficientPrivileges,
            GeocoderQueryError,
            GeopyError,
        )

        for attempt in range(1, self._attempts + 1):
            self._take_turn()
            try:
                return _answer(self._ask(query))
            except (GeocoderAuthenticationFailure, GeocoderInsufficientPrivileges) as error:
                raise GlobeError(f"geocoder {self._name} refuses the key: {type(error).__name__}") from None
            except GeocoderQueryError:
                return None  # the service cannot make sense of the text: not a place
            except (GeopyError, *_NONSENSE) as error:
                if attempt == self._attempts:  # the text of an error may hold the key, its type does not
                    raise GlobeError(
                        f"geocoder {self._name} failed {attempt} times ({type(error).__name__}); run again later"
                    ) from None
                time.sleep(self._wait_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        return None

    def _take_turn(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._gap_s
        if turn > now:
            time.sleep(turn - now)


def _answer(location: Any) -> dict[str, Any] | None:
    """What is kept of geopy's Location: position, and city and country when the service tells them.

    Raises:
        ValueError: it has no position of its own (geopy puts 0 for a coordinate that is not there), or one out of range.
    """
    if location is None:
        return None
    raw = location.raw if isinstance(location.raw, dict) else {}
    given = raw.get("position", raw)
    if not all(
        isinstance(given.get(name), (str, int, float)) and not isinstance(given.get(name), bool) for name in ("lat", "lon")
    ):
        raise ValueError("a place without a position")
    if not valid_position(location.latitude, location.longitude):
        raise ValueError("a place out of range")
    found = raw.get("address")
    address: dict[str, Any] = found if isinstance(found, dict) else {}

    def text(*names: str) -> str | None:
        values = (address.get(name) for name in names)
        return next((v[:MAX_TEXT_CHARS] for v in values if isinstance(v, str) and v), None)

    return {
        "lat_deg": location.latitude,
        "lon_deg": location.longitude,
        "city": text("city", "town", "village", "municipality", "localName"),
        "country": text("country"),
        "code": text("country_code", "countryCode"),
    }


def _match(answer: dict[str, Any] | None, query: str) -> Match:
    if answer is None:
        return NO_MATCH
    country = find_country(answer["code"] or answer["country"] or query.rpartition(",")[2])
    return Match(
        answer["city"], country.name if country else answer["country"], country.code if country else None,
        answer["lat_deg"], answer["lon_deg"], "alias" if answer["city"] else "country",
    )  # fmt: skip
