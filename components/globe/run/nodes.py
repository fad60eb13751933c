"""Ask the cluster whether it has the GPUs that a run wants, before the run waits for them in vain."""

from collections.abc import Mapping
from typing import Any

from globe.errors import GlobeError, InputError

PRODUCT_LABEL = "nvidia.com/gpu.product"
TIMEOUT_S = 20


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
