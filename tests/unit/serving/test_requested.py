"""Servers by request: a stage in a container leaves files, the run's own process answers with files."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from globe.errors import GlobeError
from globe.files import write_json
from globe.models.checkpoints import Checkpoint
from globe.run.events import Reporter
from globe.serving import requested
from globe.serving.recipe import ServingRecipe
from globe.serving.requested import Requests

MODEL = Checkpoint("/store/model", "/store/model/globe-checkpoint.json", "tiny", "demo", "", 1)


@pytest.fixture
def health():
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture
def answering(tmp_path, health):
    """Answers requests as the run's own process does; `ended` makes servers end at once."""
    over, seen, ended = threading.Event(), [], {}

    def answer():
        (tmp_path / "records").mkdir()
        while not over.wait(0.02):
            for path in tmp_path.glob("*.request"):
                seen.append(json.loads(path.read_text()))
                path.unlink()
                write_json(tmp_path / "records" / f"{path.stem}.json", {"url": health, "log": "x.log", **ended})
            for path in tmp_path.glob("*.stop"):
                (tmp_path / "records" / f"{path.stem}.json").unlink()
                path.unlink()

    thread = threading.Thread(target=answer)
    thread.start()
    yield seen, ended
    over.set()
    thread.join()


def start(folder, **options):
    return Requests(folder).start({"grpo": MODEL}, ServingRecipe(), Reporter("serving", folder / "log"), **options)


def test_a_server_is_asked_for_with_model_and_recipe_and_found_by_its_record(tmp_path, answering, health):
    assert start(tmp_path, wait=True) == {"grpo": health}
    (request,) = answering[0]
    assert (request["name"], request["model"]) == ("grpo", "/store/model")
    assert ServingRecipe.model_validate(request["recipe"]) == ServingRecipe()


def test_its_key_lies_beside_the_request_for_the_runs_user_only_and_goes_with_the_server(tmp_path, answering):
    start(tmp_path, wait=False)
    key = tmp_path / "grpo.key"
    assert key.stat().st_mode & 0o777 == 0o600
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path != key] + [json.dumps(answering[0])]
    assert not [text for text in written if key.read_text() in text]
    Requests(tmp_path).stop()
    assert not key.exists()


def test_a_server_that_has_ended_is_told_with_its_last_words(tmp_path, answering):
    answering[1]["ended"] = "out of memory: the last line"
    with pytest.raises(GlobeError, match="out of memory: the last line"):
        start(tmp_path, wait=True)
    with pytest.raises(GlobeError, match=r"x\.log"):
        Requests(tmp_path).require_alive("grpo")


def test_a_model_without_a_server_counts_as_alive_elsewhere(tmp_path):
    Requests(tmp_path).require_alive("grpo")


def test_stopping_waits_until_the_server_is_gone(tmp_path, answering):
    start(tmp_path, wait=False)
    assert Requests(tmp_path).stop("no-such") == []
    assert Requests(tmp_path).stop() == ["grpo"]
    assert list(tmp_path.rglob("*.json")) == []


def test_without_a_process_that_answers_the_stage_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(requested, "ANSWER_TIMEOUT_S", 0.3)
    with pytest.raises(GlobeError, match="is the run's own process still there"):
        start(tmp_path, wait=True)
