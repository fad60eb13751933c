"""Witnesses that a run starts for itself, in one process on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from globe.keys import TEACHER_KEY
from globe.run.local_server import local_server
from globe.witness.serve import check_wanted
from globe.witness.wanted import Wanted

HOST = "127.0.0.1"
START_S = 3600.0
"""Weights may have to be fetched from the hub first."""


@contextmanager
def running_witnesses(wanted: Sequence[Wanted]) -> Iterator[list[str]]:
    """Serve witnesses in a process of their own while the block runs.

    Args:
        wanted: At most one of a kind.

    Yields:
        The witnesses as curation takes them, such as "segmentation:NAME@http://127.0.0.1:PORT/v1", in the order of `wanted`.

    Raises:
        InputError: One of them cannot be served.
        GlobeError: The server does not start.
    """
    check_wanted(wanted, HOST)
    models = [part for one in wanted for part in (f"--{one.kind}", one.model)]
    # It listens on this machine alone and ends with the run, so it asks for no key, which is the teachers'.
    environment = {name: value for name, value in os.environ.items() if name != TEACHER_KEY.variable}
    arguments = ["witness", *models, "--host", HOST, "--port", "0", "--json"]
    with local_server("the witnesses", "globe.cli", arguments, start_s=START_S, environment=environment) as told:
        yield list(told["teachers"])
