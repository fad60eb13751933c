"""Bytes that the layers of a model keep for their backward pass; b is the bytes of a number (2 in bfloat16, 4 in float32)."""

from globe.training.model_parts import INTERNVL, TextShape, VisionShape

ADAPTER_INPUT = 8
"""Bytes that LoRA keeps of each number that goes into a linear layer: it after dropout, and dropout's mask."""


def text_layer_bytes(text: TextShape, number: int, *, lora: bool = False) -> float:
    """Bytes that one layer of the language model keeps for its backward pass, for each token.

    Two norms keep their input in float32, their normalised and their scaled output; attention keeps queries, keys, values and its
    output (transformers repeats keys and values for each head); the MLP keeps gate, its activation, up and their product. Frozen
    linear layers need no input; an adapter keeps its own, in float32, after dropout, and dropout its mask (peft's lora.Linear).
    """
    norm = (4 + 2 * number if number == 2 else 3 * number) * text.hidden
    kept = 2 * norm + 4 * number * text.hidden + 4 * text.heads + 4 * number * text.intermediate
    if not lora:
        return kept
    return kept - number * (2 * text.hidden + text.intermediate) + ADAPTER_INPUT * (6 * text.hidden + text.intermediate)


def layer_gradient_bytes(text: TextShape, number: int) -> float:
    """Bytes of gradients that are alive at once in the backward pass of one layer, for each token."""
    return number * (3 * text.intermediate + 2 * text.hidden)


def vision_layer_bytes(vision: VisionShape, number: int, *, lora: bool = False) -> float:
    """The same as `text_layer_bytes` for one layer of the vision tower, for each patch."""
    hidden, wide = vision.hidden, vision.intermediate
    if vision.architecture == INTERNVL:  # layer norms keep input and output, the MLP its input and output of GELU
        kept, inputs = number * (10 * hidden + 2 * wide), 5 * hidden + wide
    else:
        norm = (4 + 2 * number if number == 2 else 3 * number) * hidden
        kept, inputs = 2 * norm + 4 * number * (hidden + wide), 4 * hidden + wide
    return kept - number * (2 * hidden + wide) + ADAPTER_INPUT * inputs if lora else kept
