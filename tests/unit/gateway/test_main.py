"""`python -m globe.gateway`: what it says when it cannot start; tests/unit/gateway/test_server.py starts it."""

import socket

import pytest

from globe.gateway.__main__ import main


@pytest.mark.parametrize(("text", "why"), [("prot: 1", "prot: there is no such setting"), ("peers: nobody", "give HOST:PORT")])
def test_settings_that_cannot_be_used_are_one_line_and_exit_code_2(tmp_path, capsys, text, why):
    (tmp_path / "gateway.yaml").write_text(text)
    assert main(["--config", str(tmp_path / "gateway.yaml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert why in line


@pytest.mark.parametrize("name", ["port", "metrics_port"])
def test_so_is_a_port_that_something_else_has(tmp_path, capsys, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "gateway.yaml").write_text(f"port: 0\n{name}: {port}\n".removeprefix("port: 0\n" if name == "port" else ""))
        assert main(["--config", str(tmp_path / "gateway.yaml")]) == 2
    assert str(port) in capsys.readouterr().err
