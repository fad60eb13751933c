import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from globe.gateway.json_text import MAX_DEPTH, json_document
from globe.gateway.refused import Refused

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def code_of(body: bytes) -> str:
    with pytest.raises(Refused) as refused:
        json_document(body)
    assert refused.value.status == 400
    return refused.value.code


@given(VALUES)
def test_what_is_json_is_read_as_it_is(value):
    assert json_document(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{} {}", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": NaN}', "not_a_number"),
        (b"[Infinity]", "not_a_number"),
        (b"[-Infinity]", "not_a_number"),
        (b"[1e999]", "number_too_large"),
        (b"[-1e999]", "number_too_large"),
        (b"9" * 5000, "number_too_large"),
        (b'{"a": 1, "a": 1}', "duplicate_name"),
        (b'{"a": 1, "\\u0061": 2}', "duplicate_name"),
        (b'[{"b": {"a": 1, "a": 2}}]', "duplicate_name"),
        (b'"\xff"', "not_utf8"),
        (b'"\xc0\x80"', "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        ("[]".encode("utf-16"), "not_utf8"),
        ("[]".encode("utf-8-sig"), "not_json"),
        (b"[" * 100_000, "json_too_deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "json_too_deep"),
        (b'["]", ' + b"[" * MAX_DEPTH, "json_too_deep"),
    ],
)
def test_anything_else_is_refused_by_its_name(body, code):
    assert code_of(body) == code


def test_depth_is_counted_where_it_is_depth_and_nowhere_else():
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert json_document(deepest)
    assert code_of(b"[" + deepest + b"]") == "json_too_deep"
    assert len(json_document(b"[" + b"[]," * 10_000 + b"[]]")) == 10_001
    brackets = "[{" * 10_000 + '\\"' + "[" * 999
    assert json_document(json.dumps([brackets]).encode()) == [brackets]
