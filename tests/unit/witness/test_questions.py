import base64
import json

import numpy as np
import pytest
from PIL import Image

from globe.data.encoding import png
from globe.data.images import data_url
from globe.demo.tiny_segmenter import toy_scene
from globe.errors import InputError
from globe.witness.questions import MAX_TEXT_CHARS, read_question


def picture_url(width, height):
    return data_url(png(Image.new("RGB", (width, height))))


def test_a_picture_arrives_as_it_was_sent():
    picture, _ = toy_scene(3)
    question = read_question("segmentation", json.dumps({"model": "m", "image": data_url(png(picture))}).encode())
    assert np.array_equal(np.asarray(question.subject()), np.asarray(picture))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("https://example.org/a.png", "base64 data URL"),
        ("data:image/png;base64,????", "base64 cannot be decoded"),
        ("data:image/png;base64,", "empty"),
        ("data:text/html;base64,AAAA", "base64 data URL"),
        ("data:image/svg+xml;base64," + base64.b64encode(b"<svg/>").decode(), "SVG"),
        (picture_url(4097, 4096), "4097 x 4096 pixels are more than 16777216"),
        (picture_url(64, 3), "64 x 3 pixels show nothing"),
        (picture_url(64, 64)[:90], "picture|image"),
    ],
)
def test_what_is_no_picture_within_the_limits_is_refused_with_the_reason(image, said):
    question = read_question("coordinates", json.dumps({"model": "m", "image": image}).encode())
    with pytest.raises(InputError, match=said):
        question.subject()


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("coordinates", b"", "JSON"),
        ("coordinates", b"[" * 100_000, "JSON"),
        ("coordinates", b"[]", "body"),
        ("coordinates", b'{"model": "m"}', "^image: "),
        ("segmentation", b'{"model": 7, "image": ""}', "^model: "),
        ("alignment", b'{"model": "m", "texts": ["a"]}', "^texts"),
        ("alignment", b'{"model": "m", "texts": ["a", "b", "c"]}', "^texts"),
        ("alignment", b'{"model": "m", "texts": ["a", ""]}', r"^texts\.1: "),
        ("alignment", json.dumps({"model": "m", "texts": ["a", "b" * (MAX_TEXT_CHARS + 1)]}).encode(), r"^texts\.1: "),
        ("alignment", b'{"model": "m", "texts": ["a", "\\ud800"]}', "."),
    ],
)
def test_a_body_that_is_no_question_is_refused_by_its_field(kind, body, said):
    with pytest.raises(InputError, match=said):
        read_question(kind, body)
