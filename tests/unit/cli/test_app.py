"""The command `globe` as a whole: its help, its exit codes, and what it does where nothing can be printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_inputs import ROW
from command_line import globe, globe_process, refused


def test_bad_input_ends_a_real_process_with_code_2_too(tmp_path: Path) -> None:
    refused(globe_process("reward", str(tmp_path / "no.jsonl")), "no.jsonl", "no such file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("to", "reason"), [(">/dev/full", "No space left"), (">&-", "stdout is closed")])
def test_output_that_cannot_be_written_is_one_line_and_code_1(tmp_path: Path, to: str, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    command = f'exec "$0" -m globe.cli reward "$1" --json {to}'
    result = subprocess.run(["/bin/sh", "-c", command, sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_command_starts_without_importing_anything_heavy() -> None:
    heavy = "{'numpy', 'torch', 'pandas', 'kfp', 'swift', 'geopy', 'pydantic'}"
    script = f"import sys, globe.cli.app; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_list_of_commands_says_what_each_does_in_a_whole_sentence() -> None:
    commands = globe("--help").stdout.partition("Commands:\n")[2].strip().splitlines()
    assert len(commands) > 5
    assert [line for line in commands if not line.endswith(".") or line.endswith("..")] == []


def test_an_error_of_the_machine_that_nobody_expected_is_one_line_and_code_1(tmp_path: Path) -> None:
    """The cache folder's file system is full when the gazetteer is to be built there."""
    script = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)); from globe.cli.app import main; main()"
    )
    command = [sys.executable, "-B", "-c", script, "geocode", "Paris, France"]  # or it would leave bytecode cut off in the code
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | {"GLOBE_CACHE_DIR": str(tmp_path)}
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    assert "File too large" in result.stderr.splitlines()[-1]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize(("to", "reason", "more"), [(">/dev/full", "No space left", ["--json"]), (">&-", "stdout is closed", [])])
def test_results_that_cannot_be_printed_are_one_line_and_code_1(model, dataset, photo, tmp_path, to, reason, more):
    where = ["--dataset", str(dataset), "--out", str(tmp_path / "o")]
    for arguments in (
        ["locate", str(photo), "--url", model.url],
        ["evaluate", "--url", model.url, "--model", model.name, *where],
    ):
        shell = ["/bin/sh", "-c", f'exec "$0" -m globe.cli "$@" {to}', sys.executable, *arguments, *more]
        result = subprocess.run(shell, capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 1
        assert reason in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.stderr
    assert (tmp_path / "o" / "report.html").is_file()


CLIPBOARD = "\x1b]52;c;aGFja2Vk\x07"
ATTACK = f"{CLIPBOARD}Lutetia\x9b31m\u202e\u2028::set-output name=x::\x1b[2J"
"""It writes the clipboard, changes the colour, turns the direction around, begins a line, talks to a CI system."""


def evil_files(folder: Path) -> dict[str, str]:
    """Files and folders whose names and contents are an attack, by what they are."""
    home = folder / ATTACK
    home.mkdir()
    answer = f"<think>{ATTACK}</think><answer>country: {ATTACK}, city: {ATTACK}</answer>"
    other = f"<think>x</think><answer>country: {ROW['solution']['country']}\ncity: \x1b[2JLutetia\x9b31m\u202e</answer>"
    row = ROW | {"completion": other, "entities": [ATTACK], "solution": ROW["solution"] | {"city": ATTACK}}
    (home / "rows.jsonl").write_text(json.dumps(row) + "\n")
    (home / "bad.jsonl").write_text(json.dumps({"completion": ATTACK, ATTACK: ATTACK, "solution": ATTACK}) + "\n")
    (home / "truth.csv").write_text(
        f'id,lat,lon,country,city,scene\na,48,2,France,Paris,"{ATTACK}"\nb,1,1,"{ATTACK}","{ATTACK}",x\n'
    )
    (home / "answers.jsonl").write_text("".join(json.dumps({"id": name, "answer": answer}) + "\n" for name in "ab"))
    (home / "other.jsonl").write_text(json.dumps({"id": ATTACK, "answer": answer}) + "\n")
    (home / "prompt.txt").write_text(ATTACK)
    (home / "recipe.yaml").write_text(json.dumps({ATTACK: ATTACK}))
    (home / "not-a-photo.png").write_text(ATTACK)
    return {path.stem: str(path) for path in home.iterdir()} | {"home": str(home), "out": str(home / "out")}


COMMANDS = {
    "geocode": ["geocode", f"{ATTACK}, France", "Paris, France"],
    "geocode, a geocoder": ["geocode", "Paris", "--geocoder", ATTACK],
    "geocode, an option": ["geocode", f"--{ATTACK}"],
    "a command": [ATTACK],
    "reward": ["reward", "{rows}", "--rewards", "accuracy,format"],
    "reward, a row": ["reward", "{bad}"],
    "reward, its name": ["reward", "{rows}", "--rewards", ATTACK],
    "reward, one too many": ["reward", "{rows}", ATTACK],
    "reward, no file": ["reward", "{home}/none"],
    "score": ["score", "--truth", "{truth}", "--predictions", "{answers}"],
    "score, an id": ["score", "--truth", "{truth}", "--predictions", "{other}"],
    "score, a prompt": ["score", "--truth", "{prompt}", "--predictions", "{answers}"],
    "compare": ["compare", "{home}", "{home}"],
    "report": ["report", "{home}", "--markdown", "--names", ATTACK],
    "calibrate": ["calibrate", "{home}", "--checkpoint", "{home}"],
    "curate, a teacher": ["curate", "--source", "{home}", "--teacher", ATTACK, "--recipe", "demo", "--out", "{home}/out"],
    "curate, a source": ["curate", "--source", "{home}/none", "--teacher", f"{ATTACK}@http://h/v1", "--teacher", "b@http://h/v1",
                         "--recipe", "demo", "--out", "{home}/out", "--plan"],
    "curate, a recipe": ["curate", "--source", "{home}", "--teacher", "a@http://h/v1", "--recipe", "{recipe}", "--out", "{out}"],
    "sft, a setting": ["sft", "--recipe", "demo", "--set", f"{ATTACK}=1", "--out", "{home}/out", "--plan"],
    "sft, a number": ["sft", "--recipe", "demo", "--gpus", ATTACK, "--out", "{home}/out", "--plan"],
    "sft, data": ["sft", "--recipe", "demo", "--data", "{home}", "--model", "{home}", "--out", "{home}/out"],
    "rows, data": ["rows", "--data", ATTACK, "--stage", "sft", "--out", "{home}/out"],
    "rows, a stage": ["rows", "--data", "{home}", "--stage", ATTACK, "--out", "{home}/out"],
    "locate, a photo": ["locate", "{not-a-photo}", "--url", "{url}"],
    "locate, a url": ["locate", "{photo}", "--url", f"http://127.0.0.1:9/{ATTACK}"],
    "locate, a model": ["locate", "{photo}", "--url", "{url}", "--model", ATTACK],
    "locate": ["locate", "{photo}", "--url", "{url}"],
    "evaluate": ["evaluate", "--url", "{url}", "--model", "stand-in", "--dataset", "{dataset}", "--out", "{home}/out"],
    "serve": ["serve", "{home}"],
    "clean": ["clean", "--run", ATTACK, "--namespace", ATTACK],
}  # fmt: skip
"""Each command with an attack wherever text of others comes in."""
SHOW = {"geocode", "reward", "score", "locate"}
"""Those that show what a model or a file says, so the readable part of it has to be there."""


@pytest.mark.parametrize("name", COMMANDS)
def test_no_text_of_others_acts_on_the_terminal(model, photo, dataset, tmp_path, monkeypatch, name):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    answer = f"<think>it is {ATTACK}</think><answer>country: {ATTACK}\ncity: {ATTACK}</answer>"
    model.text = answer
    files = evil_files(tmp_path) | {"url": model.url, "photo": str(photo), "dataset": str(dataset)}
    given = [part if part == ATTACK or ATTACK in part else part.format(**files) for part in COMMANDS[name]]
    done = globe(*given)
    assert done.returncode in (0, 1, 2)
    printed = done.stdout + done.stderr
    for character in printed.replace("\n", "").replace("\t", ""):
        assert character.isprintable(), ascii(printed)
    assert not any(line.lstrip().startswith("::") for line in printed.splitlines())
    assert printed.strip()
    if name in SHOW:
        assert done.returncode == 0, done.stderr
        assert "Lutetia" in done.stdout


@pytest.mark.parametrize("name", sorted(SHOW))
def test_json_has_the_same_text_unchanged_and_as_harmless(model, photo, dataset, tmp_path, name):
    model.text = f"<think>it is {ATTACK}</think><answer>country: {ATTACK}\ncity: {ATTACK}</answer>"
    files = evil_files(tmp_path) | {"url": model.url, "photo": str(photo), "dataset": str(dataset)}
    done = globe(*[part if ATTACK in part else part.format(**files) for part in COMMANDS[name]], "--json")
    assert done.stdout.replace("\n", "").isprintable(), ascii(done.stdout)
    told = [json.loads(done.stdout)] if name in ("score", "locate") else [json.loads(line) for line in done.stdout.splitlines()]
    if name == "locate":
        assert told[0]["text"] == model.text
    if name == "geocode":
        assert told[0]["query"] == f"{ATTACK}, France"
