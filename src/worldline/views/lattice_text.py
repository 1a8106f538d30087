"""The Scene as text for a terminal: the lattice, the strongest edges, what is predicted next."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from worldline.views.altered_runs import altered_lines
from worldline.views.labels import (
    clip_cells,
    pad_cells,
    percent,
    readable_text,
    signed_text,
    split_note,
    token_label,
    token_name,
)
from worldline.views.labels import visible_text as visible
from worldline.views.lanes import Columns, choose_columns, draw_lattice
from worldline.views.path_text import spectrum_lines
from worldline.views.schema.flows import SceneCoverage
from worldline.views.schema.recipe import terminal_line
from worldline.views.schema.scene import Scene, SceneClosure, SceneEdge

N_DRAWN = 12
"""How many edges the picture draws."""

N_LISTED = 10
"""How many edges the table lists."""

N_PATHS = 5
"""How many paths the text lists."""

SATURATED = "~"
SATURATED_WORDS = (
    "a saturated read (nearly all attention of its head): a first-order weight may have the wrong "
    "sign; cut it to know"
)

_POSITIVE, _NEGATIVE, _PALE, _STRONG = "dodger_blue2", "dark_orange", "bright_black", "bold"
_MIN_WIDTH, _WIDE = 40, 56


def render_text(scene: Scene, *, width: int, color: bool) -> str:
    """Draw the Scene in at most ``width`` cells (at least 40): tokens as columns, layers as rows.

    Says what it leaves out. Only the last line, the command that draws it again, may be wider: it
    is there to be copied. A section that cannot be drawn is replaced by one line saying so;
    nothing raises. Without ``color`` the result holds no escape sequence; sign is always visible.
    """
    width = max(_MIN_WIDTH, width)
    sections = (_header, _picture, _table, _paths, _altered, _predictions, _checks)
    blocks = [_draw_section(section, scene, width) for section in sections]
    return _print_lines(
        [line for block in blocks if block for line in [*block, Text()]][:-1], width, color
    )


def _draw_section(
    section: Callable[[Scene, int], list[Text]], scene: Scene, width: int
) -> list[Text]:
    """Draw one section, or say in one line that it is missing and why."""
    try:
        return section(scene, width)
    except Exception as error:
        name = section.__name__.strip("_")
        return [Text(clip_cells(f"({name} left out: {visible(str(error))})", width))]


def _print_lines(lines: Sequence[Text], width: int, color: bool) -> str:
    out = io.StringIO()
    console = Console(
        file=out,
        force_jupyter=False,  # in a kernel rich would publish what is meant to be returned
        width=width,
        force_terminal=color,
        color_system="256" if color else None,
        no_color=not color,
        legacy_windows=False,
        highlight=False,
        emoji=False,
        markup=False,
        _environ={},
    )
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)
    return out.getvalue()


def _header(scene: Scene, width: int) -> list[Text]:
    model, attribution = scene.model, scene.attribution
    size = f"{_count(model.n_layers, 'layer')} x {_count(len(scene.tokens), 'token')}"
    attribution_words = f"attributed by {attribution.by}"
    if attribution.how:
        attribution_words += f" ({attribution.how})"
    if attribution.target:
        attribution_words += f" for {visible(attribution.target.token)}"
    if attribution.versus:
        attribution_words += f" versus {visible(attribution.versus.token)}"
    if attribution.metric:
        attribution_words += f", metric {attribution.metric}"
    note = attribution.target.note if attribution.target else None
    return [
        Text(_quoted_end(readable_text(scene.text), width), style=_STRONG),
        *_wrap_parts([readable_text(model.name), size, attribution_words], " · ", width),
        *_wrap_parts(
            [readable_text(attribution.formula), f"unit: {attribution.unit}"], " · ", width, _PALE
        ),
        *(_wrap_parts([readable_text(note)], "", width, _STRONG) if note else []),
    ]


def _picture(scene: Scene, width: int) -> list[Text]:
    if not scene.tokens:
        return [Text("No tokens, no picture.")]
    columns = choose_columns(scene, scene.edges[:N_DRAWN], width)
    shown_positions = set(columns.positions)
    strongest_edges = scene.edges[:N_DRAWN]
    edges = [
        edge
        for edge in strongest_edges
        if edge.src in shown_positions and edge.dst in shown_positions
    ]
    lines = [_style_line(line.text, line.strands) for line in draw_lattice(scene, edges, columns)]
    split = split_note([token.group for token in scene.tokens])
    notes = _left_out(scene, strongest_edges, edges, columns, width)
    return [*lines, *notes, *_wrap_parts(split, "", width, _PALE)]


def _style_line(text: str, strands: Sequence[tuple[int, int, float]]) -> Text:
    """Colour the strands of one line by sign and leave the lattice pale."""
    line = Text(text, style="")
    for start, stop, weight in strands:
        line.stylize(_POSITIVE if weight > 0 else _NEGATIVE, start, stop)
    return line


def _left_out(
    scene: Scene,
    strongest_edges: Sequence[SceneEdge],
    drawn_edges: Sequence[SceneEdge],
    columns: Columns,
    width: int,
) -> list[Text]:
    """Say how the picture is to be read and what it does not show."""
    notes: list[str] = []
    if strongest_edges:
        drawn_of = (
            f"the {len(drawn_edges)} strongest"
            if len(drawn_edges) == len(strongest_edges)
            else f"{len(drawn_edges)}"
        )
        if len(drawn_edges) < len(strongest_edges):
            drawn_of += f" of the {len(strongest_edges)} strongest"
        notes.append(f"Drawn: {drawn_of} of {_count(scene.coverage.of, 'edge')}")
    else:
        notes.append("No K/V edge to draw: the lattice alone")
    quiet = scene.model.n_layers - len({edge.layer for edge in drawn_edges})
    if quiet and drawn_edges:
        notes.append(f"{_count(quiet, 'layer')} without a drawn edge folded")
    n_hidden = len(scene.tokens) - len(columns.positions)
    if n_hidden:
        notes.append(
            f"{n_hidden} of {_count(len(scene.tokens), 'token')} left out (⋯): shown are those of "
            "the strongest edges, then the last ones"
        )
    return _wrap_parts(notes, "; ", width, _PALE)


def _table(scene: Scene, width: int) -> list[Text]:
    if not scene.edges:
        return []
    wide = width >= _WIDE
    head = "   #     weight  layer  head  from → to" if wide else "  #    weight  where  from → to"
    room = (width - (31 if wide else 23) - 4) // 2
    lines = [Text(head, style=_PALE)]
    listed_edges = scene.edges[:N_LISTED]
    for at, edge in enumerate(listed_edges):
        line = Text(f"{at + 1:>4}  " if wide else f"{at + 1:>3} ")
        line.append(f"{signed_text(edge.weight):>9}", _POSITIVE if edge.weight > 0 else _NEGATIVE)
        mark = SATURATED if edge.saturated else " "
        place = f" {edge.layer:>5}  {edge.head:>4}  " if wide else f" L{edge.layer} h{edge.head}"
        where = mark + place
        line.append(where if wide else f"{where:<10}")
        line.append(f"{_place(scene, edge.src, room)} → {_place(scene, edge.dst, room)}")
        lines.append(line)
    n_unlisted = len(scene.edges) - N_LISTED
    if n_unlisted > 0:
        lines.append(Text(f"      and {n_unlisted:,} weaker ones kept", style=_PALE))
    if any(edge.saturated for edge in listed_edges):
        lines += _wrap_parts([f"{SATURATED} {SATURATED_WORDS}"], "", width, _PALE)
    return lines


def _paths(scene: Scene, width: int) -> list[Text]:
    if scene.paths is None:
        why = scene.paths_left_out
        return [] if why is None else _wrap_parts([f"paths left out: {why}"], "", width, _PALE)
    labels = [token_label(scene, token) for token in scene.tokens]
    return [Text(line) for line in spectrum_lines(scene.paths, labels, width, N_PATHS)]


def _altered(scene: Scene, width: int) -> list[Text]:
    """Draw what runs that never happened said, part after part."""
    if scene.altered is None:
        return []
    labels = [token_label(scene, token) for token in scene.tokens]
    lines = altered_lines(scene.altered, labels, width, color=True)
    return [Text.from_ansi(line) for line in lines]


def _place(scene: Scene, pos: int, cells: int) -> str:
    """Name a column by its token and, where there is room, its position."""
    number = f" ({pos})" if cells >= 10 else ""
    return clip_cells(token_label(scene, scene.tokens[pos]), cells - len(number)) + number


def _predictions(scene: Scene, width: int) -> list[Text]:
    if not scene.predictions:
        return [Text("No prediction was handed over.", style=_PALE)]
    label, nats = max(8, min(24, width - 40)), width >= _WIDE
    bar = max(6, min(40, width - label - (28 if nats else 13)))
    lines = [Text("next token", style=_PALE)]
    for prediction in scene.predictions[:N_LISTED]:
        chance = math.exp(min(0.0, prediction.logprob))
        line = Text(f"  {pad_cells(token_name(prediction.token), label)} {percent(chance):>7}  ")
        line.append(f"{prediction.logprob:>8.3f} nats  " if nats else "", _PALE)
        line.append("█" * round(bar * chance) or "▏", _STRONG)
        lines.append(line)
    return lines


def _checks(scene: Scene, width: int) -> list[Text]:
    coverage, inert, closure_error = scene.coverage, scene.inert, scene.closure_error
    where = "on a probe text" if inert.checked == "probe" else "on this very run"
    calls = f"{inert.calls} of {inert.expected_calls} attention calls seen"
    ok = inert.equal and inert.calls == inert.expected_calls
    equal = "logits bitwise equal with and without recording" if inert.equal else "LOGITS DIFFER"
    closure = closure_words(closure_error)
    holds = "holds" if coverage.edges == 1 else "hold"
    edges = f"{coverage.edges:,} of {_count(coverage.of, 'edge')}"
    share = f"{edges} {holds} {percent(coverage.share)} of the flow"
    if not coverage.total:
        share = _no_share(coverage)
    return [
        *_wrap_parts([share], "", width, _STRONG),
        *_wrap_parts([f"{'inert' if ok else 'NOT INERT'}: {equal}, {where}", calls], "; ", width),
        *_wrap_parts(closure, " ", width),
        *_reproduce_lines(scene, width),
    ]


def _reproduce_lines(scene: Scene, width: int) -> list[Text]:
    """What must be there first, and the line, never cut or folded: it is there to be copied."""
    note = readable_text(scene.reproduce.note)
    return [
        *(_wrap_parts([note], "", width, _PALE) if note else []),
        Text(terminal_line(scene.reproduce), style=_PALE),
    ]


def _no_share(coverage: SceneCoverage) -> str:
    """What there is to say where no share of a flow is defined."""
    if not coverage.of:
        return "no K/V edge: no share of the flow is defined"
    edges = _count(coverage.of, "edge")
    return f"{edges} of no weight: no share of the flow is defined"


def closure_words(closure: SceneClosure) -> list[str]:
    """Whether every node is the sum of heads and sources, or that this was not asked.

    To add up what the model itself added says nothing of heads and sources: that is no closure.
    """
    where = f"at layer {closure.layer}, position {closure.pos} (tolerance {closure.tolerance:.0e})"
    within = closure.worst <= closure.tolerance
    if closure.over != "sources":
        word = "rebuilt from its terms" if within else "NOT REBUILT FROM ITS TERMS"
        words = f"{word}, as the model added them (heads and sources were not added up): worst"
        return [f"every node {words} error {closure.worst:.1e}", where]
    nodes = "every node"
    if closure.layers is not None:
        nodes = f"{closure.n_nodes:,} of {closure.of_nodes:,} nodes, those written by layers "
        nodes += f"{', '.join(map(str, closure.layers))} (drawn, seed {closure.seed})"
    word = "closed" if within else "NOT CLOSED"
    return [
        f"{word}: heads and sources add up at {nodes}, worst error {closure.worst:.1e}",
        where,
    ]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _quoted_end(text: str, width: int) -> str:
    """Quote a text; of a long one, its end, which is what the prediction continues."""
    if cell_len(text) + 2 <= width:
        return f"“{text}”"
    while text and cell_len(text) + 3 > width:
        text = text[max(1, (cell_len(text) + 3 - width) // 2) :]
    return f"“…{text}”"


def _wrap_parts(parts: Sequence[str], glue: str, width: int, style: str = "") -> list[Text]:
    """Join parts with ``glue``, breaking between parts first and between words where needed."""
    lines: list[str] = []
    end = "" if glue == " · " else glue.rstrip()
    for part in parts:
        if lines and cell_len(lines[-1] + glue + part + end) <= width:
            lines[-1] += glue + part
            continue
        if lines:
            lines[-1] += end
        lines.append("")
        for word in part.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if lines[-1] and cell_len(longer + end) > width:
                lines.append(clip_cells(word, width - len(end)))
            else:
                lines[-1] = clip_cells(longer, width - len(end))
    return [Text(line, style=style) for line in lines]
