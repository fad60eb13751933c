"""Teachers: the models that annotate pictures or check what others say of them, each behind one URL or several.

A VLM teacher speaks the OpenAI chat API. The others are witnesses, small models that answer over HTTP as well: a coordinate
model (in the paper GeoCLIP) says where a picture was taken, a segmentation model what is to be seen on it, and an alignment model
whether two VLMs' reasonings say the same. What each is asked, and how, is in `globe.curation.teachers.questions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args
from urllib.parse import urlsplit

from globe.curation.recipe import API_KEY_VARIABLE, Rules
from globe.errors import InputError

Kind = Literal["vlm", "coordinates", "segmentation", "alignment"]
KINDS: tuple[Kind, ...] = get_args(Kind)


FORM = "MODEL@URL, or KIND:MODEL@URL of a witness (KIND: coordinates, segmentation, alignment)"
_LIKE_ENOUGH = 0.8


@dataclass(frozen=True)
class Teacher:
    """A model and where it answers.

    Attributes:
        kind: What it is asked.
        model: Name the server knows it by; also the teacher's name in every output.
        url: Base URL that ends in /v1.
        replicas: Base URLs of further servers of the same model.
        started: Whether a run starts it itself, and so at a port of the moment, which no output names.
        weights: Digest of its weights where they are known, as of a witness that the run starts itself; else "".
    """

    kind: Kind
    model: str
    url: str
    replicas: tuple[str, ...] = ()
    started: bool = False
    weights: str = ""

    @classmethod
    def parse(cls, spec: str) -> Teacher:
        """Read "MODEL@URL" for a VLM, or "KIND:MODEL@URL" for a witness.

        Raises:
            InputError: Not of that form; says what is wrong.
        """
        kind, model, url = _parted(spec.strip())
        if not model or not url:
            raise InputError(f"teacher {spec!r}: write it as {FORM}, for example my-vlm@http://localhost:8000/v1")
        if kind == "vlm" and (meant := _meant(model)):
            raise InputError(
                f"teacher {spec!r}: would be asked as a VLM; did you mean {meant}:...? Else serve it by another name"
            )
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise InputError(f"teacher {spec!r}: {url!r} is no http(s) URL")
        if not parts.path.endswith("/v1"):
            raise InputError(f"teacher {spec!r}: the URL must end in /v1, for example {url}/v1")
        if parts.username or parts.password or parts.query:
            raise InputError(f"teacher {spec!r}: keep keys out of the URL; set {API_KEY_VARIABLE} instead")
        return cls(kind, model, url)

    @classmethod
    def told(cls, spec: str) -> Teacher:
        """A teacher of which an output tells: its kind and model, from its `spec`."""
        return cls(*_parted(spec.split(",")[0]))

    @property
    def urls(self) -> tuple[str, ...]:
        """All base URLs where it answers."""
        return (self.url, *self.replicas)

    @property
    def spec(self) -> str:
        """The text that names it: `parse` reads it, or each part between commas where there are replicas.

        Of one that a run starts itself it is "MODEL" or "KIND:MODEL".
        """
        prefix = "" if self.kind == "vlm" else f"{self.kind}:"
        if self.started:
            return f"{prefix}{self.model}"
        return ",".join(f"{prefix}{self.model}@{url}" for url in self.urls)

    @property
    def identity(self) -> str:
        """What decides its replies, but for the question: the URL does not, because servers move."""
        return f"{self.kind}:{self.model}" + (f" {self.weights}" if self.weights else "")

    @property
    def looks(self) -> bool:
        """Whether it is asked about pictures; an alignment model is asked about what others say of them."""
        return self.kind != "alignment"


def _parted(text: str) -> tuple[Kind, str, str]:
    """Kind, model and URL of "MODEL@URL" or "KIND:MODEL@URL"; the URL is "" where there is none."""
    kind = next((kind for kind in KINDS if text.startswith(f"{kind}:")), None)
    # Model names may hold a colon or a slash, URLs may hold an @ before their host: the URL starts at "@http".
    rest = text.removeprefix(f"{kind}:")
    model, separator, url = rest.rpartition("@http")
    # A model with a blank could confirm its own answers.
    return kind or "vlm", (model if separator else rest).strip(), ("http" + url).rstrip("/") if separator else ""


def _meant(model: str) -> str:
    """The kind that stands misspelt before a model's name; "" where none does: names may hold a colon, as in qwen2.5vl:72b."""
    before, colon, _ = model.partition(":")
    return next(iter(get_close_matches(before.lower(), KINDS, 1, _LIKE_ENOUGH)), "") if colon else ""


def join_replicas(teachers: Iterable[Teacher]) -> list[Teacher]:
    """Make one teacher of those that name the same model at different URLs, in the place of the first.

    Raises:
        InputError: A model is named twice at one URL, as of two kinds, or both with a URL and without.
    """
    joined: dict[str, Teacher] = {}
    for teacher in teachers:
        first = joined.setdefault(teacher.model, teacher)
        if first is teacher:
            continue
        if first.kind != teacher.kind:
            raise InputError(
                f"teacher {teacher.model} is named as {first.kind} and as {teacher.kind}; give one another name (a folder's own "
                "name is its model's)"
            )
        if first.started or teacher.started:
            raise InputError(
                f"teacher {teacher.model} is named with a URL and without: one may be of other weights than the other; give "
                "all its URLs (globe witness serves it), or one of the two another name"
            )
        for url in teacher.urls:
            if url in first.urls:
                raise InputError(f"teacher {teacher.model} is named twice at {url}; a model cannot confirm its own answers")
        joined[teacher.model] = replace(first, replicas=(*first.replicas, *teacher.urls))
    return list(joined.values())


def check_teachers(teachers: Iterable[Teacher], recipe: Rules) -> None:
    """Refuse sets of teachers that can't verify what a recipe's rules ask for.

    Args:
        teachers: The set.
        recipe: Its rules say what has to be confirmed: the place by a second teacher, and what is visible by a second VLM or a
            segmentation model.

    Raises:
        InputError: No VLM at all, nobody who confirms the place that it names or what it sees, an alignment model without two
            reasonings to compare, several of them, or a model named twice.
    """
    joined = join_replicas(teachers)
    of_kind = {kind: [teacher.model for teacher in joined if teacher.kind == kind] for kind in KINDS}
    vlms, seers = of_kind["vlm"], of_kind["segmentation"]
    if not vlms:
        raise InputError("curation needs a VLM teacher; name one as MODEL@URL")
    if len(of_kind["alignment"]) > 1:
        names = " and ".join(f"alignment:{name}" for name in of_kind["alignment"])
        raise InputError(f"{names}: a rule compares one cosine with one threshold; name one alignment model")
    if len(vlms) > 1:
        return
    if recipe.applies("agreement") and not of_kind["coordinates"]:
        raise InputError(f"one VLM ({vlms[0]}) can't be verified against another; name a second VLM, or a coordinate model")
    if recipe.applies("visibility") and recipe.min_entity_support > 0 and not seers:
        raise InputError(
            f"with one VLM ({vlms[0]}) nothing confirms the visual elements it names; name a second VLM or a segmentation "
            "model, or set min_entity_support=0 to skip that check"
        )
    if aligners := of_kind["alignment"]:
        raise InputError(f"alignment:{aligners[0]} compares the reasonings of two VLMs, and there is one; name a second VLM")
