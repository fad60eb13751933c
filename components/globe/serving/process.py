"""A vLLM server as a local process: start it, wait until it answers, find it again, end it.

A server outlives the pipeline task that starts it, and must not outlive the run. So each leaves a record in the run's
folder (`GLOBE_SERVERS`): the tear-down stage ends what it finds there, and the process that supervises the run ends
whatever is left of it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil

from globe.errors import GlobeError
from globe.files import write_json
from globe.models.checkpoints import Checkpoint
from globe.redactor import without_secrets
from globe.run.events import Reporter
from globe.run.gpus import VISIBLE_VARIABLE, gpus_here
from globe.run.processes import end_process_tree, end_writers, has_ended, tie_to_parent
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.diagnosis import last_words_of
from globe.serving.guard import DIGEST_VARIABLE, KEY_FILE_VARIABLE, KEY_VARIABLE, OPEN_VARIABLE
from globe.serving.ports import HOST, await_ready, claim_port
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import OWNERS_ONLY, guarded, local_key, make_key, model_digest

SERVERS_VARIABLE = "GLOBE_SERVERS"
MAX_SOCKET_FOLDER_CHARS = 64
"""vLLM's processes talk over sockets in the temporary folder, and the path of a socket has 107 characters at most."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    name: str
    url: str
    """Base URL that ends in /v1."""
    pid: int
    created: float
    """Start time of the process: tells it from a later one with the same number."""
    log: str
    gpus: str = ""
    """Those that it has for itself, with commas; empty where there are none."""


def records_folder() -> Path | None:
    """Where the servers of this run leave their records; None outside a local run."""
    folder = os.environ.get(SERVERS_VARIABLE)
    return Path(folder) if folder else None


def start_servers(
    checkpoints: Mapping[str, Checkpoint],
    recipe: ServingRecipe,
    log_folder: Path,
    records: Path,
    *,
    tied: bool = False,
    wait: bool = True,
    keyed: bool = True,
) -> list[Server]:
    """Start one vLLM server for each checkpoint, all at once, and wait until every one answers.

    Args:
        checkpoints: Checkpoint by the model name it is served under.
        recipe: Serving settings.
        log_folder: Each server logs to `serving-NAME.log` there.
        records: Folder for the records that `stop_servers` reads.
        tied: End the servers when this process ends, however it ends. A pipeline task leaves its servers to the next ones.
        wait: False leaves the waiting to whoever asks first.
        keyed: Give each a key, which lies beside its record. False leaves that to the user's GLOBE_SERVER_KEY; without it, a
            server answers whoever is on this machine.

    Returns:
        The servers, in the order of `checkpoints`.

    Raises:
        GlobeError: A server ended or was not ready in time; none is left running then.
    """
    started: list[Server] = []
    try:
        for name, checkpoint in checkpoints.items():
            records.mkdir(parents=True, exist_ok=True)
            guard = guard_of(name, checkpoint, records, keyed=keyed)
            gpus = own_gpus(name, recipe, records)
            server = _start(name, checkpoint, recipe, log_folder, tied, guard, gpus)
            started.append(server)
            write_json(records / f"{name}.json", asdict(server))
        for server in started if wait else []:
            await_ready(server.name, server.url, recipe.startup_timeout_s, server.log, partial(_require_alive, server))
    except BaseException:
        stop_servers(records)
        raise
    return started


def require_alive(records: Path, name: str) -> None:
    """Check that a server that was started here still runs, ready or not.

    Args:
        records: Folder with the servers' records.
        name: The server's name; one without a record, such as a server elsewhere, passes.

    Raises:
        GlobeError: It has ended; with its last lines and its log.
    """
    path = records / f"{name}.json"
    if path.exists():
        _require_alive(Server(**json.loads(path.read_text())))


def stop_servers(records: Path, *, only: str = "") -> list[str]:
    """End the servers that have a record in a folder, and remove the records and the keys.

    Args:
        records: The folder.
        only: Name of one server; every one when empty.

    Returns:
        Names of the servers that were still running.
    """
    stopped = []
    for path in sorted(records.glob(f"{only or '*'}.json")):
        server = Server(**json.loads(path.read_text()))
        if _alive(server):
            end_process_tree(server.pid)
            stopped.append(server.name)
        end_writers([Path(server.log)])  # what a server that was killed has left
        path.unlink()
    for key in records.glob(local_key(Path(), only or "*").name):  # also one whose server never started
        key.unlink()
    return stopped


