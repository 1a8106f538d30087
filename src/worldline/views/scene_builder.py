"""Puts a trace, its flow and its lens into a Scene; arranges numbers, computes none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from worldline.tokens.tokens import names_of
from worldline.views.number_records import with_meanings
from worldline.views.schema.scene import Scene, SceneAgreement, SceneFlow, ScenePaths

if TYPE_CHECKING:
    from worldline.attribution.flow import Edge, Flow
    from worldline.attribution.group_flow import GroupFlow
    from worldline.attribution.path_summary import PathSummary
    from worldline.runs.trace import Trace
    from worldline.views.schema.recipe import Recipe

    Rows = Callable[[Any], list[list[float | None]]]

LARGEST_MATRIX = 12_000  # cells; beyond it matrices have as many digits as the page shows
LARGEST_DETAIL = 32_000  # cells; beyond it shares, and totals of groups, stay out: 5 MB are full
LARGEST_SHORT = 64_000  # cells; beyond it no matrix is left
DIGITS, FEW_DIGITS = 6, 3


def picture(
    trace: Trace,
    flow: Flow,
    *,
    shares: dict[str, Any] | None = None,
    lens: list[list[list[tuple[int, float]]]] | None = None,
    writes: Any = None,
    paths: PathSummary | str | None = None,
    recipe: Recipe | None = None,
    created_at: str | None = None,
    left_out: str = "",
) -> Scene:
    """The Scene of one attributed run. `paths` may say instead why there are none.

    `writes` [layer, pos] says how far what is written into a node agrees.

    `recipe` is what the run was made of; without one the Scene says no line that makes it again.
    `left_out` is what of the text that was given is not in the one that was read.
    """
    text, cells = trace.tokens.text, trace.n_layers * trace.n_pos
    rows = partial(_rows, digits=DIGITS if cells <= LARGEST_MATRIX else FEW_DIGITS)
    small = cells <= LARGEST_SHORT
    fields = {
        "schema": "worldline.scene/2",
        "title": text if len(text) <= 80 else text[:79] + "…",
        "text": text,
        "created": created_at,
        "model": _model(trace),
        "versions": trace.versions,
        "seed": trace.seed,
        "tokens": _tokens(trace),
        "predictions": [vars(p) for p in trace.predictions],
        "attribution": _attribution(flow),
        "edges": [_edge(edge, flow) for edge in flow.edges],
        "coverage": vars(flow.coverage),
        "nodes": _nodes(trace, shares if cells <= LARGEST_DETAIL else None, lens, writes, rows)
        if small
        else None,
        "flow": _totals(vars(flow.totals), rows) if small else None,
        "paths": None if paths is None or isinstance(paths, str) else paths_shown(paths),
        "paths_left_out": paths if isinstance(paths, str) else None,
        "groupings": [_grouping(group_flow, rows) for group_flow in flow.groups],
        "left_out": [*filter(None, [left_out]), *_left_out(cells, lens, flow.groups)],
        "inert": vars(trace.inert),
        "closure_error": vars(trace.closure),
        "reproduce": {"cli": "", "python": ""}
        if recipe is None
        else recipe.reproduce_lines().model_dump(),
    }
    return with_meanings(Scene.model_validate(fields))


def paths_shown(paths_summary: PathSummary, recipe: Recipe | None = None) -> ScenePaths:
    """What was seen of the paths, as a part of a Scene; `recipe` where it was asked for alone."""
    fields = vars(paths_summary) | {
        "reproduce": None if recipe is None else recipe.reproduce_lines(),
        "agreement": [
            {name: agreement[name] for name in SceneAgreement.model_fields}
            for agreement in paths_summary.agreement
        ],
    }
    return ScenePaths.model_validate({name: fields[name] for name in ScenePaths.model_fields})


def _model(trace: Trace) -> dict[str, Any]:
    names = ("name", "n_layers", "n_heads", "n_kv_heads", "d_model", "dtype", "device")
    identity_fields = {name: getattr(trace.identity, name) for name in names}
    return identity_fields | {"weights_hash": trace.identity.weights_hash}


def _tokens(trace: Trace) -> list[dict[str, Any]]:
    tokens = trace.tokens
    rows = zip(
        tokens.ids,
        tokens.pieces,
        tokens.char_spans,
        tokens.byte_spans,
        tokens.groups,
        tokens.specials,
        strict=True,
    )
    return [
        {
            "pos": pos,
            "id": token,
            "text": piece,
            "char_start": chars[0],
            "char_end": chars[1],
            "byte_start": octets[0],
            "byte_end": octets[1],
            "group": group,
            "special": special,
        }
        for pos, (token, piece, chars, octets, group, special) in enumerate(rows)
    ]


def _edge(edge: Edge, flow: Flow) -> dict[str, Any]:
    attention = None if edge.attention is None else _short(edge.attention, FEW_DIGITS)
    is_saturated = flow.meaning.by == "gradient" and edge.is_saturated
    return edge._asdict() | {"attention": attention, "saturated": is_saturated}


def _attribution(flow: Flow) -> dict[str, Any]:
    meaning, target = flow.meaning, flow.meaning.target
    target_fields = versus = None
    if target is not None:
        target_fields = {"token": target.token, "id": target.id, "note": target.note}
        if target.versus_id is not None:
            versus = {"token": target.versus or "", "id": target.versus_id}
    return {
        "by": meaning.by,
        "target": target_fields,
        "versus": versus,
        "how": meaning.how,
        "metric": meaning.metric,
        "formula": meaning.formula,
        "unit": meaning.unit,
        "exactness": meaning.exactness,
    }


def _grouping(group: GroupFlow, rows: Rows) -> dict[str, Any]:
    sums = ("between_positive", "between_negative", "within_positive", "within_negative")
    small = group.totals["in_positive"].size <= LARGEST_DETAIL
    return {
        **vars(group.grouping),
        "spans": [{"start": start, "end": end} for start, end in group.grouping.spans],
        "edges": [edge._asdict() for edge in group.edges],
        "coverage": vars(group.coverage),
        **{name: getattr(group, name) for name in sums},
        "flow": _totals(group.totals, rows) if small else None,
    }


def _left_out(cells: int, lens, groups: Sequence[GroupFlow]) -> list[str]:
    """What a long text has fewer numbers of."""
    notes = [
        f"Totals of {group_flow.grouping.name}: {size:,} would make this file too large."
        for group_flow in groups
        if (size := group_flow.totals["in_positive"].size) > LARGEST_DETAIL
    ]
    if cells > LARGEST_SHORT:
        return [f"Numbers of nodes: {cells:,} nodes would make this file too large.", *notes]
    if cells > LARGEST_DETAIL:
        notes.append(f"Shares of nodes: {cells:,} nodes would make this file too large.")
    if cells > LARGEST_MATRIX:
        notes.append(f"Digits: numbers of {cells:,} nodes have {FEW_DIGITS} significant ones.")
    lens_layers = [row for row, nodes in enumerate(lens or ()) if nodes]
    if lens and len(lens_layers) < len(lens):
        notes.append(
            f"The logit lens: it was read at rows {', '.join(map(str, lens_layers))} only."
        )
    return notes


def _rows(matrix, digits: int) -> list[list[float | None]]:
    return [[None if v != v else _short(v, digits) for v in row] for row in matrix.tolist()]


def _short(value: float, digits: int = DIGITS) -> float:
    return float(f"{value:.{digits}g}")


def _nodes(trace: Trace, shares, lens, writes, rows: Rows) -> dict[str, Any]:
    share_matrices = None
    if shares is not None:
        share_matrices = {
            n: rows(m) if n != "other" or m.any() else None for n, m in shares.items()
        }
    return {
        "norm": rows(trace.norms),
        "lens": _lens(trace, lens),
        "shares": share_matrices,
        "writes_agree": None if writes is None else rows(writes),
    }


def _lens(trace: Trace, lens) -> list[Any] | None:
    if lens is None or trace.model is None:
        return None
    ids = sorted({int(token) for row in lens for node in row for token, _ in node})
    names = dict(zip(ids, names_of(trace.model.tokenizer, ids), strict=True))
    return [
        [[{"token": names[int(t)], "logprob": _short(p)} for t, p in node] for node in row]
        for row in lens
    ]


def _totals(matrices: Mapping[str, Any], rows: Rows) -> dict[str, Any]:
    return {name: rows(matrices[name]) for name in SceneFlow.model_fields}


def numbers(scene: Scene, opaque_layers: Sequence[int]) -> dict[str, Any]:
    """The numbers of a Scene without what only drawing needs: the command line's --json."""
    scene_fields = json.loads(scene.to_json())
    names = (
        *(
            "text",
            "tokens",
            "inert",
            "closure_error",
            "predictions",
            "attribution",
            "edges",
            "coverage",
        ),
        *("paths", "paths_left_out", "versions", "seed", "reproduce"),
    )
    return {
        "schema": "worldline.observation/1",
        "model": scene_fields["model"],
        "n_layers": scene.model.n_layers,
        "n_heads": scene.model.n_heads,
        "opaque_layers": list(opaque_layers),
        **{name: scene_fields[name] for name in names},
    }
