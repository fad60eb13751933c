"""A model's folder is data: what would run when it is loaded is named and refused, and what people publish and train passes."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from command_line import globe, refused
from model_folders import model, publish, with_code
from PIL import Image

from globe.data.shards import write_dataset
from globe.errors import GlobeError, InputError
from globe.models.base_model import base_model
from globe.models.checkpoints import MANIFEST_FILE, RADIUS_FILE, open_model, read_checkpoint, read_intact
from globe.models.given import given
from globe.models.safety import LARGEST_JSON, check_model_folder, check_model_place
from globe.models.weights import load_model
from globe.run.cluster import Place
from globe.run.preflight import Request, check_places
from globe.serving.recipe import ServingRecipe
from globe.serving.serving import serving

LOCKS = Path(__file__).parents[3] / "images"
PUBLISHED = (
    *(".gitattributes", "LICENSE", "README.md", "merges.txt", "chat_template.jinja", "additional_chat_templates/tool_use.jinja"),
    *("figures/overview.png", ".cache/huggingface/download/config.json.metadata", ".cache/huggingface/.gitignore"),
)
TRAINERS = (
    *("optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state.pth", "rng_state_7.pth", "training_args.bin", "trainer_state.json"),
    *("args.json", "whole.json", "latest", "global_step12/zero_pp_rank_0_mp_rank_00_model_states.pt"),
)
"""What a trainer's own checkpoint holds beside the model."""


def add(folder: Path, name: str, content: str = "{}") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        check_model_folder(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# What passes


def test_a_model_as_it_is_published_or_trained_passes(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "m")
    for name in (*PUBLISHED, *TRAINERS):
        add(folder, name)
    shards = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}, "metadata": {}}
    add(folder, "model.safetensors.index.json", json.dumps(shards))
    add(folder, "vocab.json", '{"auto_map": 7, "weight_map": 8}')  # words, with their places
    check_model_folder(folder)


