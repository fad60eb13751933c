"""`globe geocode` as people call it."""

import json

import pytest
from command_line import globe, globe_process, refused


def test_geocode_prints_one_json_line_a_query_from_arguments_and_stdin() -> None:
    result = globe_process(
        "geocode", "München, Germany", "-", "Atlantis, Nowhere", "--json", stdin="東京, 日本\n\nFrance\n".encode()
    )
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [r["query"] for r in rows] == ["München, Germany", "東京, 日本", "France", "Atlantis, Nowhere"]
    assert [r["match"] for r in rows] == ["alias", "alias", "country", "none"]
    assert [r["found"] for r in rows] == [True, True, True, False]
    assert (rows[0]["city"], rows[0]["country"], rows[0]["country_code"], rows[0]["geonames_id"]) == (
        "Munich",
        "Germany",
        "DE",
        2867714,
    )
    assert rows[0]["lat_deg"] == pytest.approx(48.137, abs=0.01)
    assert globe("geocode", "Paris, France").stdout.split("\t")[2] == "Paris"


def test_geocode_prints_one_line_a_query_whatever_is_in_it() -> None:
    lines = globe("geocode", "Paris,\n\tFrance", "Nowhere\tat\r\nall").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["Paris, France", "Nowhere at all"]
    assert [len(line.split("\t")) for line in lines] == [13, 13]


def test_geocode_refuses_what_is_no_text_and_unknown_geocoders() -> None:
    refused(globe("geocode", "-", stdin=b"\xff\xfe\x00"), "stdin", "UTF-8")
    refused(globe("geocode", "Paris", "--geocoder", "bing"), "offline, nominatim or azure")
    assert globe("geocode").returncode == 2


def test_the_help_of_geocode_names_every_column_that_it_prints() -> None:
    row = json.loads(globe("geocode", "Paris, France", "--json").stdout)
    described = " ".join(globe("geocode", "--help").stdout.split())
    assert ", ".join(row) in described
    assert len(row) == len(globe("geocode", "Paris, France").stdout.rstrip("\n").split("\t"))
