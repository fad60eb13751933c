"""A double of Kubeflow Trainer: a real HTTP server with just enough of Kubernetes behind it to run TrainJobs.

It plays the controller, the scheduler and the kubelet: the nodes of a job are real processes on this machine, started with the
job's own command and the variables that Trainer's torch plugin sets (pkg/runtime/framework/plugins/torch/torch.go of v2.3).
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from local_server import http_server

NAMESPACE = "team"
RUNTIME = {
    "apiVersion": "trainer.kubeflow.org/v1alpha1",
    "kind": "TrainingRuntime",
    "metadata": {"name": "globe-torch", "namespace": NAMESPACE, "labels": {"trainer.kubeflow.org/framework": "torch"}},
    "spec": {
        "mlPolicy": {"numNodes": 1, "torch": {}},
        "template": {
            "spec": {
                "replicatedJobs": [
                    {
                        "name": "node",
                        "template": {
                            "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
                            "spec": {"template": {"spec": {"containers": [{"name": "node", "image": "any"}]}}},
                        },
                    }
                ]
            }
        },
    },
}


class TrainerDouble:
    """TrainJobs by name, and the processes of their nodes.

    Attributes:
        jobs: What was submitted and not yet deleted, by name.
        submitted: Every job that was ever submitted, oldest first.
        away: How many of the next requests are answered with 503.
        runtimes: The TrainingRuntimes that there are.
        environment: What the nodes' processes find in their environment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, dict] = {}
        self.submitted: list[dict] = []
        self.nodes: dict[str, list[subprocess.Popen]] = {}
        self.away = 0
        self.runtimes = {"globe-torch": RUNTIME}
        self.environment: dict[str, str] = {}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        if self.away:
            self.away -= 1
            return 503, {"message": "away"}
        parts = path.strip("/").split("/")
        if parts[-1] == "kubeflow-trainer-public":
            return 200, {"data": {"kubeflow_trainer_version": "v2.3.0"}}
        if "trainjobs" in parts:
            return self._job(method, parts[parts.index("trainjobs") + 1 :], body)
        if "trainingruntimes" in parts and parts[-1] in self.runtimes:
            return 200, self.runtimes[parts[-1]]
        if parts[-1] == "log":
            return 200, self._log(parts[-2]).read_text()
        if parts[-1] == "pods":
            return 200, {"kind": "PodList", "apiVersion": "v1", "items": [*self._pods()]}
        if parts[-1] == "events":
            return 200, {"kind": "EventList", "apiVersion": "v1", "items": []}
        return 404, {"message": f"{path} not found"}

    def _job(self, method: str, rest: list[str], body: bytes) -> tuple[int, object]:
        if method == "POST":
            job = json.loads(body)
            name = job["metadata"]["name"]
            if name in self.jobs:
                return 409, {"message": f'trainjobs "{name}" already exists'}
            job["metadata"] |= {"namespace": NAMESPACE, "creationTimestamp": datetime.now(UTC).isoformat()}
            self.jobs[name] = job
            self.submitted.append(job)
            self.start(name)
            return 201, job
        name = rest[0]
        if name not in self.jobs:
            return 404, {"message": f'trainjobs "{name}" not found'}
        if method == "DELETE":
            self.stop(name)
            return 200, self.jobs.pop(name)
        return 200, self.jobs[name] | {"status": {"conditions": self._conditions(name)}}

    def start(self, name: str) -> None:
        """Start the processes of a job's nodes."""
        trainer = self.jobs[name]["spec"]["trainer"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.nodes[name] = []
        for rank in range(trainer["numNodes"]):
            told = {
                "PET_NNODES": str(trainer["numNodes"]),
                "PET_NPROC_PER_NODE": "1",
                "PET_NODE_RANK": str(rank),
                "PET_MASTER_ADDR": "127.0.0.1",
                "PET_MASTER_PORT": str(port),
            }
            command = [sys.executable, *trainer["command"][1:], *trainer["args"]]
            with self._log(f"{name}-{rank}").open("w") as log:
                process = subprocess.Popen(
                    command, env=os.environ | told | self.environment, stdout=log, stderr=log, start_new_session=True
                )
            self.nodes[name].append(process)

    def stop(self, name: str) -> None:
        """What the kubelet does with the pods of a job that is deleted: SIGTERM, and SIGKILL to what is left."""
        for process in self.nodes.get(name, []):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _conditions(self, name: str) -> list[dict]:
        codes = [process.poll() for process in self.nodes[name]]
        if any(codes):
            over = "Failed"
        elif codes and all(code == 0 for code in codes):
            over = "Complete"
        else:
            return []
        at = datetime.now(UTC).isoformat()
        return [{"type": over, "status": "True", "reason": over, "message": "", "lastTransitionTime": at}]

    def _pods(self) -> Iterator[dict]:
        for name, processes in self.nodes.items():
            for rank, process in enumerate(processes if name in self.jobs else []):
                code = process.poll()
                phase = "Running" if code is None else "Succeeded" if code == 0 else "Failed"
                labels = {
                    "jobset.sigs.k8s.io/jobset-name": name,
                    "jobset.sigs.k8s.io/replicatedjob-name": "node",
                    "batch.kubernetes.io/job-completion-index": str(rank),
                }
                meta = {"name": f"{name}-{rank}", "labels": labels, "creationTimestamp": "2026-01-01T00:00:00Z"}
                spec = {"containers": [{"name": "node", "image": "any"}]}
                yield {"metadata": meta, "spec": spec, "status": {"phase": phase}}

    def _log(self, pod: str) -> Path:
        return self.folder / f"{pod}.log"


@contextmanager
def trainer_double(folder: Path) -> Iterator[tuple[TrainerDouble, Path]]:
    """The double, running, and a kubeconfig that leads to it.

    Args:
        folder: Where the pods' logs and the kubeconfig go.
    """
    (folder / "pods").mkdir()
    double = TrainerDouble(folder / "pods")

    class Handler(BaseHTTPRequestHandler):
        def _all(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = double.answer(self.command, urlsplit(self.path).path, body)
            text = content.encode() if isinstance(content, str) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = _all

        def log_message(self, *_: object) -> None:
            pass

    with http_server(Handler) as url:
        kubeconfig = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "none"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
            "current-context": "x",
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
        try:
            yield double, folder / "kubeconfig"
        finally:
            for name in double.nodes:
                double.stop(name)
