"""A container image made from this machine's own Python, for a cluster that can reach no registry.

It holds the interpreter, its standard library, a shell, `sleep`, and a stand-in for `vllm serve` (stand_in_server.py).
"""

import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

UNTIL_TOLD = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""What the image does by itself: wait, and end at once when told to. So it can also be a cluster's pause image."""
STAND_IN = Path(__file__).with_name("stand_in_server.py")
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|ensurepip|lib2to3|turtledemo|__pycache__|site-packages|config-[^/]*)(/|$)|\.a$"
)


def rootfs() -> bytes:
    """The image's files, as a tar archive."""
    python = Path(sys.executable).resolve()
    programs = {name: Path(shutil.which(name) or "").resolve() for name in ("sh", "sleep")} | {"python3": python}
    modules = Path(sysconfig.get_config_var("DESTSHARED"))
    needed = {path for program in [*programs.values(), *modules.glob("*.so")] for path in _libraries(program)}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        for path in [*programs.values(), *needed]:
            archive.add(path, str(path).lstrip("/"))
        library = sysconfig.get_path("stdlib")
        archive.add(library, library.lstrip("/"), filter=lambda member: None if LEFT_OUT.search(member.name) else member)
        for name, path in programs.items():
            _add(archive, f"commands/{name}", link=str(path))
        _add(archive, "commands/vllm", STAND_IN.read_bytes())
        _add(archive, "etc/passwd", b"root:x:0:0::/:/commands/sh\nglobe:x:1001:0::/tmp:/commands/sh\n")
    return stream.getvalue()


def load(tag: str, docker_host: str) -> None:
    """Put the image into a container engine.

    Args:
        tag: Its name there.
        docker_host: Address of the engine, such as unix:///var/run/docker.sock.
    """
    settings = ["ENV PATH=/commands HOME=/tmp", f"CMD {json.dumps(['sh', '-c', UNTIL_TOLD])}"]
    changes = [argument for setting in settings for argument in ("--change", setting)]
    command = ["docker", "--host", docker_host, "import", *changes, "-", tag]
    subprocess.run(command, input=rootfs(), check=True, capture_output=True)


def _add(archive: tarfile.TarFile, name: str, content: bytes = b"", link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    if link:
        member.type, member.linkname = tarfile.SYMTYPE, link
    archive.addfile(member, io.BytesIO(content))


def _libraries(program: Path) -> set[str]:
    """Shared libraries a program needs, the loader included; none for a static one."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout
    return set(re.findall(r"(/\S+?\.so\S*)", listed))
