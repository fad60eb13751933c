"""Start and end the servers that stages in containers request; see globe/serving/requested.py."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import docker.errors

from globe.files import write_json
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.guard import DIGEST_VARIABLE, KEY_VARIABLE
from globe.serving.ports import HOST, claim_port
from globe.serving.recipe import ServingRecipe
from globe.serving.requested import REQUEST, STOP
from globe.serving.server_key import local_key, read_key
from pipelines.local.containers import Engine

POLL_S = 0.3
SERVER = "server"
TAIL_LINES = 12


class ServerContainers(threading.Thread):
    """Watches a folder for requests until the process ends."""

    def __init__(self, engine: Engine, folder: Path, logs: Path) -> None:
        super().__init__(name="server-containers", daemon=True)
        self._engine, self._folder, self._logs = engine, folder, logs
        self._running: dict[str, Any] = {}
        self._ports: dict[str, socket.socket] = {}
        """The locks on the servers' ports: a container cannot inherit one, so this process holds them."""
        self._over = threading.Event()

    def run(self) -> None:
        """Answer requests and look after the servers."""
        while not self._over.wait(POLL_S):
            for path in self._folder.glob(f"*{REQUEST}"):
                self._begin(path)
            for path in self._folder.glob(f"*{STOP}"):
                self._end(path)
            for name in list(self._running):
                self._look_after(name)

    def finish(self) -> None:
        """Stop watching."""
        self._over.set()
        self.join()

    def _begin(self, path: Path) -> None:
        request = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        name = request["name"]
        port, self._ports[name] = claim_port()
        recipe = ServingRecipe.model_validate(request["recipe"])
        arguments = vllm_arguments(Path(request["model"]), name, HOST, port, recipe)
        log = self._logs / f"serving-{name}.log"
        record = {"name": name, "url": f"http://{HOST}:{port}/v1", "log": str(log)}
        try:
            container = self._engine.start(
                self._engine.settings.image("serve"),
                ["vllm", "serve", *arguments],
                self._engine.settings.limit(SERVER),
                f"{SERVER}-{name}",
                **vllm_environment(recipe),
                **{KEY_VARIABLE: read_key(local_key(self._folder, name), name), DIGEST_VARIABLE: request["digest"]},
            )
        except docker.errors.APIError as error:
            record["ended"] = f"the container engine refused it ({error.explanation})"
            self._ports.pop(name).close()
        else:
            self._running[name] = container
            threading.Thread(target=_keep_log, args=(container, log), daemon=True).start()
        write_json(self._folder / f"{name}.json", record)

    def _end(self, path: Path) -> None:
        name = path.name.removesuffix(STOP)
        if name in self._running:
            self._remove(name)
        (self._folder / f"{name}.json").unlink(missing_ok=True)
        path.unlink()

    def _look_after(self, name: str) -> None:
        container = self._running[name]
        container.reload()
        state = container.attrs["State"]
        if state["Status"] != "exited":
            return
        path = self._folder / f"{name}.json"
        record = json.loads(path.read_text(encoding="utf-8"))
        reason = "out of memory" if state.get("OOMKilled") else f"exit code {state['ExitCode']}"
        said = container.logs(tail=TAIL_LINES).decode(errors="replace").split()
        write_json(path, record | {"ended": f"{reason}: {' '.join(said)[-600:]}"})
        self._remove(name)

    def _remove(self, name: str) -> None:
        self._engine.remove(self._running.pop(name))
        self._ports.pop(name).close()


def _keep_log(container: Any, log: Path) -> None:
    """Copy a server's output to its log until it ends."""
    try:
        with log.open("ab") as file:
            for chunk in container.logs(stream=True, follow=True):
                file.write(chunk)
                file.flush()
    except docker.errors.NotFound:
        return
