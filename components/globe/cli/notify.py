"""`globe notify-test`: try the webhook that hears how runs end."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from globe.cli.options import JsonFlag
from globe.console import emit, to_json


def notify_test(
    state: Annotated[
        Literal["succeeded", "rejected", "failed"], typer.Option(help="How the made-up run has ended.")
    ] = "succeeded",
    show: Annotated[bool, typer.Option("--show", help="Print what would be sent, and send nothing.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send a test notice to the webhook in GLOBE_WEBHOOK_URL.

    GLOBE_WEBHOOK_FORMAT is slack or json [by the webhook's host]; GLOBE_RUN_PAGE the KFP UI's address, for a link. Exit code 1
    if the webhook does not accept it.
    """
    import os

    from globe.errors import GlobeError, InputError
    from globe.run.webhook import URL_VARIABLE, NotSent, made_up, payload_of, send, webhook_of

    webhook = webhook_of(os.environ)
    if not webhook:
        raise InputError(f"{URL_VARIABLE} is not set; set it to the webhook's address")
    summary = made_up(state)
    if show:
        emit([to_json(payload_of(webhook, summary, os.environ), indent=2)])
        return
    try:
        send(webhook, summary, os.environ)
    except NotSent as error:
        raise GlobeError(f"{URL_VARIABLE}: not sent: {error}") from None
    emit([to_json({"sent": True, "format": webhook.format}) if as_json else f"sent, in the format {webhook.format}"])


COMMANDS = (notify_test,)
