"""The cluster's API: the few requests that serving makes, with patience for an API that is away for a moment.

Objects are plain dicts, as in YAML. Requests go through the official client's `ApiClient`, which knows kubeconfigs, service
accounts and their renewed tokens; its typed calls cannot send a server-side apply.
"""

import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError

FIELD_MANAGER = "globe-pipelines"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT_S = (5, 30)
"""Of one request: to connect, and between bytes of the answer."""
PATIENCE_S = 60.0
"""How long an API may be away before work that waits for it is given up."""
PAUSE_S = 1.0
PASSING = (429, 500, 502, 503, 504)
PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Event": "/api/v1/namespaces/{namespace}/events",
}

Object = dict[str, Any]


class Conflict(GlobeError):
    """Somebody else manages a field that is to be applied."""


class Kube:
    """A connection to a cluster, in one namespace."""

    def __init__(self, client: Any, namespace: str) -> None:
        self.client = client
        self.namespace = namespace

    def apply(self, manifest: Object, *, force: bool = False) -> Object:
        """Server-side apply: make the object, or make its fields those of the manifest.

        Args:
            manifest: The object.
            force: Take over fields that somebody else manages.

        Returns:
            The object as the cluster has it now.

        Raises:
            Conflict: Somebody else manages a field, and `force` is not set.
            GlobeError: The cluster refused, or does not answer.
        """
        query = [("fieldManager", FIELD_MANAGER), ("force", str(force).lower())]
        path = f"{self._path(manifest['kind'])}/{manifest['metadata']['name']}"
        answer = self._ask("PATCH", path, query=query, body=manifest, content_type="application/apply-patch+yaml")
        return dict(json.loads(answer or ""))

    def get(self, kind: str, name: str) -> Object | None:
        """An object, or None."""
        answer = self._ask("GET", f"{self._path(kind)}/{name}")
        return dict(json.loads(answer)) if answer is not None else None

    def find(self, kind: str, labels: dict[str, str]) -> list[Object]:
        """The objects that have all these labels."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        answer = self._ask("GET", self._path(kind), query=[("labelSelector", selector)])
        return list(json.loads(answer or "{}").get("items", []))

    def events(self, kind: str, name: str) -> list[Object]:
        """What the cluster has noted about an object, oldest first."""
        query = [("fieldSelector", f"involvedObject.kind={kind},involvedObject.name={name}")]
        items = json.loads(self._ask("GET", self._path("Event"), query=query) or "{}").get("items", [])
        return sorted(items, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def delete(self, kind: str, name: str) -> bool:
        """Delete an object after all that it owns. Returns whether it was there."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        return self._ask("DELETE", f"{self._path(kind)}/{name}", body=options) is not None

    def log(self, pod: str, container: str, *, previous: bool, lines: int) -> str:
        """The last lines that a container, or the one before it was started again, has written; empty when there are none."""
        query = [("container", container), ("previous", str(previous).lower()), ("tailLines", str(lines))]
        try:
            return self._ask("GET", f"{self._path('Pod')}/{pod}/log", query=query) or ""
        except GlobeError:  # not started yet, or its log is gone: the reason stands without it
            return ""

    def _path(self, kind: str) -> str:
        return PATHS[kind].format(namespace=self.namespace)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> str | None:
        """Send a request until it is answered or patience ends. None stands for "no such object"."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                response = self.client.call_api(
                    path,
                    method,
                    query_params=query or [],
                    header_params={"Accept": "application/json, */*", "Content-Type": content_type},
                    body=body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=TIMEOUT_S,
                    _return_http_data_only=True,
                )
                return str(response.data.decode("utf-8", "replace"))
            except ApiException as error:
                if error.status == 404 and "namespaces" not in _message(error):
                    return None
                failure, passing = self._refused(error), _may_pass(error)
            except HTTPError as error:
                failure, passing = self._silent(error), True
            if not passing or time.monotonic() > deadline:
                raise failure from None  # what it came from quotes headers
            time.sleep(PAUSE_S)

    def _silent(self, error: Exception) -> GlobeError:
        cause = getattr(error, "reason", None) or error
        return GlobeError(f"the cluster's API at {self._host()} does not answer ({type(cause).__name__})")

    def _refused(self, error: Any) -> GlobeError:
        message = _message(error)
        if error.status == 401:
            return GlobeError(f"the cluster's API at {self._host()} does not accept the credentials (401); renew them")
        if error.status == 403 and " cannot " in message:
            return GlobeError(f"{message}; run with service account globe-serving and apply manifests/rbac in this namespace")
        if error.status == 409:
            return Conflict(message)
        if error.status == 404:
            return InputError(f"{message}; create the namespace or correct it in the cluster settings")
        return GlobeError(f"the cluster's API at {self._host()} refuses ({error.status or 'TLS'}): {message}")

    def _host(self) -> str:
        return str(self.client.configuration.host).split("://")[-1].rpartition("@")[2]


def connect(namespace: str = "") -> Kube:
    """Connect with KUBECONFIG if it is set, else as a pod's service account, else with ~/.kube/config.

    Args:
        namespace: The namespace to work in; empty for the pod's own, or the kubeconfig's.

    Returns:
        The connection; nothing has been asked yet.

    Raises:
        GlobeError: There is none of the three, or it cannot be read.
    """
    from kubernetes import client, config
    from kubernetes.config.config_exception import ConfigException
    from urllib3.exceptions import InsecureRequestWarning
    from yaml import YAMLError

    configuration = client.Configuration()
    file = os.environ.get("KUBECONFIG") or ""
    inside = not file and "KUBERNETES_SERVICE_HOST" in os.environ
    file = file or str(Path.home() / ".kube" / "config")
    try:
        if inside:
            config.load_incluster_config(client_configuration=configuration)
            own = NAMESPACE_FILE.read_text(encoding="utf-8").strip() if NAMESPACE_FILE.is_file() else ""
        else:
            config.load_kube_config(config_file=file, client_configuration=configuration)
            own = config.list_kube_config_contexts(config_file=file)[1]["context"].get("namespace", "")
    except ConfigException as error:
        where = "this pod's service account" if inside else file
        raise GlobeError(f"no way into a cluster: {where}: {' '.join(str(error).split())[:300]}") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, YAMLError) as error:
        raise GlobeError(f"no way into a cluster: {file}: is no kubeconfig ({type(error).__name__})") from None  # it has secrets
    configuration.retries = False  # `_ask` does it, for longer
    if not configuration.verify_ssl:  # the kubeconfig says so; once is enough to be reminded of it
        warnings.simplefilter("once", InsecureRequestWarning)
    return Kube(client.ApiClient(configuration), namespace or own or "default")


def _may_pass(error: Any) -> bool:
    """Whether a refusal may be over in a moment; status 0 is a TLS connection that did not come about."""
    return error.status in PASSING or (error.status == 0 and "CERTIFICATE_VERIFY_FAILED" not in str(error.reason))


def _message(error: Any) -> str:
    """What the API says, without the request's and the answer's headers."""
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else error.body
    try:
        return " ".join(str(json.loads(body or "")["message"]).split())
    except (ValueError, KeyError, TypeError):
        return " ".join(str(error.reason).split())
