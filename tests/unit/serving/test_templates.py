"""A gateway's patches laid over a server's objects; tests/contract/manifests holds the whole to what kustomize renders."""

import pytest

from globe.serving.templates import engine, merge, released


@pytest.mark.parametrize(
    ("value", "patch", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": 1, "b": 2}, {"b": None, "c": None}, {"a": 1}),
        ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        (
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
            {"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
            {"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
        ),
        (
            {"ports": [{"port": 1, "name": "http"}]},
            {"ports": [{"port": 1, "$patch": "delete"}, {"port": 2, "name": "http"}]},
            {"ports": [{"port": 2, "name": "http"}]},
        ),
        (
            {"volumeMounts": [{"name": "one", "mountPath": "/a"}, {"name": "one", "mountPath": "/b"}]},
            {"volumeMounts": [{"mountPath": "/b", "name": "two"}]},
            {"volumeMounts": [{"name": "one", "mountPath": "/a"}, {"mountPath": "/b", "name": "two"}]},
        ),
    ],
)
def test_a_patch_changes_what_it_names_and_nothing_else(value, patch, merged):
    before = repr(value)
    assert merge(value, patch) == merged
    assert repr(value) == before


def test_what_is_given_out_is_a_copy():
    engine()[0]["spec"]["template"]["spec"]["containers"].clear()
    released()[0]["spec"]["template"]["spec"]["containers"].clear()
    assert [container["name"] for container in engine()[0]["spec"]["template"]["spec"]["containers"]] == ["vllm"]
    assert [container["name"] for container in released()[0]["spec"]["template"]["spec"]["containers"]] == ["vllm", "gateway"]


def test_behind_a_gateway_an_engine_listens_inside_of_its_pod_only():
    (container,) = [one for one in released()[0]["spec"]["template"]["spec"]["containers"] if one["name"] == "vllm"]
    assert container["args"][container["args"].index("--host") + 1] == "127.0.0.1"
    assert "ports" not in container
