"""`globe witness`: serve the models that check what teachers say."""

from __future__ import annotations

from typing import Annotated

import typer

from globe.cli.options import JsonFlag
from globe.console import emit, to_json


def witness(
    coordinates: Annotated[
        str, typer.Option(metavar="MODEL", help="GeoCLIP: geoclip, a folder of CLIP ViT-L/14, or a GeoCLIP release.")
    ] = "",
    segmentation: Annotated[str, typer.Option(metavar="MODEL", help="Semantic segmentation model: a folder, or a hub id.")] = "",
    alignment: Annotated[
        str, typer.Option(metavar="MODEL", help="Text embedding model of sentence-transformers: a folder, or a hub id.")
    ] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N; auto takes a GPU if there is one.")] = "auto",
    host: Annotated[
        str, typer.Option(help="Address to listen at; one that others reach needs GLOBE_TEACHER_API_KEY.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8090,
    as_json: JsonFlag = False,
    end_with_stdin: Annotated[bool, typer.Option("--end-with-stdin", hidden=True)] = False,
) -> None:
    """Serve models that check what teachers say, until Ctrl-C.

    It prints each as `globe curate --teacher` takes it; with --host 0.0.0.0 by this machine's name, which others may have to
    replace by an address at which they reach it. If GLOBE_TEACHER_API_KEY is set, only those who have that key may ask.
    """
    from globe.run.local_server import end_with_stdin as watch
    from globe.witness.serve import serve_witnesses
    from globe.witness.wanted import Wanted

    if end_with_stdin:
        watch()
    given = {"coordinates": coordinates, "segmentation": segmentation, "alignment": alignment}
    wanted = [Wanted(kind, model) for kind, model in given.items() if model]

    def announce(url: str, teachers: list[str]) -> None:
        emit([to_json({"url": url, "teachers": teachers})] if as_json else [f"--teacher {spec}" for spec in teachers])

    serve_witnesses(wanted, host, port, device, announce)


COMMANDS = (witness,)
