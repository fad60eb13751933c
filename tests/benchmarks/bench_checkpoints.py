"""A store on S3: how fast a checkpoint goes there and back, what sending it again costs, and many small files.

``python tests/benchmarks/bench_checkpoints.py [--json]``.

The server is moto's, a process of this machine: it sets the pace, not the client, whose own share is `client_cpu_s_per_gb`. A
real endpoint is faster by far; the figures tell one version of the client from another.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from globe import storage
from globe.models.publish import publish_checkpoint
from globe.storage import Effort, bucket
from globe.storage.uris import parse
from globe.training.runs import copy_model

SHARDS, SHARD_MB = 4, 50
SMALL_FILES = 2000
TURNS = 5
STORE = "s3://globe-bench/store"
SAME_WORK = {"ChecksumType": "FULL_OBJECT"}
"""Has boto3 ask for one checksum of the whole object, as every server makes it for who asks for none, and we do. By default it
asks for one of its parts' checksums: moto then spends a fifth less of a core on the same bytes, which says nothing of clients."""
MEANINGS = {
    "publish_vs_copy": "a trainer's checkpoint of 200 MB made one of ours, by the time of copying it; at most 1.25",
    "s3_vs_boto3": "the speed of sending it once published, by that of boto3's own upload_file; at least 0.9",
    "stream_mb": "memory of this process at its peak while it is sent and fetched; at most 500",
    "push_mb_s": "a checkpoint of 200 MB, hashing included",
    "pull_mb_s": "the same on another machine, checked",
    "client_cpu_s_per_gb": "this process's share of push and pull together",
    "repush_s": "pushed again, nothing has changed",
    "small_files_push_per_s": f"{SMALL_FILES:,} files of 20 bytes",
    "small_files_pull_per_s": "the same on another machine",
}


@contextmanager
def s3_server() -> Iterator[None]:
    """A server with an empty bucket, and the environment that leads to it."""
    import boto3

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_REGION": "us-east-1",
    }
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="globe-bench")
        yield
    finally:
        server.kill()


def on_machine(folder: Path) -> Path:
    """The store as a machine sees it whose mirrors lie in a folder."""
    os.environ[storage.SCRATCH_VARIABLE] = str(folder)
    return storage.open_store(STORE)


def model_folder(folder: Path) -> Path:
    """A folder like a model's, of files that nothing has read or hashed yet."""
    folder.mkdir(parents=True)
    for number in range(SHARDS):
        (folder / f"model-{number}.safetensors").write_bytes(os.urandom(1_000_000) * SHARD_MB)
    for name in ("config.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    return folder


def publishing(work: Path) -> dict[str, float]:
    """How long publishing takes, which links the weights and hashes them, against a copy; the median of some turns.

    The copy never leaves the page cache: the kernel makes 4 GB/s on one core, where SHA-256 makes 1.6 GB/s on each. So the ratio
    falls with the number of cores, and two do not reach the aim; it falls, too, where the copy has to wait for a disk.
    """
    ratios = []
    for turn in range(TURNS):
        trained = model_folder(work / f"trained-{turn}")
        started = time.perf_counter()
        shutil.copytree(trained, work / f"copied-{turn}")
        copied = time.perf_counter()
        copy_model(trained, work / f"published-{turn}")
        publish_checkpoint(work / f"published-{turn}", base_model="b", recipe="r", parent="", step=1)
        ratios.append((time.perf_counter() - copied) / (copied - started))
    return {"publish_vs_copy": round(statistics.median(ratios), 2)}


def against_boto3(work: Path) -> dict[str, float]:
    """The speed of sending a checkpoint by that of the vendor's own client, by turns; the median."""
    import boto3

    client, ratios = boto3.client("s3"), []
    for turn in range(TURNS):
        folder = model_folder(on_machine(work / "three") / "sft" / f"{turn:016}")
        publish_checkpoint(folder, base_model="b", recipe="r", parent="", step=1)  # as in a stage: the digests are known then
        started = time.perf_counter()
        for path in folder.iterdir():
            client.upload_file(str(path), "globe-bench", f"boto3/{turn}/{path.name}", ExtraArgs=SAME_WORK)
        sent = time.perf_counter()
        storage.publish(folder, {"stage": "sft", "run": ""}, (), Effort())
        ratios.append((sent - started) / (time.perf_counter() - sent))
    return {"s3_vs_boto3": round(statistics.median(ratios), 2)}


def checkpoint(work: Path) -> dict[str, float]:
    """Figures of a checkpoint-like folder."""
    folder = model_folder(on_machine(work / "one") / "sft" / "0123456789abcdef")
    (folder / "globe-checkpoint.json").write_text("{}")
    mb, record = SHARDS * SHARD_MB, {"stage": "sft", "run": ""}
    started, cpu_started = time.perf_counter(), time.process_time()
    storage.publish(folder, record, (), Effort())
    pushed = time.perf_counter()
    target = on_machine(work / "two") / "sft" / folder.name
    storage.have(target)
    pulled, cpu_ended = time.perf_counter(), time.process_time()
    assert all((target / path.name).stat().st_size == path.stat().st_size for path in folder.iterdir())
    bucket.delete(parse(f"{STORE}/sft/{folder.name}/result.json"), Effort())  # as after a kill just before the end
    on_machine(work / "one")
    again = time.perf_counter()
    storage.publish(folder, record, (), Effort())
    return {
        "push_mb_s": round(mb / (pushed - started), 1),
        "pull_mb_s": round(mb / (pulled - pushed), 1),
        "client_cpu_s_per_gb": round((cpu_ended - cpu_started) / (2 * mb / 1000), 2),
        "repush_s": round(time.perf_counter() - again, 2),
    }


def small_files(work: Path) -> dict[str, float]:
    """Figures of a folder with many small files."""
    folder = on_machine(work / "one") / "curation" / "0123456789abcdef"
    folder.mkdir(parents=True)
    for number in range(SMALL_FILES):
        (folder / f"{number:05}.txt").write_text(f"{number:020}")
    started = time.perf_counter()
    storage.publish(folder, {"stage": "curation", "run": ""}, (), Effort())
    pushed = time.perf_counter()
    storage.have(on_machine(work / "two") / "curation" / folder.name)
    pulled = time.perf_counter()
    return {
        "small_files_push_per_s": round(SMALL_FILES / (pushed - started)),
        "small_files_pull_per_s": round(SMALL_FILES / (pulled - pushed)),
    }


def main() -> None:
    """Prints a table, or JSON with ``--json``."""
    with tempfile.TemporaryDirectory() as folder, s3_server():
        storage.check_access(STORE, write=True)  # the client is loaded
        figures = checkpoint(Path(folder))
        figures["stream_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)  # before the others' share
        figures |= publishing(Path(folder)) | against_boto3(Path(folder)) | small_files(Path(folder))
    if "--json" in sys.argv[1:]:
        print(json.dumps({"name": "checkpoints", "figures": figures}))
        return
    for name, value in figures.items():
        print(f"{name:24}{value:>10,}   {MEANINGS[name]}")


if __name__ == "__main__":
    main()
