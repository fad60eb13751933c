"""Runs of a compiled package on a cluster: a place for them, and what they leave behind there."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import pytest
import yaml
from backend.package import Package
from cluster_tools import bound_claim, fresh_namespace, kubectl, wait_until
from kfp import components, local
from local_server import http_server
from pods import Ended, Pods, Running, kubeconfig_of

from globe.models.checkpoints import MANIFEST_FILE
from globe.run.cluster import Cluster, Size
from globe.run.stages import STAGES
from pipelines.backends import Backend
from pipelines.catalog import PIPELINES
from pipelines.compile import compiled_text
from pipelines.profile import arguments_of, load_profile

MANIFESTS = Path(__file__).parents[2] / "manifests"
TRAINING = PIPELINES["training"]
SMALL = Size(cpu="50m", memory="1Gi", shm="64Mi")
LARGE = Size(cpu="200m", memory="5Gi", shm="256Mi")
ON_GPUS = ("sft", "reward_model", "grpo", "baselines")
OURS = "app.kubernetes.io/part-of=globe"
PUBLIC = {"GLOBE_WEBHOOK_FORMAT": "json", "GLOBE_RUN_PAGE": "https://kubeflow.example.org/pipeline"}
"""What lies in a secret and is none."""
SERVERS = "deployments,replicasets,services,pods"


class Result(NamedTuple):
    """What is seen of a run from outside."""

    pods: Pods
    failure: str | None
    package: str
    """The compiled YAML."""
    arguments: dict[str, Any]

    @property
    def ended(self) -> dict[str, Ended]:
        """How the last pod of each stage ended."""
        return {one.stage: one for one in self.pods.history}

    @property
    def lost(self) -> list[str]:
        """Stages whose pods were killed, in order."""
        return [one.stage for one in self.pods.history if one.lost]


@dataclass
class Site:
    """A namespace with a claim, rights and secrets, for one or several runs."""

    api: Any
    namespace: str
    claim: Path
    """What pods see as /mnt/globe."""
    artifacts: Path
    """What KFP passes from stage to stage."""
    tolerations: list[dict[str, str]]
    kubeconfig: str
    planted: dict[str, str]
    """Secret values by variable."""
    notices: list[dict[str, Any]]
    """What the webhook was sent."""

    @property
    def store(self) -> Path:
        return self.claim / "store"

    def cluster(self, **sizes: Size) -> Cluster:
        """Small pods, on the node's own network; `sizes` replace those of stages."""
        small = dict.fromkeys(STAGES, SMALL) | dict.fromkeys((*ON_GPUS, "curation"), LARGE) | sizes
        server = {"server_cpu": "200m", "server_memory": "5Gi", "server_shm": "256Mi", "host_network": True}
        return Cluster(namespace=self.namespace, sizes=small, queue="", check_nodes=False, **server)

    def run(
        self,
        backend: Backend,
        meanwhile: Callable[[Running], str] = lambda _: "",
        cluster: Cluster | None = None,
        **settings: Any,
    ) -> Result:
        """Run training with the smallest profile from the package of a backend.

        Args:
            backend: Whose package.
            meanwhile: See `Pods`.
            cluster: What the package is made for, if it is not `self.cluster()`.
            **settings: Values that replace the profile's.
        """
        text = compiled_text(TRAINING, cluster or self.cluster(), backend)
        arguments = arguments_of(TRAINING, load_profile("smoke"), settings)
        arguments |= {"store": "/mnt/globe/store", "tolerations": self.tolerations}
        pods = Pods(self.api, self.namespace, Package.read(text), backend, self.tolerations, self.kubeconfig, meanwhile)
        failure, mask = None, os.umask(0o002)  # the orchestrator makes folders that the pods' user must write to
        try:
            with pytest.MonkeyPatch.context() as patch:
                pods.use(patch)
                local.init(local.DockerRunner(), pipeline_root=str(self.artifacts))
                components.load_component_from_text(text)(**arguments)
        except RuntimeError as error:
            failure = str(error)
        finally:
            os.umask(mask)
        return Result(pods, failure, text, arguments)

    def leftovers(self) -> list[str]:
        """What runs have made in the namespace and is still there, apart from what is on its way out."""
        found = json.loads(kubectl("-n", self.namespace, "get", SERVERS, "-l", "globe.dev/run", "-o", "json"))["items"]
        return [f"{one['kind']}/{one['metadata']['name']}" for one in found]

    def require_nothing_left(self) -> None:
        """Servers that were told to end may take their grace period, not more."""
        wait_until(lambda: not self.leftovers(), f"the run left {self.leftovers()}")


