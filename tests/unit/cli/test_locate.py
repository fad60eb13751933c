"""`globe locate` as people call it: one photo, against a server that says what a test wants. Many are in test_locate_many.py."""

import json
import subprocess
from pathlib import Path

import pytest
from cli_inputs import checkpoint, evaluate
from command_line import ended, globe, refused
from PIL import Image

from globe.answer.prompt import PROMPT
from globe.models.checkpoints import MANIFEST_FILE, TINY, Usage


def test_the_prompt_is_the_users_then_the_recipes_then_the_manifests(model, photo, tmp_path):
    model.root = str(checkpoint(tmp_path / "m", Usage("the manifest's")))
    recipe, given = tmp_path / "r.yaml", tmp_path / "p.txt"
    recipe.write_text("prompt: the recipe's\n")
    given.write_text("the user's\n")
    calls = [[], ["--recipe", str(recipe)], ["--recipe", str(recipe), "--prompt", str(given)], ["--prompt", str(given)]]
    for more in calls:
        assert globe("locate", str(photo), "--url", model.url, *more).returncode == 0
    model.root = ""
    globe("locate", str(photo), "--url", model.url)
    assert model.prompts == ["the manifest's", "the recipe's", "the user's", "the user's", PROMPT]


def test_the_demos_model_is_said_to_know_drawn_pictures_only(model, photo, tmp_path):
    model.root = str(checkpoint(tmp_path / "tiny", base_model=TINY))
    told = globe("locate", str(photo), "--url", model.url)
    model.root = str(checkpoint(tmp_path / "other"))
    untold = globe("locate", str(photo), "--url", model.url)
    assert [told.stderr.count("drawn pictures"), untold.stderr.count("drawn pictures")] == [1, 0]
    assert told.stdout == untold.stdout


def test_locate_says_that_an_answer_was_cut_off(model, photo):
    model.text, model.finish_reason = "<think>a tower", "length"
    located = globe("locate", str(photo), "--url", model.url, "--json", "--set", "max_tokens=10")
    assert json.loads(located.stdout)["status"] == "cut_off"
    assert "--set max_tokens=20" in located.stderr


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ((200, "text/html", "<html><body>Welcome</body></html>"), "not a model server"),
        ((200, "application/json", '{"data": {"a": 1}}'), "not a model server"),
        ((200, "application/json", '{"data": [{"name": "x"}]}'), "not a model server"),
        ((200, "application/json", '{"data": []}'), "serves no model"),
        ((404, "text/html", "<html>\n" * 1000), "HTTP status 404"),
        ((500, "text/plain", "oh"), "HTTP status 500"),
        ((401, "application/json", "{}"), "HTTP status 401"),
    ],
)
@pytest.mark.parametrize("command", ["locate", "evaluate"])
def test_a_server_that_serves_no_models_is_one_line_and_code_1(model, dataset, photo, tmp_path, monkeypatch, page, said, command):
    monkeypatch.setattr("globe.asking.client.CONTACT_RETRIES", 0)
    model.page = page
    calls = {
        "locate": lambda: globe("locate", str(photo), "--url", model.url),
        "evaluate": lambda: evaluate(model, dataset, tmp_path / "out"),
    }
    ended(calls[command](), 1, model.url, said)


def test_a_url_without_v1_is_told_what_it_lacks(model, photo):
    url = model.url.removesuffix("/v1")
    ended(globe("locate", str(photo), "--url", url), 1, "404", f"try {url}/v1")


def test_a_server_that_hangs_is_not_waited_for(model, photo, monkeypatch):
    monkeypatch.setattr("globe.asking.client.CONTACT_S", 1.0)
    model.hangs = True
    ended(globe("locate", str(photo), "--url", model.url), 1, "no answer within 1 s")  # it would hang until the test ends


def test_nobody_at_the_url_is_told(photo):
    ended(globe("locate", str(photo), "--url", "http://127.0.0.1:9/v1"), 1, "no model server answers")


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:99999/v1", "http://a b/v1", "x"])
def test_what_is_no_url_is_refused(photo, url):
    refused(globe("locate", str(photo), "--url", url), "--url", "http://localhost:8000/v1")


def test_a_model_that_is_not_served_is_refused_with_those_that_are(model, dataset, photo, tmp_path):
    refused(globe("locate", str(photo), "--url", model.url, "--model", "x"), "no model 'x'", "stand-in")
    model.name, name = "y", model.name
    command = ["evaluate", "--url", model.url, "--model", name, "--dataset", str(dataset), "--out", str(tmp_path / "out")]
    refused(globe(*command), f"no model '{name}'", "it serves y")


