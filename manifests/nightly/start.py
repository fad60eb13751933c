"""Start the newest version of a pipeline on a KFP server, once for each night: what the CronJob beside this file runs.

It needs nothing but Python. KFP's own schedules (`ScheduledWorkflow`) cannot be kept in Git: they name pipeline and experiment by
ids that only the server knows, and one that the server did not make itself starts no run.
"""

import ipaddress
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

TOKEN = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH", "/var/run/secrets/kubeflow/pipelines/token"))
ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
TRIES, PAUSE_S, ANSWER_S = 5, float(os.environ.get("PAUSE_S", "10")), 30


def main() -> str:
    """Start a run unless this night has one or the last one is still going on. Returns what was done."""
    name, wanted = os.environ["NAME"], os.environ.get("PIPELINE", "globe-evaluation")
    parameters = json.loads(Path(os.environ["PARAMETERS"]).read_text(encoding="utf-8"))
    owner = {"namespace": os.environ["NAMESPACE"]} if ask("GET", "healthz").get("multi_user") else {}
    pipeline = first(ask("GET", "pipelines", called(wanted) | owner), "pipelines")
    if not pipeline:
        raise SystemExit(f"no pipeline {wanted}: upload one, or kubectl apply --server-side -k manifests/pipelines")
    path = f"pipelines/{pipeline['pipeline_id']}/versions"
    version = first(ask("GET", path, {"page_size": "1", "sort_by": "created_at desc"}), "pipeline_versions")
    if not version:
        raise SystemExit(f"pipeline {wanted} has no version")
    experiment = experiment_of(os.environ.get("EXPERIMENT", "globe-nightly"), owner)
    query = {"experiment_id": experiment, "page_size": "100", "sort_by": "created_at desc"}
    runs = ask("GET", "runs", query).get("runs", [])
    if any(run["display_name"] == name for run in runs):  # the pod was started again
        return f"{name} has been started already"
    going = [run["display_name"] for run in runs if run.get("state") not in ENDED]
    if going:
        return f"{going[0]} is still going on: nothing is started"
    body = {
        "display_name": name,
        "description": f"By CronJob, version {version.get('display_name', '')}",
        "experiment_id": experiment,
        "pipeline_version_reference": {
            "pipeline_id": pipeline["pipeline_id"],
            "pipeline_version_id": version["pipeline_version_id"],
        },
        "runtime_config": {"parameters": parameters},
        "service_account": os.environ.get("SERVICE_ACCOUNT", ""),
    }
    ask("POST", "runs", body={key: value for key, value in body.items() if value})
    return f"started {name}: {wanted} {version.get('display_name', '')}"


def experiment_of(name: str, owner: dict[str, str]) -> str:
    """The id of an experiment, which is made if there is none."""
    found = first(ask("GET", "experiments", called(name) | owner), "experiments")
    return str((found or ask("POST", "experiments", body={"display_name": name} | owner))["experiment_id"])


def called(name: str) -> dict[str, str]:
    """A query for what has a name."""
    return {"filter": json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})}


def first(answer: dict[str, Any], kind: str) -> dict[str, Any] | None:
    """The first of what the server listed."""
    return next(iter(answer.get(kind) or []), None)


def ask(method: str, path: str, query: dict[str, str] | None = None, body: Any = None) -> dict[str, Any]:
    """One request. What only looks is repeated; what makes something is not, for its effect shows in the pod's next try."""
    url = f"{os.environ['KFP_HOST'].rstrip('/')}/apis/v2beta1/{path}?{urllib.parse.urlencode(query or {})}"
    token = TOKEN.read_text(encoding="ascii").strip() if TOKEN.is_file() else ""
    if token and not is_private(url):
        raise SystemExit(
            f"KFP_HOST {os.environ['KFP_HOST']}: plain http, and whoever is on the way could read the token; give https://"
        )
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    for left in range(TRIES if method == "GET" else 1, 0, -1):
        request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers, method=method)
        try:
            with OPENER.open(request, timeout=ANSWER_S) as reply:
                return dict(json.loads(reply.read()))
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode("utf-8", errors="replace").replace(token or "\0", "(the token)")
            if error.code < 500 or left == 1:
                raise SystemExit(f"{method} {path}: {error.code} {said}") from None
        except (OSError, ValueError) as error:
            if left == 1:
                raise SystemExit(f"{method} {path}: {error}") from None
        time.sleep(PAUSE_S)
    raise AssertionError("a try returns or ends")


def is_private(url: str) -> bool:
    """Whether a token may go there: over https, to this machine, a Service or a private address (the rule of `globe.keys`)."""
    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    _, *domain = host.split(".")
    if parts.scheme == "https" or host == "localhost" or domain[1:] in (["svc"], ["svc", "cluster", "local"]):
        return True
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.is_loopback or any(address in network for network in PRIVATE if network.version == address.version)
    if len(domain) > 1 or host.rpartition(".")[2].isdigit():
        return False
    if not domain:
        return not host.startswith("0x")
    with suppress(OSError):  # NAME.NAMESPACE may be a domain's name, too, but only the cluster's resolver knows .svc
        return bool(socket.getaddrinfo(f"{host}.svc", None))
    return False


class Unredirected(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: urllib would take the token along, to any host."""

    def redirect_request(self, *_: Any) -> None:
        """None: the redirect is then an error like any other."""


OPENER = urllib.request.build_opener(Unredirected)

if __name__ == "__main__":
    print(main())
    sys.exit(0)
