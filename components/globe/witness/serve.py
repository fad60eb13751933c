"""Load witnesses and serve them, in one process on one device, until told to end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from globe.console import one_line, tell, waiting
from globe.errors import GlobeError, InputError
from globe.keys import TEACHER_KEY, THIS_MACHINE
from globe.witness.wanted import KINDS, Wanted

if TYPE_CHECKING:
    from globe.witness.server import Served

ALL_ADDRESSES = ("0.0.0.0", "::")
LAST_ANSWERS_S = 30
"""For the questions that are being answered when the server is told to end."""
_CLASSES = {"coordinates": "Coordinates", "segmentation": "Segmentation", "alignment": "Alignment"}


def check_wanted(wanted: Sequence[Wanted], host: str) -> None:
    """Find mistakes before anything is loaded.

    Raises:
        InputError: Nothing to serve, packages or folders are missing, or anybody could ask.
    """
    if not wanted:
        raise InputError(f"nothing to serve; give at least one of {', '.join(f'--{kind} MODEL' for kind in KINDS)}")
    for one in wanted:
        one.check()
    if host not in THIS_MACHINE and not _key():
        raise InputError(
            f"--host {host}: whoever reaches this machine could ask; set {TEACHER_KEY.variable}, which curation then sends, "
            "or stay at 127.0.0.1"
        )


def serve_witnesses(
    wanted: Sequence[Wanted], host: str, port: int, device: str, announce: Callable[[str, list[str]], None]
) -> None:
    """Load models and answer until SIGTERM or Ctrl-C; questions that are being answered then still get their answers.

    Args:
        wanted: What to serve, at most one of a kind.
        host: Address to listen at.
        port: 0 takes a free one.
        device: As torch names it, or "auto" for the first GPU, or the CPU where there is none.
        announce: Told once, when it listens: the URL, and the witnesses as `--teacher` takes them.

    Raises:
        InputError: A model cannot be loaded, there is no such device, or the address cannot be listened at.
    """
    check_wanted(wanted, host)
    listener = _listen(host, port)  # before minutes of loading; it answers from `uvicorn.run` on
    try:
        served = _load_all(wanted, _device(device))
        _run(served, listener, announce, host)
    finally:
        listener.close()


def _run(served: list[Served], listener: socket.socket, announce: Callable[[str, list[str]], None], host: str) -> None:
    import uvicorn

    from globe.witness.server import witness_app

    base = base_url(host, listener.getsockname()[1])
    listener.listen(2048)
    announce(base, [f"{one.kind}:{one.name}@{base}" for one in served])
    config = uvicorn.Config(
        witness_app(served, _key()),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=LAST_ANSWERS_S,
        limit_concurrency=2048,  # connections
    )
    uvicorn.Server(config).run(sockets=[listener])


def base_url(host: str, port: int) -> str:
    """Where those who may ask reach a server that listens at a host: by this machine's name, if it listens at all addresses."""
    reached = socket.gethostname() if host in ALL_ADDRESSES else host
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}/v1"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"{host}:{port}: cannot be listened at ({error.strerror or error}); give another --port or --host"
        ) from None
    return listener


def _load_all(wanted: Sequence[Wanted], device: str) -> list[Served]:
    from globe.witness.server import Served

    served = []
    for one in wanted:
        tell(f"loading {one.kind} model {one.model} on {device}")
        with waiting(f"loading {one.kind} model {one.model}"):
            try:
                load = getattr(import_module(f"globe.witness.{one.kind}"), _CLASSES[one.kind])
                served.append(Served(one.kind, one.name, load(one, device)))
            except GlobeError:
                raise
            except Exception as error:  # the libraries' loaders raise whatever a file makes them stumble over
                said = one_line(f"{type(error).__name__}: {error}")[:300]
                raise InputError(f"--{one.kind} {one.model}: cannot be loaded ({said})") from error
    return served


def _device(device: str) -> str:
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except Exception as error:  # RuntimeError, AssertionError, NotImplementedError, by kind of device
        raise InputError(f"--device {device}: cannot be used ({one_line(str(error))[:200]}); give cpu, cuda or cuda:N") from None
    if device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")  # TF32: many times faster, and off by less than another batch makes it
    return device


def _key() -> str:
    return os.environ.get(TEACHER_KEY.variable, "").strip()
