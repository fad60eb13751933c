"""How long runs, pods and retries may take, and how long what they leave is kept."""

from collections.abc import Iterator
from typing import Any

from backend.package import Package
from globe.run.cluster import Cluster
from pipelines.backends import Backend

SUPERVISOR = "globe.run.supervise"
"""The module that starts a stage's command again inside of its pod."""


def retries_may_be_late(package: Package, backend: Backend) -> Iterator[str]:
    """Argo's workflow/controller/operator.go: processNodeRetries counts maxDuration from the start of the first attempt.

    A retry after that is not begun, and one that is running then is ended; Argo 3.5 to 4.0.
    """
    run_s = package.kubernetes.get("pipelineConfig", {}).get("activeDeadlineSeconds") or Cluster().deadline_s
    for task, policy in _policies(package):
        longest_s = _seconds(policy.get("backoffMaxDuration"))
        if longest_s is None:
            yield f"{task}: never started again: without backoffMaxDuration it is 0 seconds"
        elif longest_s < run_s:
            yield f"{task}: not started again, and ended, {longest_s} s after its first start; the run may take {run_s} s"


def retries_can_be_counted(package: Package, backend: Backend) -> Iterator[str]:
    """Argo's processNodeRetries reads the factor as a whole number (intstr.Int32), and needs a duration to begin with."""
    for task, policy in _policies(package):
        factor = policy.get("backoffFactor", 0)
        if factor != int(factor):
            yield f"{task}: its first retry fails: backoff factor {factor} is not a whole number"
        if not _seconds(policy.get("backoffDuration")):
            yield f"{task}: its first retry fails: no base duration specified for retryStrategy"


def failures_are_tried_again(package: Package, backend: Backend) -> Iterator[str]:
    """Argo's processNodeRetries with the policy OnError starts a pod again that was lost, never one whose command failed.

    2.17's own manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml makes that the policy, which
    nothing in a package can change; before 2.14 nothing is started again in a group. There, the command has to do it itself.
    """
    if backend.retries_failures:
        return
    for task, policy in _policies(package):
        command = task.container.get("command", [])
        if SUPERVISOR not in command or command[command.index("--retries") + 1] != str(policy["maxRetryCount"]):
            yield f"{task}: not tried again when its command fails"


def results_are_kept_as_long_as_told(package: Package, backend: Backend) -> Iterator[str]:
    """Argo's workflow/gccontroller/gc_controller.go: ttl: after success and after failure come before after completion.

    2.17's own manifests/kustomize/third-party/argo/base/workflow-controller-configmap-patch.yaml sets both to an hour.
    """
    config = package.kubernetes.get("pipelineConfig", {})
    told = config.get("resourceTtlOnCompletion")
    for field in ("resourceTtlOnSuccess", "resourceTtlOnFailure"):
        if told and not config.get(field) and backend.number >= (2, 17):
            yield f"platform spec: a run goes after 3600 s and not {told} s: {field} is not set"


def _policies(package: Package) -> Iterator[tuple[Any, Any]]:
    for task in package.pods():
        if task.definition.get("retryPolicy", {}).get("maxRetryCount"):
            yield task, task.definition["retryPolicy"]


def _seconds(duration: str | None) -> int | None:
    """Whole seconds of a protobuf duration; None if it is not set."""
    return None if duration is None else int(float(duration.removesuffix("s")))
