"""`globe serve`: a checkpoint's vLLM and the gateway in front of it, as processes of this machine."""

import errno
import ipaddress
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from globe.console import tell
from globe.errors import InputError
from globe.models.checkpoints import Checkpoint
from globe.redactor import without_secrets
from globe.serving.by_hand import require_name, require_weights, server_folder
from globe.serving.guard import KEY_FILE_VARIABLE, KEY_VARIABLE
from globe.serving.ports import HOST, claim_port, is_ready, lock_port
from globe.serving.process import environment_of, guard_of, own_gpus, vllm_command
from globe.serving.progress import phase
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import local_key
from globe.serving.supervised import Part, stopped_by_signals, supervise

SETTING = "GLOBE_GATEWAY_"
"""Beginning of the variables that hold a gateway's settings."""
FINISH_S = 20.0
"""How long answers that are on their way may take once a signal ends the command; a second signal ends them."""
ALONE = {"pixels_per_minute": 10**12, "tokens_per_minute": 10**12, "answer_timeout_s": 600}
"""Without keys there is one client, whose machine it is: nobody has to be protected from it."""


@dataclass(frozen=True)
class Addresses:
    """Where what is served can be reached, once it answers."""

    api: str
    """Base URL that ends in /v1."""
    page: str
    """Empty if there is none."""


@dataclass(frozen=True)
class Front:
    """What the gateway is told, beside what it reads from its environment."""

    host: str = HOST
    port: int = 0
    """0 for any that is free."""
    keys_file: Path | None = None
    max_precision: str = ""
    """Empty for the gateway's own default."""
    page: bool = True


def serve(
    checkpoint: Checkpoint,
    name: str,
    recipe: ServingRecipe,
    front: Front | None,
    on_ready: Callable[[Addresses], None],
    *,
    port: int = 0,
    client_keys: Callable[[Path], Path | None] = lambda _: None,
) -> None:
    """Serve until a signal comes, with lines on stderr while it starts and whenever something crashes.

    Args:
        checkpoint: The checkpoint.
        name: Name that clients ask for.
        recipe: Serving settings.
        front: The gateway's; None for vLLM alone, at `port` of this machine.
        on_ready: Called once everything answers.
        port: For vLLM alone.
        client_keys: Makes the file of keys in a folder, if the user named none.

    Raises:
        InputError: The name, the address or the checkpoint cannot be served.
        GlobeError: It did not start, or crashed again and again.
    """
    require_name(name)
    host, wanted = (front.host, front.port) if front else (HOST, port)
    require_free(host, wanted)
    require_weights(checkpoint)
    door, lock = (wanted, lock_port(wanted)) if wanted else claim_port()
    with stopped_by_signals() as stop, server_folder() as folder:
        if front is None:
            engine = _engine(folder, checkpoint, name, recipe, door, lock, keyed=False)
            addresses, parts = Addresses(f"http://{HOST}:{door}/v1", ""), [engine]
            ready = partial(is_ready, addresses.api)
        else:
            inner, inner_lock = claim_port()
            engine = _engine(folder, checkpoint, name, recipe, inner, inner_lock, keyed=True)
            keys = front.keys_file or client_keys(folder)
            gateway = _gateway(folder, checkpoint, name, recipe, front, door, lock, inner, keys)
            root = f"http://{_reached(front.host)}:{door}"
            addresses, parts = Addresses(f"{root}/v1", f"{root}/" if front.page else ""), [gateway, engine]
            ready = partial(is_ready, f"{root}/v1", "/ready")
        tell(f"starting vLLM{' and its gateway' if front else ''} (log: {engine.log}) ...")
        supervise(
            parts,
            _now_and_then(ready),
            stop,
            phase=lambda: phase(engine.log, engine.since),
            on_ready=lambda: on_ready(addresses),
            timeout_s=recipe.startup_timeout_s,
        )
    raise KeyboardInterrupt


