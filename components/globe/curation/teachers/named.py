"""The teachers that a run names: models behind URLs, witnesses that it starts itself, or the toy world's simulated ones."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from globe.curation.teachers.teacher import Teacher, join_replicas
from globe.errors import GlobeError, InputError
from globe.files import file_sha256
from globe.witness.wanted import KINDS, Wanted, read_wanted

SIMULATED = "simulated"
"""Stands for the toy world's own teachers, which err at known rates."""


def parse_teachers(text: str) -> list[Teacher]:
    """The teachers that a comma-separated text names, each model once.

    Those that the run starts itself (KIND:MODEL of `globe.witness`, without a URL) have no URL here.

    Raises:
        InputError: None is named, or one is malformed.
    """
    if text == SIMULATED:
        raise InputError(
            "teachers: 'simulated' works in a pipeline over the toy world; here start "
            "python -m globe.demo.teacher_server and name each as MODEL@URL"
        )
    return join_replicas(_unstarted(given) if isinstance(given, Wanted) else given for given in _given(text))


def asked_teachers(text: str, weights: Mapping[str, str]) -> list[Teacher]:
    """The teachers that a text names, for whoever reads what they have said: none is started.

    Args:
        text: As in `named_teachers`.
        weights: As `teachers_inputs` told them when they were asked; what lies in a witness's folder now may be others.

    Raises:
        InputError: As `named_teachers`; or a folder is gone, whose name is the witness's.
    """
    if text == SIMULATED:
        from globe.demo.teacher_server import NAMES

        return [replace(Teacher.told(name), started=True) for name in NAMES]
    for one in _wanted(text):
        if _input_of(one.kind) in weights and one.folder is None:
            raise InputError(f"{one.kind}:{one.model}: no such folder any more, though its answers are there; put it back")
    return _with_weights(parse_teachers(text), weights)


@contextmanager
def named_teachers(text: str, data: Path, weights: Mapping[str, str] | None = None) -> Iterator[list[Teacher]]:
    """The teachers that a text names, ready to be asked; those that the run starts itself end with the `with` block.

    Args:
        text: As in `globe.curation.curation.curation`.
        data: The toy world that simulated ones know.
        weights: What `teachers_inputs` has told, where the caller has told others already [as it is now].

    Raises:
        InputError: None is named, one is malformed, or a witness cannot be started.
        GlobeError: A witness was loaded from other weights.
    """
    if text == SIMULATED:
        from globe.demo.teacher_server import running_teachers

        with running_teachers(data) as specs:
            yield [replace(Teacher.parse(spec), started=True) for spec in specs]
        return
    teachers, wanted = parse_teachers(text), _wanted(text)
    if not wanted:
        yield teachers
        return
    from globe.witness.local import running_witnesses

    weights = teachers_inputs(text) if weights is None else weights
    with running_witnesses(wanted) as specs:
        if teachers_inputs(text) != weights:
            raise GlobeError(f"teachers: {_told(wanted)}: a folder was changed while it was loaded; run again")
        urls = {one.kind: Teacher.parse(spec).url for one, spec in zip(wanted, specs, strict=True)}
        yield [replace(one, url=urls[one.kind]) if one.started else one for one in _with_weights(teachers, weights)]


def teachers_code(text: str) -> tuple[str, ...]:
    """Modules that decide what the teachers say: the toy world's for simulated ones, the witnesses' that a run starts itself."""
    if text == SIMULATED:
        return ("globe.demo.teacher_server",)
    return tuple(sorted(f"globe.witness.{one.kind}" for one in _wanted(text)))


def teachers_inputs(text: str) -> dict[str, str]:
    """Weights that decide what the teachers say, as inputs of a stage: of witnesses that a run starts itself from a folder.

    A process reads a file once, and again only if it was written to since.
    """
    if text == SIMULATED:
        return {}
    return {_input_of(one.kind): weights for one in _wanted(text) if (weights := _weights(one))}


def weights_among(inputs: Mapping[str, str]) -> dict[str, str]:
    """Of a stage's inputs those that `teachers_inputs` has told."""
    names = [_input_of(kind) for kind in KINDS]
    return {name: inputs[name] for name in names if name in inputs}


def _input_of(kind: str) -> str:
    return f"{kind} weights"


def _with_weights(teachers: Iterable[Teacher], weights: Mapping[str, str]) -> list[Teacher]:
    return [replace(one, weights=weights.get(_input_of(one.kind), "")) if one.started else one for one in teachers]


def _weights(wanted: Wanted) -> str:
    """Digest of a witness's folder; "" if it comes from a package or the hub."""
    folder = wanted.folder
    if folder is None:
        return ""
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in folder.rglob("*") if path.is_file()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _given(text: str) -> list[Teacher | Wanted]:
    """What a text names, in its order."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError("teachers: name them as MODEL@URL, such as qwen2.5-vl-72b@http://host:8000/v1")
    given = [read_wanted(part) or Teacher.parse(part) for part in parts]
    kinds = [one.kind for one in given if isinstance(one, Wanted)]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise InputError(f"teachers: a run starts one {kind} model of its own; serve the others with `globe witness`")
    return given


def _wanted(text: str) -> list[Wanted]:
    """Of those the ones that the run starts itself."""
    return [one for one in _given(text) if isinstance(one, Wanted)]


def _unstarted(wanted: Wanted) -> Teacher:
    return replace(Teacher.told(f"{wanted.kind}:{wanted.name}"), started=True)


def _told(wanted: Iterable[Wanted]) -> str:
    return ", ".join(f"{one.kind}:{one.model}" for one in wanted)
