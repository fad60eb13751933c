"""Qwen2.5-VL's vision tower gives the same, forward and backward, whether its windows are taken together or one by one."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("transformers", reason="needs the train extra")

from transformers import Qwen2_5_VLConfig  # noqa: E402
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel  # noqa: E402

from globe.models import attention  # noqa: E402

PATCH_VALUES = 3 * 2 * 14 * 14
PICTURES = {
    "whole windows only": [[1, 16, 24]],
    "an edge at the right": [[1, 16, 22]],
    "edges and a corner": [[1, 18, 22]],
    "smaller than a window": [[1, 4, 4]],
    "a strip narrower than a window": [[1, 4, 40]],
    "several of different sizes": [[1, 18, 22], [1, 4, 4], [1, 16, 24], [1, 10, 26], [1, 18, 22]],
}


@pytest.fixture(autouse=True)
def one_by_one_again():
    yield
    attention.loop_over_windows()


@pytest.fixture
def tower():
    """Four layers, of which the second and the last see the whole picture."""
    settings = {"depth": 4, "hidden_size": 64, "num_heads": 4, "intermediate_size": 96, "out_hidden_size": 48}
    config = Qwen2_5_VLConfig(vision_config=settings | {"fullatt_block_indexes": [1, 3]}).vision_config
    config._attn_implementation = "sdpa"
    torch.manual_seed(0)
    return Qwen2_5_VisionTransformerPretrainedModel._from_config(config)


def passed(tower, grids, chosen, mix=None):
    """What a batch becomes, and the gradients of the pixels and of all weights."""
    chosen()
    grid = torch.tensor(grids)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(int(grid.prod(-1).sum()), PATCH_VALUES, generator=generator).requires_grad_()
    seen = tower(pixels, grid_thw=grid).pooler_output
    weights = torch.randn(seen.shape, generator=generator)
    tower.zero_grad()
    (seen * weights).sum().backward()
    return {"seen": seen.detach(), "pixels": pixels.grad} | {name: value.grad for name, value in tower.named_parameters()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5 * float(value.abs().max()), msg=name)


@pytest.mark.parametrize("grids", PICTURES.values(), ids=PICTURES)
def test_windows_taken_together_give_what_they_give_one_by_one_and_the_same_gradients(tower, grids):
    one_by_one = passed(tower, grids, attention.loop_over_windows)
    together = passed(tower, grids, attention.batch_windows)
    assert_same(together, one_by_one)
    assert all(value.abs().max() > 0 for name, value in together.items() if "qkv.weight" in name)


def test_another_implementation_that_a_recipe_asks_for_is_left_as_it_is(tower):
    tower.config._attn_implementation = "eager"
    expected = passed(tower, [[1, 18, 22]], attention.loop_over_windows)
    found = passed(tower, [[1, 18, 22]], attention.batch_windows)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("grid", "most"), [([[1, 64, 80]], 1), ([[1, 72, 70]], 4), ([[1, 28, 36]], 4)])
def test_a_picture_has_at_most_four_lengths_of_windows_however_many_windows(grid, most):
    from transformers.vision_utils import get_vision_window_index

    _, ends = get_vision_window_index(torch.tensor(grid), spatial_merge_size=2, window_size=112, patch_size=14)
    windows = attention.windows_of(ends)
    assert len(windows.groups) <= most
    assert sum(count for _, count in windows.groups) == len(ends) - 1
    assert sum(length * count for length, count in windows.groups) == ends[-1]
    assert windows.longest == (ends[1:] - ends[:-1]).max()


def looped(query, key, value, ends, scale):
    """Softmax attention as the paper has it, a window at a time, in double precision."""
    mixed = []
    for start, end in pairwise(ends.tolist()):
        q, k, v = (tensor[start:end].transpose(0, 1).double() for tensor in (query, key, value))
        mixed.append(((q @ k.transpose(1, 2) * scale).softmax(-1) @ v).transpose(0, 1))
    return torch.cat(mixed)


@pytest.fixture
def kernel_on_a_cpu():
    """torch's operator with a kernel for the CPU, which it lacks; it does what its documentation says."""

    def checked(cu_q, cu_k, max_q, max_k, causal):
        assert cu_q.dtype == cu_k.dtype == torch.int32  # the CUDA kernel reads nothing else
        assert torch.equal(cu_q, cu_k)
        assert not causal
        assert max_q == max_k == (cu_q[1:] - cu_q[:-1]).max()

    def forward(query, key, value, cu_q, cu_k, max_q, max_k, causal, scale, *_, **__):
        checked(cu_q, cu_k, max_q, max_k, causal)
        return looped(query, key, value, cu_q, scale).to(query.dtype), query.new_zeros(4, len(query)), cu_q.to(torch.uint64)

    def backward(grad, query, key, value, out, lse, cu_q, cu_k, max_q, max_k, causal, state, scale=None, window=None):
        checked(cu_q, cu_k, max_q, max_k, causal)
        gradients = [torch.zeros_like(tensor) for tensor in (query, key, value)]
        for start, end in pairwise(cu_q.tolist()):
            q, k, v, g = (tensor[start:end].transpose(0, 1) for tensor in (query, key, value, grad))
            share = (q @ k.transpose(1, 2) * scale).softmax(-1)
            of_share = g @ v.transpose(1, 2)
            of_product = share * (of_share - (share * of_share).sum(-1, keepdim=True)) * scale
            found = (of_product @ k, of_product.transpose(1, 2) @ q, share.transpose(1, 2) @ g)
            for gradient, part in zip(gradients, found, strict=True):
                gradient[start:end] = part.transpose(0, 1)
        return tuple(gradients)

    torch.library.register_kernel("torch_attn::_varlen_attn", "cpu", forward)
    torch.library.register_kernel("torch_attn::_varlen_attn_backward", "cpu", backward)