def require_free(host: str, port: int) -> None:
    """Check that this machine can listen at an address.

    Raises:
        InputError: It cannot, or someone listens there already, who is named.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: connections that have ended don't count
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        raise InputError(f"--host {host}: there is no such host") from None
    except OverflowError:
        raise InputError(f"--port {port}: a port is a number up to 65535") from None
    except PermissionError:
        raise InputError(f"--port {port}: only root may listen there; give one from 1024 on") from None
    except OSError as error:
        owner = port_owner(port)
        if not owner and error.errno != errno.EADDRINUSE:
            raise InputError(f"--host {host}: this machine cannot listen there ({error.strerror})") from None
        by = f" by {owner}" if owner else ""
        raise InputError(f"--port {port}: is taken{by}; give another one, or 0 for any that is free") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def port_owner(port: int) -> str:
    """Who listens on a port of this machine, for an error; empty if that cannot be seen."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    return "a process of another user"
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""


def own_settings(front: Front, name: str) -> dict[str, str]:
    """Environment of a gateway of this machine, but for what is known once it is started.

    Args:
        front: What the command was told.
        name: The model's.
    """
    alone = {} if front.keys_file or os.environ.get(KEY_VARIABLE) else ALONE
    told = {
        **{name: value for name, value in alone.items() if f"{SETTING}{name.upper()}" not in os.environ},
        **{"model": name, "host": front.host, "port": front.port, "page": front.page, "peers": ""},
        **({"keys_file": front.keys_file} if front.keys_file else {}),
        **({"max_precision": front.max_precision} if front.max_precision else {}),
        **{"drain_s": 0, "shutdown_s": FINISH_S, "show_checkpoint": is_loopback(front.host)},
    }
    inherited = {name: value for name, value in os.environ.items() if name.startswith(SETTING)}
    return inherited | {f"{SETTING}{name.upper()}": str(value) for name, value in told.items()}


def _engine(
    folder: Path, checkpoint: Checkpoint, name: str, recipe: ServingRecipe, port: int, lock: socket.socket | None, *, keyed: bool
) -> Part:
    guard = guard_of(name, checkpoint, folder, keyed=keyed)
    return Part(
        title="vLLM",
        command=[sys.executable, "-m", "globe.serving.engine", "--", *vllm_command(checkpoint, name, recipe, port)],
        environment=environment_of(recipe, guard, own_gpus(name, recipe, folder), folder),
        log=folder / f"serving-{name}.log",
        fds=[lock.fileno()] if lock else [],
    )


def _gateway(
    folder: Path,
    checkpoint: Checkpoint,
    name: str,
    recipe: ServingRecipe,
    front: Front,
    port: int,
    lock: socket.socket | None,
    engine_port: int,
    keys: Path | None,
) -> Part:
    told = {"engine_url": f"http://{HOST}:{engine_port}", "checkpoint": checkpoint.described_in, "port": port}
    told |= {"max_tokens": recipe.max_model_len} | ({"keys_file": keys} if keys else {})
    return Part(
        title="the gateway",
        command=[sys.executable, "-m", "globe.gateway"],
        environment=without_secrets(os.environ)
        | own_settings(front, name)
        | {f"{SETTING}{setting.upper()}": str(value) for setting, value in told.items()}
        | {KEY_FILE_VARIABLE: str(local_key(folder, name)), "PYTHONSAFEPATH": "1"},
        log=folder / "gateway.log",
        end_s=FINISH_S + 5.0,
        fds=[lock.fileno()] if lock else [],
    )


def _reached(host: str) -> str:
    """How this machine itself reaches an address that it listens at."""
    with suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            return HOST if address.version == 4 else "[::1]"
        return f"[{host}]" if address.version == 6 else host
    return host


def _now_and_then(ready: Callable[[], bool], every_s: float = 1.0) -> Callable[[], bool]:
    """The same question, asked once a second at most."""
    asked = 0.0

    def rarely() -> bool:
        nonlocal asked
        if time.monotonic() - asked < every_s:
            return False
        asked = time.monotonic()
        return ready()

    return rarely
