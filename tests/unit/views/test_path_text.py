"""The paths of a run as text: every number there, none wider than asked, none escapes."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from worldline.views.path_text import spectrum_lines
from worldline.views.schema.scene import ScenePaths

N = 6


def paths(**changes):
    node = [{"layer": row, "pos": min(row, N - 1)} for row in range(4)]
    reads = [{"layer": 0, "head": 3}, {"layer": 1, "head": None}, {"layer": 2, "head": 0}]
    fields = {
        "by": "frozen",
        "title": 'All paths to the logit of "\n\x1b[31m\u202e" = +1.500 logits',
        "ways": "25518731280",
        "by_hops": [0.5, 2.25, -1.25, 0.0],
        "beyond": 0.125,
        "by_source": [1.0, -0.75, 0.0, 0.25, 0.5, 0.5],
        "closing": "of +1.500",
        "agreement": [
            {
                "grouping": "hop counts",
                "coherence": 0.375,
                "constructive": 2.75,
                "destructive": 1.25,
                "shuffled": {"low": 0.125, "high": 1.0},
                "estimated": None,
                "interval": "exact: every sign pattern",
            },
            {
                "grouping": "single paths",
                "coherence": 0.11,
                "constructive": 30.0,
                "destructive": 24.0,
                "shuffled": None,
                "estimated": {"low": 0.07, "high": 0.21},
                "interval": "estimate: bootstrap, of which more is said than fits into a line",
            },
            {
                "grouping": "source tokens",
                "coherence": None,
                "constructive": 0.0,
                "destructive": 0.0,
                "shuffled": None,
                "estimated": None,
                "interval": "none: no values",
            },
        ],
        "effective": [
            {"normalise": "rows", "of": "a walk", "effective": 333.64, "entropy_nats": 5.81},
            {"normalise": "paths", "of": "all", "effective": 2.5e20, "entropy_nats": 47.0},
        ],
        "paths": [
            {
                "weight": w,
                "hops": 3,
                "nodes": node,
                "reads": reads,
                "words": f"a(0) → 0.3 → \x9b{w}",
            }
            for w in (1.25, -0.5, 0.25)
        ],
        "found_as": "Strong paths found, of which it has to be said that none is proven top",
        "caution": "patterns are held",
    } | changes
    return ScenePaths.model_validate(fields)


LABELS = ["·When", "東京", "<b>", "e\u0301", "🚀", "to"]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_is_wider_than_asked_and_nothing_escapes(width):
    lines = spectrum_lines(paths(), LABELS, width, 10)
    assert max(map(cell_len, lines)) <= width
    assert not any(ord(char) < 0x20 or char in "\x9b\u202e" for line in lines for char in line)


def test_every_number_is_there():
    text = "\n".join(spectrum_lines(paths(), LABELS, 100, 2))
    for number in ("+0.500", "+2.250", "-1.250", "more     +0.125", "all      +1.625"):
        assert number in text
    assert "25,518,731,280 ways" in text
    assert "   1     -0.750  東京" in text
    assert "coherence over hop counts: 0.38" in text
    assert "random signs give 0.12 to 1.00" in text
    assert "coherence over source tokens: none (nothing flows)" in text
    assert "   1      +1.25     3  ·When (0) → 0.3 →" in text
    assert "+0.250  ·When (0)" not in text  # only two were asked for
    assert text.endswith("Caution: patterns are held.")


def test_bars_are_as_long_as_their_numbers():
    lines = spectrum_lines(paths(), LABELS, 100, 0)
    one, two = (next(line for line in lines if f"{n:+.3f}" in line) for n in (2.25, -1.25))
    assert (one.count("█"), two.count("▒")) == (30, round(30 * 1.25 / 2.25))


def test_an_astronomical_count_is_a_power_of_ten():
    lines = spectrum_lines(paths(ways="1" + "0" * 40), LABELS, 100, 0)
    assert lines[1].startswith("1.00e+40 ways")


def test_what_is_rounding_or_cannot_differ_is_not_told():
    whole = paths().model_dump()["agreement"][0]
    same = {"destructive": -7.96e-37, "shuffled": {"low": 1.0, "high": 1.0}}
    text = "\n".join(spectrum_lines(paths(agreement=[whole | same]), LABELS, 100, 2))
    assert "destructive 0)" in text
    assert "random signs" not in text
