"""Push an image to a registry: the few requests of the OCI distribution specification that this takes.

What is there already is not sent again. Credentials are those of `docker login`: DOCKER_CONFIG/config.json, or ~/.docker. No
redirect is followed.
"""

import base64
import json
import os
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin

import httpx2

from globe.errors import GlobeError, InputError

BLOBS_AT_ONCE = 3
ATTEMPTS = 3
TIMEOUT = httpx2.Timeout(60.0, connect=10.0, pool=None)
HERE = ("localhost", "127.0.0.1", "[::1]")
"""Registries that are asked by http, as other clients do."""
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9a-fA-F:]+\](:[0-9]+)?)/"
    r"(?P<name>[a-z0-9]+([._/-]+[a-z0-9]+)*):(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class Blob(Protocol):
    """What is sent."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def digest(self) -> str:
        """As sha256:HEX."""

    @property
    def read(self) -> Callable[[], Iterator[bytes]]:
        """Gives its bytes, anew each time."""


@dataclass(frozen=True)
class Reference:
    """Where an image goes."""

    host: str
    name: str
    tag: str

    def __str__(self) -> str:
        return f"{self.host}/{self.name}"


def reference(text: str) -> Reference:
    """Read REGISTRY/NAME:TAG.

    Raises:
        InputError: It is none.
    """
    found = _REFERENCE.fullmatch(text)
    if not found or not ("." in found["host"] or ":" in found["host"] or found["host"] == "localhost"):
        raise InputError(f"{text}: give REGISTRY/NAME:TAG, such as registry.example.org/models/globe:1, or oci:FOLDER")
    return Reference(found["host"], found["name"], found["tag"])


@dataclass
class Registry:
    """A registry, and the right to one name in it."""

    to: Reference
    plain_http: bool = False
    note: Callable[[str], None] = lambda text: None
    _client: httpx2.Client = field(init=False, repr=False)
    _authorization: str = field(default="", init=False, repr=False)

    def __post_init__(self) -> None:
        here = self.to.host.rpartition(":")[0] or self.to.host
        scheme = "http" if self.plain_http or here in HERE or self.to.host in HERE else "https"
        self._base = f"{scheme}://{self.to.host}"
        self._client = httpx2.Client(timeout=TIMEOUT, follow_redirects=False, verify=ssl.create_default_context())

    def push(self, blobs: tuple[Blob, ...], manifest: bytes, manifest_type: str, digest: str) -> int:
        """Send what is missing, then the manifest under its tag.

        Args:
            blobs: Layers and configuration.
            manifest: The manifest.
            manifest_type: Its media type.
            digest: Its digest.

        Returns:
            How many bytes of blobs were sent.

        Raises:
            InputError: The registry does not accept the credentials.
            GlobeError: It refuses, or does not answer.
        """
        with ThreadPoolExecutor(BLOBS_AT_ONCE) as pool:
            sent = sum(pool.map(self._push_blob, {blob.digest: blob for blob in blobs}.values()))
        path = f"/v2/{self.to.name}/manifests/{self.to.tag}"
        answer = self._ask("PUT", path, content=manifest, headers={"Content-Type": manifest_type})
        self._require(answer, (201,), "the manifest")
        told = answer.headers.get("Docker-Content-Digest", digest)
        if told != digest:
            raise GlobeError(f"{self.to}: the registry calls the image {told}, but it is {digest}")
        return sent

    def _push_blob(self, blob: Blob) -> int:
        found = self._ask("HEAD", f"/v2/{self.to.name}/blobs/{blob.digest}")
        if found.status_code == 200:
            return 0
        for attempt in range(1, ATTEMPTS + 1):
            begun = self._ask("POST", f"/v2/{self.to.name}/blobs/uploads/", headers={"Content-Length": "0"})
            self._require(begun, (202,), "an upload")
            place = urljoin(self._base, begun.headers["Location"])
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
            address = httpx2.URL(place).copy_merge_params({"digest": blob.digest})
            try:
                self._require(self._send("PUT", address, headers, blob.read()), (201,), f"layer {blob.digest[:19]}")
            except _Lost as error:
                if attempt == ATTEMPTS:
                    raise GlobeError(str(error)) from None
                self.note(f"{error}; sending that layer again")
                continue
            break
        return blob.size

    def _ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, content: bytes | None = None
    ) -> httpx2.Response:
        """Send a small request, with credentials once the registry asks for them."""
        for last in (False, True):
            answer = self._send(method, f"{self._base}{path}", headers or {}, content)
            if answer.status_code != 401 or last:
                return answer
            self._authorization = self._authorize(answer.headers.get("WWW-Authenticate", ""))
        raise AssertionError

    def _send(
        self, method: str, address: str | httpx2.URL, headers: dict[str, str], content: bytes | Iterator[bytes] | None
    ) -> httpx2.Response:
        # A registry may have uploads go to another host: that is not told the password.
        ours = httpx2.URL(address).netloc == httpx2.URL(self._base).netloc
        own = {"Authorization": self._authorization} if self._authorization and ours else {}
        try:
            return self._client.request(method, address, headers=headers | own, content=content)
        except httpx2.HTTPError as error:
            raise _Lost(f"{self.to.host}: does not answer ({type(error).__name__})") from None

    def _authorize(self, challenge: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        known = credentials(self.to.host)
        basic = "Basic " + base64.b64encode(":".join(known).encode()).decode() if known else ""
        if scheme.lower() == "basic" and basic:
            return basic
        told = dict(_CHALLENGE.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in told:
            raise InputError(f"{self.to.host}: asks for a password; `docker login {self.to.host}` first")
        scope = f"repository:{self.to.name}:pull,push"
        query = {"scope": scope} | ({"service": told["service"]} if "service" in told else {})
        try:
            headers = {"Authorization": basic} if basic else {}
            answer = self._client.get(told["realm"], params=query, headers=headers)
            given = answer.json() if answer.status_code == 200 else {}
        except (httpx2.HTTPError, ValueError) as error:
            raise GlobeError(f"{self.to.host}: gives no token ({type(error).__name__})") from None
        token = given.get("token") or given.get("access_token")
        if not token:
            raise InputError(f"{self.to.host}: gives no token ({answer.status_code}); `docker login {self.to.host}` first")
        return f"Bearer {token}"

    def _require(self, answer: httpx2.Response, statuses: tuple[int, ...], what: str) -> None:
        if answer.status_code in statuses:
            return
        try:
            said = "; ".join(str(error.get("message") or error.get("code")) for error in answer.json()["errors"])
        except (ValueError, KeyError, TypeError, AttributeError):
            said = answer.reason_phrase
        text = f"{self.to}: the registry does not take {what} ({answer.status_code}: {said})"
        if answer.status_code in (401, 403):
            raise InputError(f"{text}; `docker login {self.to.host}` with an account that may push there")
        raise GlobeError(text)


class _Lost(GlobeError):
    """A connection that broke off."""


def credentials(host: str) -> tuple[str, str] | None:
    """Name and password for a registry, as `docker login` keeps them; None if there are none.

    Raises:
        InputError: The file cannot be read, or a program keeps them.
    """
    file = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        kept = {name.removeprefix("https://").split("/")[0]: entry for name, entry in content.get("auths", {}).items()}.get(
            host, {}
        )
        if kept.get("auth"):
            name, _, password = base64.b64decode(kept["auth"], validate=True).decode().partition(":")
            return name, password
        if host in content.get("credHelpers", {}) or (kept and content.get("credsStore")):
            raise InputError(f"{file}: a program keeps the password for {host}; give one that is in a file, by DOCKER_CONFIG")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{file}: is no configuration of docker ({type(error).__name__})") from None
    return None
