"""`globe sign`: vouch for what a store names as its promoted model, or for one of its results."""

from __future__ import annotations

from typing import Annotated

import typer

from globe.cli.options import JsonFlag
from globe.console import emit, to_json


def sign(
    store: Annotated[
        str, typer.Argument(metavar="STORE[/STAGE/KEY]", help="Folder or s3:// prefix with promoted.json, or a result.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Sign a store's promoted model, or one of its results.

    The key is GLOBE_SIGNING_KEY: this is for a store whose runs begin to sign, or have a new key. It says which model that is,
    so look before you sign. Or sign one result, STORE/STAGE/KEY, such as curated data that later runs are given. All others the
    next run makes anew.
    """
    from globe.evaluation.promote import sign_promoted, sign_result, stage_folder
    from globe.storage import is_stage_folder, open_store

    if is_stage_folder(store):
        sign_result(stage_folder(store))
        emit([to_json({"result": store})] if as_json else [f"signed  {store}"])
        return
    found = sign_promoted(open_store(store))
    said = {"digest": found.digest, "model": found.address, "evaluation": str(found.evaluation_folder)}
    emit([to_json(said)] if as_json else [f"signed  {found.short}  {said['model']}  evaluated in {said['evaluation']}"])


COMMANDS = (sign,)
