"""Which model answers under each teacher's name, as far as its servers tell: one with two names would confirm its own answers.

Some servers answer under whatever name they are asked by (llama.cpp's, some proxies). Two things tell them apart: the list of
models that a server has (GET /models), which is asked for before its first question, and the `model` that a reply names. A name
that is not on a server's list ends the curation, and so does a model behind the names of two VLMs. That one teacher's replies
name another model than it was asked as is usual behind a proxy: it is told, and counted in curation.json. Hosted services take
more names than they list: deployments of a customer's own (Azure), variants of a model ("MODEL:nitro").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Any

from pydantic_core import from_json

from globe.console import one_line, tell_once
from globe.curation.teachers.teacher import Teacher
from globe.errors import InputError

NAMES_SHOWN = 5
MOST_LOADED = 64
"""More models than that no server has loaded: the list is a service's catalogue, and a name that is not in it may be right."""
_PATH = re.compile(r"[/.~]|\w:\\|[^/]*/[^/]*/")
"""How a model's name begins that is a path: of two machines, both may have another model at the same."""


class Roster:
    """The teachers of a curation, and which models are known to be behind their names.

    Args:
        teachers: All of them, each model once.
        earlier: By teacher, what replies that were received before say that they are from, where that is another name.
    """

    def __init__(self, teachers: Iterable[Teacher], earlier: Mapping[str, Iterable[str]] | None = None) -> None:
        self._vlms = [teacher for teacher in teachers if teacher.kind == "vlm"]
        self._held_by = {teacher.model: teacher.model for teacher in self._vlms}
        for teacher in self._vlms:
            for model in (earlier or {}).get(teacher.model, ()):
                if not _PATH.match(model):
                    self._hold(teacher, model, "its earlier replies")

    def check_list(self, teacher: Teacher, url: str, models: Mapping[str, str], why: str = "") -> None:
        """Check what a server says it serves; that it says nothing is only told.

        Args:
            teacher: Whose server it is.
            url: Its base URL.
            models: Its list, as `models_listed` reads it.
            why: Why it sends none.

        Raises:
            InputError: The teacher's name is not on the list, or is another name of another teacher's model.
        """
        if not models:
            return self._tell_unknown(teacher, url, f"its server has no list of models{f' ({why})' if why else ''}")
        behind = _behind(models, teacher.model)
        if not behind and len(models) > MOST_LOADED:
            return self._tell_unknown(teacher, url, f"is none of the {len(models)} models that its server lists")
        if not behind:
            names = ", ".join(one_line(name, 100) for name in list(models)[:NAMES_SHOWN])
            more = f" and {len(models) - NAMES_SHOWN} more" if len(models) > NAMES_SHOWN else ""
            raise InputError(
                f"teacher {teacher.model} at {url}: no model of this name is served there, but {names}{more}; name the "
                "teacher as its server does or, to go on with replies of this name, have the server give its model this name"
            )
        if teacher not in self._vlms:
            return
        for other in self._vlms:
            if other is not teacher and _behind(models, other.model) == behind:
                raise twins(teacher.model, other.model, behind, url)
        if behind in models or "/" in behind:  # else a folder's name
            self._hold(teacher, behind, url)

    def check_reply(self, teacher: Teacher, url: str, model: str) -> None:
        """Check the model that a reply names.

        Args:
            teacher: Who was asked.
            url: Base URL of its server.
            model: What the reply names, if that is another name than the teacher's; else "".

        Raises:
            InputError: It is another teacher's model.
        """
        if model and teacher in self._vlms:
            self._hold(teacher, model, url)
            tell_once(f"teacher {teacher.model} at {url}: its replies say that they are from {model}")

    def _tell_unknown(self, teacher: Teacher, url: str, how: str) -> None:
        if teacher in self._vlms and len(self._vlms) > 1:
            tell_once(
                f"teacher {teacher.model} at {url}: {how}, so nothing may show if another teacher is the same model by another "
                "name; make sure that none is"
            )

    def _hold(self, teacher: Teacher, model: str, where: str) -> None:
        holder = self._held_by.setdefault(f"{where} {model}" if _PATH.match(model) else model, teacher.model)
        if holder != teacher.model:
            raise twins(holder, teacher.model, model, where)


def check_served(served: Mapping[str, Collection[str]]) -> None:
    """Refuse replies of two VLMs that name the same model, whoever asked for them and when.

    Args:
        served: By VLM, the models that its replies name.

    Raises:
        InputError: Two have one in common.
    """
    for (first, of_first), (second, of_second) in combinations(served.items(), 2):
        if both := sorted(model for model in set(of_first) & set(of_second) if not _PATH.match(model)):
            raise twins(first, second, both[0], "replies that were received")


def twins(first: str, second: str, model: str, where: str) -> InputError:
    """What to say of two teachers that are one."""
    return InputError(
        f"teachers {first} and {second}: both are model {one_line(model, 100)} ({where}), which cannot confirm its own answers; "
        "name two models; if they are two that lie at one relative path, start their servers with the full ones. Replies are "
        "kept by a teacher's name: if another model is behind one of them by now, serve and name it anew"
    )


def models_listed(body: bytes) -> dict[str, str]:
    """By each name that a server lists, the model behind it; empty if what it sent is no list of models.

    Args:
        body: What it sent.
    """
    try:
        told = from_json(body)
        entries = told if isinstance(told, list) else told["data"]
    except (ValueError, KeyError, TypeError):
        return {}
    models: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or not _is_name(entry.get("id")):
            continue
        # vLLM's root: what it was loaded from; some say of an adapter what it stands on, which is its parent.
        root: Any = entry.get("root")
        behind = root if _is_name(root) and root != entry.get("parent") else entry["id"]
        aliases: Any = entry.get("aliases")
        for name in (entry["id"], *(aliases if isinstance(aliases, list) else ())):
            if _is_name(name):
                models[name] = behind
    return models


def _behind(models: Mapping[str, str], name: str) -> str:
    """The model that a server has under a name, as far as it lists it; "" if it has none."""
    # Ollama takes a name without its tag; hosted services take more after a colon, such as who is to serve the model.
    for listed in (name, f"{name}:latest", name.rpartition(":")[0]):
        if listed in models:
            return models[listed]
    # A proxy may list all that another one serves as "openai/*"; which of those has another name too, it does not say.
    return name if any("*" in pattern and fnmatchcase(name, pattern) for pattern in models) else ""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)
