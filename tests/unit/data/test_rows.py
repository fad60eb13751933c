import math

import pytest
from pydantic import ValidationError

from globe.data.rows import SCHEMA, Row, from_record, to_record


def make(**changes):
    values = {
        "id": "a",
        "image": b"x",
        "lat_deg": 1.0,
        "lon_deg": 2.0,
        "country": "Italy",
        "city": "Arezzo",
        "split": "train",
    }
    return Row(**{**values, **changes})


def test_the_stored_columns_are_the_fields_of_a_row():
    assert SCHEMA.names == list(Row.model_fields)


def test_a_row_survives_its_stored_form():
    row = make(entities=["palm tree"], localizable=False, provenance={"b": "2", "a": "1"}, reasoning="red earth")
    assert from_record(to_record(row)) == row


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lat_deg", math.nan),
        ("lat_deg", 90.1),
        ("lon_deg", -181),
        ("lon_deg", math.inf),
        ("split", "dev"),
        ("id", ""),
        ("id", "a\x1b[2J"),
        ("image", b""),
        ("colour", "red"),
    ],
)
def test_a_row_refuses_what_is_out_of_range_or_unknown(field, value):
    with pytest.raises(ValidationError):
        make(**{field: value})


def test_a_row_that_was_made_says_its_kind_and_no_other_row_does():
    assert make(provenance={"made": "other_picture"}).made == "other_picture"
    assert make(provenance={"reasoning": "vlm-a"}).made == ""
