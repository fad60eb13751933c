"""MLflow's tracking server, by the variables that its own client reads: the three requests that a record needs.

KFP 2.17 gives them to a task (backend/src/v2/common/plugins/mlflow/handler.go: RetrieveUserContainerEnvVars) if its
administrator has switched the plugin and `injectUserEnvVars` on. MLFLOW_RUN_ID is then the task's own run, below the pipeline's;
the driver has made it, and the launcher ends it, so neither is done here. We ask the server ourselves, as KFP does: MLflow's
package, even its small one, would bring twenty others into two images (a cloud's SDK among them), does not fit the releases that
these hold, waits for minutes for a server that is away, and does not know what a resumed training has already logged.
"""

import base64
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from globe.console import one_line
from globe.keys import may_carry_secrets
from globe.run.tracking import RUN_VARIABLE, URI_VARIABLE
from globe.web import Answer, Unanswered, ask, is_web_address

VARIABLES = (
    *(URI_VARIABLE, RUN_VARIABLE, "MLFLOW_WORKSPACE", "MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_TOKEN"),
    *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH"),
)
"""What of MLflow's variables is honoured."""
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""A pod's own token and namespace; the token changes while the pod runs, so it is read for each request."""
WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"
API = "/api/2.0/mlflow"
MAX_METRICS, MAX_OTHERS = 1000, 100
"""The most entries of one request."""
PARENT_TAG = "mlflow.parentRunId"


class Refused(Exception):
    """The server does not want what it was sent, and would not want it later either."""


@dataclass(frozen=True)
class Metric:
    """One value of a figure."""

    key: str
    value: float
    timestamp: int
    """Milliseconds since 1970."""
    step: int


@dataclass(frozen=True)
class KnownRun:
    """What an MLflow run holds already."""

    last_steps: Mapping[str, int]
    """The last step of each metric."""
    parent: str
    """Id of the run above it; empty for none."""


@dataclass(frozen=True)
class MlflowRun:
    """A run of a tracking server."""

    uri: str = field(repr=False)
    run: str
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)

    def known(self) -> KnownRun:
        """What the run holds already.

        Raises:
            Refused: There is no such run, or it may not be read.
            Unanswered: The server does not answer, or is in trouble.
        """
        content = json.loads(self._ask("GET", "/runs/get", parameters={"run_id": self.run}))["run"]
        data = content.get("data", {})
        tags = {tag["key"]: tag.get("value", "") for tag in data.get("tags", ())}
        return KnownRun(
            {metric["key"]: int(metric.get("step", 0)) for metric in data.get("metrics", ())}, tags.get(PARENT_TAG, "")
        )

    def log(
        self, metrics: Sequence[Metric] = (), params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Add to the run.

        Args:
            metrics: At most `MAX_METRICS`; one that is there already, with step and timestamp, counts once.
            params: At most `MAX_OTHERS`; what is there already cannot be changed.
            tags: At most `MAX_OTHERS`; these can.

        Raises:
            Refused: The server does not want it.
            Unanswered: The server does not answer, or is in trouble.
        """
        content = {
            "run_id": self.run,
            "metrics": [vars(metric) for metric in metrics],
            "params": [{"key": key, "value": value} for key, value in (params or {}).items()],
            "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()],
        }
        self._ask("POST", "/runs/log-batch", content)

    def _ask(self, method: str, path: str, content: Any = None, parameters: Mapping[str, str] | None = None) -> str:
        url = f"{self.uri.rstrip('/')}{API}{path}"
        verify, headers = _verification(self.environment), headers_of(self.environment)
        shown, _, host = urlsplit(self.uri).netloc.rpartition("@")
        if (shown or "Authorization" in headers) and not may_carry_secrets(f"{urlsplit(self.uri).scheme}://{host}"):
            raise Refused(f"{URI_VARIABLE}: plain http, so no password or token is sent; give an https:// address")
        answer = ask(method, url, content, headers=headers, parameters=parameters, verify=verify)
        if answer.passes:
            raise Unanswered(f"it answered {answer.status}")
        if answer.status != 200:
            raise Refused(_reason(answer))
        return answer.text


def run_of(environment: Mapping[str, str]) -> MlflowRun | None:
    """The MLflow run that an environment names; None if it names none, or a store that is no server's."""
    uri, run = (environment.get(name, "").strip() for name in (URI_VARIABLE, RUN_VARIABLE))
    if not uri or not run or not is_web_address(uri):
        return None
    return MlflowRun(uri, run, {name: environment[name] for name in VARIABLES if name in environment})


def headers_of(environment: Mapping[str, str], account: Path = ACCOUNT) -> dict[str, str]:
    """The headers that let a request in, as MLflow's own client makes them.

    Args:
        environment: MLflow's variables.
        account: Folder with the pod's own token and namespace.
    """
    auth, workspace = environment.get("MLFLOW_TRACKING_AUTH", ""), environment.get("MLFLOW_WORKSPACE", "").strip()
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    user, password, token = (environment.get(name, "").strip() for name in names)
    headers = {}
    if auth in ("kubernetes", "kubernetes-namespaced"):
        token, user = _account(account, "token"), ""
        if auth == "kubernetes-namespaced":
            workspace = workspace or _account(account, "namespace")
    if user and password:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    return headers | ({WORKSPACE_HEADER: workspace} if workspace else {})


def _account(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _verification(environment: Mapping[str, str]) -> Any:
    if environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    certificates = environment.get("MLFLOW_TRACKING_SERVER_CERT_PATH", "")
    if certificates and not os.access(certificates, os.R_OK):
        raise Refused("MLFLOW_TRACKING_SERVER_CERT_PATH: no file that can be read")
    return ssl.create_default_context(cafile=certificates) if certificates else True


def _reason(answer: Answer) -> str:
    try:
        content = json.loads(answer.text)
        told = f"{content['error_code']}: {content['message']}"
    except (ValueError, KeyError, TypeError):
        told = answer.text
    return f"it answered {answer.status}: {one_line(told)[:200]}".removesuffix(": ")
