"""S3's errors in our words, and how a file is cut into parts."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from globe.errors import InputError
from globe.storage.effort import Exists, NotThere, Passing, Unsupported
from globe.storage.s3 import MAX_PARTS, PART_BYTES, told, upload_options
from globe.storage.uris import Uri

URI = Uri("bucket", "a/b")


def answer(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "word"}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (answer(404, "NoSuchBucket"), InputError, "there is no bucket bucket"),
        (answer(404, "NoSuchKey"), NotThere, "nothing there"),
        (answer(403, "InvalidAccessKeyId"), InputError, "credentials were not accepted"),
        (answer(403, "AccessDenied"), InputError, "access is refused"),
        (answer(301, "PermanentRedirect"), InputError, "another region"),
        (answer(412, "PreconditionFailed"), Exists, "exists already"),
        (answer(503, "SlowDown"), Passing, "the server answers SlowDown"),
        (answer(501, "NotImplemented"), Unsupported, "refuses the request"),
        (NoCredentialsError(), InputError, "no credentials"),
        (EndpointConnectionError(endpoint_url="http://user:word@host"), Passing, "no answer from host:9"),
    ],
)
def test_an_error_says_what_to_do_and_never_what_was_sent(error, kind, says, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:word@host:9/x")
    translated = OSError(22, "word")  # as the client raises it
    translated.__cause__ = error
    for raised in (error, translated) if isinstance(error, ClientError) else (error,):
        failure = told(raised, URI)
        assert type(failure) is kind
        assert says in str(failure)
        assert "word" not in str(failure)


def test_a_file_of_any_size_fits_into_the_parts_that_s3_takes_and_into_memory():
    assert upload_options(10**9, 1) == {"chunksize": PART_BYTES, "max_concurrency": 8}
    assert upload_options(10**9, 8)["max_concurrency"] == 1
    assert upload_options(10**12, 1)["chunksize"] * MAX_PARTS >= 10**12