@contextmanager
def site(api, core, folder: Path, tolerations) -> Iterator[Site]:
    """A place for runs for the length of a `with` block."""
    for name in ("claim", "claim/store", "artifacts"):
        (folder / name).mkdir()
        (folder / name).chmod(0o2775)
    notices: list[dict[str, Any]] = []
    with (
        fresh_namespace(core) as namespace,
        bound_claim(namespace, folder / "claim"),
        http_server(_webhook(notices)) as address,
    ):
        kubeconfig = rights(core, namespace, "rbac", "globe-serving")
        made = Site(api, namespace, folder / "claim", folder / "artifacts", tolerations, kubeconfig, {}, notices)
        keys: dict[str, list[str]] = {}
        for secret in made.cluster().secrets:
            keys.setdefault(secret.name, []).extend(secret.keys)
        for name in keys:
            values = {key: f"planted-{token_hex(12)}" for key in keys[name]}
            made.planted |= {key: value for key, value in values.items() if key not in PUBLIC}
            if "GLOBE_WEBHOOK_URL" in values:
                values["GLOBE_WEBHOOK_URL"] = f"{address}/{values['GLOBE_WEBHOOK_URL']}"
            body = {"metadata": {"name": name}, "stringData": values | PUBLIC}
            core.create_namespaced_secret(namespace, body)
        yield made


def _webhook(notices: list[dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    """A webhook that keeps what it is sent."""

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return Webhook


def rights(core, namespace: str, folder: str, account: str) -> str:
    """Apply a folder of manifests/ in a namespace, apart from what belongs to the whole cluster.

    Returns:
        A secret with a kubeconfig of one of its accounts, under the key `config`.
    """
    manifests = kubectl("kustomize", str(MANIFESTS / folder))
    kept = []
    for manifest in yaml.safe_load_all(manifests):
        if manifest["kind"].startswith(("Cluster", "CronJob")):
            continue
        manifest["metadata"]["namespace"] = namespace
        for subject in manifest.get("subjects", []):
            subject["namespace"] = namespace
        kept.append(manifest)
    kubectl("apply", "-f", "-", given=yaml.safe_dump_all(kept))

    def token():
        found = core.read_namespaced_service_account(account, namespace)
        return found.secrets and core.read_namespaced_secret(found.secrets[0].name, namespace).data

    wait_until(token, "the service account got no token")
    server = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())["clusters"][0]["cluster"]["server"]
    config = kubeconfig_of(base64.b64decode(token()["token"]).decode(), server, namespace)
    name = f"kubeconfig-{account}"
    core.create_namespaced_secret(namespace, {"metadata": {"name": name}, "stringData": {"config": config}})
    return name


def checkpoints(store: Path) -> dict[str, dict[str, str]]:
    """The sha256 of each file of each published checkpoint, by the checkpoint's place in a store."""
    manifests = sorted(store.rglob(MANIFEST_FILE))
    return {str(path.parent.relative_to(store)): json.loads(path.read_text())["files"] for path in manifests}


def places_of_secrets(place: Site, result: Result) -> list[str]:
    """Where a planted secret's value can be read by those who may not read secrets; empty if nowhere."""
    kinds = "pods,events,deployments,services,configmaps,jobs"
    texts = {
        "package": result.package,
        "arguments": json.dumps(result.arguments),
        "objects": kubectl("-n", place.namespace, "get", kinds, "-o", "yaml"),
        **{f"log of {one.name}": one.log for one in result.pods.history},
    }
    files = (path for folder in (place.claim, place.artifacts) for path in folder.rglob("*") if path.is_file())
    found = [name for name, text in texts.items() if any(value in text for value in place.planted.values())]
    wanted = [value.encode() for value in place.planted.values()]
    return found + [str(path) for path in files if any(value in path.read_bytes() for value in wanted)]