@pytest.fixture(scope="session")
def tiny_internvl(tiny_model, tmp_path_factory):
    """An InternVL of random weights, all of transformers' own classes, as OpenGVLab/InternVL3-8B-hf is."""
    import transformers as hf

    folder = tmp_path_factory.mktemp("internvl") / "model"
    tokens = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>"}
    tokens["video_token"] = "<video>"
    tokenizer = hf.AutoTokenizer.from_pretrained(tiny_model, extra_special_tokens=tokens)
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2}
    size = {"height": 56, "width": 56}
    config = hf.InternVLConfig(
        text_config=small | {"model_type": "qwen2", "vocab_size": len(tokenizer), "num_key_value_heads": 2},
        vision_config=small | {"image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    hf.InternVLForConditionalGeneration(config).save_pretrained(folder)
    hf.InternVLProcessor(
        image_processor=hf.GotOcr2ImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=tokenizer.chat_template,
    ).save_pretrained(folder)
    return folder


def test_internvl3_needs_no_code_of_its_own(tiny_internvl):
    from transformers import AutoProcessor

    check_model_folder(tiny_internvl)
    loaded = load_model(tiny_internvl)
    assert type(loaded).__module__ == "transformers.models.internvl.modeling_internvl"
    assert type(AutoProcessor.from_pretrained(tiny_internvl)).__name__ == "InternVLProcessor"


def test_a_model_in_a_hubs_cache_passes_where_every_file_is_a_link(tiny_model, tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "0123"
    shutil.copytree(tiny_model, blobs)
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    check_model_folder(snapshot)


def test_kernels_from_a_hub_are_no_way_in_because_no_image_can_load_any():
    """A model's configuration may name a repository of kernels as its attention; the package that would fetch it is nowhere."""
    locks = list(LOCKS.glob("*/*.lock"))
    assert locks
    assert not [lock.name for lock in locks if re.search(r"^kernels==", lock.read_text(), re.MULTILINE)]


# What does not


@pytest.mark.parametrize(
    "name",
    [
        *("modeling_x.py", "custom_generate/generate.py", "inner/deep/x.PY", "json.pyc", "torch.cpython-311-x86_64-linux-gnu.so"),
        *("pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "adapter_model.bin", "model.gguf", "tf_model.h5", "w.pkl"),
        *("flax_model.msgpack", "consolidated.00.pth", "original/consolidated.pth", "epoch.ckpt", "inner/optimizer.pt"),
        *("adapter_config.json", "model.onnx", "state.npz", "additional_chat_templates/default.jinja"),
    ],
)
def test_code_and_weights_of_other_kinds_are_refused_by_name_wherever_they_lie(tmp_path, name):
    folder = model(tmp_path / "m")
    add(folder, name)
    assert refusal(folder).startswith(f"{folder}/{name}: ")


AUTO_MAP = '"auto_map": {"AutoConfig": "x.Config"}'


@pytest.mark.parametrize(
    "text",
    [
        f"{{{AUTO_MAP}}}",
        f'{{"vision_config": {{"a": [1, {{{AUTO_MAP}}}]}}}}',
        f'{{{AUTO_MAP}, "auto_map": 0}}',  # the later one hides it from whoever asks the parsed document
        f'{{"a": {{{AUTO_MAP}}}, "a": 1}}',
        '{"\\u0061uto_map": {"AutoConfig": "another/repository--x.Config"}}',
        '{"auto_map": ["x.Tokenizer", null]}',
        '{"auto_map": "x.Config"}',
    ],
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "inner/preprocessor_config.json"])
def test_a_name_of_code_is_found_at_any_depth_and_however_it_is_written(tmp_path, name, text):
    folder = model(tmp_path / "m")
    path = add(folder, name, text)
    assert refusal(folder).startswith(f"{path}: names code (auto_map)")


@pytest.mark.parametrize(
    "content",
    [
        f"{{{AUTO_MAP}}}".encode("utf-16"),
        f"{{{AUTO_MAP}}}".encode("utf-8-sig"),
        b"\xff{}",
        b"{'a': 1}",
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_this_cannot_read_as_the_loaders_do_is_not_passed_on_to_them(tmp_path, content):
    folder = model(tmp_path / "m")
    (folder / "processor_config.json").write_bytes(content)
    assert "processor_config.json: cannot be read as JSON in UTF-8" in refusal(folder)


def test_a_file_too_large_for_a_configuration_is_not_read(tmp_path):
    folder = model(tmp_path / "m")
    with (folder / "tokenizer.json").open("wb") as file:
        file.truncate(LARGEST_JSON + 1)
    assert "larger than any configuration" in refusal(folder)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("model.safetensors.index.json", {"weight_map": {"a": "pickled.dat"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "../elsewhere/model.safetensors"}}),
        ("model.safetensors.index.json", {"weight_map": {"a": "model.safetensors", "b": ["x"]}}),
        ("other.json", {"weight_map": {"a": "/elsewhere/model.safetensors"}}),
    ],
)
def test_weights_that_a_file_names_are_safetensors_of_the_same_folder(tmp_path, name, values):
    folder = model(tmp_path / "m")
    path = add(folder, name, json.dumps(values))
    assert re.match(rf"{path}: names .* as weights; ", refusal(folder))


def test_a_pickle_under_another_name_is_read_without_this_check(tiny_model, tmp_path):
    """The attack behind the test above: transformers hands what the index names to torch.load."""
    import torch
    from transformers import AutoModelForImageTextToText

    folder = shutil.copytree(tiny_model, tmp_path / "m")
    weights = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save({name: weight + 1 for name, weight in weights.items()}, folder / "pickled.dat")
    index = {"weight_map": dict.fromkeys(weights, "pickled.dat"), "metadata": {}}
    add(folder, "model.safetensors.index.json", json.dumps(index))
    loaded = AutoModelForImageTextToText.from_pretrained(folder).state_dict()
    assert all(torch.equal(loaded[name], weight + 1) for name, weight in weights.items())
    assert "pickled.dat" in refusal(folder)


def test_links_to_folders_are_not_followed_and_not_passed_over(tmp_path):
    folder = model(tmp_path / "m")
    add(tmp_path / "elsewhere", "generate.py", "")
    (folder / "custom_generate").symlink_to(tmp_path / "elsewhere")
    assert f"{folder}/custom_generate: is a link to a folder" in refusal(folder)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_ordinary_file_is_refused_before_anything_waits_for_it(tmp_path, kind):
    folder = model(tmp_path / "m")
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json") if kind == "pipe" else (folder / "config.json").symlink_to("/dev/zero")
    assert "config.json: is no ordinary file" in refusal(folder)


# The ways in


def curated(folder: Path) -> Path:
    for rows in ("sft", "reward_model", "pool"):
        write_dataset(folder / "curated" / rows, [])
    return folder / "curated"


@pytest.fixture
def attack(tiny_model, tmp_path):
    """A real model's folder whose code writes a marker when it runs; afterwards it has not."""
    marker = tmp_path / "ran"
    yield with_code(tiny_model, tmp_path / "attack", marker)
    assert not marker.exists()


def test_it_is_refused_as_a_base_model_before_the_run_and_by_the_stage(attack, tmp_path):
    with pytest.raises(InputError, match=r"^base_model: \S+/modeling_x\.py: is code"):
        check_places(Request({}, base_model=str(attack)))
    with pytest.raises(InputError, match=r"^\S+/modeling_x\.py: is code"):
        base_model(model=str(attack), seed=0, store=tmp_path / "store")


@pytest.mark.parametrize("stage", ["sft", "reward_model", "grpo"])
@pytest.mark.parametrize("published", [False, True])
def test_it_is_refused_as_a_stages_result_too_with_a_manifest_and_without(attack, tiny_model, tmp_path, stage, published):
    if published:
        code = (attack / "modeling_x.py").rename(tmp_path / "kept.py")
        for name in ("config.json", "processor_config.json"):
            shutil.copy(tiny_model / name, attack)
        publish(attack)
        code.rename(attack / "modeling_x.py")
    with pytest.raises(InputError, match=rf"^start_from {stage}: \S+/modeling_x\.py: is code"):
        check_places(Request({}, start_from={stage: str(attack)}))
    with pytest.raises(InputError, match=r"^\S+/modeling_x\.py: is code"):
        given(stage=stage, model=str(attack), store=tmp_path / "store")


def test_it_is_refused_where_only_its_manifest_lies_in_the_store(attack, tiny_model, tmp_path):
    plain = shutil.copytree(tiny_model, tmp_path / "plain")
    result = given(stage="sft", model=str(plain), store=tmp_path / "store")
    shutil.copy(attack / "modeling_x.py", plain)
    with pytest.raises(InputError, match=r"^start_from sft: \S+/modeling_x\.py: is code"):
        check_places(Request({}, start_from={"sft": result.outcome.outputs["checkpoint"]}))


def test_it_is_refused_by_every_command_that_serves_or_trains_a_folder(attack, tmp_path):
    photo, out = tmp_path / "p.png", str(tmp_path / "out")
    Image.new("RGB", (56, 56)).save(photo)
    commands = (
        ("serve", str(attack)),
        ("locate", str(photo), "--checkpoint", str(attack)),
        ("evaluate", "--checkpoint", str(attack), "--dataset", str(tmp_path), "--out", out),
        ("sft", "--recipe", "demo", "--model", str(attack), "--data", str(curated(tmp_path)), "--out", f"{out}-sft"),
    )
    for command in commands:
        refused(globe(*command), f"{attack}/modeling_x.py: is code")
    assert not Path(out).exists()


def test_it_is_not_published(attack):
    with pytest.raises(InputError, match=r"/modeling_x\.py: is code"):
        publish(attack)
    assert not (attack / MANIFEST_FILE).exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("modeling_x.py", r"/modeling_x\.py: is code"),
        ("second.safetensors", r"/second\.safetensors: is not among the files that the manifest names"),  # vLLM would load it
        ("chat_template.jinja", r"/chat_template\.jinja: is not among the files"),
        ("preprocessor_config.json", r"/preprocessor_config\.json: is not among the files"),
    ],
)
def test_what_was_added_to_a_checkpoint_since_is_seen_by_whoever_loads_it(tmp_path, name, error, monkeypatch):
    folder = model(tmp_path / "m")
    checkpoint = publish(folder)
    add(folder, RADIUS_FILE)
    add(folder, "NOTES", "nobody loads this")
    assert checkpoint.path == folder
    add(folder, name)
    loaders = (lambda: checkpoint.path, lambda: read_intact(folder), lambda: open_model(folder), lambda: serve(checkpoint))
    monkeypatch.setenv("GLOBE_SERVERS", str(tmp_path / "servers"))
    for load in loaders:
        with pytest.raises(GlobeError, match=error):
            load()
    assert read_checkpoint(folder) == checkpoint  # to be named and compared it is read as before


def serve(checkpoint):
    return serving(policy=checkpoint, name="grpo", recipe=ServingRecipe(), place=Place("run-1"), needed=True)


def test_a_place_that_is_a_folder_is_checked_as_one(tmp_path):
    add(model(tmp_path / "m"), "x.py")
    with pytest.raises(InputError, match=r"x\.py"):
        check_model_place(f"{tmp_path}/m")
