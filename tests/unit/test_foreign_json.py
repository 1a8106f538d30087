"""JSON of strangers: what is right comes back, all else is one line that says what is wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.foreign_json import DEEPEST, read_json, read_json_file

RIGHT = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(-9e9, 9e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(RIGHT, st.booleans())
def test_what_is_right_comes_back(value, ascii_only):
    written = json.dumps(value, ensure_ascii=ascii_only)
    assert read_json(written, "it") == value
    assert read_json(b"\xef\xbb\xbf" + written.encode(), "it") == value


def _nested(n: int) -> str:
    return "[" * n + "]" * n


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not JSON (Expecting value, line 1, column 1)"),
        ("{", "not JSON"),
        ("1 2", "not JSON (Extra data"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        ("NaN", "number NaN: accepted are finite ones"),
        ('{"a": [-Infinity]}', "number -Infinity"),
        ("1e400", "number 1e400: accepted are finite ones"),
        ("1" * 5000, "accepted are whole numbers of 64 bits"),
        (str(2**64), "number 18446744073709551616: accepted are whole numbers of 64 bits"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' twice"),
        ('["\\ud83d"]', "half of a pair of characters"),
        ('{"\\uDC00": 1}', "half of a pair of characters"),
        (_nested(DEEPEST + 1), "over 64 lists and objects in one another"),
        ('{"a":' * 200_000, "over 64 lists and objects in one another"),
        (_nested(200_000), "over 64 lists and objects in one another"),
        ("[" * 200_000, "over 64 lists and objects in one another"),
    ],
)
def test_what_is_wrong_is_one_line(content, said):
    with pytest.raises(InputError) as error:
        read_json(content, "some.json")
    assert str(error.value).startswith("some.json: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_just_right():
    deepest = read_json(_nested(DEEPEST), "it")
    assert json.dumps(deepest) == _nested(DEEPEST)
    assert read_json('["\\ud83d\\ude00", 18446744073709551615]', "it") == ["😀", 2**64 - 1]
    assert read_json("[Infinity, -Infinity]", "it", finite=False) == [float("inf"), -float("inf")]
    assert read_json(str(2**99), "it", most_bits=100) == 2**99
    assert read_json('{"a": {"b": 1}}', "it", replace_object=lambda one: sorted(one)) == ["a"]


def test_no_more_is_read_than_accepted(tmp_path):
    (tmp_path / "f").write_text("[1, 2]")
    assert read_json_file(tmp_path / "f", most_bytes=6) == [1, 2]
    with pytest.raises(InputError, match="f: over 5 bytes of JSON"):
        read_json_file(tmp_path / "f", most_bytes=5)
    wrong = {tmp_path: "Is a directory", tmp_path / "g": "No such file", "a\0": "null byte"}
    for place, said in wrong.items():
        with pytest.raises(InputError, match=said):
            read_json_file(place)


def test_halves_of_pairs_can_be_mended_instead():
    heard: list[str] = []

    def mended(text: str) -> str:
        heard.append(text)
        return text.replace("\ud83d", "?")

    content = r'{"\ud83d": ["a\ud83d", "\ud83d\ude00", 1]}'
    assert read_json(content, "x", repair_text=mended) == {"?": ["a?", "\U0001f600", 1]}
    assert heard == ["\ud83d", "a\ud83d"]
    with pytest.raises(InputError, match="half of a pair"):
        read_json(content, "x", repair_text=lambda text: text)
    with pytest.raises(InputError, match="half of a pair"):
        read_json('["\ud83d"]', "x")  # the half itself, not its number
