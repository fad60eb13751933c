"""What every contract has in common.

A contract is a lightweight KFP component: a signature and a body of a few lines that imports `globe` from the image. This is
the one style that runs as a local process, in a container and on a cluster from one source.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from kfp import dsl

from components.images import image
from globe.run.stages import STAGES, Stage

Made = list[tuple[dsl.PipelineTask, Stage]]
_rows: dict[str, Stage] = {}
"""The stage's row of each component, by the name that KFP gives the component."""
_made: ContextVar[Made | None] = ContextVar("made", default=None)


def contract(stage: str) -> Callable[[Callable[..., Any]], Callable[..., dsl.PipelineTask]]:
    """Decorator for a stage's contract: it runs in the image that the stage's row names, and installs nothing when it starts.

    Args:
        stage: Name of a row in the table of stages.

    Returns:
        The decorator. The decorated function is called in a pipeline like a KFP component, and returns a task.

    Raises:
        KeyError: There is no such row.
    """
    row = STAGES[stage]

    def decorate(function: Callable[..., Any]) -> Callable[..., dsl.PipelineTask]:
        component = dsl.component(function, base_image=image(row.image), packages_to_install=[], install_kfp_package=False)

        _rows[component.name] = row

        @wraps(function)
        def make(**inputs: Any) -> dsl.PipelineTask:
            task = component(**inputs)
            made = _made.get()
            if made is not None:
                made.append((task, row))
            return task

        return make

    return decorate


@contextmanager
def made_tasks() -> Iterator[Made]:
    """Collects the tasks that contracts make within a `with` block, each with its stage's row."""
    made: Made = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def stage_of(component: str) -> Stage:
    """The stage's row of a component, by KFP's name of the component, such as "reward-model".

    Raises:
        KeyError: No contract has this name.
    """
    return _rows[component]
