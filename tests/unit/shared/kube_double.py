"""A double of a cluster's API: a real HTTP server with just enough of Kubernetes behind it to serve models."""

import json
import tempfile
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from cluster_servers import CLAIM, TOKEN
from local_server import http_server


class KubeDouble:
    """Objects by kind and name, and what tests make of them.

    `pods_of(deployment)` plays controller, scheduler and kubelet: it gives the pods' statuses, asked anew for each request.
    """

    def __init__(self):
        self.objects = {kind: {} for kind in ("deployments", "services", "trainjobs")}
        self.namespaces = {}
        """What is answered to whoever asks for a namespace itself, by name; by default it is there."""
        self.workflows = {}
        """Phase of each Workflow by (namespace, run's id)."""
        self.requests = []
        self.answers = []
        """Statuses to answer the next requests with, whatever they ask; (status, message) to say why."""
        self.foreign_fields = False
        self.forbidden = set()
        """Kinds that the account may not see."""
        self.logs = {}
        self.events = {}
        self.version = 0
        """Of the object that was changed last."""
        self.lingering = 0
        """Requests for which deleted pods are still there."""
        self.last_labels = {}
        self.pods_of = lambda deployment: [ready()]

    def pods(self):
        found = []
        for deployment in self.objects["deployments"].values():
            template = deployment["spec"]["template"]["metadata"]["labels"]
            for number, status in enumerate(self.statuses(deployment)):
                name = f"{deployment['metadata']['name']}-{number}"
                spec = deployment["spec"]["template"]["spec"]
                found.append({"metadata": {"name": name, "labels": template}, "spec": spec, "status": status})
        if self.lingering and self.last_labels:
            self.lingering -= 1
            found.append({"metadata": {"name": "old", "labels": self.last_labels, "deletionTimestamp": "now"}, "status": {}})
        return found

    def answer(self, method, path, query, content_type, body):
        prefix, _, rest = path.partition("/namespaces/")
        if "/" not in rest:
            return self.namespaces.get(rest, (200, {}))
        prefixes = {
            "deployments": "/apis/apps/v1",
            "poddisruptionbudgets": "/apis/policy/v1",
            "networkpolicies": "/apis/networking.k8s.io/v1",
            "trainjobs": "/apis/trainer.kubeflow.org/v1alpha1",
            "workflows": "/apis/argoproj.io/v1alpha1",
        }
        assert prefix == prefixes.get(rest.split("/")[1], "/api/v1")
        parts = rest.split("/")
        namespace, kind, name, rest = (*parts, "", "")[:4]
        self.requests.append((method, kind, name, query, content_type))
        if self.answers:
            status = self.answers.pop(0)
            return status if isinstance(status, tuple) else (status, "the double was told to")
        if kind in self.forbidden:
            return 403, f'{kind} is forbidden: User "u" cannot list resource "{kind}"'
        if kind == "workflows":
            run = query["labelSelector"].removeprefix("pipeline/runid=")
            phases = [phase for place, phase in self.workflows.items() if place == (namespace, run)]
            return 200, {"items": [{"metadata": {"name": "w"}, "status": {"phase": phase}} for phase in phases]}
        if kind == "events":
            wanted = dict(part.split("=") for part in query["fieldSelector"].split(","))
            return 200, {"items": self.events.get(wanted["involvedObject.name"], [])}
        if rest == "log":
            return 200, self.logs.get(name, "")
        if kind == "pods":
            return 200, {"items": [pod for pod in self.pods() if selected(pod, query)]}
        objects = self.objects.setdefault(kind, {}) if method == "PATCH" else self.objects.get(kind, {})
        return self.about(objects, namespace, method, name, query, body)

    def about(self, objects, namespace, method, name, query, body):
        if method == "GET" and not name:
            return 200, {"items": [item for item in objects.values() if selected(item, query)]}
        if method == "PATCH":
            if self.foreign_fields and query["force"] == "False":
                return 409, 'Apply failed with 1 conflict: conflict with "kubectl-patch": .spec.replicas'
            objects[name] = self.applied(objects.get(name), json.loads(body), namespace)
        if name not in objects:
            return 404, f'{name} "x" not found'
        if method == "DELETE":
            self.last_labels = objects.pop(name)["metadata"]["labels"]
            return 200, {}
        item = objects[name]
        if item["kind"] == "Deployment":
            statuses = self.statuses(item)
            item["status"] = {"observedGeneration": item["metadata"]["generation"]}
            item["status"] |= {"replicas": len(statuses), "updatedReplicas": len(statuses)}
            item["status"] |= {"availableReplicas": sum(is_ready(status) for status in statuses)}
        return 200, item

    def applied(self, there, manifest, namespace):
        """An object after a manifest was applied: as far as that says, and with a version that only a change raises."""
        if there is None:
            if manifest["kind"] == "Deployment":
                manifest["spec"].setdefault("replicas", 1)
            self.version += 1
            manifest["metadata"] |= {"namespace": namespace, "generation": 1, "resourceVersion": str(self.version)}
            return manifest
        new = merged(there, manifest)
        if new.get("spec") != there.get("spec"):
            new["metadata"]["generation"] += 1
        if new != there:
            self.version += 1
            new["metadata"]["resourceVersion"] = str(self.version)
        return new

    def statuses(self, deployment):
        """Its pods' statuses: the same for each replica."""
        return self.pods_of(deployment) * deployment["spec"]["replicas"]


