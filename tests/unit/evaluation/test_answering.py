"""The model that a command asks: what cannot be one is told before anything is started. `tests/integration` serves one."""

import pytest
from cli_inputs import checkpoint

from globe.errors import GlobeError, InputError
from globe.evaluation.answering import digest_of, given
from globe.models.checkpoints import open_model


def test_a_url_and_a_checkpoint_are_not_given_together_nor_left_out(tmp_path):
    for url, folder in (("", None), ("http://127.0.0.1:9/v1", tmp_path)):
        with pytest.raises(InputError, match="either --url"):
            given(url, "", folder)


def test_a_models_name_belongs_to_a_server(tmp_path):
    with pytest.raises(InputError, match="leave it out with --checkpoint"):
        given("", "globe", tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        given("", "", tmp_path)


def test_a_server_that_does_not_answer_is_told_at_once():
    with pytest.raises(GlobeError, match="no model server answers there"):
        given("http://127.0.0.1:9/v1", "", None)


def test_a_model_without_a_manifest_is_told_from_others_by_its_files(tmp_path):
    digests = []
    for name, weights in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        digests.append(digest_of(open_model(tmp_path / name)))
    assert digests[0] == digests[2] != digests[1]
    assert digest_of(None) == ""


def test_a_checkpoint_with_a_manifest_is_known_by_it(tmp_path):
    made = open_model(checkpoint(tmp_path / "m"))
    assert digest_of(made) == made.digest
