"""A question as bytes is the JSON that the standard library writes, whatever pictures it has."""

import base64
import json
import random

import pytest

from globe.gateway.written import LONG_CHARS, encoded


def question(*urls: str, text: str = "Where? どこ\u2028") -> dict:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    turns = [{"role": "system", "content": text}, {"role": "user", "content": [*parts, {"type": "text", "text": text}]}]
    return {"model": "globe", "messages": turns, "n": 2}


LONG = "data:image/png;base64," + base64.b64encode(random.Random(0).randbytes(LONG_CHARS)).decode()


@pytest.mark.parametrize(
    "urls",
    [
        [],
        ["data:image/png;base64,AAAA"],
        [LONG],
        [LONG, LONG[::-1], "short"],
        [LONG + '"'],
        [LONG + "\\"],
        [LONG + "é"],
        [LONG + "\n"],
    ],
)
def test_it_is_the_same_document(urls):
    assert json.loads(encoded(question(*urls))) == question(*urls)


def test_a_long_picture_stands_in_it_as_it_is():
    assert encoded(question(LONG)) == json.dumps(question(LONG)).encode()