@pytest.mark.parametrize(
    "body", ["<html>hello</html>", "{}", '{"choices": []}', '{"choices": [{"message": null}]}', '{"choices": 7}', "null"]
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_reply_that_is_no_completion_is_one_line_and_code_1(model, photo, body, kind):
    model.chat = (200, kind, body)
    ended(globe("locate", str(photo), "--url", model.url), 1, model.url)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "UTF-8"), (b"<image>where?", "<image>")],
)
def test_a_prompt_that_cannot_be_asked_is_refused(model, photo, tmp_path, content, said):
    if content is not None:
        (tmp_path / "p.txt").write_bytes(content)
    refused(globe("locate", str(photo), "--url", model.url, "--prompt", str(tmp_path / "p.txt")), "p.txt", said)
    refused(globe("locate", str(photo), "--url", model.url, "--prompt", str(tmp_path)), "cannot be read")


def test_photos_that_are_none_are_refused(model, tmp_path):
    (tmp_path / "t.jpg").write_text("text")
    (tmp_path / "none").mkdir()
    Image.new("RGB", (1, 2000)).save(tmp_path / "strip.png")
    given = {"no.jpg": "no such file", "none": "no photo", "t.jpg": "not a picture", "strip.png": "over 200 times as long"}
    for path, said in ((tmp_path / name, said) for name, said in given.items()):
        refused(globe("locate", str(path), "--url", model.url), said)
    refused(globe("locate", "", "--url", model.url), "not a path")


def test_checkpoints_that_are_none_are_refused_before_a_server_is_started(photo, tmp_path):
    def call(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return globe("locate", str(photo), "--checkpoint", str(folder), *more)

    refused(call(tmp_path / "nowhere"), "nowhere", "no such folder")
    made = checkpoint(tmp_path / "made", Usage(evaluation={"max_tokens": "many"}))
    refused(call(made), MANIFEST_FILE, "max_tokens")
    refused(call(made, "--recipe", "nothing"), "no recipe 'nothing'")
    (made / MANIFEST_FILE).write_text('{"uri": ')
    refused(call(made), MANIFEST_FILE, "JSON")


def test_a_reply_whose_content_is_no_text_is_a_failed_call(model, photo):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ["a"]}}
    model.chat = (200, "application/json", json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}))
    ended(globe("locate", str(photo), "--url", model.url), 1, "not a chat completion")


def test_what_a_model_writes_is_one_line_that_no_terminal_obeys(model, photo):
    model.text = "<think>a \x1b[31mred\x1b[0m\nsign</think><answer>country: France\ncity: Paris</answer>"
    done = globe("locate", str(photo), "--url", model.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["because: a red sign"]


def test_a_prompt_without_an_end_is_refused(model, photo):
    refused(globe("locate", str(photo), "--url", model.url, "--prompt", "/dev/zero"), "/dev/zero", "device")


def test_a_city_that_is_in_no_gazetteer_is_told(model, photo):
    model.text = "<think>x</think><answer>country: Thailand\ncity: Nowhereville</answer>"
    located = globe("locate", str(photo), "--url", model.url)
    assert "city not found: Nowhereville" in located.stdout
    model.text = "<think>x</think><answer>country: Thailand</answer>"
    assert "city not found" not in globe("locate", str(photo), "--url", model.url).stdout


@pytest.mark.parametrize("text", ["\x1b[31m{}\x07\x1b]0;owned\x07", "\u202e{}\u2028\x85\x9b31m\x00"])
def test_control_characters_of_a_models_text_never_reach_a_terminal(model, photo, text):
    answers = ["<think>{}</think><answer>country: France\ncity: Paris{}</answer>", "<think>{}</think>", "{}"]
    for answer in answers:
        model.text = answer.replace("{}", text.format("x"))
        located = globe("locate", str(photo), "--url", model.url)
        assert located.returncode == 0
        assert all(line.isprintable() for line in located.stdout.split("\n"))
    model.chat = (400, "application/json", json.dumps({"error": {"message": text.format("no")}}))
    failed = globe("locate", str(photo), "--url", model.url)
    assert failed.returncode == 1
    assert all(line.isprintable() for line in failed.stderr.split("\n"))
