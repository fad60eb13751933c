"""What each version's parsers do with fields that they do not know."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from backend.package import Package
from pipelines.backends import Backend

LATER = {
    "ComponentSpec.task_config_passthroughs": (2, 15),
    "ConfigMapAsEnv.optional": (2, 15),
    "CreatePvc.data_source": (2, 17),
    "ImporterSpec.download_to_workspace": (2, 15),
    "KubernetesExecutorConfig.security_context": (2, 16),
    "NodeAffinityTerm.node_affinity_json": (2, 15),
    "ParameterSpec.literals": (2, 16),
    "PipelineConfig.active_deadline_seconds": (2, 17),
    "PipelineConfig.resource_ttl_on_completion": (2, 17),
    "PipelineConfig.resource_ttl_on_failure": (2, 17),
    "PipelineConfig.resource_ttl_on_success": (2, 17),
    "PipelineConfig.workspace": (2, 15),
    "PvcMount.sub_path": (2, 16),
    "RuntimeArtifact.custom_path": (2, 15),
    "SecretAsEnv.optional": (2, 15),
}
"""Fields that a version was the first to have, of all that the four versions' protos differ in: api/v2alpha1/pipeline_spec.proto
and kubernetes_platform/proto/kubernetes_executor_config.proto of the tags 2.5.0, 2.15.0, 2.16.0 and 2.17.0, compared."""
OPAQUE = ("google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "google.protobuf.Duration")


def pipeline_spec_parses(package: Package, backend: Backend) -> Iterator[str]:
    """apiserver/template/v2_template.go: NewV2SpecTemplate: the upload is refused for an unknown field; 2.5 to 2.17."""
    yield from (f"pipeline spec: upload refused: {why}" for why in unknown(PipelineSpec(), package.spec, backend))
    if (version := package.spec.get("schemaVersion")) != "2.1.0":
        yield f"pipeline spec: upload refused: schema version {version}"


def platform_spec_is_read(package: Package, backend: Backend) -> Iterator[str]:
    """v2_template.go: IsPlatformSpecWithKubernetesConfig: one unknown field, and the whole document is skipped; 2.5 to 2.17."""
    if package.platform:
        for why in unknown(PlatformSpec(), package.platform, backend):
            yield f"platform spec: all of it skipped without a word: {why}"
        if not package.kubernetes:
            yield "platform spec: it has no part for kubernetes, so it is skipped"


def settings_are_known(package: Package, backend: Backend) -> Iterator[str]:
    """argocompiler/container.go: containerExecutorTask refuses the run for an unknown field; 2.14 and later.

    In 2.5, addContainerExecutorTemplate leaves the task without its pod labels, and the driver (cmd/driver/main.go, parsing with
    common/util/json.go: UnmarshalString) drops the field.
    """
    outcome = "run refused" if backend.number >= (2, 14) else "field and pod labels dropped without a word"
    for label, settings in package.settings.items():
        for why in unknown(KubernetesExecutorConfig(), settings, backend):
            yield f"{label}: {outcome}: {why}"


def unknown(message: Any, given: Mapping[str, Any], backend: Backend) -> Iterator[str]:
    """Why a version's strict protojson parser refuses a JSON object.

    Args:
        message: An empty message of the type, of the newest version.
        given: The object.
        backend: Whose parser it is.
    """
    try:
        json_format.ParseDict(given, message)
    except json_format.ParseError as error:
        yield str(error)
        return
    yield from sorted(set(_later(message.DESCRIPTOR, given, backend)))


def _later(descriptor: Descriptor, given: Mapping[str, Any], backend: Backend) -> Iterator[str]:
    """Fields in an object that came after a version."""
    fields = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for key, value in given.items():
        field = fields[key]
        name = f"{descriptor.name}.{field.name}"
        if LATER.get(name, (0, 0)) > backend.number:
            yield f"unknown field {name}"
        for inner, part in _messages(field, value):
            yield from _later(inner, part, backend)


def _messages(field: FieldDescriptor, value: Any) -> Iterator[tuple[Descriptor, Mapping[str, Any]]]:
    """The objects in a field's value, with what they are."""
    inner = field.message_type
    if inner is None or inner.full_name in OPAQUE:
        return
    if inner.GetOptions().map_entry:
        entry = inner.fields_by_name["value"].message_type
        parts, inner = list(value.values()), entry
        if entry is None or entry.full_name in OPAQUE:
            return
    else:
        parts = value if isinstance(value, list) else [value]
    yield from ((inner, part) for part in parts if isinstance(part, dict))
