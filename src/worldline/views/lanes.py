"""The lattice in characters: tokens as columns, layers as rows, strong edges as drawn strands.

Knows cells and box-drawing characters; knows no colours and no tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, chop_cells

from worldline.views.labels import clip_cells, percent, signed_text, token_label, visible_text
from worldline.views.schema.scene import Scene, SceneEdge

MIN_COLUMN, MAX_COLUMN = 5, 14
GUTTER = 7
_STEM, _NODE, _GAP = "│", "●", "⋯"
# How a strand is drawn: heavy above half of the strongest weight, dashed below a tenth.
_HEAVY, _LIGHT, _DASHED = ("┝", "━", "┿"), ("├", "─", "┼"), ("├", "╌", "┼")


@dataclass
class Line:
    """One line of the picture: its characters, and which spans belong to a signed strand."""

    text: str
    strands: list[tuple[int, int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """Which columns are shown, and at which cell each one stands."""

    positions: tuple[int, ...]
    width: int

    def cell(self, pos: int) -> int:
        """Give the cell at which the column of token ``pos`` stands."""
        return GUTTER + self.positions.index(pos) * self.width


def choose_columns(scene: Scene, edges: Iterable[SceneEdge], width: int) -> Columns:
    """Choose what fits into ``width`` cells: the last column, the edges' columns, the last ones."""
    n_tokens = len(scene.tokens)
    room = max(2, (width - GUTTER) // MIN_COLUMN)
    if n_tokens <= room:
        positions = set(range(n_tokens))
    else:
        positions = {n_tokens - 1}
        for edge in edges:
            if len(positions | {edge.src, edge.dst}) <= room:
                positions |= {edge.src, edge.dst}
        for pos in reversed(range(n_tokens)):
            if len(positions) == room:
                break
            positions.add(pos)
    step = (width - GUTTER) // max(1, len(positions))
    return Columns(tuple(sorted(positions)), max(MIN_COLUMN, min(MAX_COLUMN, step)))


def pack(edges: Sequence[SceneEdge]) -> list[list[SceneEdge]]:
    """Put one layer's edges into as few lanes as their spans allow, strongest first."""
    lanes: list[list[SceneEdge]] = []
    for edge in edges:
        for lane in lanes:
            if all(edge.dst <= lane_edge.src or lane_edge.dst <= edge.src for lane_edge in lane):
                lane.append(edge)
                break
        else:
            lanes.append([edge])
    return lanes


def draw_lane(columns: Columns, lane: Sequence[SceneEdge], strongest: float, name: str) -> Line:
    """Draw one line of a layer: the residual stream as stems, each edge as a strand with a sign."""
    cells = _stems(columns, name)
    strands: list[tuple[int, int, float]] = []
    for edge in lane:
        start, stop = columns.cell(edge.src), columns.cell(edge.dst)
        part = abs(edge.weight) / strongest if strongest else 0.0
        opening, dash, crossing = _HEAVY if part >= 0.5 else _DASHED if part < 0.1 else _LIGHT
        for at in range(start + 1, stop):
            cells[at] = crossing if cells[at] in (_STEM, "├", "┝") else dash
        cells[start] = opening
        cells[stop - 1] = "▶"
        label = signed_text(edge.weight)
        if len(label) + 2 > columns.width - 1:
            label = label[0]
        at = stop - 1 - len(label)
        cells[at : stop - 1] = label
        strands.append((start + 1, stop, edge.weight))
    return Line("".join(cells).rstrip(), strands)


def draw_lattice(scene: Scene, edges: Sequence[SceneEdge], columns: Columns) -> list[Line]:
    """Draw the lattice, prediction on top, embedding and token labels at the bottom."""
    strongest = max((abs(edge.weight) for edge in edges), default=0.0)
    lines = [*_prediction(scene, columns), _row(columns, "out")]
    for first, last in _bands(scene.model.n_layers, {edge.layer for edge in edges}):
        band_edges = [edge for edge in edges if first <= edge.layer <= last]
        if not band_edges:
            name = str(first) if first == last else f"{first}–{last}"
            lines.append(Line("".join(_stems(columns, name))))
        for at, lane in enumerate(pack(band_edges)):
            lines.append(draw_lane(columns, lane, strongest, str(first) if at == 0 else ""))
    lines.append(_row(columns, "embed"))
    return lines + _labels(scene, columns)


def _bands(n_layers: int, busy: set[int]) -> list[tuple[int, int]]:
    """Group layers from the top down: each busy layer alone, quiet ones in a row together."""
    bands: list[tuple[int, int]] = []
    for layer in reversed(range(n_layers)):
        if bands and layer not in busy and bands[-1][0] not in busy:
            bands[-1] = (layer, bands[-1][1])
        else:
            bands.append((layer, layer))
    return bands


def _blank(columns: Columns, name: str) -> list[str]:
    cells = [" "] * (GUTTER + columns.width * len(columns.positions))
    cells[: GUTTER - 2] = name.rjust(GUTTER - 2)
    return cells


def _stems(columns: Columns, name: str) -> list[str]:
    cells = _blank(columns, name)
    for pos in columns.positions:
        cells[columns.cell(pos)] = _STEM
    return cells


def _row(columns: Columns, name: str) -> Line:
    cells = _blank(columns, name)
    for at, pos in enumerate(columns.positions):
        cells[columns.cell(pos)] = _NODE
        if pos != (columns.positions[at - 1] + 1 if at else 0):
            cells[columns.cell(pos) - (2 if at else 1)] = _GAP
    return Line("".join(cells).rstrip())


def _prediction(scene: Scene, columns: Columns) -> list[Line]:
    """Say on top of the last column what the model predicts there."""
    if not scene.predictions or not columns.positions:
        return []
    best = scene.predictions[0]
    label = f"{visible_text(best.token)} {percent(math.exp(best.logprob))}"
    stem = columns.cell(columns.positions[-1])
    room = stem - 1
    if cell_len(label) <= room:
        return [Line(" " * (room - cell_len(label)) + label + " ▲")]
    width = GUTTER + columns.width * len(columns.positions)
    return [Line(" " * stem + "▲ " + clip_cells(label, max(8, width - stem - 2)))]


def _labels(scene: Scene, columns: Columns) -> list[Line]:
    """Write position and token text below each column, the text on up to two lines."""
    room = columns.width - 1
    positions = _blank(columns, "token")
    texts = [" " * GUTTER, " " * GUTTER]
    for pos in columns.positions:
        at = columns.cell(pos)
        positions[at : at + len(str(pos))] = str(pos)
        first, second = _fold_label(token_label(scene, scene.tokens[pos]), room)
        for line, part in enumerate((first, second)):
            texts[line] += part + " " * (columns.width - cell_len(part))
    lines = ["".join(positions), *texts]
    return [Line(line.rstrip()) for line in lines if line.strip()]


def _fold_label(label: str, room: int) -> tuple[str, str]:
    """Fold a label onto two lines of ``room`` cells each."""
    if cell_len(label) <= room:
        return label, ""
    first, *remaining_lines = chop_cells(label, room)
    return first, clip_cells("".join(remaining_lines), room)
