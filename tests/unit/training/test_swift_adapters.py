"""The base model under adapters: what ms-swift merges and unmerges before each rollout leaves it as it was."""

import copy

import pytest
import torch
from peft.tuners.lora.layer import Linear

TIMES = 20


@pytest.fixture
def stock():
    """peft's own functions, put back after the test."""
    kept = Linear.merge, Linear.unmerge
    yield
    Linear.merge, Linear.unmerge = kept


def adapted() -> torch.nn.Module:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)).to(torch.bfloat16)
    model = get_peft_model(layers, LoraConfig(r=4, target_modules=["0"]))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.05)
    return model


def used(model: torch.nn.Module) -> list[torch.Tensor]:
    """Merge and unmerge as often as that many rollouts, and return the weights that each of them was sampled with."""
    merged = []
    for _ in range(TIMES):
        model.merge_adapter()
        merged.append(model.base_model.model[0].base_layer.weight.detach().clone())
        model.unmerge_adapter()
    return merged


@pytest.mark.usefixtures("stock")
def test_twenty_rollouts_in_bfloat16_leave_the_base_as_it_was_where_peft_alone_lets_it_drift():
    before = adapted().state_dict()
    drifting = adapted()
    used(drifting)
    assert not all(torch.equal(weight, before[name]) for name, weight in drifting.state_dict().items())

    import globe.training.swift_adapters as plugin

    Linear.merge, Linear.unmerge = plugin._merge_aside, plugin._unmerge_exactly
    kept = adapted()
    merged = used(kept)
    assert all(torch.equal(weight, before[name]) for name, weight in kept.state_dict().items())
    layer = kept.base_model.model[0]
    expected = copy.deepcopy(layer.base_layer.weight) + layer.get_delta_weight("default")
    assert all(torch.equal(weights, expected.to(weights.dtype)) for weights in merged)
    assert not any(name.startswith("globe") for name in vars(layer))
