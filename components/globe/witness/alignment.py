"""A text embedding model of sentence-transformers: whether two reasonings say the same."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

from globe.errors import GlobeError
from globe.witness.wanted import Wanted


class Alignment:
    """A model whose embeddings of two texts point the same way if these mean the same."""

    def __init__(self, wanted: Wanted, device: str) -> None:
        """Load the model.

        Args:
            wanted: Folder or hub id; only safetensors are loaded, and no code.
            device: Where it runs, as torch names it.
        """
        from sentence_transformers import SentenceTransformer

        place = str(wanted.folder or wanted.model)
        self._model = SentenceTransformer(place, device=device, model_kwargs={"use_safetensors": True})

    def prepare(self, texts: tuple[str, str]) -> tuple[str, str]:
        """The two texts as they are; the model cuts off what is longer than it can read (`max_seq_length` tokens)."""
        return texts

    def judge(self, pairs: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """Each pair's `score`, the cosine of the two embeddings, whatever similarity the model itself prefers."""
        from sentence_transformers.util import pairwise_cos_sim

        vectors = self._model.encode(list(chain.from_iterable(pairs)), convert_to_tensor=True, show_progress_bar=False)
        scores = pairwise_cos_sim(vectors[0::2], vectors[1::2]).tolist()
        if not all(map(math.isfinite, scores)):
            raise GlobeError("the text embedding model computes no numbers; its weights are damaged")
        return [{"score": max(-1.0, min(1.0, score))} for score in scores]