@pytest.mark.usefixtures("kernel_on_a_cpu")
def test_the_kernel_is_told_the_same_windows_as_the_batches_are_made_of(tower, monkeypatch):
    grids = PICTURES["several of different sizes"]
    expected = passed(tower, grids, attention.loop_over_windows)
    monkeypatch.setattr(attention, "has_kernel", lambda query: True)
    assert_same(passed(tower, grids, attention.batch_windows), expected)


def test_without_cuda_and_half_precision_no_kernel_is_asked():
    for dtype in (torch.float32, torch.bfloat16):
        assert not attention.has_kernel(torch.zeros(4, 2, 80, dtype=dtype))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_on_a_gpu_the_kernel_is_as_close_to_the_truth_as_torchs_attention_is(dtype):
    ends = torch.tensor([0, 64, 128, 148, 149, 213], dtype=torch.int32, device="cuda")
    inputs = [torch.randn(213, 16, 80, device="cuda", dtype=dtype).requires_grad_() for _ in range(3)]
    assert attention.has_kernel(inputs[0])
    weights = torch.randn(213, 16, 80, device="cuda", dtype=dtype)
    results = {}
    for name, way in {"kernel": attention.by_kernel, "batches": attention.by_length}.items():
        mixed = way(*inputs, ends, attention.windows_of(ends), 80**-0.5)
        results[name] = [mixed, *torch.autograd.grad(mixed, inputs, weights)]
    exact_inputs = [tensor.detach().double().requires_grad_() for tensor in inputs]
    exact = looped(*exact_inputs, ends, 80**-0.5)
    truth = [exact, *torch.autograd.grad(exact, exact_inputs, weights.double())]
    for kernel, batches, right in zip(results["kernel"], results["batches"], truth, strict=True):
        error = (kernel.double() - right).abs().max()
        assert error <= 2 * (batches.double() - right).abs().max() + 1e-3
