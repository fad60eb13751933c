"""Places in a run's arguments, as a user writes them."""

from pathlib import Path

import pytest

from globe.errors import InputError
from pipelines.paths import on_this_machine, refuse_home_folders, refuse_places_in_pods


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize("name", ["source", "dataset", "base_model", "model", "baseline", "result"])
def test_a_tilde_is_the_users_home_and_a_relative_path_starts_where_the_command_was_typed(home, name):
    assert on_this_machine({name: "~/x"})[name] == str(home / "x")
    assert on_this_machine({name: "~"})[name] == str(home)
    assert on_this_machine({name: "x/y"})[name] == str(home.parent / "here" / "x" / "y")
    assert on_this_machine({name: "/x"})[name] == "/x"


def test_results_and_recipe_files_by_stage_are_paths_too(home):
    arguments = {"start_from": {"sft": "~/x", "grpo": "s3://b/k"}, "recipes": {"sft": "~/mine.yaml", "grpo": "demo"}}
    assert on_this_machine(arguments) == {
        "start_from": {"sft": str(home / "x"), "grpo": "s3://b/k"},
        "recipes": {"sft": str(home / "mine.yaml"), "grpo": "demo"},
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "toy"),
        ("source", "im2gps3k"),
        ("dataset", "im2gps3k@s3://b/k"),
        ("base_model", "tiny"),
        ("baseline", "promoted"),
        ("result", ""),
    ],
)
def test_a_name_stays_a_name(home, name, value):
    assert on_this_machine({name: value, "teachers": "simulated"}) == {name: value, "teachers": "simulated"}


def test_the_place_of_a_named_data_set_is_a_path(home, monkeypatch):
    monkeypatch.setenv("GLOBE_DATASETS", "~/sets")
    found = on_this_machine({"dataset": "im2gps3k", "source": "toy"})
    assert found == {"dataset": f"im2gps3k@{home / 'sets' / 'im2gps3k'}", "source": "toy"}
    assert on_this_machine({"dataset": "im2gps3k@~/x"}) == {"dataset": f"im2gps3k@{home / 'x'}"}
    with pytest.raises(InputError, match="no home folder on a cluster"):
        refuse_home_folders({"dataset": "im2gps3k@~/x"})


@pytest.mark.parametrize("arguments", [{"model": "~/x"}, {"start_from": {"sft": "~/x"}}, {"result": "~/r.json"}])
def test_a_cluster_has_no_home(arguments):
    with pytest.raises(InputError, match="no home folder on a cluster"):
        refuse_home_folders(arguments)
    refuse_home_folders({"model": "/mnt/x", "start_from": {"sft": "s3://b/~k"}, "source": "toy"})


@pytest.mark.parametrize("store", ["", "runs/store", "/elsewhere/store", "/mnt/globe", "/mnt/globes/store", "/mnt/globe/../x"])
def test_results_that_would_be_lost_with_their_pod_are_refused(store):
    with pytest.raises(InputError, match=r"store: .* lost with the pod that writes it; give a folder below /mnt/globe"):
        refuse_places_in_pods({"store": store}, "globe-store", "/mnt/globe")


def test_results_go_on_the_claim_or_to_s3_and_without_a_claim_only_there():
    for store in ("/mnt/globe/store", "s3://bucket/store"):
        refuse_places_in_pods({"store": store, "result": ""}, "globe-store", "/mnt/globe")
    with pytest.raises(InputError, match=r"result: 'figures\.json'"):
        refuse_places_in_pods({"store": "/mnt/globe/store", "result": "figures.json"}, "globe-store", "/mnt/globe")
    with pytest.raises(InputError, match="store: '/mnt/globe/store'"):
        refuse_places_in_pods({"store": "/mnt/globe/store"}, "", "/mnt/globe")
    refuse_places_in_pods({"store": "s3://bucket/store"}, "", "/mnt/globe")
