"""What a log says about why a server has ended."""

from globe.serving.last_words import MAX_CHARACTERS, last_words, last_words_of

VLLM = """\
(APIServer pid=1) INFO 11-22 14:48:01 [api_server.py:12] vLLM API server version 0.32.0
(Worker pid=32) ERROR 11-22 14:48:16 [multiproc_executor.py:953]     with safe_open(st_file, framework="pt") as f:
(Worker pid=32) ERROR 11-22 14:48:16 [multiproc_executor.py:953]          ^^^^^^^^^^^^^^^^^^^
(Worker pid=32) ERROR 11-22 14:48:16 [multiproc_executor.py:953] FileNotFoundError: No such file or directory: /m/x.safetensors
(EngineCore pid=18) INFO 11-22 14:48:21 [multiproc_executor.py:486] [shutdown] Executor: all workers exited gracefully
(EngineCore pid=18) ERROR 11-22 14:48:21 [core.py:1510] EngineCore failed to start.
(EngineCore pid=18) ERROR 11-22 14:48:21 [core.py:1510] Exception: WorkerProc failed. See stack trace for root cause.
Process EngineCore:
Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/vllm/v1/engine/utils.py", line 1431, in wait_for_engine_startup
    raise RuntimeError(
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""


def test_the_cause_is_told_before_those_who_only_say_that_there_is_one():
    words = last_words(VLLM)
    assert words.startswith("FileNotFoundError: No such file or directory: /m/x.safetensors | ")
    assert words.endswith("RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}")


def test_a_log_without_errors_is_told_by_its_last_lines_that_say_something():
    assert last_words("one\n\ntwo  \n   \n^^^^\nthree\n~~~~\nfour\n") == "two | three | four"


def test_a_cause_among_the_last_lines_is_told_once():
    assert last_words("loading\nINFO fine\nValueError: no such model\n") == "loading | INFO fine | ValueError: no such model"


def test_an_empty_log_says_nothing():
    assert last_words("") == ""


def test_it_is_one_line_of_bearable_length(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"ValueError: " + b"x" * 10**6 + b"\n\xff\xfe" + b"y" * 10**6 + b"\nend\n")
    words = last_words_of(log)
    assert "\n" not in words
    assert len(words) <= MAX_CHARACTERS
