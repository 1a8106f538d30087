"""Spans by number and by words, and texts laid side by side."""

from __future__ import annotations

import pytest

from worldline.number_spans import number_span, ranges_text
from worldline.tokens.spans import counterparts, positions_of
from worldline.tokens.tokens import Tokens


def text_of(*pieces):
    """Tokens made by hand, one per piece."""
    ends = [sum(map(len, pieces[: n + 1])) for n in range(len(pieces))]
    spans = tuple(zip([0, *ends[:-1]], ends, strict=True))
    n = len(pieces)
    return Tokens(
        "".join(pieces), tuple(range(n)), pieces, spans, spans, tuple(range(n)), (False,) * n, True
    )


MARY = text_of("When", " Mary", " and", " J", "ohn", " went", ",", " J", "ohn")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("3", (3,)), ("-1", (8,)), ("2-4", (2, 3, 4)), ("0,7-8", (0, 7, 8)),
        ("all", tuple(range(9))),
        (" Mary", (1,)), ("Mary", (1,)), ("Mary and", (1, 2)), ("went", (5,)), ("and J", (2, 3)),
        ("1..3", (1, 2, 3)), ("-3--1", (6, 7, 8)),
    ],
)  # fmt: skip
def test_spans(given, found):
    assert positions_of(MARY, given) == found


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ("9", "position 9: accepted are 0 to 8"),
        ("-10", "position -10: accepted are 0 to 8"),
        ("4-2", "position 4-2: it runs backwards"),
        (" John", "position ' John': it stands in the text 2 times"),
        ("Lisa", "position 'Lisa': it does not stand in the text"),
        ("", "position '': it does not stand in the text"),
        ("1,,2", "position '1,,2': accepted are numbers"),
    ],
)
def test_spans_that_are_none(given, what):
    with pytest.raises(ValueError) as caught:
        positions_of(MARY, given)
    assert what in str(caught.value)


def test_numbers_of_layers():
    assert number_span("0-2,5", 6, "--layers") == (0, 1, 2, 5)
    with pytest.raises(ValueError, match="--layers 6: accepted are 0 to 5"):
        number_span("6", 6, "--layers")
    assert ranges_text(number_span("0-2,5", 6, "--layers")) == "0-2,5"


def test_counterparts():
    longer = text_of("When", " Elizabeth", "a", " and", " Bob", " went", ",", " Bob")
    assert counterparts(MARY, MARY) == tuple(range(9))
    assert counterparts(MARY, longer, "left") == (0, 1, 2, 3, 4, 5, 6, 7, None)
    assert counterparts(MARY, longer, "right") == (None, 0, 1, 2, 3, 4, 5, 6, 7)
    # word by word: "Elizabetha" has two tokens where "Mary" has one, "Bob" one where "John" has two
    assert counterparts(MARY, longer, "words") == (0, 1, 3, 4, None, 5, 6, 7, None)
    with pytest.raises(ValueError, match="has 8 tokens, this one 9: name an alignment"):
        counterparts(MARY, longer)
    with pytest.raises(ValueError, match="align='middle': accepted are left, right, words"):
        counterparts(MARY, longer, "middle")
