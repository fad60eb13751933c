"""Locating one photo: what is wrong is said before anything is asked or served."""

from pathlib import Path

import pytest

from globe.errors import GlobeError, InputError
from globe.evaluation.locate import Asking, locate


def test_a_photo_is_located_by_a_server_or_by_a_checkpoint_and_not_by_both(tmp_path: Path) -> None:
    for given in ({}, {"url": "http://127.0.0.1:9/v1", "checkpoint": tmp_path}):
        with pytest.raises(InputError, match="either --url"):
            locate(tmp_path / "photo.png", Asking(**given))  # type: ignore[arg-type]


def test_a_photo_that_cannot_be_used_is_refused_before_the_server_is_asked(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("no picture")
    with pytest.raises(GlobeError, match="photo"):
        locate(tmp_path / "photo.png", Asking(url="http://127.0.0.1:9/v1"))
