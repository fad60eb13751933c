"""The cluster's API: the few requests that serving makes, with patience for an API that is away for a moment.

Objects are plain dicts, as in YAML. Requests go through the official client's dynamic client, which has server-side apply, and
which knows kubeconfigs, service accounts and their renewed tokens.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import stamina
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from kubernetes.dynamic import DynamicClient, Resource
from urllib3.exceptions import HTTPError, InsecureRequestWarning
from yaml import YAMLError

from globe.errors import GlobeError, InputError

FIELD_MANAGER = "globe-pipelines"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
TIMEOUT_S = (5, 30)
"""Of one request: to connect, and between bytes of the answer."""
PATIENCE_S = 60.0
"""How long an API may be away before work that waits for it is given up."""
PAUSE_S = 1.0
PASSING = (429, 500, 502, 503, 504)
RESOURCES = {
    "Deployment": {"prefix": "apis", "group": "apps", "name": "deployments"},
    "Service": {"prefix": "api", "name": "services"},
    "Pod": {"prefix": "api", "name": "pods"},
    "Event": {"prefix": "api", "name": "events"},
    "ServiceAccount": {"prefix": "api", "name": "serviceaccounts"},
    "PodDisruptionBudget": {"prefix": "apis", "group": "policy", "name": "poddisruptionbudgets"},
    "NetworkPolicy": {"prefix": "apis", "group": "networking.k8s.io", "name": "networkpolicies"},
    "TrainJob": {"prefix": "apis", "group": "trainer.kubeflow.org", "name": "trainjobs", "api_version": "v1alpha1"},
    "Workflow": {"prefix": "apis", "group": "argoproj.io", "name": "workflows", "api_version": "v1alpha1"},
}
"""What is asked for by kind. So nothing need be discovered, which takes requests and leaves a file in /tmp."""

Object = dict[str, Any]
_BY_THE_CLUSTER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
"""Fields of an object's metadata that nobody may apply."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
logging.getLogger("stamina").addHandler(logging.NullHandler())  # else a retry prints a line that says nothing


class Conflict(GlobeError):
    """Somebody else manages a field that is to be applied."""


class Forbidden(GlobeError):
    """The account has no right to do that."""


class Kube:
    """A connection to a cluster, in one namespace."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self._client = DynamicClient(api, discoverer=lambda *_: None)

    def apply(self, manifest: Object, *, force: bool = False, manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply: create the object, or set its fields to those of the manifest.

        Args:
            manifest: The object.
            force: Take over fields that somebody else manages.
            manager: Whose fields they are; what it applied before and does not name now goes.

        Returns:
            The object as the cluster has it now; empty if the cluster does not know the kind.

        Raises:
            Conflict: Somebody else manages a field, and `force` is not set.
            GlobeError: The cluster refused, or does not answer.
        """
        apply = self._resource(manifest["kind"]).server_side_apply
        return self._ask(apply, body=manifest, field_manager=manager, force_conflicts=force) or {}

    def take(self, manifest: Object, note: Callable[[str], None]) -> None:
        """Apply an object, also over fields that somebody has edited by hand, which is told: it is needed as it says.

        Raises:
            GlobeError: As `apply`.
        """
        try:
            self.apply(manifest)
        except Conflict as conflict:
            note(f"taking back: {conflict}")
            self.apply(manifest, force=True)

    def get(self, kind: str, name: str) -> Object | None:
        """An object, or None."""
        found: Object | None = self._ask(self._resource(kind).get, name=name)
        return found

    def find(self, kind: str, labels: dict[str, str]) -> list[Object]:
        """The objects that have all these labels; one without a value may have any."""
        return self._items(kind, label_selector=_selector(labels))

    def has_namespace(self) -> bool:
        """Whether the namespace is there: the API finds nothing in one that is not, and does not say so."""
        try:
            return self._ask(self._client.request, method="get", path=f"/api/v1/namespaces/{self.namespace}") is not None
        except Forbidden:  # most accounts may not ask
            return True
        except InputError:
            return False

    def find_elsewhere(self, kind: str, labels: dict[str, str], namespace: str) -> list[Object]:
        """As `find`, in another namespace; and a cluster that does not know the kind is no empty one.

        Raises:
            Forbidden: The account may not look there.
            GlobeError: The cluster has no such kind.
        """
        found = self._ask(self._resource(kind).get, label_selector=_selector(labels), namespace=namespace)
        if found is None:
            raise GlobeError(f"the cluster's API at {self._host()} knows no {RESOURCES[kind]['name']} ({kind})")
        return list(found.get("items", []))

    def events(self, kind: str, name: str) -> list[Object]:
        """What the cluster has noted about an object, oldest first."""
        events = self._items("Event", field_selector=f"involvedObject.kind={kind},involvedObject.name={name}")
        return sorted(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))

    def delete(self, kind: str, name: str) -> bool:
        """Delete an object after all that it owns. Returns whether it was there."""
        return self._ask(self._resource(kind).delete, name=name, propagation_policy="Foreground") is not None

    def log(self, pod: str, container: str, *, previous: bool, lines: int) -> str:
        """The last lines that a container, or its predecessor before a restart, has written; empty when there are none."""
        query = [("container", container), ("previous", str(previous).lower()), ("tailLines", str(lines))]
        path = f"{self._resource('Pod').path(name=pod, namespace=self.namespace)}/log"
        try:
            answer = self._ask(self._client.request, method="get", path=path, query_params=query, serialize=False)
        except GlobeError:  # not started yet, or its log is gone: the reason is told without it
            return ""
        return answer.data.decode("utf-8", "replace") if answer else ""

    def _resource(self, kind: str) -> Resource:
        return Resource(kind=kind, namespaced=True, client=self._client, **{"api_version": "v1"} | RESOURCES[kind])

    def _items(self, kind: str, **selector: str) -> list[Object]:
        return list((self._ask(self._resource(kind).get, **selector) or {}).get("items", []))

    def _ask(self, request: Callable[..., Any], **options: Any) -> Any:
        """Send a request until it is answered or patience ends. None stands for "no such object"."""
        retries = stamina.retry_context(
            on=_may_pass, attempts=None, timeout=PATIENCE_S, wait_initial=PAUSE_S, wait_max=5 * PAUSE_S, wait_jitter=PAUSE_S
        )
        options = {"namespace": self.namespace} | options
        options |= {"serializer": lambda _, answer: answer, "_request_timeout": TIMEOUT_S}
        try:
            for attempt in retries:
                with attempt:
                    return request(**options)
        except ApiException as error:
            if error.status == 404 and "namespaces" not in _message(error):
                return None
            raise self._refused(error) from None  # what it came from quotes headers
        except HTTPError as error:
            cause = getattr(error, "reason", None) or error
            raise GlobeError(f"the cluster's API at {self._host()} does not answer ({type(cause).__name__})") from None

    def _refused(self, error: ApiException) -> GlobeError:
        message = _message(error)
        if error.status == 401:
            return GlobeError(f"the cluster's API at {self._host()} does not accept the credentials (401); renew them")
        if error.status == 403 and " cannot " in message:
            return Forbidden(f"{message}; run with service account globe-serving, which manifests/overlays makes")
        if error.status == 409:
            return Conflict(message)
        if error.status == 404:
            return InputError(f"{message}; create the namespace or correct it in the cluster settings")
        return GlobeError(f"the cluster's API at {self._host()} refuses ({error.status or 'TLS'}): {message}")

    def _host(self) -> str:
        return str(self.api.configuration.host).split("://")[-1].rpartition("@")[2]


