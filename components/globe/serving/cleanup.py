"""Remove the servers and TrainJobs that a run has made in a cluster: one run's, or those of all runs that are over.

A run's tear-down does this at its end. But a run that is deleted ends without one, and a tear-down may fail. What is removed is
found by labels that only a run's servers have; a server deployed by hand has none of a run, and stays.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from globe.errors import GlobeError, InputError
from globe.serving.kube import Forbidden, Kube, Object, own_namespace
from globe.serving.manifest import HOME_LABEL, LABEL_LENGTH, MODEL_LABEL, PART_OF, RUN_LABEL, run_labels

KINDS = ("Deployment", "Service")
JOBS = "TrainJob"
"""What trains on several nodes; found where the account may see such jobs, and the cluster has them."""
BY_HAND = "by-hand"
"""The run that manifests/serving names for servers that no run has made."""
POLL_S = 2.0
DELETION_TIMEOUT_S = 300.0
"""More than a server may take to end, for nodes that are slow to say that it has."""
WORKFLOW_RUN_LABEL = "pipeline/runid"
FINISHED = ("Succeeded", "Failed", "Error")
_RUN_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, order=True)
class Made:
    """An object that a run has made."""

    kind: str
    name: str
    run: str
    model: str
    home: str
    """Namespace of the run; empty if unknown."""


def clean_run(kube: Kube, run: str, *, dry_run: bool = False) -> list[Made]:
    """Remove what one run has made in a namespace, whether it is over or not.

    Args:
        kube: The namespace.
        run: The run's id.
        dry_run: Only find it.

    Returns:
        What was found, and is gone now with all its pods, unless `dry_run`.

    Raises:
        InputError: That is no run's id.
        GlobeError: The cluster refuses, or a pod is still there after five minutes.
    """
    if not _RUN_ID.fullmatch(run) or len(run) > LABEL_LENGTH or run == BY_HAND:
        raise InputError(f"--run {run!r}: not a run's id; it is the last part of the run's address in the KFP UI")
    labels = run_labels(run)
    return find(kube, labels) if dry_run else remove(kube, labels)


def clean_orphans(kube: Kube, *, dry_run: bool = False, note: Callable[[str], None] = lambda text: None) -> list[Made]:
    """Remove the servers of all runs that are over: their Workflow has finished, or is gone.

    Args:
        kube: The namespace.
        dry_run: Only find them.
        note: Told which are left alone because it is unknown where their run is.

    Returns:
        As `clean_run`.

    Raises:
        GlobeError: It cannot be told which runs are over; then nothing is removed. Or as `clean_run`.
    """
    candidates = find(kube, PART_OF | {RUN_LABEL: "", MODEL_LABEL: ""})
    for one in candidates:
        if not one.home and one.run != BY_HAND:
            note(f"{one.kind} {one.name}: of run {one.run}, whose namespace it does not name; left alone")
    over = [run for run in sorted({(one.run, one.home) for one in candidates if one.home}) if _is_over(kube, *run)]
    found = [one for one in candidates if (one.run, one.home) in over]
    labels = [] if dry_run else [run_labels(run) for run, _ in over]
    for each in labels:  # all of them before any is waited for: one that hangs on a lost node must not keep the others alive
        _delete(kube, each)
    for each in labels:
        _wait_until_gone(kube, each)
    return found


def find(kube: Kube, labels: dict[str, str]) -> list[Made]:
    """The Deployments, Services and TrainJobs that have these labels."""
    found = [_made(kind, item) for kind in KINDS for item in kube.find(kind, labels)]
    with suppress(Forbidden):
        found += [_made(JOBS, item) for item in kube.find(JOBS, labels)]
    return sorted(found)


def remove(kube: Kube, labels: dict[str, str]) -> list[Made]:
    """Delete the Deployments, Services and TrainJobs that have these labels, and wait until their pods are gone.

    Returns:
        What was there.

    Raises:
        GlobeError: A pod is still there after five minutes.
    """
    found = _delete(kube, labels)
    _wait_until_gone(kube, labels)
    return found


def _delete(kube: Kube, labels: dict[str, str]) -> list[Made]:
    found = find(kube, labels)
    for one in found:
        kube.delete(one.kind, one.name)
    return found


def _wait_until_gone(kube: Kube, labels: dict[str, str]) -> None:
    deadline = time.monotonic() + DELETION_TIMEOUT_S
    while left := [*kube.find("Deployment", labels), *kube.find("Pod", labels)]:
        if time.monotonic() > deadline:
            names = ", ".join(item["metadata"]["name"] for item in left)
            raise GlobeError(f"still there {DELETION_TIMEOUT_S:.0f} s after they were deleted: {names}")
        time.sleep(POLL_S)


def mark_home(*manifests: Object) -> None:
    """Label a run's objects with the namespace of the pod that makes them, which is the run's."""
    home = own_namespace()
    if home:
        for manifest in manifests:
            manifest["metadata"]["labels"][HOME_LABEL] = home


def _is_over(kube: Kube, run: str, home: str) -> bool:
    try:
        workflows = kube.find_elsewhere("Workflow", {WORKFLOW_RUN_LABEL: run}, home)
    except Forbidden as error:
        raise GlobeError(f"whether run {run} is over: {str(error).split(';')[0]}; see manifests/cleanup for that right") from None
    return all(workflow.get("status", {}).get("phase") in FINISHED for workflow in workflows)


def _made(kind: str, item: Object) -> Made:
    labels = item["metadata"].get("labels", {})
    model, home = labels.get(MODEL_LABEL, ""), labels.get(HOME_LABEL, "")
    return Made(kind, item["metadata"]["name"], labels.get(RUN_LABEL, ""), model, home)
