"""Sign what a store keeps, so that a run believes only what runs with the same key have written there.

Whoever can write to a store could replace a record, and with it the weights, the verdict, or the checkpoint that a training goes
on from. Where a run has a signing key, each record carries an HMAC of its content and its place: one that was changed, or signed
for another place, does not hold. What this does not see is an older record of the same place that is put back.

Without a key nothing is signed and nothing is checked: a store then belongs to those who may write to it (SECURITY.md).
"""

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from globe.errors import GlobeError, InputError

KEY_VARIABLE = "GLOBE_SIGNING_KEY"
"""The key, which a secret holds."""
SIGNED_VARIABLE = "GLOBE_SIGNED"
"""Set, to the secret's name, in every pod of a run whose profile names a signing secret: a missing key must not mean unsigned."""
SIGNATURE = "signature"
SHORTEST_KEY = 32
"""Characters; 32 random hexadecimal digits cannot be guessed."""


class Unsigned(GlobeError):
    """A record is not signed, or not with this run's key, or for another place."""


def place_in_store(kind: str, folder: Path) -> str:
    """What something in a stage's folder is signed for: the same wherever the store lies.

    Args:
        kind: What it is, such as "result".
        folder: STORE/STAGE/KEY.
    """
    return f"{kind} {folder.parent.name}/{folder.name}"


def is_signing() -> bool:
    """Whether this run signs what it writes and believes only what is signed.

    Raises:
        InputError: It should, but has no key, or one that could be guessed.
    """
    return bool(_key())


def signed(record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A record with its signature; as it is where this run has no key.

    Args:
        record: JSON-serialisable content, without a signature.
        place: What the record is and where it belongs, the same in every copy of the store: "result sft/0123456789abcdef".

    Raises:
        InputError: As `is_signing`.
    """
    content = {name: value for name, value in record.items() if name != SIGNATURE}
    return content | {SIGNATURE: _signature(content, place)} if is_signing() else content


def require_signed(record: Mapping[str, Any], place: str, where: object) -> None:
    """Check a record that was read from a store; without a key nothing is checked.

    Args:
        record: What was read, with its signature.
        place: As when it was signed.
        where: The file or address, for the error.

    Raises:
        Unsigned: It does not hold.
        InputError: As `is_signing`.
    """
    if not is_signing():
        return
    found = record.get(SIGNATURE)
    content = {name: value for name, value in record.items() if name != SIGNATURE}
    if not isinstance(found, str) or not found.isascii() or not hmac.compare_digest(found, _signature(content, place)):
        why = "was changed, or signed with another key" if found else "is not signed"
        raise Unsigned(f"{where}: {why}, and this run believes only what its signing key has signed")


def _signature(content: Mapping[str, Any], place: str) -> str:
    as_read = json.loads(json.dumps(content))  # keys that are numbers become texts, and are sorted as such
    text = json.dumps([place, as_read], sort_keys=True)
    return hmac.new(_key().encode(), text.encode(), hashlib.sha256).hexdigest()


def _key() -> str:
    key, secret = os.environ.get(KEY_VARIABLE, "").strip(), os.environ.get(SIGNED_VARIABLE, "")
    if secret and not key:
        raise InputError(f"{KEY_VARIABLE} is not set: key {KEY_VARIABLE} of secret {secret} is missing or empty; create it")
    if key and len(key) < SHORTEST_KEY:
        raise InputError(
            f"{KEY_VARIABLE}: {len(key)} characters could be guessed; make one of {SHORTEST_KEY} or more: openssl rand -hex 32"
        )
    return key
