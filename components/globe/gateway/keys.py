"""Who may ask: keys that only their owners have, of which the gateway knows hashes.

The file is read again when it is another one or has changed, as when the kubelet swaps the link to a secret's new version; so a
key is revoked without a restart. One that cannot be read is told in the log, and the last good one holds.

The codes, all of 401: no_key, invalid_key, expired_key, revoked_key.
"""

from __future__ import annotations

import hmac
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from globe.errors import InputError
from globe.gateway.keyfile import Key, digest_of, read_keys
from globe.gateway.refused import Refused
from globe.gateway.settings import GatewaySettings

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
ANYONE = "(anyone)"
"""The name of whoever asks a gateway without keys; no key can have it."""
_Version = tuple[int, int, int, int]


@dataclass(frozen=True)
class Client:
    """Whoever asks, as far as a gateway knows."""

    name: str
    pixels_per_minute: int
    tokens_per_minute: int


class KeyRing:
    """The keys of a gateway."""

    def __init__(self, settings: GatewaySettings) -> None:
        """Read the keys.

        Raises:
            InputError: There is no such file, or it is none of keys; then no gateway starts.
        """
        self._settings = settings
        self._keys: tuple[Key, ...] = ()
        self._version: _Version | None = None
        self._looked_s = time.monotonic()
        self.fault = ""
        """Why the file that is there now cannot be read; empty while it can."""
        if settings.keys_file:
            self._version = _version(settings.keys_file)
            self._keys = read_keys(settings.keys_file)

    def client(self, authorization: str | None) -> Client:
        """Who sends an Authorization header.

        Raises:
            Refused: 401; there is no such key, or it has expired or been revoked.
        """
        if self._settings.keys_file is None:
            return Client(ANYONE, self._settings.pixels_per_minute, self._settings.tokens_per_minute)
        self._look_again(self._settings.keys_file)
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise Refused(401, "this needs a key: send it as a header, Authorization: Bearer KEY", "no_key")
        digest = digest_of(given.strip()) if given.isascii() else ""
        found: Key | None = None
        for key in self._keys:  # all of them, so that the time it takes tells nothing
            if hmac.compare_digest(key.sha256, digest):
                found = key
        if not found:
            raise Refused(401, "there is no such key here; ask whoever runs this server for one", "invalid_key")
        state = found.state(datetime.now(UTC))
        if state != "active":
            raise Refused(401, f"this key is {state}; ask whoever runs this server for a new one", f"{state}_key")
        pixels = found.pixels_per_minute or self._settings.pixels_per_minute
        return Client(found.name, pixels, found.tokens_per_minute or self._settings.tokens_per_minute)

    def _look_again(self, path: Path) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        version = _version(path)
        if version == self._version:
            return
        self._version = version
        try:
            self._keys, self.fault = read_keys(path), ""
            LOG.info("the keys have changed: there are %d now", len(self._keys))
        except InputError as error:
            self.fault = str(error)
            LOG.error("the new keys cannot be read, and the last ones hold: %s", error)


def _version(path: Path) -> _Version | None:
    """What changes with a file, wherever a link leads to; None if there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns
