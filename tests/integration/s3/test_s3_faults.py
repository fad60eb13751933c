"""What goes wrong between a stage and its store: outages, refusals, kills. The cost is bounded, the result never wrong."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import boto3
import pytest

from globe import storage
from globe.errors import GlobeError, InputError
from globe.run.events import Reporter
from globe.run.stage import Outcome, run_stage

from .tools import call, making, until


def test_an_outage_during_a_push_is_told_and_waited_for(bucket, line, monkeypatch, tmp_path):
    events = tmp_path / "events.jsonl"
    monkeypatch.setenv("GLOBE_EVENTS", str(events))
    line.bytes_per_s = 4_000_000

    def cut_and_restore():
        until(lambda: line.up_bytes > 3_000_000, "the push has begun")
        line.cut()
        until(lambda: "no answer from 127.0.0.1" in events.read_text(), "the outage is told")
        line.bytes_per_s = 0
        line.restore()

    thread = threading.Thread(target=cut_and_restore)
    thread.start()
    result = call(bucket, making(20_000_000))
    thread.join()
    key = storage.stored_at(result.folder).removeprefix(bucket.uri(""))
    assert bucket.read(f"{key}/model.safetensors") == b"\1" * 20_000_000
    assert "no answer from 127.0.0.1" in events.read_text()


def test_an_outage_during_a_pull_is_waited_for(bucket, line, another_machine):
    result = call(bucket, making(20_000_000))
    another_machine()
    call(bucket, making(0))
    line.bytes_per_s, start = 4_000_000, line.down_bytes

    def cut_and_restore():
        until(lambda: line.down_bytes - start > 3_000_000, "the pull has begun")
        line.cut()
        time.sleep(1)
        line.bytes_per_s = 0
        line.restore()

    thread = threading.Thread(target=cut_and_restore)
    thread.start()
    assert storage.have(result.folder / "model.safetensors").read_bytes() == b"\1" * 20_000_000
    thread.join()


def test_after_an_outage_that_outlasts_patience_finished_work_is_sent_and_not_repeated(bucket, line, monkeypatch):
    done: list[int] = []

    def work(folder: Path, reporter: Reporter) -> Outcome:
        line.cut()
        return making(1000, done)(folder, reporter)

    monkeypatch.setenv("GLOBE_S3_PATIENCE_S", "1")
    with pytest.raises(GlobeError, match=f"s3://{bucket.name}/store/toy.*no answer") as error:
        call(bucket, work)
    assert "\n" not in str(error.value)
    line.restore()
    assert not call(bucket, work).reused
    assert done == [1]


def test_a_server_that_is_not_there_is_told_by_the_check(bucket, line, monkeypatch):
    monkeypatch.setattr(storage, "CHECK_PATIENCE_S", 0.5)
    line.cut()
    try:
        with pytest.raises(InputError, match=r"no answer from 127\.0\.0\.1:\d+.*check AWS_ENDPOINT_URL"):
            storage.check_access(bucket.uri("store"), write=True)
    finally:
        line.restore()


def test_what_a_check_finds_wrong_is_one_line_that_says_what_to_do(bucket, monkeypatch, tmp_path):
    bucket.write("models/m/config.json", "{}")
    storage.check_access(bucket.uri("models/m"))
    storage.check_access(bucket.uri("store"), write=True)
    storage.check_access(tmp_path / "new" / "store", write=True)
    assert bucket.names() == ["models/m/config.json"]  # the probe is gone
    for uri, write, told in (
        (bucket.uri("models/n"), False, "nothing there"),
        (bucket.uri("models/m/conf"), False, "nothing there"),
        ("s3://no-such-bucket-here/store", True, "no bucket no-such-bucket-here"),
        ("s3://UPPER/x", False, "not an S3 address"),
        ("s3://id:word@bucket/x", False, "credentials in it"),
        (bucket.uri("a/../b"), False, "'..'"),
        (tmp_path / "absent", False, "no such file or folder"),
    ):
        with pytest.raises(InputError, match=told) as error:
            storage.check_access(uri, write=write)
        assert "\n" not in str(error.value)
        assert "word" not in str(error.value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(InputError, match=r"no credentials.*AWS_ACCESS_KEY_ID.*globe-s3"):
        storage.check_access(bucket.uri("store"), write=True)


@pytest.mark.parametrize("answer", [(503, "SlowDown"), (400, "RequestTimeout")])
def test_a_busy_server_is_asked_again(bucket, front, answer):
    front.refuse = lambda method, path, headers: answer if front.refused < 5 else None
    result = call(bucket, making(100))
    key = storage.stored_at(result.folder).removeprefix(bucket.uri(""))
    assert bucket.read(f"{key}/model.safetensors") == b"\1" * 100
    assert front.refused == 5


@pytest.mark.parametrize("answer", [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_a_server_that_cannot_write_under_a_condition_is_good_enough(bucket, front, another_machine, answer):
    front.refuse = lambda method, path, headers: answer if "If-None-Match" in headers else None
    assert not call(bucket, making(100)).reused
    assert front.refused
    another_machine()

    def loses(folder: Path, reporter: Reporter) -> Outcome:
        bucket.write(record, kept)  # another machine finishes first
        return making(50)(folder, reporter)

    (record,) = [key for key in bucket.names() if key.endswith("result.json")]
    kept = bucket.read(record)
    bucket.client.delete_object(Bucket=bucket.name, Key=record)
    assert call(bucket, loses).reused


def test_a_request_that_is_refused_for_good_is_not_repeated(bucket, front):
    front.refuse = lambda method, path, headers: (405, "MethodNotAllowed") if method == "PUT" else None
    with pytest.raises(GlobeError, match=r"s3://.*the server refuses the request \(MethodNotAllowed\)"):
        call(bucket, making(100))
    assert front.refused == 1


@pytest.fixture
def strict_bucket(server, monkeypatch, tmp_path):
    """A bucket on a server that checks who asks: this process is a user who may only read."""
    strict = type(server)(tmp_path / "strict.log", INITIAL_NO_AUTH_ACTION_COUNT="4")
    iam = boto3.client("iam", endpoint_url=strict.url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    iam.create_user(UserName="reader")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:List*", "s3:Get*"], "Resource": "*"}]}
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    strict.client.create_bucket(Bucket="strict-bucket")
    monkeypatch.setenv("AWS_ENDPOINT_URL", strict.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    yield "s3://strict-bucket/store"
    strict.end()


def test_a_store_without_the_right_to_write_is_refused_before_any_work(strict_bucket, monkeypatch):
    with pytest.raises(InputError, match=r"strict-bucket.*access is refused \(AccessDenied\)"):
        storage.check_access(strict_bucket, write=True)
    done: list[int] = []
    with pytest.raises(InputError, match="access is refused"):
        run_stage("toy", store=storage.open_store(strict_bucket), inputs={}, settings={}, code=(), work=making(1, done))
    assert done == []
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    with pytest.raises(InputError, match=r"credentials were not accepted \(InvalidAccessKeyId\)"):
        storage.check_access(strict_bucket)


_STAGE = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from globe import storage
from globe.run.stage import Outcome, run_stage
def work(folder, reporter):
    (folder / "model.safetensors").write_bytes(b"1" * 9_000_000)
    return Outcome("made")
run_stage("toy", store=storage.open_store(sys.argv[1]), inputs={}, settings={"store": sys.argv[1]}, code=(), work=work)
"""


def test_the_secret_shows_nowhere(bucket, line, monkeypatch, tmp_path):
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"token-{secret}")
    monkeypatch.setenv("GLOBE_EVENTS", str(tmp_path / "events.jsonl"))
    monkeypatch.setenv("GLOBE_LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("GLOBE_S3_PATIENCE_S", "1")
    store, host = bucket.uri("store"), line.url.removeprefix("http://")
    told = ""
    for endpoint, uri in (
        (line.url, store),
        (line.url, "s3://no-such-bucket-here/store"),
        (line.url, f"s3://id:{secret}@bucket/x"),
        (f"http://user:{secret}@127.0.0.1:1", store),
        (f"http://user:{secret}@{host}", store),
        (f"{secret}://x", store),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        done = subprocess.run([sys.executable, "-c", _STAGE, uri], capture_output=True, text=True)
        told += done.stdout + done.stderr
    kept = "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size < 1e6
    )
    stored = b"".join(bucket.read(key) for key in bucket.names())
    assert "no answer from" in told
    assert "no bucket no-such-bucket-here" in told
    assert "done" in kept
    assert len(stored) > 9_000_000
    assert secret not in told
    assert secret not in kept
    assert secret.encode() not in stored
