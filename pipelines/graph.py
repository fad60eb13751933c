"""Which stages need which, read from a pipeline's specification."""

import re
from typing import Any

from google.protobuf.json_format import MessageToDict

from components.contract import stage_of
from globe.run.stages import STAGES


def followers(specification: Any) -> dict[str, tuple[str, ...]]:
    """The stages of a pipeline that people see, in the table's order, each with those that directly need it.

    Args:
        specification: KFP's `PipelineSpec`.
    """
    content = MessageToDict(specification)
    found: dict[str, set[str]] = {}

    def last_stages(dag: dict[str, Any], before: set[str]) -> set[str]:
        """Add the stages of a DAG that follows the stages in `before`; returns the stages at its end."""
        tasks, ends = dag["tasks"], {}

        def enter(name: str) -> set[str]:
            if name not in ends:
                needs = tasks[name].get("dependentTasks", [])
                ends[name] = run(tasks[name]["componentRef"]["name"], set().union(*map(enter, needs)) if needs else before)
            return ends[name]

        needed = {need for task in tasks.values() for need in task.get("dependentTasks", [])}
        every = {name: enter(name) for name in tasks}
        return set().union(*(ended for name, ended in every.items() if name not in needed))

    def run(component: str, before: set[str]) -> set[str]:
        inner = content["components"][component].get("dag")
        if inner:
            return last_stages(inner, before)
        stage = stage_of(re.sub(r"^comp-|-\d+$", "", component))
        if not stage.shown:
            return before  # stages that need it need what it passes on
        found.setdefault(stage.name, set())
        for earlier in before:
            found[earlier].add(stage.name)
        return {stage.name}

    last_stages(content["root"]["dag"], set())
    order = list(STAGES)
    return {name: tuple(sorted(found[name], key=order.index)) for name in sorted(found, key=order.index)}
