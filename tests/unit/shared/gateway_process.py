"""The gateway as a process of its own, as a pod has it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from held_port import held_port
from raw_http import Reply, exchange, request

READY_S = 300.0


@dataclass
class GatewayProcess:
    """A running gateway."""

    address: tuple[str, int]
    process: subprocess.Popen
    log: Path

    def ask(self, *pieces: bytes, timeout_s: float = 30.0) -> Reply:
        """Send bytes, and read the answer."""
        return exchange(self.address, pieces, timeout_s)

    def peak_bytes(self) -> int:
        """The most memory that it has had at once."""
        status = Path("/proc", str(self.process.pid), "status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


@contextmanager
def running_gateway(folder: Path, key_file: Path | None = None, **settings: object) -> Iterator[GatewayProcess]:
    """A gateway that is ready, for as long as a `with` block lasts.

    Args:
        folder: For its log.
        key_file: The engine's key; None for an engine that is open.
        settings: Of `GatewaySettings`, beside host and port.
    """
    held = held_port()
    port = held.getsockname()[1]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GLOBE_GATEWAY_")}
    environ |= {"GLOBE_SERVER_KEY_FILE": str(key_file)} if key_file else {"GLOBE_SERVER_MAY_BE_OPEN": "1"}
    environ |= {f"GLOBE_GATEWAY_{name.upper()}": str(value) for name, value in {"port": port, **settings}.items()}
    log = folder / "gateway.log"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "globe.gateway"], env=environ, stdout=out, stderr=subprocess.STDOUT)
    running = GatewayProcess(("127.0.0.1", port), process, log)
    try:
        ends_s = time.monotonic() + READY_S
        while not _is_ready(running):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends_s, log.read_text()
            time.sleep(0.1)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        held.close()


def _is_ready(running: GatewayProcess) -> bool:
    try:
        return running.ask(request("GET", "/ready")).status == 200
    except OSError:
        return False
