"""A path in a record leads to the same thing wherever the store has gone."""

from pathlib import Path

import pytest

from globe.storage import located, portable
from globe.storage.uris import SCRATCH_VARIABLE, input_mirror, parse


@pytest.mark.parametrize(
    ("path", "written"),
    [("/s/sft/k/checkpoint", "sft/k/checkpoint"), ("/s", "."), ("/other/sft", "/other/sft"), ("/stores/x", "/stores/x")],
)
def test_a_path_below_the_store_is_relative_and_another_is_not(path, written):
    assert portable(path, Path("/s")) == written
    assert located(written, Path("/s")) == Path(path)


def test_a_path_can_be_relative_to_a_folder_of_the_store():
    written = portable("/s/sft/k/checkpoint", Path("/s"), Path("/s/grpo/m"))
    assert written == "../../sft/k/checkpoint"
    assert located(written, Path("/t/grpo/m")) == Path("/t/sft/k/checkpoint")


def test_a_mirrored_input_is_its_address_so_that_another_scratch_folder_serves_as_well(monkeypatch, tmp_path):
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / "here"))
    written = portable(input_mirror(parse("s3://bucket/models/m")), tmp_path / "store")
    assert written == "s3://bucket/models/m"
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path / "there"))
    assert located(written, tmp_path) == tmp_path / "there" / "inputs" / "bucket" / "models" / "m"
