"""What GRPO takes for its completions on each GPU: their pictures, and what a trainer needs that samples by itself.

ms-swift keeps a rollout's inputs, pictures included, until the next one has been scored. Without a rollout engine the trainer
samples all completions of a rollout at once (`TransformersEngine` with `max_batch_size=0`), however small the batches are that
it then trains on. The prompts pass through the model together, without gradients; then the cache grows by a token at a time.
"""

from globe.training.grpo_recipe import GrpoRecipe
from globe.training.lengths import Lengths
from globe.training.model_parts import VisionShape
from globe.training.shapes import ModelShape

SAMPLED_LOGITS = 20.0
"""Bytes for each sequence and word of the vocabulary while a token is drawn: the logits in float32, their filtered copies and
probabilities; an estimate."""
LIVE_HIDDEN = 4
"""Vectors of the hidden size that are alive in a layer's MLP for each token: the embeddings, the layer's input, the residual
after attention, and its norm."""


def completions_at_once(recipe: GrpoRecipe) -> int:
    """Completions of a rollout in each process."""
    return recipe.per_device_train_batch_size * recipe.batches_a_generation


def picture_bytes(vision: VisionShape, image_tokens: int) -> float:
    """Bytes of a picture as it goes into the model, cut into patches of float32."""
    patches = image_tokens * vision.merge**2
    return patches * (4 * vision.pixels_a_token // vision.merge**2 * 3 * vision.frames)


def sampling_memory(recipe: GrpoRecipe, shape: ModelShape, lengths: Lengths, number: int) -> dict[str, float]:
    """Bytes at the worst moment of sampling by the trainer itself, by part, beside what it holds anyway.

    That is in the MLP of the last layer while the prompts are read, or when the last token is drawn: then the keys or values of
    one layer are there twice, for the cache grows by copying.

    Args:
        recipe: The recipe.
        shape: The model's shape.
        lengths: The longest sequence.
        number: Bytes of a number.
    """
    count, text = completions_at_once(recipe), shape.text
    cached = 2 * number * text.layers * text.kv_width
    asked = count * (lengths.image + lengths.prompt)
    layer = number * (3 * text.intermediate + LIVE_HIDDEN * text.hidden + 2 * text.head_width)
    reading = {"cache": float(asked * cached), "one_layer": float(asked * layer)}
    grown = count * lengths.total * cached
    drawing = {"cache": grown * (1 + 1 / (2 * text.layers)), "logits": SAMPLED_LOGITS * count * text.vocabulary}
    pictures = {"pictures": 2 * count * picture_bytes(shape.vision, lengths.image)}  # of the rollout before, too
    return pictures | max(reading, drawing, key=lambda parts: sum(parts.values()))
