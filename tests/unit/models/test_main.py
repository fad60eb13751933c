"""``python -m globe.models``: what an init container is told."""

import sys

import pytest

from globe.models.__main__ import main
from globe.models.publish import publish_checkpoint


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_model_that_is_here_is_named(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["models", str(folder)])
    assert main() == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_a_model_that_is_not_what_its_manifest_says_is_refused(folder, monkeypatch, capsys):
    publish_checkpoint(folder, base_model="b", recipe="r", parent="p", step=1)
    (folder / "model.safetensors").write_bytes(b"changed")
    monkeypatch.setattr(sys, "argv", ["models", str(folder)])
    assert main() == 1
    assert "model.safetensors: is not the file that the manifest names" in capsys.readouterr().err


def test_an_address_that_is_none_is_bad_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["models", "gs://bucket/m"])
    assert main() == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(("missing", "why"), [("config.json", "no config.json"), ("model.safetensors", "no weights")])
def test_a_folder_that_is_no_whole_model_is_refused_before_a_server_takes_it(folder, monkeypatch, capsys, missing, why):
    (folder / missing).unlink()
    monkeypatch.setattr(sys, "argv", ["models", str(folder)])
    assert main() == 2
    assert why in capsys.readouterr().err
