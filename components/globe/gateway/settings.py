"""What an operator decides about a gateway: one YAML file, or environment variables named GLOBE_GATEWAY_NAME."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from globe.errors import InputError

PREFIX = "GLOBE_GATEWAY_"
"""Of the environment variables that set something: GLOBE_GATEWAY_PORT and so on."""
_LINK = re.compile(r"[A-Z_]+_(SERVICE_HOST=.*|SERVICE_PORT\w*=.*|PORT=\w+://.*|PORT_\d+_\w+=.*)")
"""What Kubernetes puts into every pod beside a Service that is called globe-gateway."""

Precision = Literal["country", "region", "city"]


class GatewaySettings(BaseModel):
    """Settings of one gateway. An unknown name is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine_url: str = "http://127.0.0.1:8000"
    """vLLM's own address, without /v1; only the gateway reaches it."""
    peers: str = ""
    """HOST:PORT that resolves to every replica's gateway, such as a headless Service; empty for a gateway that is alone."""
    model: str = "globe"
    """The one model name that clients may ask for."""
    checkpoint: Path | None = None
    """Folder of the checkpoint, for its prompt, its digest and its calibrated radius; None if there is none here."""
    keys_file: Path | None = None
    """The keys' hashes, as `globe keys` writes them; read again when it changes. None lets whoever reaches the gateway ask."""
    max_precision: Precision = "city"
    """The finest that is told to anybody. Below city there is no /v1/chat/completions, whose text nobody can coarsen."""
    page: bool = True
    """Whether the page is served at /."""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Prometheus metrics are on this other port, so that who may ask the model sees none; 0 for no metrics."""
    show_checkpoint: bool = False
    """Whether /v1/models tells the checkpoint's folder, by which `globe locate` on the same machine finds its prompt."""

    max_body_bytes: PositiveInt = 24 * 2**20
    body_timeout_s: PositiveFloat = 20.0
    """A request's headers must have come by then, and its body in as long again; so long, too, may a client read nothing."""
    max_connections: PositiveInt = 2048
    """Connections at once; a further one gets 503 and is closed."""
    max_held_bytes: PositiveInt = 768 * 2**20
    """What all requests together may hold: bodies, and pictures made ready for the engine. Decoding takes up to 700 MB more."""
    max_pixels: PositiveInt = 50_000_000
    """Of one picture, before it is scaled down."""
    max_samples: PositiveInt = 8
    """The most answers of one request: `n` of /locate and of /v1/chat/completions."""
    max_tokens: PositiveInt = 2048
    """The most tokens of one answer."""
    max_concurrent: PositiveInt = 256
    """Requests at once; further ones are 503 with Retry-After."""
    pixels_per_minute: PositiveInt = 600_000_000
    """Of one key, unless the key says otherwise."""
    tokens_per_minute: PositiveInt = 200_000
    """Answer tokens of one key, unless the key says otherwise."""

    connect_timeout_s: PositiveFloat = 2.0
    answer_timeout_s: PositiveFloat = 120.0
    """Until the last token of an answer; then 504."""
    attempts: PositiveInt = 3
    """Replicas asked before a request is given up: an answer costs nobody anything twice."""
    alone_s: float = Field(default=120.0, ge=0)
    """After SIGTERM, while no peer is ready: how long it goes on as before, if anybody asks; 0 to begin to drain at once."""
    drain_s: float = Field(default=15.0, ge=0)
    """Then: how long the gateway goes on taking requests while the service forgets it."""
    shutdown_s: PositiveFloat = 60.0
    """After that: how long requests in flight may take."""
    probe_every_s: PositiveFloat = 60.0
    """Without a whole answer for so long, the gateway asks the engine a question of its own, which a hung GPU does not answer."""
    probe_timeout_s: PositiveFloat = 30.0
    """Such a question must be answered by then, or anybody else's; the first one, which may compile, has `answer_timeout_s`."""


def read_settings(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> GatewaySettings:
    """An operator's settings: those of a file, and above them those of the environment.

    Raises:
        InputError: The file cannot be read, or a setting is unknown or cannot be one; every one of them is named.
    """
    told = _read(file) if file else {}
    places = {name: f"{file}: {name}" for name in told}
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and not _LINK.fullmatch(f"{variable}={value}"):
            name = variable.removeprefix(PREFIX).lower()
            told[name], places[name] = value, variable
    try:
        return GatewaySettings.model_validate({name: value for name, value in told.items() if value not in ("", None)})
    except ValidationError as error:
        wrong = [
            f"{places[str(found['loc'][0])]}: "
            + ("there is no such setting" if found["type"] == "extra_forbidden" else found["msg"])
            for found in error.errors(include_url=False)
        ]
        raise InputError("; ".join(wrong)) from None


def _read(file: Path) -> dict[str, object]:
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", wrong in line {mark.line + 1}" if mark else ""
        raise InputError(f"{file}: cannot be read as YAML{where}; write one NAME: VALUE a line") from None
    if not isinstance(told, dict):
        raise InputError(f"{file}: holds no settings; write one NAME: VALUE a line")
    return {str(name): value for name, value in told.items()}
