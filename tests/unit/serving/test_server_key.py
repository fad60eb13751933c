"""A server's key: made once, for few eyes, found by the stage that asks, gone when the server is."""

import os
import stat
import subprocess
import sys

import pytest

from globe.errors import GlobeError, InputError
from globe.models.checkpoints import Checkpoint
from globe.run.records import read_records
from globe.run.stage import RUN_VARIABLE
from globe.serving.server_key import (
    GROUPS_TOO,
    OWNERS_ONLY,
    fingerprint,
    forget_keys,
    guarded,
    local_key,
    make_key,
    model_digest,
    read_key,
    stored_key,
)


@pytest.fixture(autouse=True)
def _no_run(monkeypatch):
    monkeypatch.delenv(RUN_VARIABLE, raising=False)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_key_is_never_to_be_read_by_more_than_it_may_whatever_the_umask(tmp_path, umask):
    old = os.umask(umask)
    try:
        make_key(tmp_path / "own", OWNERS_ONLY)
        make_key(tmp_path / "group", GROUPS_TOO)
    finally:
        os.umask(old)
    assert mode_of(tmp_path / "own") == 0o600
    assert mode_of(tmp_path / "group") == 0o640 & ~umask
    assert sorted(path.name for path in tmp_path.iterdir()) == ["group", "own"]


def test_keys_are_long_and_all_different(tmp_path):
    keys = {make_key(local_key(tmp_path, f"m{number}"), OWNERS_ONLY) for number in range(50)}
    assert len(keys) == 50
    assert {len(key) for key in keys} == {64}


def test_a_stage_that_starts_again_keeps_the_key_of_the_server_that_runs_and_replaces_one_that_was_cut_off(tmp_path):
    place = stored_key(str(tmp_path), "run-1", "policy")
    key = make_key(place, GROUPS_TOO)
    assert make_key(place, GROUPS_TOO) == key == read_key(place, "policy")
    for broken in (key[:-1], "", "x" * 64, f"{key}\n{key}"):
        with open(place, "w") as file:
            file.write(broken)
        with pytest.raises(GlobeError, match="is no key of a server"):
            read_key(place, "policy")
        assert make_key(place, GROUPS_TOO) not in (key, broken)


def test_each_server_of_a_run_has_its_own_key_and_its_fingerprint_tells_a_new_one_without_giving_it_away(tmp_path):
    places = [stored_key(str(tmp_path), run, model) for run in ("run-1", "run-2") for model in ("policy", "a/b", "a-b", "..")]
    assert len(set(places)) == len(places)
    assert all(os.path.dirname(place) in (f"{tmp_path}/runs/run-1", f"{tmp_path}/runs/run-2") for place in places)
    keys = [make_key(place, GROUPS_TOO) for place in places]
    assert len({fingerprint(key) for key in keys}) == len(keys)
    assert not any(fingerprint(key) in key for key in keys)


def test_the_run_is_the_pods_own_wherever_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(RUN_VARIABLE, "the-pods")
    assert stored_key(str(tmp_path), "", "policy") == stored_key(str(tmp_path), "told", "policy")
    assert "/runs/the-pods/" in stored_key("s3://bucket/store", "", "policy")


def test_without_a_store_or_a_run_there_is_no_place_for_a_key(tmp_path):
    with pytest.raises(InputError, match="a run needs one"):
        stored_key("", "run-1", "policy")
    with pytest.raises(GlobeError, match="need the run's id"):
        stored_key(str(tmp_path), "", "policy")


def test_a_runs_end_removes_its_keys_and_nothing_else(tmp_path):
    store = str(tmp_path)
    places = {(run, model): stored_key(store, run, model) for run in ("run-1", "run-2") for model in ("policy", "judge")}
    for place in places.values():
        make_key(place, GROUPS_TOO)
    (tmp_path / "runs" / "run-1" / "sft.json").write_text("{}")
    forget_keys(store, "run-1", "judge")
    assert [key for key, place in places.items() if not os.path.exists(place)] == [("run-1", "judge")]
    forget_keys(store, "run-1")
    forget_keys(store, "run-1")  # again is nothing new
    assert [key for key, place in places.items() if os.path.exists(place)] == [("run-2", "policy"), ("run-2", "judge")]
    assert [path.name for path in (tmp_path / "runs" / "run-1").iterdir()] == ["sft.json"]


def test_a_key_is_no_record_of_a_stage(tmp_path):
    make_key(stored_key(str(tmp_path), "run-1", "policy"), GROUPS_TOO)
    assert read_records(str(tmp_path), "run-1", note=pytest.fail) == []


def test_a_server_that_this_run_has_not_started_has_no_key(tmp_path):
    with pytest.raises(GlobeError, match=r"has no key for its server of policy .* it was not started, or was ended"):
        read_key(local_key(tmp_path, "policy"), "policy")


def test_a_servers_environment_names_the_file_and_the_model_and_not_the_key(tmp_path):
    file = local_key(tmp_path, "policy")
    key = make_key(file, OWNERS_ONLY)
    model = Checkpoint("/m", "", "", "", "", 0, {"model.safetensors": "0"})
    environment = guarded(file, model_digest(model))
    assert environment == {"GLOBE_SERVER_KEY_FILE": str(file), "GLOBE_MODEL_DIGEST": model.digest}
    assert key not in str(environment)
    assert model_digest(Checkpoint("/m", "", "", "", "", 0)) == ""


def test_a_pod_fetches_its_key_by_command_and_says_in_one_line_why_it_cannot(tmp_path):
    place, file = stored_key(str(tmp_path), "run-1", "policy"), tmp_path / "fetched"
    command = [sys.executable, "-m", "globe.serving.server_key", place, str(file)]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n"), file.exists()) == (1, "", 1, False)
    key = make_key(place, GROUPS_TOO)
    done = subprocess.run(command, capture_output=True, text=True, umask=0o022)
    assert (done.returncode, done.stdout, done.stderr, file.read_text(), mode_of(file)) == (0, "", "", key, 0o440)
