"""How fast photos are read from a zip on S3 that answers each request after 20 ms, and from the same zip on disk.

The server is a simulation, in a process of its own: it knows this one object, asks for no key, and moves bytes as fast as they
go. The photos are those of `ingest`. They are read in the order in which they lie in the zip, and in a random one, in which no
two neighbours can be fetched by one request.
"""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from globe.data.named import Given, given_path
from globe.data.sources import SourceReport, read_source
from globe.storage import mirror_of

LATENCY_S = 0.02
SEED = 0
QUICK: dict[str, int] = {}
ADDRESS = "s3://photos/photos.zip"

_SERVER = """
import asyncio, os, sys
from aiohttp import web
path, latency_s = sys.argv[1], float(sys.argv[2])
size, file, etag = os.path.getsize(path), os.open(path, os.O_RDONLY), '"0123456789abcdef0123456789abcdef"'
listed = ('<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
          '<Name>photos</Name><Prefix></Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>'
          '<Contents><Key>photos.zip</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>%s</ETag><Size>%d</Size>'
          '<StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>' % (etag, size))

async def answer(request):
    await asyncio.sleep(latency_s)
    if request.path.strip("/") == "photos":
        return web.Response(text=listed, content_type="application/xml")
    about = {"ETag": etag, "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "Accept-Ranges": "bytes"}
    if request.method == "HEAD":
        return web.Response(headers=about | {"Content-Length": str(size)})
    first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
    data = os.pread(file, last - first + 1, first)
    about["Content-Range"] = "bytes %d-%d/%d" % (first, first + len(data) - 1, size)
    return web.Response(status=206, body=data, headers=about)

async def main():
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def figures() -> dict[str, float]:
    """Photos read a second by the clock, and as a share of those read from disk; in the order of the zip, and in a random one."""
    ingest = _ingest()
    with tempfile.TemporaryDirectory() as name:
        zipped, table = _zipped(ingest, Path(name))
        lines = table.read_text().splitlines()
        shuffled = table.with_name("shuffled.csv")
        shuffled.write_text("\n".join([lines[0], *random.Random(SEED).sample(lines[1:], ingest.PHOTOS)]) + "\n")
        with _served(zipped):
            list(read_source(given_path(table, zipped)))  # the gazetteer and the libraries are loaded once
            found: dict[str, float] = {}
            for order, listed in (("", table), ("_shuffled", shuffled)):
                here = _photos_per_s(given_path(listed, zipped), ingest.PHOTOS)
                there = _photos_per_s(Given(listed, (listed,), (mirror_of(ADDRESS),)), ingest.PHOTOS)
                found |= {f"remote{order}_photos_per_s": there, f"remote{order}_over_disk": there / here}
    return found


def _photos_per_s(given: Given, photos: int) -> float:
    report = SourceReport()
    started_s = time.perf_counter()
    read = sum(1 for _ in read_source(given, report))
    spent_s = time.perf_counter() - started_s
    assert read == photos, report.quarantined
    return photos / spent_s


def _zipped(ingest: ModuleType, folder: Path) -> tuple[Path, Path]:
    """The photos as a zip, and their table."""
    table = ingest._photos(folder / "photos")
    path = folder / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for line in table.read_text().splitlines()[1:]:
            archive.write(table.parent / line.split(",")[0], line.split(",")[0])
    return path, table


@contextmanager
def _served(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", _SERVER, str(path), str(LATENCY_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        there = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{process.stdout.readline().strip()}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_REGION": "us-east-1",
            "GLOBE_SCRATCH": str(path.parent / "scratch"),
        }
        before = dict(os.environ)
        os.environ.update(there)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            process.kill()


def _ingest() -> ModuleType:
    """The module beside this one, which draws the photos."""
    spec = importlib.util.spec_from_file_location("bench_curation_ingest", Path(__file__).with_name("ingest.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    for name, value in figures().items():
        print(f"{name} {value:.2f}")
