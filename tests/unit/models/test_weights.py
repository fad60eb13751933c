"""Weights fit a model key by key, or nothing is done with them. The model is the demo's: a real Qwen2.5-VL."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from globe.errors import GlobeError, InputError
from globe.models.weights import add_adapter, load_model, require_whole_files, require_whole_model


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory) -> Path:
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("adapter")
    config = LoraConfig(r=2, target_modules="all-linear", modules_to_save=["lm_head"])
    get_peft_model(load_model(tiny_model), config).save_pretrained(folder)
    return folder


def changed(folder: Path, target: Path, change) -> Path:
    shutil.copytree(folder, target)
    (file,) = target.glob("*.safetensors")
    weights = load_file(file)
    change(weights)
    save_file(weights, file, metadata={"format": "pt"})
    return target


def rename(weights: dict, old: str, new: str) -> None:
    weights[new] = weights.pop(old)


def first_of(weights: dict, part: str) -> str:
    return next(name for name in sorted(weights) if part in name)


def test_a_whole_model_loads_with_the_weights_of_its_file(tiny_model):
    import torch

    loaded = list(load_model(tiny_model).state_dict().values())
    saved = list(load_file(tiny_model / "model.safetensors").values())
    assert sorted(value.sum().item() for value in saved) == sorted(value.sum().item() for value in loaded)
    assert all(value.dtype == torch.float32 for value in loaded)


@pytest.mark.parametrize(("change", "says"), [
    (lambda weights: weights.pop(first_of(weights, "embed_tokens")), r"missing key \S*embed_tokens"),
    (lambda weights: rename(weights, first_of(weights, "norm"), "model.other"), r"missing key \S*norm"),
    (lambda weights: weights.update(extra=weights[first_of(weights, "norm")].clone()), "unexpected key extra"),
])  # fmt: skip
def test_a_model_with_a_key_too_few_or_too_many_is_refused_by_name(tiny_model, tmp_path, change, says):
    broken = changed(tiny_model, tmp_path / "m", change)
    for look in (load_model, require_whole_model):
        with pytest.raises(GlobeError, match=says):
            look(broken)
    require_whole_model(tiny_model)


@pytest.mark.parametrize(("change", "says"), [
    (lambda weights: weights.pop(first_of(weights, "lora_B")), r"missing key \S*lora_B"),
    (lambda weights: weights.pop(first_of(weights, "lm_head")), r"missing key \S*lm_head"),
    (lambda weights: weights.update(extra=weights[first_of(weights, "lora_A")].clone()), "unexpected key extra"),
])  # fmt: skip
def test_an_adapter_with_a_key_too_few_or_too_many_is_refused_by_name(tiny_model, adapter, tmp_path, change, says):
    with pytest.raises(GlobeError, match=says):
        add_adapter(load_model(tiny_model), changed(adapter, tmp_path / "a", change))
    assert add_adapter(load_model(tiny_model), adapter).active_adapter == "default"


def test_pickles_are_not_read_even_if_they_are_all_there_is(tiny_model, adapter, tmp_path):
    import torch

    folders = shutil.copytree(tiny_model, tmp_path / "m"), shutil.copytree(adapter, tmp_path / "a")
    for folder, name in zip(folders, ("pytorch_model.bin", "adapter_model.bin"), strict=True):
        (file,) = folder.glob("*.safetensors")
        torch.save(load_file(file), folder / name)
        file.unlink()
    with pytest.raises(OSError, match=r"model\.safetensors"):
        load_model(folders[0])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        require_whole_model(folders[0])
    with pytest.raises(GlobeError, match=r"no adapter_model\.safetensors"):
        add_adapter(load_model(tiny_model), folders[1])


@pytest.fixture
def shards(tmp_path) -> Path:
    """A model's folder whose weights are in two files and an index, as transformers writes them."""
    import torch

    folder = tmp_path / "shards"
    folder.mkdir()
    for number in (1, 2):
        save_file({f"layer{number}": torch.ones(64)}, folder / f"model-{number}.safetensors")
    names = {f"layer{number}": f"model-{number}.safetensors" for number in (1, 2)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return folder


def test_files_of_weights_that_are_all_there_are_whole(tiny_model, shards):
    require_whole_files(tiny_model)
    require_whole_files(shards)


@pytest.mark.parametrize(
    "kept", [0, 5, 60, -1], ids=["nothing", "a part of the length", "a part of the header", "all but a byte"]
)
def test_a_file_of_weights_that_is_cut_short_is_refused_by_name(shards, kept):
    file = shards / "model-2.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"model-2\.safetensors: is no whole file of weights"):
        require_whole_files(shards)


def test_a_file_or_a_weight_that_the_index_names_must_be_there(shards):
    import torch

    save_file({"other": torch.ones(64)}, shards / "model-2.safetensors")
    with pytest.raises(InputError, match=r"model-2\.safetensors: has no layer2, which model\.safetensors\.index\.json names"):
        require_whole_files(shards)
    (shards / "model-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-2\.safetensors: is not there"):
        require_whole_files(shards)
    (shards / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match=r"index\.json: cannot be read"):
        require_whole_files(shards)
