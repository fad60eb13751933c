"""A checkpoint exists when its manifest does, and its digest says what it is."""

import json

import pytest
from model_folders import model, publish

from globe.errors import GlobeError, InputError
from globe.models.checkpoints import MANIFEST_FILE, RADIUS_FILE, Usage, open_model, read_checkpoint, read_intact


def test_a_published_checkpoint_is_read_back_from_its_folder_and_from_its_manifest(tmp_path):
    published = publish(model(tmp_path / "m"))
    assert read_checkpoint(tmp_path / "m") == published
    assert read_checkpoint(tmp_path / "m" / MANIFEST_FILE) == published


def test_the_digest_tells_weights_apart_and_not_places(tmp_path):
    same = [publish(model(tmp_path / name)).digest for name in ("a", "b")]
    other = publish(model(tmp_path / "c", b"other")).digest
    assert same[0] == same[1] != other


def test_weights_that_are_not_the_manifests_any_more_are_not_read(tmp_path):
    published = publish(model(tmp_path / "m"))
    assert published.path == tmp_path / "m"
    (tmp_path / "m" / "model.safetensors").write_bytes(b"Weights")  # as long as before
    with pytest.raises(GlobeError, match=r"model\.safetensors: is not the file that the manifest names"):
        _ = read_checkpoint(tmp_path / "m").path


def test_a_file_that_was_added_and_would_be_loaded_is_refused_and_one_beside_is_not(tmp_path):
    published = publish(model(tmp_path / "m"))
    for beside in (RADIUS_FILE, "README.md", ".gitattributes"):
        (tmp_path / "m" / beside).write_text("{}")
    assert published.path == tmp_path / "m"
    for added in (
        "model.safetensors.index.json",
        "args.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "tokenizer.py",
    ):
        (tmp_path / "m" / added).write_text("{}")
        with pytest.raises(GlobeError, match=f"{added}: (is not among the files that the manifest names|is code)"):
            _ = published.path
        with pytest.raises(GlobeError, match=added):
            read_intact(tmp_path / "m")
        (tmp_path / "m" / added).unlink()


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match="no finished checkpoint"):
        read_checkpoint(model(tmp_path / "m"))


def test_a_file_that_has_gone_since_is_named(tmp_path):
    publish(model(tmp_path / "m"))
    (tmp_path / "m" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors"):
        read_checkpoint(tmp_path / "m")


USAGE = Usage("Which town?\n", {"max_model_len": 900, "max_pixels": 50176}, {"max_tokens": 300, "temperature": 0.0})


def test_the_manifest_says_how_the_model_is_asked_and_served_and_the_digest_does_not(tmp_path):
    published = publish(model(tmp_path / "m"), usage=USAGE)
    assert read_checkpoint(tmp_path / "m").usage == USAGE
    assert published.digest == publish(model(tmp_path / "same")).digest


def test_a_manifest_from_before_it_said_so_still_loads_and_so_does_a_later_versions(tmp_path):
    publish(model(tmp_path / "m"), usage=USAGE)
    path = tmp_path / "m" / MANIFEST_FILE
    content = json.loads(path.read_text())
    later = content | {"something": "new"}
    old = {name: value for name, value in content.items() if name not in ("prompt", "serving", "evaluation")}
    path.write_text(json.dumps(later))
    assert read_checkpoint(tmp_path / "m").usage == USAGE
    path.write_text(json.dumps(old))
    assert read_checkpoint(tmp_path / "m").usage == Usage()


def test_what_a_stage_does_not_say_is_its_parents():
    assert Usage().over(USAGE) == USAGE
    assert Usage("", {"max_model_len": 1}).over(USAGE) == Usage(USAGE.prompt, {"max_model_len": 1}, USAGE.evaluation)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"serving": ["max_model_len"]}, "serving"),
        ({"prompt": 3}, "prompt"),
        ({"files": {"model.safetensors": 7}}, r"files\.model\.safetensors"),
        ({"step": "three"}, "step"),
    ],
)
def test_a_manifest_with_a_wrong_type_is_refused_by_its_field(tmp_path, change, named):
    publish(model(tmp_path / "m"))
    path = tmp_path / "m" / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=rf"{MANIFEST_FILE}: {named}: "):
        read_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("content", [b"", b'{"uri": ', b"[]", b"\xff\xfe", b"null"])
def test_a_manifest_that_is_no_manifest_is_refused_in_one_line(tmp_path, content):
    publish(model(tmp_path / "m"))
    (tmp_path / "m" / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint's manifest") as refusal:
        read_checkpoint(tmp_path / "m")
    assert "\n" not in str(refusal.value)


def test_a_hugging_face_folder_is_opened_as_it_is(tmp_path):
    folder = model(tmp_path / "m")
    opened = open_model(folder)
    assert (opened.path, opened.usage, list(folder.glob(MANIFEST_FILE))) == (folder, Usage(), [])
    assert open_model(publish(folder).path).step == 3
    (folder / MANIFEST_FILE).unlink()
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        open_model(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"uri": 1}', '{"no_such_field": 1}'])
def test_a_manifest_that_is_none_is_bad_input(tmp_path, text):
    (model(tmp_path / "m") / MANIFEST_FILE).write_text(text)
    with pytest.raises(InputError, match=MANIFEST_FILE):
        read_checkpoint(tmp_path / "m")


def test_a_prompt_that_could_not_be_asked_is_refused_where_the_manifest_is_read(tmp_path):
    publish(model(tmp_path / "m"))
    path = tmp_path / "m" / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prompt": "<image>"}))
    with pytest.raises(InputError, match="prompt: a prompt must not hold"):
        read_checkpoint(tmp_path / "m")
