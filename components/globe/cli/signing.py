"""`globe sign`: vouch for what a store names as its promoted model."""

from __future__ import annotations

from typing import Annotated

import typer

from globe.cli.options import JsonFlag
from globe.console import emit, to_json


def sign(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Folder or s3:// prefix with promoted.json.")],
    as_json: JsonFlag = False,
) -> None:
    """Sign a store's promoted.json with the key in GLOBE_SIGNING_KEY, for a store whose runs begin to sign, or have a new key.

    It says which model that is: look before you sign. Results are not signed by hand: the next run makes them anew.
    """
    from globe.evaluation.promote import sign_promoted
    from globe.storage import open_store

    found = sign_promoted(open_store(store))
    said = {"digest": found.digest, "model": found.address, "evaluation": str(found.evaluation_folder)}
    emit([to_json(said)] if as_json else [f"signed  {found.short}  {said['model']}  evaluated in {said['evaluation']}"])


COMMANDS = (sign,)
