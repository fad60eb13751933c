"""The teachers that a run names: models behind URLs, or the toy world's simulated ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from globe.curation.teachers import Teacher
from globe.errors import InputError

SIMULATED = "simulated"
"""Stands for the toy world's own teachers, which err at known rates."""


def parse_teachers(text: str) -> list[Teacher]:
    """The teachers that a comma-separated text names.

    Raises:
        InputError: None is named, or one is malformed.
    """
    teachers = [Teacher.parse(part.strip()) for part in text.split(",") if part.strip()]
    if not teachers:
        raise InputError("teachers: name them as MODEL@URL, such as qwen2.5-vl-72b@http://host:8000/v1")
    return teachers


@contextmanager
def named_teachers(text: str, data: Path) -> Iterator[list[Teacher]]:
    """The teachers that a text names, ready to be asked; simulated ones run for the length of the `with` block."""
    if text != SIMULATED:
        yield parse_teachers(text)
        return
    from globe.demo.teacher_server import running_teachers

    with running_teachers(data) as specs:
        yield [Teacher.parse(spec) for spec in specs]


def teachers_code(text: str) -> tuple[str, ...]:
    """Modules that decide what the teachers say: the toy world's for simulated ones; for real ones, none of ours."""
    return ("globe.demo.teacher_server",) if text == SIMULATED else ()