def connect(namespace: str = "") -> Kube:
    """Connect with KUBECONFIG if it is set, else as a pod's service account, else with ~/.kube/config.

    Args:
        namespace: The namespace to work in; empty for the pod's own, or the kubeconfig's.

    Returns:
        The connection; nothing has been asked yet.

    Raises:
        InputError: That is no namespace's name.
        GlobeError: There is none of the three, or it cannot be read.
    """
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise InputError(f"namespace {namespace!r}: no name of a namespace: up to 63 of a-z, 0-9 and - between them")
    configuration = client.Configuration()
    file = os.environ.get("KUBECONFIG") or ""
    inside = not file and "KUBERNETES_SERVICE_HOST" in os.environ
    file = file or str(Path.home() / ".kube" / "config")
    try:
        if inside:
            config.load_incluster_config(client_configuration=configuration)
            own = own_namespace()
        else:
            config.load_kube_config(config_file=file, client_configuration=configuration)
            own = config.list_kube_config_contexts(config_file=file)[1]["context"].get("namespace", "")
    except ConfigException as error:
        where = "this pod's service account" if inside else file
        raise GlobeError(f"no way into a cluster: {where}: {' '.join(str(error).split())[:300]}") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, YAMLError) as error:
        raise GlobeError(f"no way into a cluster: {file}: is no kubeconfig ({type(error).__name__})") from None  # it has secrets
    configuration.retries = False  # `_ask` does it, for longer
    if not configuration.verify_ssl:  # the kubeconfig says so; one reminder is enough
        warnings.simplefilter("once", InsecureRequestWarning)
    return Kube(client.ApiClient(configuration), namespace or own or "default")


def own_namespace() -> str:
    """The namespace of the pod that this process runs in; empty outside a cluster."""
    return NAMESPACE_FILE.read_text(encoding="utf-8").strip() if NAMESPACE_FILE.is_file() else ""


def to_apply(there: Object) -> Object:
    """What to apply to have an object again as it is there now: all but what the cluster itself sets."""
    metadata = {name: value for name, value in there["metadata"].items() if name not in _BY_THE_CLUSTER}
    return {name: there[name] for name in ("apiVersion", "kind", "spec")} | {"metadata": metadata}


def _selector(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" if value else key for key, value in labels.items())


def _may_pass(error: Exception) -> bool:
    """Whether a failure may be over in a moment; status 0 is a TLS connection that could not be made."""
    if isinstance(error, ApiException):
        return error.status in PASSING or (error.status == 0 and "CERTIFICATE_VERIFY_FAILED" not in str(error.reason))
    return isinstance(error, HTTPError)


def _message(error: ApiException) -> str:
    """What the API says, without the request's and the answer's headers."""
    body = error.body.decode("utf-8", "replace") if isinstance(error.body, bytes) else error.body
    try:
        return " ".join(str(json.loads(body or "")["message"]).split())
    except (ValueError, KeyError, TypeError):
        return " ".join(str(error.reason).split())
