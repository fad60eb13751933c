"""Ports of servers that listen late: nobody gets one that somebody has. Real processes and sockets throughout."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from globe.errors import GlobeError
from globe.serving import ports
from globe.serving.ports import HOST, await_ready, claim_port, is_ready, lock_port

CLAIMERS, CLAIMS = 6, 150
"""So many that without locks two would get the same: the kernel picks from some 28,000."""
CLAIM = """
import sys, time
from globe.serving.ports import claim_port
claims = [claim_port() for _ in range(int(sys.argv[1]))]
print(*[port for port, _ in claims], flush=True)
time.sleep(600)
"""


def test_many_claims_at_once_never_give_the_same_port_and_one_whose_holder_is_killed_is_free_again():
    command = [sys.executable, "-c", CLAIM, str(CLAIMS)]
    holders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(CLAIMERS)]
    try:
        claimed = [int(port) for holder in holders for port in holder.stdout.readline().split()]
        assert len(set(claimed)) == CLAIMERS * CLAIMS
        assert not any(lock_port(port) for port in claimed)
        assert not {claim_port()[0] for _ in range(CLAIMS)} & set(claimed)
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
    locks = [lock_port(port) for port in claimed]
    assert all(locks)
    for lock in locks:
        lock.close()


def test_a_server_keeps_the_lock_that_it_inherits_until_it_ends():
    port, lock = claim_port()
    with lock:
        holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], pass_fds=[lock.fileno()])
    assert lock_port(port) is None
    holder.kill()
    holder.wait()
    again = lock_port(port)
    assert again
    again.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(ports, "POLL_S", 0.01)


def test_a_server_is_ready_when_it_answers_well_and_not_before():
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(statuses.pop(0) if self.path == "/health" else 404)
            self.end_headers()

    statuses = [503, 200, 503, 503, 200]
    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://{HOST}:{server.server_port}/v1"
    assert [is_ready(url), is_ready(url)] == [False, True]
    await_ready("m", url, 10, "m.log", lambda: None)
    assert statuses == []
    server.shutdown()
    server.server_close()
    assert not is_ready(url)


def test_a_server_that_ends_or_does_not_answer_in_time_is_not_waited_for():
    def ended():
        raise GlobeError("it ended")

    with pytest.raises(GlobeError, match="it ended"):
        await_ready("m", f"http://{HOST}:9/v1", 10, "m.log", ended)
    with pytest.raises(GlobeError, match=r"server for m was not ready within 0 s \(log: m\.log\)"):
        await_ready("m", f"http://{HOST}:9/v1", 0.05, "m.log", lambda: None)
