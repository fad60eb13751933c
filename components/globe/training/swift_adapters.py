"""ms-swift plugin: a base model stays what it is, bit for bit, while its adapters are merged in for the rollout engine.

ms-swift adds the adapters to the weights before each rollout and subtracts them afterwards. In bfloat16 that does not give the
old weights back: each step would leave a rounding error, the model that the adapters stand on would drift away from the one that
a resume starts from and that they are merged into in the end, and so would the reference of the KL term, which is this base.
So the weights are kept aside meanwhile: of one part at a time with `move_model_batches`.
"""

from typing import Any

from peft.tuners.lora.layer import Linear

KEPT = "globe_kept"
"""Attribute in which a merged layer keeps its weights."""
_merge, _unmerge = Linear.merge, Linear.unmerge


def _merge_aside(layer: Linear, *args: Any, **options: Any) -> None:
    if not layer.merged:
        vars(layer)[KEPT] = layer.get_base_layer().weight.detach().clone()
    _merge(layer, *args, **options)


def _unmerge_exactly(layer: Linear) -> None:
    _unmerge(layer)
    kept = vars(layer).pop(KEPT, None)
    if kept is not None:
        layer.get_base_layer().weight.data.copy_(kept)


Linear.merge = _merge_aside
Linear.unmerge = _unmerge_exactly
