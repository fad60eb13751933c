"""Where a run's pods may go: whether Kubernetes would take their labels and tolerations, and whether it has the GPUs.

A backend looks at them when it makes the first pod with GPUs, hours into a run.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from globe.errors import GlobeError, InputError
from globe.recipes.load import validate

PRODUCT_LABEL = "nvidia.com/gpu.product"
TIMEOUT_S = 20
_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


class _Toleration(BaseModel):
    """As Kubernetes checks it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str = ""
    operator: Literal["", "Exists", "Equal"] = ""
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    tolerationSeconds: int | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key and not _NAME.fullmatch(self.key):
            raise ValueError(f"{self.key!r} cannot name a taint")
        if not self.key and self.operator != "Exists":
            raise ValueError("without a key, the operator must be Exists")
        if self.operator == "Exists" and self.value:
            raise ValueError("with the operator Exists, there is no value")
        if self.tolerationSeconds is not None and self.effect != "NoExecute":
            raise ValueError("tolerationSeconds needs the effect NoExecute")
        return self


def check_placing(selectors: Mapping[str, Any], tolerations: Any) -> None:
    """Check that Kubernetes would take what a run says about its nodes.

    Args:
        selectors: Node labels by stage.
        tolerations: A list of Kubernetes tolerations.

    Raises:
        InputError: It would not; names the label or the toleration.
    """
    for stage, labels in selectors.items():
        where = f"node_selectors: {stage}"
        if not isinstance(labels, Mapping):
            raise InputError(f"{where}: {labels!r}: give labels, as {{name: value}}")
        for name, value in labels.items():
            if not isinstance(value, str):
                raise InputError(f"{where}: {name}: {value!r}: a label is a text; write it in quotes")
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise InputError(f"{where}: {name}={value}: no node can have this label")
    if not isinstance(tolerations, list | tuple):
        raise InputError(f"tolerations: {tolerations!r}: give a list of Kubernetes tolerations")
    for number, toleration in enumerate(tolerations):
        validate(_Toleration, toleration, f"tolerations[{number}]")


def check_nodes(selectors: Mapping[str, Mapping[str, str]], gpus: Mapping[str, int], resource: str) -> list[str]:
    """Check for each stage that some node has its labels and can hold its GPUs at all, free or not.

    Args:
        selectors: Node labels by stage.
        gpus: GPUs by stage.
        resource: Name of the GPU resource, such as nvidia.com/gpu.

    Returns:
        Notes on what could not be checked, such as a cluster that does not let this account list its nodes.

    Raises:
        InputError: No node fits a stage; names the GPU types that there are.
    """
    from kubernetes.client import ApiException, CoreV1Api  # its import takes a second, and a laptop has no nodes to ask for
    from urllib3.exceptions import HTTPError

    from globe.serving.kube import connect

    try:
        nodes = CoreV1Api(connect().api).list_node(_request_timeout=TIMEOUT_S).items
    except ApiException as error:
        return [f"GPU types not checked: the API server answers {error.status} to listing nodes"]
    except HTTPError as error:
        return [f"GPU types not checked: the API server does not answer ({type(error).__name__})"]
    except GlobeError as error:
        return [f"GPU types not checked: {error}"]
    holders = [node for node in nodes if _count(node, resource)]
    if not holders:
        return [f"no node with {resource} is up yet; a cluster that starts nodes on demand may still bring some"]
    for stage, count in gpus.items():
        selector = selectors.get(stage, {})
        if not any(_count(node, resource) >= count and _has(node, selector) for node in holders):
            labels = ", ".join(f"{key}={value}" for key, value in selector.items()) or "any labels"
            raise InputError(
                f"{stage}: no node has {count} x {resource} and {labels}; there are {_kinds(holders, resource)}; "
                "change node_selectors or the number of GPUs"
            )
    return []


def _count(node: Any, resource: str) -> int:
    return int((node.status.allocatable or {}).get(resource, 0))


def _has(node: Any, selector: Mapping[str, str]) -> bool:
    labels = node.metadata.labels or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _kinds(nodes: list[Any], resource: str) -> str:
    kinds = {f"{_count(node, resource)} x {(node.metadata.labels or {}).get(PRODUCT_LABEL, 'unnamed GPU')}" for node in nodes}
    return ", ".join(sorted(kinds))
