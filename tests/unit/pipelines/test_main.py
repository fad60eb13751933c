"""`python -m pipelines`: whatever is wrong with a command is one line, and nothing is started."""

import sys

import pytest

from pipelines.__main__ import main


def refused(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["pipelines", "run", "smoke", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("source=/no/such/folder", "source: /no/such/folder: no such file or folder"),
        ("source=~/no-such-photos", "{home}/no-such-photos: no such file"),
        ("base_model=~", "base_model: {home}: no config.json there"),
        ("start_from.sft=~/no-such", "start_from sft: {home}/no-such: no such"),
        ("source=", "--set source=: the value is missing"),
        ("recipes.sft=", "--set recipes.sft=: the value is missing"),
        ("store=/elsewhere", "--set store: a run on this machine keeps its results in its home; give --home"),
        ("sourc=toy", "--set sourc: "),
        ("grpo.no_such=1", "--set grpo.no_such: "),
        ("nostage.x=1", "no stage"),
        ("source.seed=-1", "--set source.seed: Input should be greater than or equal to 0"),
        ("sft.seed=4294967296", "--set sft.seed: Input should be less than 4294967296"),
        ("evaluation.temperature=.inf", "--set evaluation.temperature: must be a finite number"),
        ("grpo.temperature=.nan", "--set grpo.temperature: "),
        ("sft.arguments.weight_decay=.inf", "--set sft.arguments.weight_decay: must be a finite number"),
        ("evaluation.gate.threshold_km=24", "--set evaluation.gate.threshold_km: Input should be '1'"),
        ("start_from={{sft: 3}}", "start_from: sft: 3 names nothing"),
        ("recipes={{sft: 3}}", "recipes: sft: 3 names nothing"),
        ("sft_gpus=many", "--set sft_gpus: Input should be a valid integer"),
        ("sft_gpus=4", "4 GPUs"),
    ],
)
def test_a_wrong_setting_is_named_as_it_was_given(monkeypatch, capsys, tmp_path, setting, says):
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / "home"
    text = refused(monkeypatch, capsys, f"--home={home}", "--set", setting.format())
    assert says.format(home=tmp_path) in text
    assert not home.exists()


def test_a_signing_key_that_could_be_guessed_is_refused_before_anything_starts(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GLOBE_SIGNING_KEY", "short")
    assert "GLOBE_SIGNING_KEY: 5 characters could be guessed" in refused(monkeypatch, capsys, f"--home={tmp_path / 'home'}")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("count", [-1, 0, 100_000])
def test_annotators_that_nobody_has_are_refused_before_anything_starts(monkeypatch, capsys, tmp_path, count):
    text = refused(monkeypatch, capsys, f"--home={tmp_path / 'home'}", "--pipeline=curation", f"--set=annotators={count}")
    assert f"annotators: {count}: give 1 to" in text


def test_a_distance_may_be_a_number(monkeypatch, capsys, tmp_path):
    """Seen by what is refused after it."""
    settings = ("--set=evaluation.gate.threshold_km=25", "--set=sft_gpus=4")
    assert "threshold_km" not in refused(monkeypatch, capsys, f"--home={tmp_path / 'home'}", *settings)


@pytest.mark.parametrize("option", ["--fresh", "--plain"])
def test_a_folder_that_is_no_home_is_refused_and_kept(monkeypatch, capsys, tmp_path, option):
    thesis = tmp_path / "store" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("the user's")
    assert "was not created by a run" in refused(monkeypatch, capsys, f"--home={tmp_path}", option)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [thesis]


@pytest.mark.parametrize("home", ["", "/dev/full", "/proc/x", "/etc/passwd/x", "a\nb"])
def test_an_odd_home_is_refused(monkeypatch, capsys, home):
    assert "--home" in refused(monkeypatch, capsys, f"--home={home}")


@pytest.mark.parametrize("out", ["", "s3://bucket/compiled"])
def test_compiled_files_go_to_a_folder_of_this_machine_that_is_named(monkeypatch, capsys, tmp_path, out):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pipelines", "compile", "--out", out])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not list(tmp_path.iterdir())


ATTACK = "\x1b]52;c;aGFja2Vk\x07Lutetia\x9b31m\u202e\u2028[bold]x[/bold]\x1b[2J"


@pytest.mark.parametrize(
    "arguments",
    [
        [ATTACK],
        ["run", ATTACK],
        ["run", "smoke", f"--{ATTACK}"],
        ["run", "smoke", ATTACK],
        ["run", "smoke", "--runner", ATTACK],
        ["run", "smoke", "--pipeline", ATTACK],
        ["run", "smoke", "--from", ATTACK],
        ["run", "smoke", "--set", f"{ATTACK}=1"],
        ["run", "smoke", "--set", f"source={ATTACK}"],
        ["compile", "--backend", ATTACK],
        ["compile", "--profile", ATTACK],
        ["submit", ATTACK, "--host", "http://127.0.0.1:9"],
        ["submit", "training", "--host", f"http://{ATTACK}"],
        ["submit", "training", "--host", "http://127.0.0.1:9", "--set", f"{ATTACK}=1"],
        ["submit", "training", "--host", "http://127.0.0.1:9", "--timeout", ATTACK],
        ["submit", "training", "--host", "http://127.0.0.1:9", "--token-file", f"/{ATTACK}", "--backend", "2.16"],
        ["schedule", "evaluation", "--cron", ATTACK, "--host", "http://127.0.0.1:9"],
    ],
    ids=lambda given: " ".join(part.replace(ATTACK, "X") for part in given),
)
def test_what_was_typed_or_pasted_does_not_act_on_the_terminal(monkeypatch, capsys, tmp_path, arguments):
    monkeypatch.setattr(sys, "argv", ["pipelines", *arguments, *(["--home", str(tmp_path)] if arguments[0] == "run" else [])])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert (out + err).replace("\n", "").isprintable(), ascii(out + err)
    assert err.strip()
