"""The list of pipelines, and how to build one for a cluster or a laptop."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from typing import Any

from kfp import dsl
from pydantic import BaseModel, ConfigDict, create_model

from components.contract import made_tasks
from components.images import NAMES, image
from globe.data.source import TOY
from globe.errors import InputError
from globe.run.cluster import Cluster
from globe.run.preflight import Request
from pipelines.backends import NEWEST, Backend
from pipelines.curation import curation
from pipelines.evaluation import evaluation
from pipelines.graph import followers
from pipelines.placement import fit, pipeline_config, place, placed_in
from pipelines.training import training


@dataclass(frozen=True)
class Pipeline:
    """A pipeline: the function that composes it, and what a user sees of it."""

    function: Callable[..., None]
    title: str
    description: str

    @property
    def name(self) -> str:
        """What it is called: `python -m pipelines submit NAME`."""
        return self.function.__name__

    @property
    def recipes(self) -> list[str]:
        """Stages with recipes."""
        return list(self.parameters.model_fields["recipes"].default)

    @cached_property
    def followers(self) -> dict[str, tuple[str, ...]]:
        """Stages in the order in which the user sees them, each with those that directly need it."""
        return followers(self._specification)

    @cached_property
    def parameters(self) -> type[BaseModel]:
        """The parameters as a model that refuses unknown ones and wrong types; defaults are the function's."""
        members: dict[str, Any] = {
            name: (parameter.annotation, parameter.default)
            for name, parameter in inspect.signature(self.function).parameters.items()
        }
        return create_model(f"{self.name.capitalize()}Parameters", __config__=ConfigDict(extra="forbid"), **members)

    def run_title(self, profile_title: str, arguments: Mapping[str, Any]) -> str:
        """What a run is called: its profile's title, and a hint if it uses the toy world and not the user's pictures."""
        on_toy_world = TOY in (arguments.get("source"), arguments.get("dataset"))
        return f"{profile_title} on a toy world" if on_toy_world else profile_title

    def request(self, arguments: Mapping[str, Any]) -> Request:
        """A run's arguments in the form that the checks before it take."""
        known = {field.name for field in fields(Request)}
        values = {name: value for name, value in arguments.items() if name in known}
        return Request(
            **values
            | {
                "stages": self.recipes,
                "source": arguments.get("source", arguments.get("dataset")),
                "base_model": None if arguments.get("url") else arguments.get("base_model", arguments.get("model")),
                "gpus": {name.removesuffix("_gpus"): value for name, value in arguments.items() if name.endswith("_gpus")},
            }
        )

    @cached_property
    def images(self) -> list[str]:
        """Names of the images that its stages run in, and its servers."""
        executors = self._specification.deployment_spec["executors"]
        used = {executor["container"]["image"] for executor in executors.values()}
        return [name for name in NAMES if image(name) in used or (name == "serve" and "serving" in self.recipes)]

    @cached_property
    def _specification(self) -> Any:
        """KFP's `PipelineSpec` of the graph on this machine."""
        return self.build().pipeline_spec

    def build(self, cluster: Cluster | None = None, backend: Backend = NEWEST) -> Any:
        """Compose the graph.

        Args:
            cluster: Where its tasks will run; None for this machine.
            backend: What will run them there.

        Returns:
            A KFP pipeline, to be compiled, or called to run it here.
        """
        with placed_in(cluster, backend):
            made_for = f" Made for KFP {backend.version}." if cluster else ""  # read by `submit`, and by people in the UI
            decorate = dsl.pipeline(
                name=f"globe-{self.name}",
                display_name=self.title,
                description=self.description + made_for,
                pipeline_config=pipeline_config(cluster, backend),
            )
            graph = decorate(self._placed(cluster, backend))
        fit(graph.pipeline_spec, backend)
        return graph

    def _placed(self, cluster: Cluster | None, backend: Backend) -> Callable[..., None]:
        """The function that composes the pipeline and then sets where each of its tasks runs."""

        @wraps(self.function)
        def composed(*arguments: Any, **named: Any) -> None:
            with made_tasks() as made:
                self.function(*arguments, **named)
            first = next(task for task, stage in made if stage.name == "validate")
            for task, stage in made:
                # The exit task can wait for no other, since it runs whatever became of them.
                waits = task is not first and stage.name != "teardown"
                place(task, stage, cluster, backend, first if waits else None)

        return composed


PIPELINES = {
    pipeline.name: pipeline
    for pipeline in (
        Pipeline(
            training,
            "GLOBE training",
            "Curate, fine-tune, reinforce, serve, evaluate and judge a model that says where a photo was taken.",
        ),
        Pipeline(
            evaluation,
            "GLOBE evaluation",
            "Serve a checkpoint, ask it where held-out pictures were taken, judge it against the promoted one.",
        ),
        Pipeline(
            curation,
            "GLOBE curation",
            "Let several annotators ask the teachers side by side, merge their replies, verify and split.",
        ),
    )
}


def find_pipeline(name: str) -> Pipeline:
    """A pipeline by name.

    Raises:
        InputError: No such pipeline.
    """
    if name not in PIPELINES:
        raise InputError(f"no pipeline {name!r}: choose one of {', '.join(PIPELINES)}")
    return PIPELINES[name]
