"""Witnesses as a run starts them: real processes."""

import os
from pathlib import Path

import psutil
import pytest

from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_segmenter import toy_scene
from globe.errors import InputError
from globe.witness.local import running_witnesses
from globe.witness.wanted import Wanted


def own_servers() -> list[psutil.Process]:
    alive = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)  # of other tests
    return [child for child in alive if "witness" in child.cmdline()]


def test_one_process_serves_all_three_on_this_machine_alone(witnesses):
    assert witnesses.url.startswith("http://127.0.0.1:")
    assert witnesses.specs == [
        f"coordinates:tiny-geoclip@{witnesses.url}",
        f"segmentation:tiny-segmenter@{witnesses.url}",
        f"alignment:tiny-sentences@{witnesses.url}",
    ]
    (server,) = own_servers()
    listening = [one.laddr for one in server.net_connections() if one.status == psutil.CONN_LISTEN]
    assert [(place.ip, f"http://127.0.0.1:{place.port}/v1") for place in listening] == [("127.0.0.1", witnesses.url)]


def test_what_it_is_asked_at_once_it_answers_as_one_by_one(witnesses):
    from concurrent.futures import ThreadPoolExecutor

    bodies = [{"model": "tiny-segmenter", "image": data_url(png(toy_scene(seed)[0]))} for seed in range(12)]
    alone = [witnesses.post("/segmentation", body)["shares"] for body in bodies]
    with ThreadPoolExecutor(12) as pool:
        together = [answer["shares"] for answer in pool.map(lambda body: witnesses.post("/segmentation", body), bodies)]
    assert [pytest.approx(shares, abs=1e-6) for shares in alone] == together


def test_a_model_that_cannot_be_loaded_is_bad_input_and_its_reason_is_told(tmp_path: Path, capfd, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "segformer"}')
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "SegformerImageProcessor"}')
    with pytest.raises(InputError, match=r"witnesses did not start"), running_witnesses([Wanted("segmentation", str(folder))]):
        pass
    said = [line for line in capfd.readouterr().err.splitlines() if "cannot be loaded" in line]
    assert len(said) == 1
    assert f"--segmentation {folder}" in said[0]


def test_what_is_known_to_be_wrong_is_told_before_anything_is_started():
    with pytest.raises(InputError, match="no such folder"), running_witnesses([Wanted("alignment", f"{os.sep}nowhere")]):
        pass