def merged(there, applied):
    """What is there with what is applied; lists, and what a Service selects, are replaced as a whole."""
    new = dict(there)
    for name, value in applied.items():
        whole = name == "selector" or not isinstance(value, dict) or not isinstance(there.get(name), dict)
        new[name] = value if whole else merged(there[name], value)
    return new


def selected(item, query):
    labels = item["metadata"]["labels"]
    wanted = [part.partition("=") for part in query["labelSelector"].split(",")]
    return all(name in labels and (not sign or labels[name] == value) for name, sign, value in wanted)


SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod_status(state, *, restarts=0, ready=False, **more):
    """A pod's status as the kubelet gives it, with its one container in a state."""
    container = {"name": "vllm", "image": "globe-serve:0.1.0", "ready": ready, "restartCount": restarts, "state": state} | more
    return {"phase": "Running", "podIP": "10.0.0.7", "conditions": [SCHEDULED], "containerStatuses": [container]}


def ready():
    return pod_status({"running": {}}, ready=True)


def is_ready(status):
    return any(container["ready"] for container in status.get("containerStatuses", []))


@pytest.fixture
def statuses():
    """`pod_status` and `ready`, for tests to say what the kubelet says."""
    return pod_status, ready


@pytest.fixture
def claim():
    """A store of a test's own, on the claim."""
    return Path(tempfile.mkdtemp(dir=CLAIM))


@pytest.fixture
def api(tmp_path, monkeypatch):
    """The double, running, with KUBECONFIG naming it."""
    double = KubeDouble()

    class Handler(BaseHTTPRequestHandler):
        def handle_all(self):
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            assert self.headers["Authorization"] == f"Bearer {TOKEN}"
            query = dict(parse_qsl(url.query))
            status, answer = double.answer(self.command, url.path, query, self.headers.get("Content-Type"), body)
            if status >= 400:
                answer = {"kind": "Status", "message": answer, "code": status}
            data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_DELETE = handle_all

        def log_message(self, *arguments):
            pass

    double.config = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(double.config))
    monkeypatch.setattr("globe.serving.rollout.POLL_S", 0.01)
    monkeypatch.setattr("globe.serving.cleanup.POLL_S", 0.01)
    monkeypatch.setattr("globe.serving.kube.PAUSE_S", 0.01)
    with http_server(Handler) as double.url:
        write_kubeconfig(double.config, double.url)
        yield double


def write_kubeconfig(path, url):
    context = {"cluster": "c", "user": "u", "namespace": "from-context"}
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
                "contexts": [{"name": "x", "context": context}],
                "current-context": "x",
            }
        )
    )
