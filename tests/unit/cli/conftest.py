"""A photo and a data set to ask about."""

from pathlib import Path
from typing import Any

import pytest
from cli_inputs import picture

from globe.data.rows import Row
from globe.data.shards import write_dataset


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(picture())
    return path


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    place: dict[str, Any] = {"lat_deg": 48.85, "lon_deg": 2.35, "country": "France", "city": "Paris", "split": "test"}
    write_dataset(tmp_path / "test", [Row(id=f"p{number}", image=picture(number), **place) for number in range(5)])
    return tmp_path / "test"
