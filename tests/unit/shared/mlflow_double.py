"""The three requests of MLflow that a record makes, over real HTTP; tests/integration/test_mlflow.py has the real server.

It keeps equal metrics once, as the real one's database does, and does not let a parameter be changed.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from local_server import JsonHandler, http_server


@dataclass
class Run:
    metrics: list[dict] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def curve(self, key: str) -> list[tuple[int, float]]:
        return [(metric["step"], metric["value"]) for metric in self.metrics if metric["key"] == key]


@dataclass
class MlflowDouble:
    url: str = ""
    runs: dict[str, Run] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each request."""
    sizes: list[int] = field(default_factory=list)
    """Entries of each batch."""

    def log(self, content: dict) -> tuple[int, dict]:
        run = self.runs.get(content["run_id"])
        if run is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}
        self.sizes.append(sum(len(content[kind]) for kind in ("metrics", "params", "tags")))
        given = {entry["key"]: entry["value"] for entry in content["params"]}
        if any(run.params.get(key, value) != value for key, value in given.items()):
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Changing param values is not allowed"}
        run.metrics += [metric for metric in content["metrics"] if metric not in run.metrics]
        run.params |= given
        run.tags |= {entry["key"]: entry["value"] for entry in content["tags"]}
        return 200, {}

    def get(self, name: str) -> tuple[int, dict]:
        run = self.runs.get(name)
        if run is None:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such run"}
        last: dict[str, dict] = {}
        for metric in run.metrics:
            if metric["key"] not in last or metric["step"] >= last[metric["key"]]["step"]:
                last[metric["key"]] = metric
        data = {"metrics": list(last.values()), "tags": [{"key": key, "value": value} for key, value in run.tags.items()]}
        return 200, {"run": {"info": {"run_id": name}, "data": data}}


@contextmanager
def mlflow_double(fault: Callable[[int], int] = lambda number: 0) -> Iterator[MlflowDouble]:
    """The server, running, with runs "task" and, above it, "pipeline".

    Args:
        fault: The status of the n-th answer (from 1) if it fails; 0 if it does not; 1 to hang up once it has done what it should.
    """
    told = MlflowDouble(runs={"task": Run(tags={"mlflow.parentRunId": "pipeline"}), "pipeline": Run()})

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            self.answer(lambda: told.get(parse_qs(urlsplit(self.path).query)["run_id"][0]))

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(lambda: told.log(content))

        def answer(self, do: Callable[[], tuple[int, dict]]) -> None:
            told.asked.append((urlsplit(self.path).path, dict(self.headers)))
            status = fault(len(told.asked))
            if status > 1:
                self.send(status, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"})
                return
            found = do()
            if status == 1:
                self.close_connection = True
            else:
                self.send(*found)

    with http_server(Handler) as url:
        told.url = url
        yield told
