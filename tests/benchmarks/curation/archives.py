"""How much more memory it takes to open a zip of ten times as many files, and how long listing it takes one core.

The files are empty and only their names are like MP16-Pro's: what is measured is the index, not the pictures. Each zip is opened
in a process of its own, without an index that was kept and then with it, as the parts of a source do; each reads 1,000 names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

FILES, MORE_FILES, NAMES_READ = 50_000, 500_000, 1000


def figures() -> dict[str, float]:
    """`index_memory_growth`, of `MORE_FILES` over `FILES`; seconds of one core, and bytes on disk, for each million of files."""
    with tempfile.TemporaryDirectory() as name:
        few, many = (measured(Path(name), files) for files in (FILES, MORE_FILES))
    return {
        "index_memory_growth": many["peak_kib"] / few["peak_kib"],
        "index_cpu_s_per_million": many["cpu_s"] / MORE_FILES * 1e6,
        "index_kept_cpu_s": many["kept_cpu_s"],
        "index_mb_per_million": many["bytes"] / MORE_FILES,
    }


def measured(folder: Path, files: int) -> dict[str, float]:
    """What opening a zip of so many files takes."""
    path = folder / f"{files}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(files):
            archive.writestr(zipfile.ZipInfo(name_of(number)), b"")
    cache = folder / f"cache-{files}"
    first, again = (in_a_process(path, files, cache) for _ in range(2))
    kept = sum(one.stat().st_size for one in (cache / "indexes").iterdir())
    peak_kib = max(first["peak_kib"], again["peak_kib"])
    return {"peak_kib": peak_kib, "cpu_s": first["cpu_s"], "kept_cpu_s": again["cpu_s"], "bytes": kept}


def in_a_process(path: Path, files: int, cache: Path) -> dict[str, float]:
    """Peak memory and CPU time of a process that opens a zip."""
    command = [sys.executable, __file__, str(path), str(files)]
    done = subprocess.run(
        command, env=os.environ | {"GLOBE_CACHE_DIR": str(cache)}, stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def name_of(number: int) -> str:
    """A name like those of MP16-Pro."""
    return f"images/{number % 256:02x}_{number * 7 % 256:02x}_{1_000_000_000 + 7919 * number}.jpg"


def opened(path: Path, files: int) -> dict[str, float]:
    """Open a zip here, and read a few of its files."""
    from globe.data.pictures import open_pictures

    started = time.process_time()
    pictures = open_pictures([path])
    cpu_s = time.process_time() - started
    for number in range(0, files, files // NAMES_READ):
        if pictures.read(Path(name_of(number)).stem) != b"":
            raise RuntimeError(f"{name_of(number)} was not found")
    status = Path("/proc/self/status").read_text()
    return {"cpu_s": cpu_s, "peak_kib": float(status.partition("VmHWM:")[2].split()[0])}


if __name__ == "__main__":
    print(json.dumps(opened(Path(sys.argv[1]), int(sys.argv[2]))))
