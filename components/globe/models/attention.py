"""Attention in Qwen2.5-VL's vision tower: all windows of a batch in a few calls.

28 of the tower's 32 layers attend within windows of 8 x 8 patches only. transformers cuts a batch into its windows and has a loop
in Python that calls torch for each: 2,244 times for a picture of 1,280 image tokens, while the GPU waits for the next call. Here
all windows go to torch's variable-length kernel together. Where there is none (a CPU, fp32, a GPU older than Ampere), windows of
equal length form one batch: a picture has at most four lengths, for whole windows, its right edge, its lower edge and the corner
between them. No window sees another one either way, so the results are the same up to the order in which sums are taken.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as qwen

Attention = qwen.Qwen2_5_VLVisionAttention
WIDEST_HEAD = 256
"""What the variable-length kernel takes; the width must also be a multiple of 8."""
AMPERE = (8, 0)
_stock_forward = Attention.forward


@dataclass(frozen=True)
class Windows:
    """Where the windows of a batch lie along its tokens."""

    longest: int
    groups: list[tuple[int, int]]
    """Length of a window in tokens, and how many windows have it."""
    order: torch.Tensor | None
    """Indices that bring windows of equal length together; None where all have one length."""
    back: torch.Tensor | None
    """Indices that undo it."""


_windows: Any = WeakTensorKeyDictionary()


def batch_windows() -> None:
    """From here on every Qwen2.5-VL of this process takes its windows together, where its attention is sdpa."""
    Attention.forward = _forward


def loop_over_windows() -> None:
    """From here on every Qwen2.5-VL of this process takes its windows one by one, as transformers has it."""
    Attention.forward = _stock_forward


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, boundaries: torch.Tensor, scale: float) -> torch.Tensor:
    """Attention within windows, by the fastest way that the tensors allow.

    Args:
        query: Shape (tokens, heads, width); so are the next two.
        key: See there.
        value: See there.
        boundaries: Where windows begin and the last one ends, shape (windows + 1,); not to be changed afterwards.
        scale: Factor of the products before the softmax.

    Returns:
        Shape (tokens, heads, width).
    """
    windows = windows_of(boundaries)
    return (by_kernel if has_kernel(query) else by_length)(query, key, value, boundaries, windows, scale)


def has_kernel(query: torch.Tensor) -> bool:
    """Whether torch's variable-length kernel takes such tensors."""
    width = query.shape[-1]
    fits = query.dtype in (torch.float16, torch.bfloat16) and width % 8 == 0 and width <= WIDEST_HEAD
    return fits and query.is_cuda and _is_ampere(query.device.index or 0)


def by_kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, boundaries: torch.Tensor, windows: Windows, scale: float
) -> torch.Tensor:
    """All windows in one call; see `attend`. Needs `has_kernel`."""
    ends = boundaries.to(torch.int32)
    return varlen_attn(query, key, value, ends, ends, windows.longest, windows.longest, scale=scale)


def by_length(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, boundaries: torch.Tensor, windows: Windows, scale: float
) -> torch.Tensor:
    """One call for each length that occurs; see `attend`."""
    inputs = [query, key, value]
    if windows.order is not None:
        inputs = [tensor.index_select(0, windows.order) for tensor in inputs]
    sizes = [length * count for length, count in windows.groups]
    mixed = []
    for (length, count), *group in zip(windows.groups, *(tensor.split(sizes) for tensor in inputs), strict=True):
        q, k, v = (tensor.unflatten(0, (count, length)).transpose(1, 2) for tensor in group)
        mixed.append(scaled_dot_product_attention(q, k, v, scale=scale).transpose(1, 2).flatten(0, 1))
    joined = torch.cat(mixed)
    return joined if windows.back is None else joined.index_select(0, windows.back)


def windows_of(boundaries: torch.Tensor) -> Windows:
    """Where windows lie. All layers of a pass are given the same tensor, so a GPU is waited for once, not once a layer."""
    if boundaries not in _windows:
        _windows[boundaries] = _read(boundaries)
    return _windows[boundaries]


def _read(boundaries: torch.Tensor) -> Windows:
    ends = boundaries.tolist()
    starts_by_length: dict[int, list[int]] = {}
    for start, end in pairwise(ends):
        starts_by_length.setdefault(end - start, []).append(start)
    groups = [(length, len(starts)) for length, starts in starts_by_length.items()]
    longest = max(starts_by_length)
    if len(groups) == 1:
        return Windows(longest, groups, None, None)
    places = [torch.tensor(starts)[:, None] + torch.arange(length) for length, starts in starts_by_length.items()]
    order = torch.cat([place.flatten() for place in places])
    return Windows(longest, groups, order.to(boundaries.device), order.argsort().to(boundaries.device))


def _forward(
    self: Any,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **options: Any,
) -> torch.Tensor:
    """What transformers' own does, with another way through the windows."""
    if self.config._attn_implementation != "sdpa":
        return _stock_forward(self, hidden_states, cu_seqlens, position_embeddings, **options)
    tokens = hidden_states.shape[0]
    query, key, value = self.qkv(hidden_states).reshape(tokens, 3, self.num_heads, -1).unbind(1)
    query, key = qwen.apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    return self.proj(attend(query, key, value, cu_seqlens, self.scaling).reshape(tokens, -1))


@cache
def _is_ampere(device: int) -> bool:
    return torch.version.cuda is not None and torch.cuda.get_device_capability(device) >= AMPERE
