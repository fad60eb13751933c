"""Ports of servers that listen late: nobody gets one that somebody has. Real processes and sockets throughout."""

import subprocess
import sys

from globe.serving.ports import claim_port, lock_port

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
