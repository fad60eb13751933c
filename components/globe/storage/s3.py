"""Single operations on a bucket, with patience: what may pass is tried again, what cannot is one clear line.

Credentials come from the environment, through the S3 client's own chain, and stay there: errors are told in our own words and
drop what they came from, so that neither a key nor a signed request reaches a log.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from globe.errors import GlobeError, InputError
from globe.storage.uris import Uri

PATIENCE_VARIABLE = "GLOBE_S3_PATIENCE_S"
PATIENCE_S = 300.0
"""How long an endpoint may stay without an answer before a stage gives up."""
BRIEF_PATIENCE_S = 20.0
"""The same for what is worth a try and not a failure."""
MAX_PAUSE_S = 10.0
NOTE_INTERVAL_S = 10.0
CONNECTIONS = 24
SECRET = "secret globe-s3 on a cluster"
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
S3_VARIABLES = (*S3_KEYS, "AWS_SESSION_TOKEN", *_ENDPOINT, *_REGION)
"""All of the environment that says how S3 is reached, the first of a kind before the second: who starts a stage elsewhere
hands these on. Files and profiles of the S3 client's own are not among them: they lie on one machine."""
_PASSING_CODES = {"SlowDown", "RequestTimeout", "IncompleteBody", "BadDigest", "OperationAborted", "XAmzContentSHA256Mismatch"}
_CREDENTIAL_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}

T = TypeVar("T")


class NotThere(InputError):
    """No such object."""


class Exists(GlobeError):
    """An object that was to be made is there already."""


class Stopped(GlobeError):
    """The work was called off."""


class Unsupported(GlobeError):
    """The server does not do what it was asked to, such as writing under a condition."""


class Passing(GlobeError):
    """A failure that may pass: no answer, or one that promises better."""


def to_stderr(text: str) -> None:
    """Tell what storage does where no stage is there to tell it."""
    print(f"[storage] {text}", file=sys.stderr, flush=True)


@dataclass
class Effort:
    """How hard to try, whom to tell, and how to be called off."""

    note: Callable[[str], None] = to_stderr
    patience_s: float = field(default_factory=lambda: float(os.environ.get(PATIENCE_VARIABLE) or PATIENCE_S))
    stop: threading.Event = field(default_factory=threading.Event)
    _told: float = 0.0

    def brief(self) -> "Effort":
        """An effort for what is worth a try and not a failure."""
        return Effort(self.note, min(BRIEF_PATIENCE_S, self.patience_s))

    def tell(self, text: str) -> None:
        """Tell at most one thing in ten seconds."""
        now = time.monotonic()
        if now - self._told >= NOTE_INTERVAL_S:
            self._told = now
            self.note(text)

    def keep_trying(self, call: Callable[[], T], uri: Uri) -> T:
        """Call until it succeeds, fails for good, or patience ends.

        Args:
            call: One request and nothing else: an error of the local file system is not S3's.
            uri: What it is about, for the error.

        Raises:
            GlobeError: One line that names the address; `InputError` where the user can mend it.
        """
        deadline, pause_s = 0.0, 0.2
        while True:
            if self.stop.is_set():
                raise Stopped(f"{uri}: called off")
            try:
                return call()
            except GlobeError:
                raise
            except Exception as error:
                failure = told(error, uri)
            deadline = deadline or time.monotonic() + self.patience_s  # from the first failure: a slow line is none
            left_s = deadline - time.monotonic()
            if not isinstance(failure, Passing) or left_s <= 0:
                raise failure from None
            self.tell(f"{failure}; trying for {left_s:.0f} s more")
            self.stop.wait(min(pause_s, left_s))
            pause_s = min(pause_s * 1.7, MAX_PAUSE_S)


def told(error: BaseException, uri: Uri) -> GlobeError:
    """A client's error in our words: its kind or code, never its text, which may quote what was sent."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not response:
        return _told_without_answer(error, uri)
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return InputError(f"{uri}: there is no bucket {uri.bucket}; create it or correct the name")
    if status == 404 or code in ("NoSuchKey", "NoSuchUpload"):
        return NotThere(f"{uri}: nothing there")
    if code in _CREDENTIAL_CODES:
        return InputError(f"{uri}: the credentials were not accepted ({code}); renew {_credentials()}")
    if code in _REGION_CODES:
        return InputError(f"{uri}: the bucket lies in another region ({code}); set AWS_REGION to it")
    if status == 412:
        return Exists(f"{uri}: is there already")
    if (status >= 500 and status != 501) or status in (408, 409, 429) or code in _PASSING_CODES:
        return Passing(f"{uri}: the server answers {code or status}")
    if status == 403:
        return InputError(f"{uri}: access is refused ({code}); give the key of {_credentials()} the right to it")
    kind = Unsupported if status in (400, 405, 501) else GlobeError
    return kind(f"{uri}: the server refuses the request ({code or status})")


def _told_without_answer(error: BaseException, uri: Uri) -> GlobeError:
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"):
        return InputError(f"{uri}: no credentials ({kind}); set {_credentials()}")
    if isinstance(error, ValueError) or kind == "ParamValidationError":  # botocore refuses an endpoint or a name unsent
        return InputError(f"{uri}: cannot be asked for ({kind}); check the name, AWS_ENDPOINT_URL and AWS_REGION")
    if isinstance(error, (TypeError, AttributeError, KeyError, ImportError, MemoryError)):
        raise error  # a defect, not an outage
    return Passing(f"{uri}: no answer from {_endpoint()} ({kind})")


def _credentials() -> str:
    return f"{' and '.join(S3_KEYS)} ({SECRET})"


def _endpoint() -> str:
    """The endpoint's host, without what an address may carry beside."""
    url = next((os.environ[name] for name in _ENDPOINT if os.environ.get(name)), "AWS")
    return url.split("://")[-1].split("/")[0].rpartition("@")[2]


