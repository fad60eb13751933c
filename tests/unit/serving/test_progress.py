"""How far vLLM has come, from what vLLM 0.32 writes."""

import pytest

from globe.serving.progress import IMPORTING, phase

NOISE = "W1130 13:06:24.455000 16389 torch/_library/triton.py:53] Triton not available, find_triton_kernels = []\n"
SHARDS = "\rLoading safetensors checkpoint shards:  {}% Completed | {} [00:00<?, ?it/s]"
UP = "INFO:     Started server process [16389]\nINFO:     Waiting for application startup.\n"
ENGINE = "(EngineCore pid=77) INFO 11-30 13:10:57 "


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", IMPORTING),
        (NOISE, IMPORTING),
        (NOISE + ENGINE + "[gpu_model_runner.py:1] Starting to load model /m...\n", "loading the weights"),
        (NOISE + SHARDS.format(0, "0/2"), "loading the weights"),
        (NOISE + SHARDS.format(0, "0/12") + SHARDS.format(8, "1/12"), "loading the weights"),
        (NOISE + SHARDS.format(0, "0/12") + SHARDS.format(100, "12/12"), "warming up"),
        (ENGINE + "Starting to load model\n" + ENGINE + "Model loading took 14.2 GiB memory and 11 seconds\n", "warming up"),
        (NOISE + SHARDS.format(100, "1/1") + UP, "warming up"),
        (NOISE + SHARDS.format(100, "1/1") + UP + "INFO:     Application startup complete.\n", "waiting for its first answer"),
    ],
)
def test_what_a_log_says_is_told(tmp_path, log, said):
    path = tmp_path / "serving.log"
    path.write_text(log)
    assert phase(path) == said


def test_an_earlier_start_in_the_same_log_does_not_count(tmp_path):
    path = tmp_path / "serving.log"
    path.write_text(SHARDS.format(100, "1/1") + "Application startup complete.\n")
    assert phase(path, path.stat().st_size) == IMPORTING


def test_no_log_yet_is_the_first_phase(tmp_path):
    assert phase(tmp_path / "none.log") == IMPORTING
