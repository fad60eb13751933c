"""What GRPO's stage tells the trainer's processes arrives there; and a service that is of no use ends it before it starts."""

import json
import subprocess
import sys

import pytest
from scoring_server import DIGEST, KEY, NAME, score_of, scoring_server

from globe.errors import InputError
from globe.rewards.localizability import Judge, question
from globe.rewards.told import environment_for, require_usable

ASK = """
import asyncio, json
from globe.rewards.told import service_told
assert service_told() is service_told()
print(json.dumps(asyncio.run(service_told().scores(["data:a", "data:a"], ["palms", "fog"]))))
"""


def test_a_trainers_process_asks_whom_its_environment_names_and_says_whom_it_waits_for():
    with scoring_server(fault=lambda number, text: "503" if number == 3 else "") as server:
        environment = environment_for(Judge(server.url, NAME, KEY, DIGEST), 20.0, 60.0)
        env = {"PYTHONPATH": ":".join(sys.path), "PATH": ""} | environment
        done = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == pytest.approx([score_of("data:a", question(text)) for text in ("palms", "fog")])
    assert f"[grpo] note waiting for reward service {server.url}" in done.stderr
    assert "1 of 2 answers missing (HTTP status 503)" in done.stderr


def test_a_service_without_log_probabilities_is_refused_before_anything_is_loaded():
    with scoring_server(fault=lambda number, text: "no-logprobs") as server:
        with pytest.raises(InputError, match=r"holds no log-probabilities.*`logprobs`.*as vLLM does.*globe serve CHECKPOINT"):
            require_usable(Judge(server.url, NAME, KEY, DIGEST), 20.0)
        assert len(server.asked) == 1


def test_a_service_that_is_still_starting_is_none_of_that(capsys):
    with scoring_server(fault=lambda number, text: "503") as server:
        require_usable(Judge(server.url, NAME, KEY, DIGEST), 20.0)
    assert "does not answer yet; it is waited for before the first step" in capsys.readouterr().err
