"""`globe curate`: what it refuses before anybody is asked. `tests/unit/curation/test_show.py` has what it prints."""

import pytest
from cli_inputs import bad_places
from command_line import ended, globe


@pytest.mark.parametrize("number", range(7))
def test_an_out_that_cannot_be_a_folder_is_refused(model, dataset, tmp_path, number):
    teachers = ["--teacher", "a@http://127.0.0.1:9/v1", "--teacher", "b@http://127.0.0.1:9/v1"]
    ended(globe("curate", "--source", str(dataset), *teachers, "--out", bad_places(tmp_path)[number]), 2)
    assert (tmp_path / "a-file").read_text() == "x"
    assert not model.asked
