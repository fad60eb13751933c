"""Start and end the servers that stages in containers request; see globe/serving/requested.py.

Stages are not trusted, and this process holds the engine's socket. So it reads what they leave as it would anybody's data, and
writes only to the folder of records, which they see but cannot write to.
"""

import json
import socket
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import docker.errors
from pydantic import TypeAdapter, ValidationError

from globe.errors import InputError
from globe.files import write_json
from globe.models.safety import check_model_folder
from globe.serving.arguments import vllm_arguments, vllm_environment
from globe.serving.guard import DIGEST_VARIABLE, KEY_VARIABLE
from globe.serving.ports import HOST, claim_port
from globe.serving.requested import RECORDS, REQUEST, STOP, Request, ServerName
from globe.serving.server_key import KEY, local_key
from pipelines.local.containers import Engine
from pipelines.local.left import open_left

POLL_S = 0.3
TAIL_LINES = 12
MOST_SERVERS = 16
"""At once; a run has two."""
MAX_REQUEST_BYTES = 64 * 1024
_NAME = TypeAdapter(ServerName)


class ServerContainers(threading.Thread):
    """Watches a folder for requests until the process ends.

    Args:
        engine: Starts the containers.
        folder: Where stages leave requests; in it is the folder of records.
        models: The folders that hold whatever a server may serve.
    """

    def __init__(self, engine: Engine, folder: Path, models: Sequence[Path]) -> None:
        super().__init__(name="server-containers", daemon=True)
        self._engine, self._folder = engine, folder
        self._records = folder / RECORDS
        self._models = [model.resolve() for model in models]
        self._running: dict[str, Any] = {}
        self._ports: dict[str, socket.socket] = {}
        """The locks on the servers' ports: a container cannot inherit one, so this process holds them."""
        self._stuck: set[str] = set()
        """Names of files that were refused and cannot be removed, such as folders."""
        self._over = threading.Event()

    def run(self) -> None:
        """Answer requests and look after the servers; if that cannot go on, end the run's containers, which then fails."""
        try:
            while not self._over.wait(POLL_S):
                for path in self._left(REQUEST):
                    self._answer(path, self._begin)
                for path in self._left(STOP):
                    self._answer(path, self._end)
                for name in list(self._running):
                    self._look_after(name)
        except Exception:
            print(f"the run's servers cannot be looked after any more, so it ends:\n{traceback.format_exc()}", flush=True)
            self._engine.remove_all()

    def finish(self) -> None:
        """Stop watching."""
        self._over.set()
        self.join()

    def _left(self, suffix: str) -> list[Path]:
        return sorted(path for path in self._folder.glob(f"*{suffix}") if path.name not in self._stuck)

    def _answer(self, path: Path, act: Callable[[Path], None]) -> None:
        """Do what a file asks for, or say in one line why not, and remove it."""
        try:
            act(path)
        except InputError as error:
            print(f"{ascii(path.name)[:120]} of a stage is refused: {error}", flush=True)
        try:
            path.unlink(missing_ok=True)
        except OSError:
            self._stuck.add(path.name)

    def _begin(self, path: Path) -> None:
        name = _named(path, REQUEST)
        if name in self._running:
            raise InputError("that server runs already")
        try:
            request = read_request(path)
            if len(self._running) >= MOST_SERVERS:
                raise InputError(f"a run has {MOST_SERVERS} servers at most")
            model, key = self._model(request.model), self._key(name)
            check_model_folder(model)
        except InputError as error:
            self._record(name, url="", ended=f"the request was refused: {error}")
            raise
        self._start(request, model, key)

    def _start(self, request: Request, model: Path, key: str) -> None:
        name = request.name
        port, self._ports[name] = claim_port()
        arguments = vllm_arguments(model, name, HOST, port, request.recipe)
        url = f"http://{HOST}:{port}/v1"
        environment = vllm_environment(request.recipe) | {KEY_VARIABLE: key, DIGEST_VARIABLE: request.digest}
        try:
            container = self._engine.start_server(["vllm", "serve", *arguments], name, environment, reads=[model])
        except (docker.errors.DockerException, OSError) as error:
            self._record(name, url=url, ended=f"the container engine refused it ({getattr(error, 'explanation', error)})")
            self._ports.pop(name).close()
            return
        self._running[name] = container
        threading.Thread(target=_keep_log, args=(container, self._log(name)), daemon=True).start()
        self._record(name, url=url)

    def _model(self, text: str) -> Path:
        """The real folder of a model: what a link leads to is what the engine would show to the server."""
        try:
            folder = Path(text).resolve(strict=True)
            if Path(text).is_absolute() and folder.is_dir() and any(folder.is_relative_to(place) for place in self._models):
                return folder
        except (OSError, ValueError, RuntimeError):
            pass
        raise InputError(f"its model {ascii(text)[:200]} is no folder of the run's store or inputs")

    def _key(self, name: str) -> str:
        """The key that the stage has left for its server."""
        key = _content(local_key(self._folder, name)).decode("ascii", "replace").strip()
        if not KEY.fullmatch(key):
            raise InputError("its key is none")
        return key

    def _end(self, path: Path) -> None:
        name = _named(path, STOP)
        if name in self._running:
            self._remove(name)
        (self._records / f"{name}.json").unlink(missing_ok=True)

    def _look_after(self, name: str) -> None:
        container = self._running[name]
        try:
            container.reload()
            state = container.attrs["State"]
            if state["Status"] != "exited":
                return
            reason = "out of memory" if state.get("OOMKilled") else f"exit code {state['ExitCode']}"
            said = container.logs(tail=TAIL_LINES).decode(errors="replace").split()
        except docker.errors.NotFound:
            reason, said = "somebody removed its container", []
        url = json.loads((self._records / f"{name}.json").read_text(encoding="utf-8"))["url"]
        self._record(name, url=url, ended=f"{reason}: {' '.join(said)[-600:]}")
        self._remove(name)

    def _remove(self, name: str) -> None:
        self._engine.remove(self._running.pop(name))
        self._ports.pop(name).close()

    def _log(self, name: str) -> Path:
        return self._records / f"serving-{name}.log"

    def _record(self, name: str, **known: str) -> None:
        write_json(self._records / f"{name}.json", {"name": name, "log": str(self._log(name)), **known})


