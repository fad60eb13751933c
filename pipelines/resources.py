"""The pipelines as custom resources of KFP: manifests/pipelines/kfp-VERSION/*.yaml, for `kubectl apply --server-side -k`.

KFP 2.14 and later read `Pipeline` and `PipelineVersion` where the API server keeps pipelines in Kubernetes
(`--pipelinesStoreKubernetes`). A version is immutable (`webhook/pipelineversion_webhook.go: ValidateUpdate`), so its name holds
its package's digest: another package is another version, and the same one is left as it is. `submit --upload` calls a version
by the same digest and so finds one that was applied.
"""

from pathlib import Path
from typing import Any

import yaml

from pipelines.backends import Backend
from pipelines.catalog import PIPELINES, Pipeline
from pipelines.remote.package import digest_of

RESOURCES = Path(__file__).parents[1] / "manifests" / "pipelines"
SINCE = (2, 14)
NAMED_SINCE = (2, 17)
"""`spec.versionName` and `spec.tags` are in the CRDs from here on; a strict API server refuses them before."""
API_VERSION = "pipelines.kubeflow.org/v2beta1"
_HEAD = "# Made by `python -m pipelines compile`; not to be edited.\n"


def takes_resources(backend: Backend) -> bool:
    """Whether a backend reads pipelines from Kubernetes."""
    return backend.number >= SINCE


def resources_text(pipeline: Pipeline, backend: Backend, package: str) -> str:
    """A pipeline and its version as Kubernetes takes them.

    Args:
        pipeline: The pipeline.
        backend: The backend that its package was compiled for.
        package: The package, as `compiled_text` returns it.

    Returns:
        Two YAML documents: the same for the same input.
    """
    spec, platforms = yaml.load_all(package, Loader=yaml.CSafeLoader)
    name, digest = spec["pipelineInfo"]["name"], digest_of(package.encode())
    labels = {"app.kubernetes.io/part-of": "globe", "app.kubernetes.io/name": name}
    whole = {
        "apiVersion": API_VERSION,
        "kind": "Pipeline",
        "metadata": {"name": name, "labels": labels},
        "spec": {"displayName": name, "description": pipeline.description},  # `submit --upload` looks for this name
    }
    # Everything here follows from the package: if anything else did, the digest would no longer name it.
    version: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "PipelineVersion",
        "metadata": {
            "name": f"{name}-{digest}",
            "labels": labels | {"globe.dev/package": digest, "globe.dev/kfp": backend.version},
        },
        "spec": {
            "displayName": digest,
            "description": spec["pipelineInfo"]["description"],
            "pipelineName": name,
            "pipelineSpec": spec,
            "platformSpec": platforms,
        },
    }
    if backend.number >= NAMED_SINCE:
        version["spec"] |= {"versionName": digest, "tags": {"package": digest, "kfp": backend.version}}
    return _HEAD + yaml.dump_all([whole, version], Dumper=_WithoutReferences, sort_keys=True, width=130)


def kustomization_text(backend: Backend) -> str:
    """The file that makes a folder of such resources one for `kubectl apply -k`."""
    head = (
        f"# GLOBE's pipelines for KFP {backend.version} ({backend.found_in}), in the namespace where your KFP keeps pipelines.\n"
    )
    content = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "kubeflow",
        "resources": [f"{name}.yaml" for name in PIPELINES],
    }
    return head + _HEAD + yaml.safe_dump(content, sort_keys=False)


class _WithoutReferences(yaml.CSafeDumper):
    """Writes a value again instead of `*id001`, which readers of Kubernetes' YAML need not know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
