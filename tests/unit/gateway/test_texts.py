"""Texts of clients, read by the real tokenizer of the demo's model, which has Qwen2.5-VL's special tokens."""

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from globe.answer.prompt import PROMPT
from globe.errors import InputError
from globe.gateway.texts import neutralised, special_tokens

INTERNVL = ("<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>")
QWEN = (
    *(
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|object_ref_start|>",
        "<|object_ref_end|>",
        "<|box_start|>",
        "<|box_end|>",
    ),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>"),
)
ALL = (*QWEN, *INTERNVL)
PIECES = st.lists(
    st.one_of(
        st.sampled_from(ALL), st.sampled_from(ALL).flatmap(lambda mark: st.sampled_from([mark[:at] for at in range(len(mark))])),
        st.sampled_from(["<", "|", ">", "</", "＜", "｜", "\0", "\u200b", "\ud800", "im_start|>", "IMG_CONTEXT>"]),
        st.text(max_size=3),
    ),
    max_size=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    """The demo's tokenizer, to which InternVL3's tokens are added, and Qwen's that it lacks."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_tokens([mark for mark in ALL if mark not in tokenizer.get_vocab()], special_tokens=True)
    return tokenizer


def specials_in(tokenizer, text: str) -> set[str]:
    """Which marks a tokenizer finds in a text; `<think>` and its like are none."""
    return {tokenizer.convert_ids_to_tokens(token) for token in tokenizer(text).input_ids} & set(ALL)


def templated(tokenizer, *texts: str) -> str:
    """A prompt of one turn with texts of a client, as the model's own template writes it."""
    content = [{"type": "text", "text": text} for text in texts]
    return tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("mark", ALL)
def test_a_mark_is_one_before_and_none_after_and_still_can_be_read(tokenizer, mark):
    assert specials_in(tokenizer, f"a {mark} b") == {mark}
    safe = neutralised(f"a {mark} b")
    assert specials_in(tokenizer, safe) == set()
    assert safe.replace(" ", "") == f"a{mark}b"


@given(pieces=PIECES)
def test_no_text_of_a_client_adds_a_mark_to_the_prompt_however_it_is_cut(tokenizer, pieces):
    plain = templated(tokenizer, *("x" for _ in pieces))
    prompt = templated(tokenizer, *(neutralised(piece) for piece in pieces))
    ids = [token for token in tokenizer(prompt).input_ids if tokenizer.convert_ids_to_tokens(token) in ALL]
    assert ids == [token for token in tokenizer(plain).input_ids if tokenizer.convert_ids_to_tokens(token) in ALL]


@given(pieces=PIECES)
def test_a_safe_text_stays_as_it_is_and_only_spaces_are_ever_put_in(pieces):
    safe = neutralised("".join(pieces))
    assert neutralised(safe) == safe
    assert neutralised(unicodedata.normalize("NFKC", safe)).count("<|") == 0
    safe.encode()


@pytest.mark.parametrize(
    "text",
    [
        PROMPT,
        "<think>palms</think><answer>country: Kenya</answer>",
        "a < b and b > c, x <- y, <b>bold</b>, 1 << 2, |x|",
        "Où est-ce? 東京 नेपाल بيروت\n\tZürich 🌍 ክልል",
        "",
    ],
)
def test_plain_text_and_the_question_that_globe_asks_are_not_changed(text):
    assert neutralised(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("<|im_end|>", "< |im_end|>"),
        ("<<|im_end|>", "<< |im_end|>"),
        ("<|<|im_end|>", "< |< |im_end|>"),
        ("<\0|im_end|>", "< |im_end|>"),
        ("＜｜im_start｜＞", "＜ ｜im_start｜＞"),
        ("<img_context>", "< img_context>"),
        ("a <", "a < "),
        ("a <IMG_CON", "a < IMG_CON"),
        ("a\x1b[31mb\x7fc\x9bd", "a [31mb c d"),
        ("a\ud800b", "a\ufffdb"),
        ("a\r\n\tb", "a\r\n\tb"),
    ],
)
def test_what_is_changed_and_how(text, safe):
    assert neutralised(text) == safe


def test_what_the_checkpoints_own_tokenizer_calls_special_is_broken_as_well(tiny_model, tmp_path):
    found = special_tokens(tiny_model)
    assert {"<|im_start|>", "<|image_pad|>"} <= found
    assert "<think>" not in found
    path = tmp_path / "tokenizer.json"
    path.write_text(
        json.dumps({"added_tokens": [{"content": "[PIC]", "special": True}, {"content": "<think>", "special": False}]})
    )
    specials = special_tokens(tmp_path)
    assert neutralised("a [PIC] <think> [P", specials) == "a [ PIC] <think> [ P"
    assert neutralised("a [PIC]") == "a [PIC]"
    assert special_tokens(tmp_path / "none") == frozenset()
    path.write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json: cannot be read"):
        special_tokens(tmp_path)


def test_a_long_text_takes_no_time():
    begun = time.process_time()
    for text in ("<" * 500_000, "<|" * 250_000, "<IMG_CONTEX" * 50_000, "\0" * 500_000, "a" * 5_000_000):
        neutralised(text)
    assert time.process_time() - begun < 10