def read_request(path: Path) -> Request:
    """Read what a stage has left, whatever it is.

    Args:
        path: The file.

    Raises:
        InputError: It is no regular file, too large, or no request.
    """
    try:
        request = Request.model_validate_json(_content(path))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise InputError(f"{ascii('.'.join(map(str, first['loc'])))[:120]}: {first['msg'][:200]}") from None
    if request.name != _named(path, REQUEST):
        raise InputError(f"it is about another server, {request.name}")
    return request


def _content(path: Path) -> bytes:
    """A file's bytes; no link is followed, and no pipe waited for."""
    try:
        with open_left(path) as file:
            content = file.read(MAX_REQUEST_BYTES + 1)
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror})") from None
    if len(content) > MAX_REQUEST_BYTES:
        raise InputError(f"it is over {MAX_REQUEST_BYTES} bytes")
    return content


def _named(path: Path, suffix: str) -> str:
    """The server that a file is about, by the file's name."""
    try:
        return _NAME.validate_python(path.name.removesuffix(suffix))
    except ValidationError:
        raise InputError("a server's name has letters, digits, dots, hyphens and underscores only, 100 at most") from None


def _keep_log(container: Any, log: Path) -> None:
    """Copy a server's output to its log until it ends."""
    try:
        with log.open("ab") as file:
            for chunk in container.logs(stream=True, follow=True):
                file.write(chunk)
                file.flush()
    except (docker.errors.DockerException, OSError):
        return
