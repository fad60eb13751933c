"""`globe witness` as people call it: mistakes are told before anything is loaded, and it serves until it is told to end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection

import pytest
from command_line import globe, refused

from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_segmenter import toy_scene
from globe.witness.serve import base_url


def test_nothing_to_serve_is_told_with_what_could_be():
    refused(globe("witness"), "--coordinates MODEL", "--segmentation MODEL", "--alignment MODEL")


def test_what_cannot_be_served_is_told_before_anything_is_loaded(tmp_path):
    refused(globe("witness", "--segmentation", str(tmp_path / "nowhere")), "nowhere", "no such folder")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    refused(globe("witness", "--alignment", str(tmp_path)), "pytorch_model.bin", "safetensors")


def test_an_address_that_others_reach_needs_a_key(monkeypatch):
    monkeypatch.delenv("GLOBE_TEACHER_API_KEY", raising=False)
    refused(globe("witness", "--segmentation", "owner/name", "--host", "0.0.0.0"), "--host 0.0.0.0", "GLOBE_TEACHER_API_KEY")


def test_what_listens_at_all_addresses_is_printed_by_this_machines_name():
    assert [base_url(host, 80) for host in ("0.0.0.0", "::")] == [f"http://{socket.gethostname()}:80/v1"] * 2
    assert [base_url(host, 80) for host in ("10.1.2.3", "fd00::1")] == ["http://10.1.2.3:80/v1", "http://[fd00::1]:80/v1"]


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(globe("witness", "--segmentation", "owner/name", "--port", str(port)), f"127.0.0.1:{port}", "in use")


def test_a_device_that_is_not_there_is_told():
    result = globe("witness", "--segmentation", "owner/name", "--port", "0", "--device", "cuda:99")
    refused(result, "--device cuda:99", "give cpu, cuda or cuda:N")


@pytest.fixture
def server(tiny_witnesses):
    """The command as a process, and the witness as it prints it."""
    environment = os.environ | {
        "GLOBE_TEACHER_API_KEY": "sesame",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", "globe.cli", "witness", "--segmentation", str(tiny_witnesses.segmentation), "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline()
    process.kill()
    process.communicate()


def test_it_says_how_curation_takes_it_asks_for_its_key_and_gives_its_last_answers_when_it_is_told_to_end(server):
    process, line = server
    told = re.fullmatch(r"--teacher segmentation:tiny-segmenter@http://127\.0\.0\.1:(\d+)/v1\n", line)
    assert told, line
    body = json.dumps({"model": "tiny-segmenter", "image": data_url(png(toy_scene(1)[0]))}).encode()
    connections = [HTTPConnection("127.0.0.1", int(told[1]), timeout=60) for _ in range(3)]
    for connection, key in zip(connections, ("wrong", "sesame", "sesame"), strict=True):
        connection.putrequest("POST", "/v1/segmentation")
        connection.putheader("Authorization", f"Bearer {key}")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:100])
    connections[0].send(body[100:])
    assert connections[0].getresponse().status == 401
    connections[1].send(body[100:])
    healthy = json.load(connections[1].getresponse())
    process.send_signal(signal.SIGTERM)
    connections[2].send(body[100:])
    last = connections[2].getresponse()
    assert (last.status, json.load(last)) == (200, healthy)
    for connection in connections:
        connection.close()
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert "Traceback" not in process.stderr.read()
