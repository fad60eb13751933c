"""Servers for a stage that runs in its own container: the stage asks, and whoever runs the containers starts and ends them.

A container must not outlive its stage, and a stage must not hold the engine's socket, which is as good as being root. So a
stage leaves a request in the folder that it shares with the run's own process (`GLOBE_SERVERS`); that process starts a
container of the serve image, leaves a record with its URL, and writes into it when the container has ended. Records lie in a
folder that stages can only read: one that a stage could write would send the next one's pictures wherever it likes. The stage
leaves the server's key beside its request, in a file that only the run's user can read; the request does not hold it.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from globe.errors import GlobeError
from globe.files import write_json
from globe.models.checkpoints import Checkpoint
from globe.run.events import Reporter
from globe.serving.ports import await_ready
from globe.serving.recipe import ServingRecipe
from globe.serving.server_key import OWNERS_ONLY, local_key, make_key, model_digest

REQUESTED_VARIABLE = "GLOBE_SERVERS_ARE_REQUESTED"
"""Set where servers are asked for instead of started."""
REQUEST, STOP = ".request", ".stop"
RECORDS = "records"
"""Folder of the records and of the servers' logs, in the folder of the requests."""
ServerName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
"""A served model's name, which names files."""
ANSWER_TIMEOUT_S = 60.0
POLL_S = 0.2


class Request(BaseModel):
    """What a stage asks for. Nothing of it is believed: stages are not trusted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: ServerName
    model: str
    """Folder of the checkpoint."""
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$", max_length=64)]
    """What the server says it serves, see `model_digest`."""
    recipe: ServingRecipe


@dataclass(frozen=True)
class Requests:
    """Launcher of servers by request."""

    folder: Path

    @property
    def records(self) -> Path:
        """Folder of the answers."""
        return self.folder / RECORDS

    @property
    def logs(self) -> Path:
        """Folder for the stage's log where the run has no common one."""
        return self.folder

    def start(self, models: Mapping[str, Checkpoint], recipe: ServingRecipe, reporter: Reporter, *, wait: bool) -> dict[str, str]:
        """Ask for a server for each model, and wait until each answers.

        Raises:
            GlobeError: One was not started, ended, or was not ready in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, checkpoint in models.items():
            make_key(local_key(self.folder, name), OWNERS_ONLY)
            request = Request(name=name, model=checkpoint.uri, digest=model_digest(checkpoint), recipe=recipe)
            write_json(self.folder / f"{name}{REQUEST}", request.model_dump())
        urls = {name: self._url(name) for name in models}
        for name, url in urls.items() if wait else ():
            await_ready(name, url, recipe.startup_timeout_s, self._record(name)["log"], partial(self.require_alive, name))
        return urls

    def stop(self, only: str = "") -> list[str]:
        """Ask to end the servers of this run, or of one model, and wait until they have ended."""
        names = [path.stem for path in self.records.glob(f"{only or '*'}.json")]
        for name in names:
            (self.folder / f"{name}{STOP}").touch()
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while any((self.records / f"{name}.json").exists() for name in names) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        for name in names:
            local_key(self.folder, name).unlink(missing_ok=True)
        return names

    def require_alive(self, model: str) -> None:
        """Check that a model's server has not ended.

        Raises:
            GlobeError: It has; with its last lines.
        """
        record = self._record(model)
        if record.get("ended"):
            raise GlobeError(f"the vLLM server for {model} ended: {record['ended']} (log: {record['log']})")

    def _record(self, name: str) -> dict[str, str]:
        path = self.records / f"{name}.json"
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def _url(self, name: str) -> str:
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while time.monotonic() < deadline:
            record = self._record(name)
            if record:
                self.require_alive(name)
                return record["url"]
            time.sleep(POLL_S)
        raise GlobeError(
            f"no server for {name} was started within {ANSWER_TIMEOUT_S:.0f} s: is the run's own process still there?"
        )
