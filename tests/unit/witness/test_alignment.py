"""A text embedding model as it is served, compared with the same computed by hand on transformers alone."""

from itertools import combinations_with_replacement

import pytest
import torch
from transformers import AutoModel, AutoTokenizer
from witness_server import REASONINGS


def by_hand(folder, text):
    """Mean over the tokens of BERT's last hidden states."""
    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state[0]
    return states.mean(dim=0)


@pytest.mark.parametrize("texts", list(combinations_with_replacement(REASONINGS, 2)))
def test_the_score_is_the_cosine_of_the_two_embeddings(witnesses, tiny_witnesses, texts):
    answer = witnesses.post("/alignment", {"model": "tiny-sentences", "texts": texts})
    expected = torch.cosine_similarity(*(by_hand(tiny_witnesses.alignment, text) for text in texts), dim=0)
    assert answer == {"score": pytest.approx(float(expected), abs=1e-5)}
    assert answer["score"] <= 1


def test_reasonings_that_name_the_same_score_higher_than_others(witnesses):
    def score(text):
        return witnesses.post("/alignment", {"model": "tiny-sentences", "texts": [REASONINGS[0], text]})["score"]

    same, other = map(score, REASONINGS[1:])
    assert same > other + 0.2
