"""A port that takes no more connections and loses none that it has taken."""

import socket
import sys
import threading
import time

import pytest

from globe.gateway.drain import something_waits, take_no_more

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a filter of Linux's kernel")


def test_what_has_connected_is_accepted_and_what_comes_later_is_refused_when_the_port_closes():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        before = [socket.create_connection(listener.getsockname()) for _ in range(20)]
        assert take_no_more(listener)
        for client in before:
            client.sendall(b"x")
        refused = []

        def connect() -> None:
            try:
                socket.create_connection(listener_address, timeout=10)
            except ConnectionRefusedError:
                refused.append(True)

        listener_address = listener.getsockname()
        late = [threading.Thread(target=connect) for _ in range(5)]
        for thread in late:
            thread.start()
        time.sleep(0.3)
        accepted = [listener.accept()[0] for _ in before]
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert [client.recv(1) for client in accepted] == 20 * [b"x"]
    for thread in late:
        thread.join()
    assert refused == 5 * [True]
    for client in [*before, *accepted]:
        client.close()


def test_what_the_kernel_has_and_the_process_has_not_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not something_waits(listener)
        with socket.create_connection(listener.getsockname()) as client:
            assert something_waits(listener)
            accepted = listener.accept()[0]
            assert not something_waits(listener)
            assert not something_waits(accepted)
            client.sendall(b"x")
            assert something_waits(accepted)
        accepted.close()
    assert not something_waits(listener)


def test_what_is_no_listening_port_is_told():
    closed = socket.socket()
    closed.close()
    assert not take_no_more(closed)
