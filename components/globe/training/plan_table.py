"""A plan as a small table for people."""

from collections.abc import Iterator

from globe.training.plan import Plan, counted
from globe.training.throughput import range_text

WIDTH = 18


def plan_lines(plan: Plan) -> list[str]:
    """Lines of text: what a training takes, and why it would not fit."""
    return [f"{name:<{WIDTH}}{text}".rstrip() for name, text in _rows(plan)]


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    card = f" of {plan.gpu_memory_gb:.1f} GB" if plan.gpu_memory_gb else ""
    yield "model", plan.model
    batch = plan.global_batch // (plan.processes * plan.gradient_accumulation_steps)
    yield "on", f"{counted(plan.gpus, 'GPU')}{card}" if plan.gpus else "CPU"
    processes = counted(plan.processes, "process")
    yield "batch", f"{plan.global_batch}: {processes} x {batch} x {plan.gradient_accumulation_steps} accumulated"
    total = plan.memory_gb_per_gpu["total"]
    share = f" ({total / plan.gpu_memory_gb:.0%} of it)" if plan.gpu_memory_gb else ""
    yield "memory a GPU" if plan.gpus else "memory", f"{_gb(total)}{share}"
    for name, size in plan.memory_gb_per_gpu.items():
        if name != "total" and size:
            yield "", f"{_gb(size):>10}  {name.replace('_', ' ')}"
    if len(plan.phases_gb) > 1:
        yield "", "; ".join(f"{name} {_gb(size)}" for name, size in plan.phases_gb.items())
    yield "rows", ("at most " if plan.at_most else "") + f"{plan.rows:,}" if plan.rows is not None else "not known"
    yield "steps", f"{plan.steps:,}" if plan.steps is not None else "not known"
    yield "tokens a step", range_text(*plan.tokens_a_step)
    yield "seconds a step", range_text(*plan.step_s) if plan.step_s else "not known"
    yield "hours expected", range_text(*plan.hours) if plan.hours else "not known"
    yield "disk", _gb(plan.disk_gb)
    yield "host memory", _gb(plan.host_memory_gb)
    for note in plan.notes:
        yield "note", note
    for assumption in plan.assumptions:
        yield "assumed", assumption
    yield "fits", "yes" if plan.fits else "no"
    for reason in plan.reasons:
        yield "reason", reason


def _gb(size: float) -> str:
    return f"{size:,.1f} GB" if size >= 1 else f"{1000 * size:,.1f} MB"
