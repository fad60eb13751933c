"""The teachers' server as a real process, asked over HTTP."""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from PIL import Image

from globe.data.rows import Row
from globe.data.shards import read_dataset
from globe.demo import teachers
from globe.demo.teacher_server import running_teachers
from globe.demo.truth import ErrorRates, load_world
from globe.demo.world import write_world
from globe.errors import InputError


@pytest.fixture(scope="module")
def specs(small_world: Path) -> Iterator[list[str]]:
    with running_teachers(small_world) as running:
        yield running


@pytest.fixture(scope="module")
def rows(small_world: Path) -> list[Row]:
    return list(read_dataset(small_world))


def test_it_is_named_as_curation_takes_teachers_and_listens_on_this_machine_only(specs: list[str]) -> None:
    base = specs[0].partition("@")[2]
    assert specs == [f"toy-vlm-a@{base}", f"toy-vlm-b@{base}", f"coordinates:toy-coordinates@{base}"]
    assert base.startswith("http://127.0.0.1:")
    assert base.endswith("/v1")


def test_the_openai_client_gets_each_teachers_own_judgement(specs: list[str], rows: list[Row], small_world: Path) -> None:
    world = load_world(small_world)
    with OpenAI(base_url=_base(specs), api_key="none", max_retries=3, timeout=20) as client:
        for row in rows[:8]:
            for model in teachers.VLM_MODELS:
                reply = client.chat.completions.create(
                    model=model,
                    temperature=0,
                    messages=[
                        {
                            "role": "user",
                            "content": [
                                {"type": "image_url", "image_url": {"url": _data_url(row.image)}},
                                {"type": "text", "text": "Where is this?"},
                            ],
                        }
                    ],
                )
                expected = teachers.vlm_content(model, row.id, world.truth[row.id], world.rates, world.seed)
                assert reply.choices[0].message.content == expected


def test_a_losslessly_encoded_copy_is_recognized(specs: list[str], rows: list[Row], small_world: Path) -> None:
    world = load_world(small_world)
    buffer = BytesIO()
    with Image.open(BytesIO(rows[0].image)) as picture:
        picture.save(buffer, "WEBP", lossless=True, exact=True)
    position = _post(f"{_base(specs)}/coordinates", {"model": "toy-coordinates", "image": _data_url(buffer.getvalue())})
    assert position == teachers.coordinates(rows[0].id, world.truth[rows[0].id], world.rates, world.seed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "gpt"}, "no such model"),
        ({"image": "https://example.org/a.png"}, "data URL"),
        ({"image": "data:image/png;base64,????"}, "cannot be decoded"),
        ({"image": "data:image/png;base64," + base64.b64encode(b"no picture").decode()}, "cannot be decoded"),
        ({"image": 7}, "data URL"),
    ],
)
def test_a_wrong_request_is_refused_with_400_and_a_reason(specs: list[str], change: dict[str, Any], said: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        _post(f"{_base(specs)}/coordinates", {"model": "toy-coordinates", "image": "", **change})
    assert caught.value.code == 400
    assert said in json.load(caught.value)["error"]["message"]


def test_a_picture_of_another_world_is_refused(specs: list[str]) -> None:
    buffer = BytesIO()
    Image.new("RGB", (56, 56)).save(buffer, "PNG")
    with pytest.raises(urllib.error.HTTPError) as caught:
        _post(f"{_base(specs)}/coordinates", {"model": "toy-coordinates", "image": _data_url(buffer.getvalue())})
    assert "not of the toy world" in json.load(caught.value)["error"]["message"]


def test_a_timed_out_attempt_stays_silent_and_holds_up_neither_others_nor_the_end(tmp_path: Path) -> None:
    write_world(tmp_path, pictures=4, rates=ErrorRates(timeout=1.0, timeout_s=3600))  # longer than a test may take
    row = next(iter(read_dataset(tmp_path)))
    with running_teachers(tmp_path) as specs:
        body = {"model": "toy-coordinates", "image": _data_url(row.image)}
        with pytest.raises(TimeoutError):
            _post(f"{_base(specs)}/coordinates", body, timeout_s=0.5)
        with urllib.request.urlopen(_base(specs).replace("/v1", "/health"), timeout=5) as reply:
            assert reply.status == 200


def test_the_process_ends_with_the_block_also_when_the_block_fails(small_world: Path) -> None:
    ports = []

    def fail_inside() -> None:
        with running_teachers(small_world) as specs:
            ports.append(_port(specs))
            assert _listens(ports[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert not _listens(ports[0])


@pytest.mark.parametrize("keep_stdin_open", [False, True])
def test_the_server_dies_when_its_parent_is_killed(small_world: Path, keep_stdin_open: bool) -> None:
    # With a forked child that keeps the pipe open, only the death signal can tell.
    if keep_stdin_open and sys.platform != "linux":
        pytest.skip("parent death signals exist on Linux only")
    script = textwrap.dedent(
        f"""
        import os, time
        from pathlib import Path
        from globe.demo.teacher_server import running_teachers
        with running_teachers(Path({str(small_world)!r})) as specs:
            child = os.fork() if {keep_stdin_open} else -1
            if child == 0:
                time.sleep(20)
                os._exit(0)
            print(specs[0], child, flush=True)
            time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=_environment())
    assert parent.stdout is not None
    spec, child = parent.stdout.readline().split()
    try:
        assert _listens(_port([spec]))
        parent.kill()
        parent.wait()
        assert _within(5, lambda: not _listens(_port([spec])))
    finally:
        if int(child) > 0:
            os.kill(int(child), signal.SIGKILL)
        parent.stdout.close()


def test_two_servers_side_by_side_take_different_ports(small_world: Path) -> None:
    with running_teachers(small_world) as first, running_teachers(small_world) as second:
        assert _port(first) != _port(second)


def test_a_folder_that_is_no_world_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"world\.json"), running_teachers(tmp_path):
        pass


def test_by_hand_it_says_in_one_line_that_the_folder_holds_no_world(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "globe.demo.teacher_server", "--world", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=_environment())
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "world.json" in done.stderr


def test_many_requests_at_once_are_all_answered(specs: list[str], rows: list[Row]) -> None:
    import aiohttp

    async def ask_all() -> list[int]:
        async with aiohttp.ClientSession() as session:

            async def ask(row: Row) -> int:
                body = {"model": "toy-coordinates", "image": _data_url(row.image)}
                for _ in range(3):  # a simulated timeout may strike one attempt
                    try:
                        limit = aiohttp.ClientTimeout(total=5)
                        async with session.post(f"{_base(specs)}/coordinates", json=body, timeout=limit) as reply:
                            return reply.status
                    except TimeoutError:
                        continue
                return 0

            return list(await asyncio.gather(*(ask(row) for row in rows)))

    assert set(asyncio.run(ask_all())) == {200}


def _base(specs: list[str]) -> str:
    return specs[0].partition("@")[2]


def _port(specs: list[str]) -> int:
    return int(_base(specs).split(":")[2].partition("/")[0])


def _data_url(image: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(image).decode()


def _post(url: str, body: dict[str, Any], timeout_s: float = 20) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as reply:
        return json.load(reply)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _within(seconds: float, condition: Any) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
