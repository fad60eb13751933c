"""The model that a command asks: what cannot be one is told before anything is started. `tests/integration` serves one."""

import pytest

from globe.errors import GlobeError, InputError
from globe.evaluation.answering import given


def test_a_url_and_a_checkpoint_are_not_given_together_nor_left_out(tmp_path):
    for url, checkpoint in (("", None), ("http://127.0.0.1:9/v1", tmp_path)):
        with pytest.raises(InputError, match="either --url"):
            given(url, "", checkpoint)


def test_a_models_name_belongs_to_a_server(tmp_path):
    with pytest.raises(InputError, match="leave it out with --checkpoint"):
        given("", "globe", tmp_path)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        given("", "", tmp_path)


def test_a_server_that_does_not_answer_is_told_at_once():
    with pytest.raises(GlobeError, match="no model server answers there"):
        given("http://127.0.0.1:9/v1", "", None)
