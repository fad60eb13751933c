"""What a run is going to do, for its page and its log: stages, recipes, GPUs and nodes, and what it is expected to take."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from globe.markdown import escape, table
from globe.report.text import count
from globe.run.cluster import Cluster
from globe.run.plans import training_plans
from globe.run.preflight import GIVEN, OFF, RUN, Plan, Request
from globe.run.stages import STAGES
from globe.run.summary import Money
from globe.training import plan as trainings
from globe.training.throughput import CARDS, Range, range_text

HELPED = "grpo"
"""The stage for whose time the reward model is served."""


@dataclass(frozen=True)
class Use:
    """What a stage with GPUs is expected to take."""

    stage: str
    gpus: int
    steps: int | None = None
    gpu_hours: Range | None = None
    at_most: bool = False
    """Whether its rows are those of what curation is given, of which it keeps some."""
    memory: str = ""
    """Of each GPU, and of how much."""
    unknown: str = ""
    """What would have to be known; empty if nothing is missing."""
    assumptions: tuple[str, ...] = ()


def plan_markdown(request: Request, plan: Plan, cluster: Cluster | None) -> str:
    """The plan of a run.

    Args:
        request: What the run is asked to do.
        plan: Which of its stages run, are given or are off, and notes.
        cluster: The cluster's settings; None on a laptop.
    """
    expected = {one.stage: one for one in expected_use(request, plan, cluster)}
    rows = [_row(name, request, plan, expected.get(name)) for name in _stages(request)]
    parts = [table(("stage", "", "recipe", "GPUs:", "nodes", "memory a GPU:", "steps:", "GPU-hours expected:"), rows)]
    if expected:
        parts.append("\n".join(_cost_lines(expected.values(), cluster)))
    if assumed := list(dict.fromkeys(text for one in expected.values() for text in one.assumptions)):
        parts.append("Expected, not measured. Assumed:\n\n" + "\n".join(f"- {escape(text)}" for text in assumed))
    if plan.notes:
        parts.append("\n".join(f"- {escape(note)}" for note in plan.notes))
    return "\n\n".join(parts) + "\n"


def expected_use(request: Request, plan: Plan, cluster: Cluster | None = None) -> list[Use]:
    """What the stages with GPUs are expected to take, as far as that is known; none if no GPU is promised."""
    plans = training_plans(request, plan, cluster)
    wanted = [name for name, state in plan.states.items() if state == RUN and request.gpus.get(name)]
    of_all_nodes = {name: plan.gpus for name, plan in plans.items() if plan.gpus}
    found = [_use(name, of_all_nodes.get(name, request.gpus[name]), plans.get(name)) for name in wanted]
    if serving := request.gpus.get("serving"):
        found += _servers(request, plan, serving, {one.stage: one for one in found})
    return found


def _use(stage: str, gpus: int, plan: trainings.Plan | None) -> Use:
    if plan is None:
        return Use(stage, gpus, unknown="the model's shape (its config.json)")
    missing = []
    if plan.steps is None:
        each = ""
        if plan.step_s and plan.steps_a_thousand:
            low, high = (plan.steps_a_thousand * seconds * gpus / 3600 for seconds in plan.step_s)
            each = f"; 1,000 of them take {range_text(low, high)} GPU-hours"
        missing.append(f"how many rows it trains on{each}")
    if plan.step_s is None:
        missing.append(f"the kind of GPU ({', '.join(CARDS)}, by its node label)")
    total, card = plan.memory_gb_per_gpu["total"], plan.gpu_memory_gb
    memory = f"{total:.0f} of {card:.0f} GB" if card else f"{total:.0f} GB"
    return Use(stage, gpus, plan.steps, plan.gpu_hours, plan.at_most, memory, ", ".join(missing), plan.assumptions)


def _servers(request: Request, plan: Plan, gpus: int, trained: Mapping[str, Use]) -> list[Use]:
    """The servers, and the baselines, which have as many GPUs as one: their time depends on pictures and answers."""
    unknown = "how many pictures are held out, and how long the answers are"
    found = [Use("baselines", gpus, unknown=unknown)] if "grpo" in plan.states else []
    if HELPED in trained and plan.states.get("reward_model") != OFF:
        helped = trained[HELPED]
        share = gpus / helped.gpus
        hours = (helped.gpu_hours[0] * share, helped.gpu_hours[1] * share) if helped.gpu_hours else None
        unknown_too = helped.unknown and "how long GRPO takes"
        found.append(Use("reward_service", gpus, gpu_hours=hours, at_most=helped.at_most, unknown=unknown_too))
    return found if request.url else [*found, Use("serving", gpus, unknown=unknown)]


def _stages(request: Request) -> list[str]:
    """The stages of the run's pipeline in the table's order, those without recipes where GPUs are asked for."""
    wanted = set(request.stages)
    if "grpo" in wanted:
        wanted |= {"baselines", "reward_service"}
    return [name for name in STAGES if name in wanted]


def _row(name: str, request: Request, plan: Plan, expected: Use | None) -> tuple[str, ...]:
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
        expected.memory if expected else "",
        count(expected.steps) if expected and expected.steps and name in plan.states else "",
        _hours(expected) if expected else "",
    )


def _hours(expected: Use) -> str:
    if not expected.gpu_hours:
        return "not known"
    return ("at most " if expected.at_most else "") + range_text(*expected.gpu_hours)


def _cost_lines(expected: Collection[Use], cluster: Cluster | None) -> list[str]:
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
