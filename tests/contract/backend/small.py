"""A small pipeline with a bit of everything that ours have: written with KFP's SDK, compiled, and taken apart again."""

import copy
from collections.abc import Callable
from typing import NamedTuple

from google.protobuf import json_format
from kfp import dsl, kubernetes

from backend.package import Package
from pipelines.backends import Backend
from pipelines.placement import fit

Edit = Callable[[Package], None]


@dsl.component(base_image="img:1", packages_to_install=[])
def plan(names: dict) -> NamedTuple("plan", gpus=str, nodes=dict, numbers=list[int], decision=str):
    raise NotImplementedError(names)


@dsl.component(base_image="img:1", packages_to_install=[])
def train(gpus: str, nodes: dict, tolerations: list, metrics: dsl.Output[dsl.Metrics]) -> str:
    from globe.run import artifacts

    for name, value in artifacts.finite({"loss": float(gpus)}).items():
        metrics.log_metric(name, value)
    return str(nodes) + str(tolerations)


@dsl.component(base_image="img:1", packages_to_install=[])
def part(number: int, told: dsl.Output[dsl.Artifact]):
    raise NotImplementedError(number)


@dsl.component(base_image="img:1", packages_to_install=[])
def gather(parts: dsl.Input[list[dsl.Artifact]], text: str):
    raise NotImplementedError(parts, text)


@dsl.component(base_image="img:1", packages_to_install=[])
def given(text: str = "none") -> str:
    raise NotImplementedError(text)


@dsl.component(base_image="img:1", packages_to_install=[])
def join(text: str):
    raise NotImplementedError(text)


@dsl.component(base_image="img:1", packages_to_install=[])
def last(run: str):
    raise NotImplementedError(run)


def small(backend: Backend) -> Package:
    """The small pipeline as a backend takes it."""

    @dsl.pipeline(name="small", pipeline_config=_config(backend))
    def pipeline(names: dict = {}, tolerations: list = []):  # noqa: B006
        end = last(run=dsl.PIPELINE_JOB_ID_PLACEHOLDER)
        with dsl.ExitHandler(end):
            first = plan(names=names)
            outputs = first.outputs
            with dsl.If(outputs["decision"] == "train", name="trained"):
                trained = train(gpus=outputs["gpus"], nodes=outputs["nodes"], tolerations=tolerations)
            with dsl.Else():
                taken = given()
            joined = join(text=dsl.OneOf(trained.outputs["Output"], taken.output)).set_display_name("Joined")
            if backend.collects:
                with dsl.ParallelFor(outputs["numbers"]) as number:
                    told = part(number=number)
                gather(parts=dsl.Collected(told.outputs["told"]), text="all")
        for task in (end, first, trained, taken, joined):
            _place(task, backend)
        _on_gpus(trained)
        first.set_retry(2, backoff_duration="60s", backoff_factor=2.0, backoff_max_duration="604800s")
        first.container_spec.command = [
            "python3",
            "-m",
            "globe.run.supervise",
            "--retries",
            "2",
            "--",
            *first.container_spec.command,
        ]

    fit(pipeline.pipeline_spec, backend)
    documents = [json_format.MessageToDict(message) for message in (pipeline.pipeline_spec, pipeline.platform_spec)]
    return Package(*documents)


def edited(package: Package, edit: Edit) -> Package:
    """A copy of a package with something else in it."""
    changed = Package(copy.deepcopy(package.spec), copy.deepcopy(package.platform))
    edit(changed)
    return changed


def _config(backend: Backend) -> dsl.PipelineConfig:
    if not backend.run_limits:
        return dsl.PipelineConfig()
    return dsl.PipelineConfig(
        ttl_seconds_after_finished=600,
        ttl_seconds_after_success=600,
        ttl_seconds_after_failure=600,
        active_deadline_seconds=604800,
    )


def _place(task: dsl.PipelineTask, backend: Backend) -> None:
    task.set_memory_limit("1Gi").set_env_variable("SCRATCH", "/scratch")
    kubernetes.mount_pvc(task, "store", "/mnt/store")
    kubernetes.empty_dir_mount(task, "scratch", "/scratch")
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "small")
    if backend.optional_secrets:
        kubernetes.use_secret_as_env(task, "keys", {"KEY": "KEY"}, optional=True)
    else:
        kubernetes.use_secret_as_volume(task, "keys", "/keys", optional=True)
    if backend.pod_security:
        kubernetes.set_security_context(task, run_as_user=1001, run_as_non_root=True)


def _on_gpus(task: dsl.PipelineTask) -> None:
    task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(task.inputs["gpus"])
    kubernetes.add_node_selector_json(task, task.inputs["nodes"])
    kubernetes.add_toleration_json(task, task.inputs["tolerations"])
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="1Gi")
