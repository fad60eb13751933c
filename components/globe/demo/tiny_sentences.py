"""A text embedding model of sentence-transformers, untrained and tiny: for trying whatever loads, asks and serves a real one.

Words that two texts share make their embeddings alike, as each word has its own random one; it knows nothing of meaning.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

UNKNOWN, PADDING = "[UNK]", "[PAD]"
MOST_TOKENS = 64


def build_tiny_sentences(out: Path, texts: Iterable[str], seed: int = 0) -> None:
    """Write the model: a BERT of one layer, with the mean over a text's tokens as its embedding.

    Args:
        out: Folder for the model; made if absent.
        texts: Each of their words, in lower case, becomes a token; all others are one unknown word.
        seed: Of the weights.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = {word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    vocabulary = {word: number for number, word in enumerate((PADDING, UNKNOWN, *sorted(words)))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    raw.normalizer, raw.pre_tokenizer = normalizer, splitter
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token=UNKNOWN, pad_token=PADDING, model_max_length=MOST_TOKENS, model_input_names=_INPUTS
    )
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=MOST_TOKENS,
    )
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(seed)
        model = BertModel(config)
        with torch.no_grad():  # so that the words count, and not their places, which all texts have in common
            model.embeddings.word_embeddings.weight.normal_()
            model.embeddings.position_embeddings.weight.zero_()
            model.embeddings.token_type_embeddings.weight.zero_()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        embedding = Transformer(folder)
        SentenceTransformer(modules=[embedding, Pooling(32, "mean")], device="cpu").save_pretrained(str(out))


_INPUTS = ["input_ids", "attention_mask"]
