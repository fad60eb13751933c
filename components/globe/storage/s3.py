"""What only S3 has: the environment that says how it is reached, its client's settings, its errors in our words.

The rest of this room uses the client by the names that every fsspec file system has, so another kind of store needs what this
file has, and a scheme in `globe.storage.uris`.

Credentials come from the environment, through the S3 client's own chain, and stay there: errors are told in our own words and
without what caused them, so that neither a key nor a signed request reaches a log.
"""

import mimetypes
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from globe.errors import GlobeError, InputError
from globe.storage.effort import Exists, NotThere, Passing, Unsupported
from globe.storage.uris import Uri

SECRET = "secret globe-s3 on a cluster"
S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
S3_VARIABLES = (*S3_KEYS, "AWS_SESSION_TOKEN", *_ENDPOINT, *_REGION)
"""All of the environment that says how S3 is reached; of two with the same meaning the first wins. Whoever starts a stage
elsewhere hands these on. The S3 client's own files and profiles are not among them: they lie on one machine."""
PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
PARTS_AT_ONCE = 8
"""Of all files that are sent in parts at once, so that these never hold more than 8 x 8 MiB in memory."""
_PASSING_CODES = {"SlowDown", "RequestTimeout", "IncompleteBody", "BadDigest", "OperationAborted", "XAmzContentSHA256Mismatch"}
_CREDENTIAL_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_REGION_CODES = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}


def client() -> Any:
    """The file system for the present environment."""
    return _connect(os.getpid(), tuple(os.environ.get(name) for name in S3_VARIABLES))


@lru_cache(maxsize=2)
def _connect(pid: int, environment: tuple[str | None, ...]) -> Any:
    """The client for an environment; a forked child must not use its parent's."""
    import s3fs  # takes half a second, and only a store on S3 needs it

    region = next((os.environ[name] for name in _REGION if os.environ.get(name)), None)
    filesystem = s3fs.S3FileSystem(
        use_listings_cache=False,
        skip_instance_cache=True,
        client_kwargs={"region_name": region} if region else {},
        config_kwargs={
            "max_pool_connections": 3 * PARTS_AT_ONCE,
            "connect_timeout": 5,
            "read_timeout": 60,
            "retries": {"mode": "standard", "max_attempts": 2},
        },
    )
    filesystem.retries = 2  # `globe.storage.bucket` tries again for longer, and says so
    return filesystem


def version_of(info: Mapping[str, Any]) -> tuple[str, int]:
    """What an object's version is called, and when it was written, in seconds since 1970."""
    return info["ETag"].strip('"'), int(info["LastModified"].timestamp())


def read_range(uri: Uri, etag: str, start: int, size: int) -> bytes:
    """Bytes of one version of an object, by one request; several threads may ask at once."""
    from fsspec.asyn import sync

    filesystem = client()
    asked = f"bytes={start}-{start + size - 1}"
    answer = filesystem.call_s3("get_object", Bucket=uri.bucket, Key=uri.key, Range=asked, IfMatch=etag)

    async def content() -> bytes:
        body = answer["Body"]
        try:
            return bytes(await body.read())
        finally:
            body.close()

    return bytes(sync(filesystem.loop, content))


def is_refused_version(error: Exception) -> bool:
    """Whether a request was refused because the object has another version than the one that it asked for."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412)


def write_options(uri: Uri) -> dict[str, Any]:
    """Options of the client for writing an object from memory."""
    kind = mimetypes.guess_type(uri.key)[0]
    return {"ContentType": kind} if kind else {}


def upload_options(size: int, files: int) -> dict[str, Any]:
    """Options of the client for sending a file of so many bytes, with so many files at once that are sent in parts."""
    return {"chunksize": max(PART_BYTES, -(-size // MAX_PARTS)), "max_concurrency": PARTS_AT_ONCE // max(1, files)}


def abandon_uploads(prefix: Uri) -> None:
    """Drop the parts of uploads below a prefix that were never completed: nobody sees them, and they cost money."""
    filesystem = client()
    page = filesystem.call_s3("list_multipart_uploads", Bucket=prefix.bucket, Prefix=f"{prefix.key}/")
    for upload in page.get("Uploads", []):
        filesystem.call_s3("abort_multipart_upload", Bucket=prefix.bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def told(error: Exception, uri: Uri) -> GlobeError:
    """A client's error in our words: its kind or code, never its text, which may quote what was sent.

    Raises:
        Exception: The error itself, when it is the local file system's or a defect of ours.
    """
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not response:
        return _told_without_answer(error, uri)
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket" or (status == 404 and not uri.key):
        return InputError(f"{uri}: there is no bucket {uri.bucket}; create it or correct the name")
    if status == 404 or code in ("NoSuchKey", "NoSuchUpload"):
        return NotThere(f"{uri}: nothing there")
    if code in _CREDENTIAL_CODES:
        return InputError(f"{uri}: the credentials were not accepted ({code}); renew {_credentials()}")
    if code in _REGION_CODES:
        return InputError(f"{uri}: the bucket lies in another region ({code}); set AWS_REGION to it")
    if status == 412:
        return Exists(f"{uri}: exists already")
    if (status >= 500 and status != 501) or status in (408, 409, 429) or code in _PASSING_CODES:
        return Passing(f"{uri}: the server answers {code or status}")
    if status == 403:
        return InputError(f"{uri}: access is refused ({code}); give the key of {_credentials()} the right to it")
    kind = Unsupported if status in (400, 405, 501) else GlobeError
    return kind(f"{uri}: the server refuses the request ({code or status})")


def _told_without_answer(error: Exception, uri: Uri) -> GlobeError:
    kind = type(error).__name__
    if isinstance(error, FileNotFoundError) and not error.errno:  # the client's own conclusion; the local system gives a number
        return NotThere(f"{uri}: nothing there")
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError"):
        return InputError(f"{uri}: no credentials ({kind}); set {_credentials()}")
    if isinstance(error, ValueError) or kind == "ParamValidationError":  # botocore refuses an endpoint or a name unsent
        return InputError(f"{uri}: cannot be asked for ({kind}); check the name, AWS_ENDPOINT_URL and AWS_REGION")
    if _is_local(error) or isinstance(error, (TypeError, AttributeError, KeyError, ImportError, MemoryError)):
        raise error
    return Passing(f"{uri}: no answer from {_endpoint()} ({kind})")


def _is_local(error: Exception) -> bool:
    """Whether an error is the local file system's, such as a full disk: those of connections have classes of their own."""
    built_in = isinstance(error, OSError) and type(error).__module__ == "builtins" and bool(error.errno)
    return built_in and not isinstance(error, (ConnectionError, TimeoutError))


def _credentials() -> str:
    return f"{' and '.join(S3_KEYS)} ({SECRET})"


def _endpoint() -> str:
    """The endpoint's host, without what else an address may carry."""
    url = next((os.environ[name] for name in _ENDPOINT if os.environ.get(name)), "AWS")
    return url.split("://")[-1].split("/")[0].rpartition("@")[2]
