"""A container image made from this machine's own Python, for a cluster that can reach no registry.

It holds the interpreter, its standard library, a shell, `sleep`, a stand-in for `vllm serve` (stand_in_server.py), and if wanted
this package with the gateway's dependencies, so that the real gateway runs beside the stand-in.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from importlib.metadata import packages_distributions
from pathlib import Path

UNTIL_TOLD = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
"""What the image does by itself: wait, and end at once when told to. So it can also be a cluster's pause image."""
PACKAGES = "packages"
GATEWAY = "globe.gateway.server, globe.gateway.app, globe.models.__main__, globe.serving.engine, globe.serving.outlive"
"""What pods import; what that imports is found by importing it here."""
_FIND = (
    f"import sys, {GATEWAY}; print(*{{getattr(module, '__file__', None) or '' for module in sys.modules.values()}}, sep='\\n')"
)
STAND_IN = Path(__file__).with_name("stand_in_server.py")
LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|tkinter|ensurepip|lib2to3|turtledemo|__pycache__|site-packages|config-[^/]*)(/|$)|\.a$"
)


def rootfs(*, gateway: bool = False) -> bytes:
    """The image's files, as a tar archive.

    Args:
        gateway: With this package and what its gateway imports.
    """
    python = Path(sys.executable).resolve()
    programs = {name: Path(shutil.which(name) or "").resolve() for name in ("sh", "sleep")} | {"python3": python}
    modules = Path(sysconfig.get_config_var("DESTSHARED"))
    packages = _packages() if gateway else []
    native = [file for package in packages for file in package.rglob("*.so*")]
    needed = {
        path
        for program in [*programs.values(), *modules.glob("*.so"), *native]
        for path in _libraries(program)
        if "site-packages" not in path
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", dereference=True) as archive:
        for path in [*programs.values(), *needed]:
            archive.add(path, str(path).lstrip("/"))
        library = sysconfig.get_path("stdlib")
        archive.add(library, library.lstrip("/"), filter=lambda member: None if LEFT_OUT.search(member.name) else member)
        for package in packages:
            archive.add(package, f"{PACKAGES}/{package.name}", filter=lambda one: None if "__pycache__" in one.name else one)
        for name, path in programs.items():
            _add(archive, f"commands/{name}", link=str(path))
        _add(archive, "commands/vllm", STAND_IN.read_bytes())
        _add(archive, "etc/passwd", b"root:x:0:0::/:/commands/sh\nglobe:x:1001:0::/tmp:/commands/sh\n")
    return stream.getvalue()


def load(tag: str, docker_host: str, *, gateway: bool = False) -> None:
    """Put the image into a container engine.

    Args:
        tag: Its name there.
        docker_host: Address of the engine, such as unix:///var/run/docker.sock.
        gateway: As in `rootfs`.
    """
    settings = [
        f"ENV PATH=/commands HOME=/tmp PYTHONPATH=/{PACKAGES} PYTHONDONTWRITEBYTECODE=1",
        f"CMD {json.dumps(['sh', '-c', UNTIL_TOLD])}",
    ]
    changes = [argument for setting in settings for argument in ("--change", setting)]
    command = ["docker", "--host", docker_host, "import", *changes, "-", tag]
    subprocess.run(command, input=rootfs(gateway=gateway), check=True, capture_output=True)


def _packages() -> list[Path]:
    """Folders and modules of site-packages that the gateway imports, with their metadata, and this package."""
    import globe

    listed = subprocess.run([sys.executable, "-c", _FIND], capture_output=True, text=True, check=True).stdout.split()
    found = {
        Path(*parts[: parts.index("site-packages") + 2]) for file in listed if "site-packages" in (parts := Path(file).parts)
    }
    names = packages_distributions()
    given = {name.replace("-", "_") for path in found for name in names.get(path.name.removesuffix(".py"), [])}
    beside = {
        one for path in found for name in given for one in path.parent.glob(f"{name}*") if one.suffix in (".libs", ".dist-info")
    }
    return [Path(globe.__file__).parent, *sorted(found | beside)]


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
