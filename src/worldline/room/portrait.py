"""A portrait of the flow in a model that reads a prompt: what it is, drawn as it was measured.

Columns are tokens, rows are layers from below; a strand is a read of K and V by a later token, as
wide as it weighs for the next token. Nothing of it is a picture of what the prompt is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import worldline as wl
from worldline.errors import InputError
from worldline.room.flow_strip import percent
from worldline.tokens.sanitize import one_line

if TYPE_CHECKING:
    from worldline import LoadedModel, Trace

LONGEST = 48  # tokens that have room side by side
STRANDS = 400
WIDTH, HEIGHT, LEFT, TOP, FOOT = 960, 640, 40, 56, 110
HELPS, HINDERS, GROUND, INK = "#f2b84b", "#5aa9e6", "#10141c", "#dfe5ee"


@dataclass(frozen=True, slots=True)
class Portrait:
    """The drawing, and in one line what it is."""

    svg: str
    about: str


def portrait(model: LoadedModel, text: str) -> Portrait:
    """Trace a prompt and draw its strongest reads, by gradient, toward the likeliest next token.

    Exactness: weights are first-order estimates; the drawing is the same at equal versions.

    Raises:
        InputError: an empty prompt.
        RefusedError: the model failed a check.
    """
    tokens = wl.tokenize(model.tokenizer, text)
    if not tokens.ids:
        raise InputError("a portrait of no text: give at least one word")
    cut = len(tokens) > LONGEST
    trace = wl.record(model, tokens.first(LONGEST) if cut else tokens, keep=())
    flow = wl.attribute(trace, "gradient", top=STRANDS)
    next_one = trace.predictions[0]
    about = (
        f"not a drawing of the prompt but a portrait of the flow in {model.name} as it read it: "
        f"the {len(flow.edges)} strongest of {flow.coverage.of:,} reads toward its next token, "
        f'"{one_line(next_one.token.strip(), 40)}" ({percent(exp(next_one.logprob))})'
    )
    if cut:
        about += f"; of {len(tokens)} tokens the first {LONGEST}"
    return Portrait("\n".join(_svg_lines(trace, flow, about)) + "\n", about)


def _svg_lines(trace: Trace, flow: wl.Flow, about: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" '
        'font-family="ui-sans-serif, system-ui, sans-serif">'
    )
    yield f"<title>{_xml(about)}</title>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{GROUND}"/>'
    yield (
        f'<text x="{LEFT}" y="30" fill="{INK}" font-size="15">'
        f"The flow in {_xml(trace.identity.name)}, reading this prompt</text>"
    )
    place = _Places(trace.n_pos, trace.n_layers)
    yield from _columns(place, trace.n_pos)
    yield from _strands(place, flow)
    yield from _words(place, [one_line(piece, 14) for piece in trace.tokens.pieces])
    yield from _legend(trace, flow)
    yield "</svg>"


@dataclass(frozen=True)
class _Places:
    n_pos: int
    n_layers: int

    def x(self, pos: int) -> float:
        step = (WIDTH - 2 * LEFT) / max(1, self.n_pos)
        return LEFT + step * (pos + 0.5)

    def y(self, row: int) -> float:
        return HEIGHT - FOOT - (HEIGHT - FOOT - TOP) * row / self.n_layers


def _columns(place: _Places, n_pos: int) -> Iterator[str]:
    """The residual stream of every token: a faint line through all layers."""
    for pos in range(n_pos):
        x = place.x(pos)
        yield (
            f'<line x1="{x:.1f}" y1="{place.y(0):.1f}" x2="{x:.1f}" '
            f'y2="{place.y(place.n_layers):.1f}" stroke="#2b3342"/>'
        )


def _strands(place: _Places, flow: wl.Flow) -> Iterator[str]:
    """The strongest reads, weakest first, so that the strong ones lie on top."""
    most = max((abs(edge.weight) for edge in flow.edges), default=0.0)
    yield '<g fill="none" stroke-linecap="round">'
    for edge in reversed(flow.edges):
        size = (abs(edge.weight) / most) ** 0.5
        x1, y1 = place.x(edge.src), place.y(edge.layer)
        x2, y2 = place.x(edge.dst), place.y(edge.layer + 1)
        bend = (x2 - x1) * 0.55
        yield (
            f'<path d="M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2:.1f} {y1:.1f} '
            f'{x2:.1f} {y2:.1f}" stroke="{HELPS if edge.weight > 0 else HINDERS}" '
            f'stroke-width="{0.4 + 3.6 * size:.2f}" stroke-opacity="{0.12 + 0.78 * size:.2f}"/>'
        )
    yield "</g>"


def _words(place: _Places, words: Sequence[str]) -> Iterator[str]:
    size = 12 if len(words) <= 24 else 9
    for pos, word in enumerate(words):
        x, y = place.x(pos), place.y(0) + 12
        yield (
            f'<text x="{x:.1f}" y="{y:.1f}" fill="{INK}" font-size="{size}" '
            f'transform="rotate(35 {x:.1f} {y:.1f})">{_xml(word.strip() or "·")}</text>'
        )


def _legend(trace: Trace, flow: wl.Flow) -> Iterator[str]:
    next_one, target = trace.predictions[0], flow.meaning.target
    assert target is not None
    yield (
        f'<text x="{WIDTH - LEFT}" y="30" fill="{INK}" font-size="13" text-anchor="end">'
        f'next: "{_xml(one_line(target.token.strip(), 30))}" '
        f"{percent(exp(next_one.logprob))}</text>"
    )
    yield (
        f'<text x="{LEFT}" y="{HEIGHT - 12}" fill="#94a0b3" font-size="11">'
        f"columns: tokens; rows: {trace.n_layers} layers, first below; strands: the "
        f"{len(flow.edges)} strongest of {flow.coverage.of:,} reads, width by weight; "
        f'<tspan fill="{HELPS}">for</tspan> and <tspan fill="{HINDERS}">against</tspan> '
        "the next token (gradient)</text>"
    )


def _xml(text: str) -> str:
    return escape(text, {'"': "&quot;"})