@dataclass(frozen=True)
class Processes:
    """Launcher of servers as processes of this machine, which a later task finds by their records."""

    records: Path

    @property
    def logs(self) -> Path:
        """Folder for the stage's log where the run has no common one."""
        return self.records

    def start(self, models: Mapping[str, Checkpoint], recipe: ServingRecipe, reporter: Reporter, *, wait: bool) -> dict[str, str]:
        """Start a server for each model; see `start_servers`."""
        servers = start_servers(models, recipe, reporter.log.parent, self.records, wait=wait)
        return {server.name: server.url for server in servers}

    def stop(self, only: str = "") -> list[str]:
        """End the servers of this run; see `stop_servers`."""
        return stop_servers(self.records, only=only)

    def require_alive(self, model: str) -> None:
        """Check that a model's server still runs; see `require_alive`."""
        require_alive(self.records, model)


@contextmanager
def served(checkpoint: Checkpoint, name: str, recipe: ServingRecipe, folder: Path, *, keyed: bool = True) -> Iterator[Server]:
    """A server for the length of a `with` block, which keeps all its files in one folder; `start_servers` says more."""
    (server,) = start_servers({name: checkpoint}, recipe, folder, folder, tied=True, keyed=keyed)
    try:
        yield server
    finally:
        stop_servers(folder)


def guard_of(name: str, checkpoint: Checkpoint, records: Path, *, keyed: bool) -> dict[str, str]:
    """Environment of a server's guard, with a new key beside its record, or whatever key the user's own environment has."""
    if not keyed:
        key = {name: os.environ[name] for name in (KEY_VARIABLE, KEY_FILE_VARIABLE) if name in os.environ}  # the user's own
        return {OPEN_VARIABLE: "1", DIGEST_VARIABLE: model_digest(checkpoint)} | key
    file = local_key(records, name)
    make_key(file, OWNERS_ONLY)
    return guarded(file, model_digest(checkpoint))


def _start(
    name: str, checkpoint: Checkpoint, recipe: ServingRecipe, log_folder: Path, tied: bool, guard: dict[str, str], gpus: str
) -> Server:
    log = log_folder / f"serving-{name}.log"
    log_folder.mkdir(parents=True, exist_ok=True)
    port, lock = claim_port()
    with lock, log.open("ab") as file:
        # Its own session: Ctrl-C goes to the run, which then ends its servers in order.
        process = subprocess.Popen(
            vllm_command(checkpoint, name, recipe, port),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment_of(recipe, guard, gpus, log_folder if tied else None),
            pass_fds=[lock.fileno()],  # the server has it from here on
            preexec_fn=tie_to_parent if tied else None,
        )
    return Server(name, f"http://{HOST}:{port}/v1", process.pid, psutil.Process(process.pid).create_time(), str(log), gpus)


def vllm_command(checkpoint: Checkpoint, name: str, recipe: ServingRecipe, port: int) -> list[str]:
    """Command line of a server on this machine."""
    vllm = str(Path(sys.executable).with_name("vllm"))
    return [vllm, "serve", *vllm_arguments(checkpoint.path, name, HOST, port, recipe)]


def environment_of(recipe: ServingRecipe, guard: Mapping[str, str], gpus: str, temporary: Path | None) -> dict[str, str]:
    """Environment of a server on this machine.

    Args:
        recipe: Serving settings.
        guard: As `guard_of` gives it.
        gpus: As `own_gpus` gives them.
        temporary: Folder for its temporary files; None for the system's.
    """
    return (
        without_secrets(os.environ)
        | vllm_environment(recipe)
        | dict(guard)
        | (_temporary_in(temporary) if temporary else {})
        | ({VISIBLE_VARIABLE: gpus} if gpus else {})
    )


def own_gpus(name: str, recipe: ServingRecipe, records: Path) -> str:
    """The last GPUs that no server of this run has, since trainers take the first; empty on a machine without GPUs."""
    here = gpus_here()
    servers = (Server(**json.loads(path.read_text())) for path in records.glob("*.json"))
    taken = {gpu for server in servers if _alive(server) for gpu in server.gpus.split(",")}
    free = [gpu for gpu in here if gpu not in taken]
    if here and len(free) < recipe.tensor_parallel_size:
        raise GlobeError(
            f"the server for {name} needs {recipe.tensor_parallel_size} GPUs (serving.tensor_parallel_size), and {len(free)} of "
            f"this machine's {len(here)} are free of this run's servers"
        )
    return ",".join(free[-recipe.tensor_parallel_size :])


def _temporary_in(folder: Path) -> dict[str, str]:
    """Environment that makes a server keep its temporary files in a folder; empty where the folder's path is too long."""
    return {"TMPDIR": str(folder)} if len(str(folder)) <= MAX_SOCKET_FOLDER_CHARS else {}


def _require_alive(server: Server) -> None:
    if not _alive(server):
        raise GlobeError(f"the vLLM server for {server.name} ended: {last_words_of(Path(server.log))} (log: {server.log})")


def _alive(server: Server) -> bool:
    try:
        process = psutil.Process(server.pid)
        return process.create_time() == server.created and not has_ended(process)
    except psutil.NoSuchProcess:
        return False
