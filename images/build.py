"""Build the images: python images/build.py [NAME ...] [--variant cpu] (no NAME: all of them).

Needs Docker with BuildKit (20.10's own, or buildx). Tags are localhost/globe-NAME:VARIANT. Where no registry can be reached,
images/debian-base.sh makes a base from Debian's archive (--base), and a folder with torch's CPU wheel stands in for PyTorch's
index (--wheels). A private package index or certificate authority is handed in as a build secret and enters no layer.
VLLM_WHEEL and VLLM_WHEEL_SHA256 bring the vLLM project's own CPU wheel into serve's cpu variant (README, Set-up).
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

IMAGES = Path(__file__).resolve().parent
ROOT = IMAGES.parent
CONTAINERFILE = IMAGES / "Containerfile"
NAMES = sorted({path.parent.name for path in IMAGES.glob("*/requirements*.lock")} - {"laptop"})
"""The images: each is a target of the Containerfile and has a folder with its locks."""
BAD_INPUT = 2


def tag(name: str, variant: str) -> str:
    """Local tag of an image."""
    return f"localhost/globe-{name}:{variant}"


def version() -> str:
    """The project's version."""
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "pyproject.toml has a version"
    return found[1]


def revision() -> str:
    """Commit that is checked out, marked when the working tree differs from it."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip() or "unknown"


def build_command(name: str, options: argparse.Namespace, wheels: str = "") -> list[str]:
    """The engine's command that builds an image; `wheels` is the image that holds torch's CPU wheel, if any."""
    values = {"VERSION": version(), "REVISION": revision(), "VARIANT": options.variant}
    values |= {key: os.environ[key] for key in ("VLLM_WHEEL", "VLLM_WHEEL_SHA256") if os.environ.get(key)}
    if options.base:
        values["BASE"] = options.base
    if wheels:
        values |= {"WHEELS": wheels, "TORCH_WHEELS": "/wheels"}
    command = [options.docker, "build", "-f", str(CONTAINERFILE), "--target", name, "-t", tag(name, options.variant)]
    for key, value in values.items():
        command += ["--build-arg", f"{key}={value}"]
    for key in ("ca", "pip", "uv"):
        if path := getattr(options, key):
            command += ["--secret", f"id={key},src={path}"]
    if options.network:
        command += ["--network", options.network]
    return [*command, str(ROOT)]


def import_wheels(docker: str, folder: Path) -> str:
    """Bring a folder's wheels into the engine as an image that builds mount; returns its tag, named after its content."""
    files = sorted(folder.glob("*.whl"))
    if not files:
        fail(f"{folder}: no *.whl there; give a folder with torch's CPU wheel")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    image = f"localhost/globe-wheels:{digest.hexdigest()[:12]}"
    if subprocess.run([docker, "image", "inspect", image], capture_output=True).returncode:
        with subprocess.Popen([docker, "import", "-", image], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
            with tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
                for path in files:
                    archive.add(path, path.name)
            assert importing.stdin
            importing.stdin.close()
        if importing.returncode:
            fail(f"the wheels of {folder} could not be imported; see above")
    return image


def fail(text: str, code: int = BAD_INPUT) -> None:
    """Say what is wrong in one line and end."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def told(name: str, otherwise: str | None = None) -> str | None:
    """A variable of the environment; one that is empty, as make hands on those that are not set, says nothing."""
    return os.environ.get(name) or otherwise


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line; what it leaves out comes from the environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which images: {', '.join(NAMES)}; none means all")
    parser.add_argument("--variant", choices=("gpu", "cpu"), default="gpu", help="locks of train and serve (default: gpu)")
    parser.add_argument("--base", default=told("IMAGE_BASE"), help="another base image ($IMAGE_BASE)")
    parser.add_argument("--wheels", type=Path, default=told("TORCH_WHEELS"), help="folder with wheels ($TORCH_WHEELS)")
    parser.add_argument("--docker", default=told("DOCKER", "docker"), help="the engine's command ($DOCKER)")
    parser.add_argument("--network", default=told("IMAGE_NETWORK"), help="network of the build ($IMAGE_NETWORK), as host")
    parser.add_argument("--ca", default=told("SSL_CERT_FILE"), help="certificates to trust ($SSL_CERT_FILE)")
    parser.add_argument("--pip", default=told("PIP_CONFIG_FILE"), help="pip.conf with an index ($PIP_CONFIG_FILE)")
    parser.add_argument("--uv", default=told("UV_CONFIG_FILE"), help="uv.toml with an index ($UV_CONFIG_FILE)")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        fail(f"no image {sorted(unknown)[0]}; there are {', '.join(NAMES)}")
    return options


def main() -> None:
    """Build the named images, one after the other: they share stages."""
    options = parse(sys.argv[1:])
    wheels = import_wheels(options.docker, options.wheels) if options.wheels and options.variant == "cpu" else ""
    for name in options.names or NAMES:
        started = time.monotonic()
        environment = os.environ | {"DOCKER_BUILDKIT": "1"}
        if subprocess.run(build_command(name, options, wheels), env=environment).returncode:
            fail(f"{name}: the build failed, see above", 1)
        inspect = [options.docker, "image", "inspect", "--format", "{{.Size}}", tag(name, options.variant)]
        size = subprocess.run(inspect, capture_output=True, text=True).stdout.strip()
        print(f"{tag(name, options.variant)}: {int(size or 0) / 1e6:.0f} MB in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
