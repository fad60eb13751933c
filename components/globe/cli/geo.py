"""`globe geocode`: places by name."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from globe.cli.options import JsonFlag
from globe.console import emit, to_json
from globe.errors import InputError

MAX_STDIN_BYTES = 64 << 20
COLUMNS = (
    "query", "found", "city", "country", "country_code", "lat_deg", "lon_deg", "match", "geonames_id", "admin1", "population",
    "homonyms", "chosen_by",
)  # fmt: skip
"""What `globe geocode` prints for a query, in this order."""


def geocode(
    queries: Annotated[
        list[str], typer.Argument(metavar="QUERY...", help='"CITY, COUNTRY"; "-" reads one query per line from stdin.')
    ],
    geocoder: Annotated[str, typer.Option(help="offline, or an online service: nominatim, azure.")] = "offline",
    as_json: JsonFlag = False,
) -> None:
    """Find places by name in the offline gazetteer."""
    from globe.geo.online import resolver

    find = resolver(geocoder)
    texts = [line for query in queries for line in (_stdin_lines() if query == "-" else [query])]
    rows = [_geocoded(text, find(text)) for text in texts]
    if as_json:
        emit(to_json(row) for row in rows)
        return
    emit("\t".join("" if v is None else " ".join(str(v).split()) for v in row.values()) for row in rows)


geocode.__doc__ = f"""Find places by name in the offline gazetteer.

    Data: GeoNames, CC BY 4.0. Prints one line per query, separated by tabs: {", ".join(COLUMNS)}. match is exact, alias, country
    or none; admin1 is the state or region, homonyms the number of places with that name, chosen_by what decided between them.
    Unknown values are left empty."""


def _geocoded(query: str, match: Any) -> dict[str, Any]:
    row = {name: query if name == "query" else getattr(match, name) for name in COLUMNS}
    return row | {"chosen_by": match.chosen_by or None}


def _stdin_lines() -> list[str]:
    if sys.stdin is None:
        raise InputError("stdin is closed; give the queries as arguments")
    try:
        data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
        if len(data) > MAX_STDIN_BYTES:
            raise InputError(f"stdin: more than {MAX_STDIN_BYTES >> 20} MiB of queries; split them up")
        return [line.strip() for line in data.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"stdin: not text in UTF-8 (byte {error.start})") from None


COMMANDS = (geocode,)
