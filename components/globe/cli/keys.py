"""`globe keys`: make, list and revoke the keys of a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from globe.cli.options import CommandGroup, JsonFlag, some_path
from globe.console import emit, tell, to_json

if TYPE_CHECKING:
    from datetime import datetime

    from globe.gateway.keyfile import Key

SECRET, FILE_IN_SECRET = "globe-keys", "keys.json"
"""As manifests/serving names them."""
KeysFile = Annotated[
    Path, typer.Option("--file", parser=some_path, metavar="FILE", help="The file of the keys, such as keys.json.")
]

keys = typer.Typer(
    help="Make, list and revoke the keys of a gateway.", cls=CommandGroup, no_args_is_help=True, rich_markup_mode=None
)


@keys.command("make")
def make(
    file: KeysFile,
    name: Annotated[str, typer.Option(help="Whose key it is: letters, digits, '.', '_' and '-'.")],
    expires: Annotated[str | None, typer.Option(help="How long it holds: 90d, 12h, 4w, or a day [for ever].")] = None,
    pixels_per_minute: Annotated[int | None, typer.Option(min=1, help="Most pixels a minute [the gateway's own limit].")] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help="Most answer tokens a minute [the gateway's own].")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it, this once.

    The file gets only its sha256.

    Give the file to the gateway as GLOBE_GATEWAY_KEYS_FILE, or as the secret that the last line makes. A running one rereads it.
    """
    from globe.gateway.keyfile import expiry_of, make_key

    until = expiry_of(expires) if expires is not None else None
    key, record = make_key(file, name, expires=until, pixels_per_minute=pixels_per_minute, tokens_per_minute=tokens_per_minute)
    if as_json:
        emit([to_json({"name": record.name, "key": key, "expires": _told(record.expires) or None, "file": str(file)})])
        return
    emit([key])
    tell(f"the key of {name}, {_until(record)}: keep it now, it is nowhere else and is not shown again")
    tell(f"on a cluster, from now on and after each change: {_secret_line(file)}")


@keys.command("list")
def list_keys(file: KeysFile, as_json: JsonFlag = False) -> None:
    """List the keys of a file.

    It says what is known of each, which is all but the key; with --json one document a line.
    """
    from datetime import UTC, datetime

    from globe.gateway.keyfile import read_keys

    now, found = datetime.now(UTC), read_keys(file)
    if as_json:
        shown = [{"state": key.state(now), **key.model_dump(mode="json", exclude={"sha256"})} for key in found]
        emit([to_json(record) for record in shown])
        return
    rows = [("name", "state", "made", "expires", "pixels/min", "tokens/min")]
    for key in found:
        limits = [str(limit or "-") for limit in (key.pixels_per_minute, key.tokens_per_minute)]
        rows.append((key.name, key.state(now), _told(key.created), _told(key.expires) or "never", limits[0], limits[1]))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    emit(["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows])


@keys.command("revoke")
def revoke(name: Annotated[str, typer.Argument(help="Whose key it is.")], file: KeysFile, as_json: JsonFlag = False) -> None:
    """Revoke a key.

    It opens nothing any more, once the gateway has read the file again.
    """
    from globe.gateway.keyfile import revoke_key

    record = revoke_key(file, name)
    if as_json:
        emit([to_json({"name": name, "revoked": _told(record.revoked), "file": str(file)})])
        return
    emit([f"{name}: revoked {_told(record.revoked)}"])
    tell(f"on a cluster: {_secret_line(file)}")


def _told(time: datetime | None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time else ""


def _until(record: Key) -> str:
    return f"until {_told(record.expires)}" if record.expires else "which does not expire"


def _secret_line(file: Path) -> str:
    import shlex

    source = shlex.quote(f"--from-file={FILE_IN_SECRET}={file}")
    return f"kubectl -n NAMESPACE create secret generic {SECRET} {source} --dry-run=client -o yaml | kubectl apply -f -"


GROUPS = {"keys": keys}
"""Commands with commands of their own, by name."""
