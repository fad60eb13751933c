"""What a run is going to do, for its page and its log: stages, recipes, GPUs and nodes, and what it is expected to take."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from globe.data.source import TOY
from globe.markdown import escape, table
from globe.recipes.load import load_stage_recipe
from globe.report.text import count
from globe.run.cluster import Cluster
from globe.run.preflight import GIVEN, OFF, RUN, Plan, Request
from globe.run.stages import RECIPES, STAGES
from globe.run.summary import Money
from globe.training.expected import Expected, expected_training, gpu_kind, parameters_of, range_text, rows_of
from globe.training.recipe import TrainRecipe

SETS = {"sft": "sft", "grpo": "pool"}
"""Stages that train on a set as it is; the reward model's rows depend on how many verdicts are "no"."""
HELPED = "grpo"
"""The stage for whose time the reward model is served."""
ASSUMED = (
    "Expected, not measured: 140 (A100) or 375 (H100) TFLOP/s a GPU in training, photos of 240 tokens (500 px) up to the "
    "recipe's largest, 450 tokens of text; GRPO's steps as once derived for 16 completions of up to 1,024 tokens a GPU and a "
    "model of 7 to 9 billion parameters. Loading, saving and waiting for nodes come on top."
)


def plan_markdown(request: Request, plan: Plan, cluster: Cluster | None) -> str:
    """The plan of a run.

    Args:
        request: What the run is asked to do.
        plan: Which of its stages run, are given or are off, and notes.
        cluster: The cluster's settings; None on a laptop.
    """
    expected = {one.stage: one for one in expected_use(request, plan)}
    rows = [_row(name, request, plan, expected.get(name)) for name in _stages(request)]
    parts = [table(("stage", "", "recipe", "GPUs:", "nodes", "steps:", "GPU-hours expected:"), rows)]
    if expected:
        parts.append("\n".join(_cost_lines(expected.values(), cluster)))
    if any(one.step_s for one in expected.values()):
        parts.append(ASSUMED)
    if plan.notes:
        parts.append("\n".join(f"- {escape(note)}" for note in plan.notes))
    return "\n\n".join(parts) + "\n"


def expected_use(request: Request, plan: Plan) -> list[Expected]:
    """What the stages with GPUs are expected to take, as far as that is known; none if no GPU is promised."""
    kinds = {name: gpu_kind(request.node_selectors.get(name, {})) for name in (*plan.states, "serving")}
    model = parameters_of(request.base_model) if request.base_model and any(request.gpus.values()) else None
    found = []
    for name, state in plan.states.items():
        if state == RUN and request.gpus.get(name):
            recipe: Any = load_stage_recipe(RECIPES[name], name, request.recipes, request.overrides)
            assert isinstance(recipe, TrainRecipe)
            rows, at_most = _rows(request, name)
            gpus = request.gpus[name]
            found.append(expected_training(name, recipe, gpus, rows=rows, at_most=at_most, kind=kinds[name], parameters=model))
    if serving := request.gpus.get("serving"):
        found += _servers(request, plan, serving, {one.stage: one for one in found})
    return found


def _rows(request: Request, stage: str) -> tuple[int | None, bool]:
    """How many rows a stage trains on as far as that is known, and whether curation may keep fewer."""
    if stage not in SETS:
        return None, False
    if curated := request.start_from.get("curation"):
        return rows_of(f"{curated.rstrip('/')}/{SETS[stage]}"), False
    rows = rows_of(request.source) if request.source and request.source != TOY else None
    return rows, rows is not None


def _servers(request: Request, plan: Plan, gpus: int, trained: Mapping[str, Expected]) -> list[Expected]:
    """The servers, and the baselines, which have as many GPUs as one: their time depends on pictures and answers."""
    unknown = "how many pictures are held out, and how long the answers are"
    found = [Expected("baselines", gpus, unknown=unknown)] if "grpo" in plan.states else []
    if HELPED in trained and plan.states.get("reward_model") != OFF:
        helped = trained[HELPED]
        found.append(replace(helped, stage="reward_service", gpus=gpus, unknown=helped.unknown and "how long GRPO takes"))
    return found if request.url else [*found, Expected("serving", gpus, unknown=unknown)]


def _stages(request: Request) -> list[str]:
    """The stages of the run's pipeline in the table's order, those without recipes where GPUs are asked for."""
    wanted = set(request.stages)
    if "grpo" in wanted:
        wanted |= {"baselines", "reward_service"}
    return [name for name in STAGES if name in wanted]


def _row(name: str, request: Request, plan: Plan, expected: Expected | None) -> tuple[str, ...]:
    state = plan.states.get(name, RUN)
    if name in request.start_from:
        state = GIVEN
    if name == "serving" and request.url:
        state = GIVEN
    if name == "reward_service" and (plan.states.get("reward_model") == OFF or plan.states.get(HELPED) != RUN):
        state = OFF
    owner = STAGES[name].gpus or ("serving" if name in ("serving", "reward_service") else "")
    busy = state == RUN and bool(owner)
    nodes = ", ".join(f"{key}={value}" for key, value in request.node_selectors.get(owner, {}).items()) if busy else ""
    return (
        escape(STAGES[name].title or name),
        state,
        escape(request.recipes.get(name, "")),
        str(request.gpus.get(owner, 0)) if busy else "",
        escape(nodes),
        count(expected.steps) if expected and expected.steps and name in plan.states else "",
        _hours(expected) if expected else "",
    )


def _hours(expected: Expected) -> str:
    if not expected.gpu_hours:
        return "not known"
    return ("at most " if expected.at_most else "") + range_text(*expected.gpu_hours)


def _cost_lines(expected: Collection[Expected], cluster: Cluster | None) -> list[str]:
    """The sum of what is known, its price, and what would have to be known for the rest."""
    known = [one.gpu_hours for one in expected if one.gpu_hours]
    lines = []
    if known:
        low, high = sum(hours[0] for hours in known), sum(hours[1] for hours in known)
        most = "at most " if any(one.at_most for one in expected) else ""
        lines.append(f"- together, as far as it is known: {most}{range_text(low, high)} GPU-hours" + _money(low, high, cluster))
    for one in expected:
        if one.unknown:
            lines.append(f"- {STAGES[one.stage].title}: not known before the run: {escape(one.unknown)}")
    return lines


def _money(low: float, high: float, cluster: Cluster | None) -> str:
    if not cluster or not cluster.gpu_hour_price:
        return ""
    price = Money(cluster.gpu_hour_price, cluster.currency)
    total = range_text(low * price.amount, high * price.amount)
    return f", {escape(f'{total} {price.currency} at {price} a GPU-hour')}"
