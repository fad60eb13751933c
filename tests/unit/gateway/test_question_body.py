"""What the engine gets is the JSON of the question, however the picture's URL came into it."""

import json

import pytest

from globe.gateway.question_body import LONG_CHARS, body_of

SHORT = "data:image/png;base64,QUJD"
LONG = "data:image/png;base64," + "QUJD" * LONG_CHARS


def question(*contents):
    return {"model": "globe", "messages": [{"role": "user", "content": content} for content in contents], "max_tokens": 3}


def picture(url):
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize("url", [SHORT, LONG, 'data:text/html,"', '"' * LONG_CHARS])
@pytest.mark.parametrize("text", ["Where?", '"}, url-\\ \u2028 é', "url-" + "0" * 32 + "-"])
def test_a_question_is_the_same_document_with_any_picture_and_text(url, text):
    asked = question(text, [{"type": "text", "text": text}, picture(url)], [picture(LONG), picture(url)])
    assert json.loads(body_of(asked)) == asked
    assert body_of(asked) == json.dumps(asked).encode()


def test_a_question_without_a_picture_is_its_json():
    assert body_of(question("Where?")) == json.dumps(question("Where?")).encode()
