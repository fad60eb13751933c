"""The gateway under 1.5 times the load that its engine takes, for a minute; tests/benchmarks/soak_gateway.py takes twenty."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]
SOAK = Path(__file__).parents[1] / "benchmarks" / "soak_gateway.py"


def test_a_minute_of_too_much_bad_input_and_clients_that_go_away_does_no_harm():
    done = subprocess.run([sys.executable, str(SOAK), "--minutes", "1", "--json"], capture_output=True, text=True, timeout=1400)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["wrong"], figures["unexpected_5xx"]) == ([], 0)
    assert figures["answers"]["good: 200"] > 0
    assert figures["answers"]["leaving: gone"] > 0
    assert {name.split(": ")[1] for name in figures["answers"] if name.startswith("bad")} >= {"400", "404"}
    assert figures["memory_growth"] < 0.25  # in a minute it is still finding its size; 10% is for twenty
