"""Whether a cluster has the GPUs that a run wants; a small server answers with the client's own models, as the API would."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kubernetes import client

from globe.errors import InputError
from globe.run.nodes import check_nodes

A100_40, A100_80 = "NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-SXM4-80GB"
GPU = "nvidia.com/gpu"


def node(name: str, product: str, gpus: int) -> client.V1Node:
    return client.V1Node(
        metadata=client.V1ObjectMeta(name=name, labels={"nvidia.com/gpu.product": product}),
        status=client.V1NodeStatus(allocatable={"cpu": "64", **({GPU: str(gpus)} if gpus else {})}),
    )


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Points KUBECONFIG at a server that answers a list of nodes, or an error."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            status, body = answers["nodes"]
            data = json.dumps(client.ApiClient().sanitize_for_serialization(body)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    answers = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {"token": "planted-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    def answer(*nodes: client.V1Node, status: int = 200):
        answers["nodes"] = (status, client.V1NodeList(items=list(nodes)) if status == 200 else {"message": "no"})

    yield answer
    server.shutdown()
    server.server_close()


def test_nodes_that_fit_give_no_note(cluster):
    cluster(node("a", A100_40, 8), node("b", A100_80, 8), node("c", "", 0))
    selectors = {"sft": {"nvidia.com/gpu.product": A100_40}, "grpo": {"nvidia.com/gpu.product": A100_80}}
    assert check_nodes(selectors, {"sft": 8, "grpo": 8, "serving": 1}, GPU) == []


def test_a_type_that_no_node_has_is_refused_and_those_there_are_named(cluster):
    cluster(node("a", A100_40, 8))
    with pytest.raises(InputError, match=f"grpo: no node has 8 x {GPU} .*{A100_80}; there are 8 x {A100_40}"):
        check_nodes({"grpo": {"nvidia.com/gpu.product": A100_80}}, {"grpo": 8}, GPU)


def test_more_gpus_than_any_node_has_are_refused(cluster):
    cluster(node("a", A100_80, 4))
    with pytest.raises(InputError, match=f"no node has 8 x {GPU} and any labels"):
        check_nodes({}, {"grpo": 8}, GPU)


def test_a_cluster_that_starts_nodes_on_demand_is_only_noted(cluster):
    cluster(node("cpu", "", 0))
    (note,) = check_nodes({}, {"grpo": 8}, GPU)
    assert "on demand" in note


def test_who_may_not_list_nodes_gets_a_note_and_no_secret_in_it(cluster):
    cluster(status=403)
    (note,) = check_nodes({}, {"grpo": 8}, GPU)
    assert "403" in note
    assert "planted-token" not in note


def test_without_a_cluster_that_answers_nothing_is_checked_and_that_is_noted(tmp_path, monkeypatch):
    file = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(file))
    (note,) = check_nodes({}, {"grpo": 8}, GPU)
    assert note.startswith("GPU types not checked: no way into a cluster")
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    content = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context], "current-context": "x"}
    file.write_text(json.dumps(content | {"users": [{"name": "u", "user": {}}]}))
    (note,) = check_nodes({}, {"grpo": 8}, GPU)
    assert note.startswith("GPU types not checked: the API server does not answer")
