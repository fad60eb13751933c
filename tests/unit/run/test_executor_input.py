import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from kfp import dsl
from kfp.pipeline_spec import pipeline_spec_pb2

from globe.run.executor_input import ExecutorInput, read_executor_input

PLACES = {
    "gs://bucket/root/a": "/gcs/bucket/root/a",
    "minio://mlpipeline/v2/artifacts/a": "/minio/mlpipeline/v2/artifacts/a",
    "s3://bucket/root/a": "/s3/bucket/root/a",
    "/runs/1/a": "/runs/1/a",
}


def command(uri: str = "s3://bucket/root/a", **parameters) -> list[str]:
    """A command line as a launcher makes it: JSON by way of protobuf, in which every number is a float."""
    told = {
        "inputs": {"parameterValues": parameters},
        "outputs": {
            "parameters": {"Output": {"outputFile": "/tmp/kfp/outputs/Output"}},
            "artifacts": {
                "data": {"artifacts": [{"name": "data", "uri": uri}]},
                "executor-logs": {"artifacts": [{"uri": "s3://bucket/root/logs"}]},
            },
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }
    message = json_format.ParseDict(told, pipeline_spec_pb2.ExecutorInput())
    return ["sh", "-c", "...", "--executor_input", json_format.MessageToJson(message), "--function_to_execute", "sft"]


def test_inputs_are_read_in_the_way_a_launcher_writes_them():
    task = read_executor_input(command(store="/mnt/globe/store", gpus="8", share=3, recipes={"sft": "demo"}))
    assert task.text("store") == "/mnt/globe/store"
    assert (task.count("gpus"), task.count("share")) == (8, 3)
    assert (task.text("recipes"), task.text("absent"), task.count("absent"), task.count("store")) == ("", "", 0, 0)


@pytest.mark.parametrize(("uri", "place"), PLACES.items())
def test_outputs_are_where_kfps_own_executor_writes_them_and_the_launchers_log_is_none_of_them(uri, place):
    places = read_executor_input(command(uri)).places
    assert Path(place) in places
    assert dsl.Artifact(uri=uri).path == place  # KFP's own reading of the address
    assert places == [Path("/tmp/kfp/outputs/Output"), Path(place), Path("/tmp/kfp_outputs/output_metadata.json")]


BROKEN = [[], ["sh"], ["--executor_input"], ["--executor_input", "{{$}}"], ["--executor_input", "[1]"], ["--executor_input", "7"]]


@pytest.mark.parametrize("told", [*BROKEN, ["--executor_input", json.dumps({"inputs": None, "outputs": {"artifacts": 3}})]])
def test_a_command_that_tells_nothing_readable_has_no_inputs_and_no_outputs(told):
    assert read_executor_input(told) == ExecutorInput()


def test_outputs_are_removed_be_they_files_folders_links_or_nothing(tmp_path):
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").touch()
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("half")
    (tmp_path / "link").symlink_to(keep)
    ExecutorInput({}, [tmp_path / name for name in ("folder", "file", "link", "absent", "absent/too")]).remove_outputs()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "keep"]
    assert (keep / "file").exists()


@pytest.mark.parametrize("uri", ["/runs/1/..", "s3://bucket/../../runs", "/", "relative/a"])
def test_no_address_leads_to_a_folder_above_it(uri):
    assert [str(place) for place in read_executor_input(command(uri)).places if "/tmp/" not in str(place)] == []