def _filesystem() -> Any:
    environment = tuple(os.environ.get(name) for name in S3_VARIABLES)
    return _connect(os.getpid(), environment)


@lru_cache(maxsize=2)
def _connect(pid: int, environment: tuple[str | None, ...]) -> Any:
    """The client for an environment; a forked child must not use its parent's."""
    import s3fs  # half a second, and only a store on S3 needs it

    region = next((os.environ[name] for name in _REGION if os.environ.get(name)), None)
    filesystem = s3fs.S3FileSystem(
        use_listings_cache=False,
        skip_instance_cache=True,
        client_kwargs={"region_name": region} if region else {},
        config_kwargs={
            "max_pool_connections": CONNECTIONS,
            "connect_timeout": 5,
            "read_timeout": 60,
            "retries": {"mode": "standard", "max_attempts": 2},
        },
    )
    filesystem.retries = 1  # `keep_trying` does it, for longer and told
    return filesystem


def get(uri: Uri, effort: Effort, start: int = 0, stop: int = 0, etag: str = "") -> bytes:
    """An object's bytes.

    Args:
        uri: The object.
        effort: How hard to try.
        start: First byte.
        stop: The byte after the last one; 0 reads all.
        etag: The version that it must be; empty takes any.

    Raises:
        GlobeError: It is no longer that version.
    """
    from fsspec.asyn import sync

    filesystem = _filesystem()
    request = {"Bucket": uri.bucket, "Key": uri.key}
    request |= {"Range": f"bytes={start}-{stop - 1}"} if stop else {}
    request |= {"IfMatch": etag} if etag else {}
    try:
        return effort.keep_trying(lambda: sync(filesystem.loop, _read, filesystem, request), uri)
    except Exists:
        raise GlobeError(f"{uri}: changed while it was fetched; start again") from None


def get_text(uri: Uri, effort: Effort) -> str | None:
    """An object's text, None when there is no such object."""
    try:
        return get(uri, effort).decode("utf-8", "replace")
    except NotThere:
        return None


async def _read(filesystem: Any, request: dict[str, str]) -> bytes:
    answer = await filesystem._call_s3("get_object", **request)
    async with answer["Body"] as body:
        return bytes(await body.read())


def put(uri: Uri, data: bytes, effort: Effort, *, create: bool = False, content_type: str = "") -> None:
    """Write an object whole.

    Raises:
        Exists: `create` is asked for and the object is there.
        Unsupported: `create` is asked for and the server cannot.
    """
    request: dict[str, Any] = {"IfNoneMatch": "*"} if create else {}
    if content_type:
        request["ContentType"] = content_type
    call("put_object", uri, effort, Body=data, **request)


def call(method: str, uri: Uri, effort: Effort, **request: Any) -> Any:
    """One request of S3's own interface about an object."""
    filesystem = _filesystem()
    return effort.keep_trying(lambda: filesystem.call_s3(method, Bucket=uri.bucket, Key=uri.key, **request), uri)


def delete(uri: Uri, effort: Effort) -> None:
    """Remove an object; one that is not there counts as removed."""
    call("delete_object", uri, effort)


@dataclass(frozen=True)
class Listed:
    """An object as a listing tells it."""

    uri: Uri
    size: int
    etag: str
    modified_s: int
    """When it was written, seconds since 1970."""


def listing(prefix: Uri, effort: Effort, limit: int = 1000) -> Iterator[Listed]:
    """The objects whose key starts with a text, in the order of keys; `limit` is the length of one page."""
    filesystem = _filesystem()
    request: dict[str, Any] = {"Bucket": prefix.bucket, "Prefix": prefix.key, "MaxKeys": limit}
    while True:
        page = effort.keep_trying(lambda: filesystem.call_s3("list_objects_v2", **request), prefix)
        for found in page.get("Contents", []):
            uri = Uri(prefix.bucket, found["Key"])
            yield Listed(uri, int(found["Size"]), found["ETag"].strip('"'), int(found["LastModified"].timestamp()))
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


def abandon_uploads(prefix: Uri, effort: Effort) -> None:
    """Drop the parts of uploads below a prefix that were never completed: nobody sees them, and they cost money."""
    filesystem = _filesystem()
    request = {"Bucket": prefix.bucket, "Prefix": prefix.key}
    page = effort.keep_trying(lambda: filesystem.call_s3("list_multipart_uploads", **request), prefix)
    for upload in page.get("Uploads", []):
        call("abort_multipart_upload", Uri(prefix.bucket, upload["Key"]), effort, UploadId=upload["UploadId"])
