"""The paths of a run as text: what arrives by how many hops, from where, and along which paths."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from worldline.views.labels import clip_cells, fold_cells, readable_text, signed_text
from worldline.views.schema.scene import SceneAgreement, SceneEffective, ScenePath, ScenePaths

BAR = 30
N_SOURCES = 8
LARGEST_WRITTEN = 10**15
EPS = 2.0**-52  # less of a sum is lost in its rounding


def spectrum_lines(
    paths_part: ScenePaths, labels: Sequence[str], width: int, n_paths: int
) -> list[str]:
    """All of it in lines of at most `width` cells; `labels` name the columns."""
    lines = [
        readable_text(paths_part.title),
        f"{_ways(paths_part.ways)} through the grid, one edge per layer",
        "",
    ]
    lines += ["hops   contribution", *_bars(paths_part.by_hops, max(6, min(BAR, width - 20)))]
    if paths_part.beyond:
        lines.append(f"more   {paths_part.beyond:+8.3f}")
    lines += [
        f"all    {sum(paths_part.by_hops) + paths_part.beyond:+8.3f}   {paths_part.closing}",
        "",
    ]
    lines += ["from   contribution, all paths", *_sources(paths_part.by_source, labels), ""]
    lines += [line for agreement in paths_part.agreement for line in _agreement(agreement)]
    lines += [
        line for effective_part in paths_part.effective for line in _effective(effective_part)
    ]
    lines += [
        "",
        *fold_cells(readable_text(paths_part.found_as), width),
        "   #     weight  hops  path",
    ]
    lines += [
        f"{rank:4}  {signed_text(path.weight):>9}  {path.hops:4}  {_path_words(path, labels)}"
        for rank, path in enumerate(paths_part.paths[:n_paths], 1)
    ]
    lines += ["", *fold_cells(f"Caution: {paths_part.caution}.", width)]
    return [clip_cells(line, width) for line in lines]


def _path_words(path: ScenePath, labels: Sequence[str]) -> str:
    """Where a path begins and where it hops: token, and the layer and head of each read."""
    hops = [above.pos for below, above in pairwise(path.nodes) if below.pos != above.pos]
    words = [f"{labels[path.nodes[0].pos]} ({path.nodes[0].pos})"]
    for read, pos in zip(path.reads, hops, strict=True):
        where = f"{read.layer}" if read.head is None else f"{read.layer}.{read.head}"
        words.append(f"→ {where} → {labels[pos]} ({pos})")
    return " ".join(words)


def _ways(ways: str) -> str:
    number = int(ways)
    words = f"{number:,}" if number < LARGEST_WRITTEN else f"{number:.2e}"
    return f"{words} {'way' if number == 1 else 'ways'}"


def _bars(values: Sequence[float], cells: int) -> list[str]:
    most = max((abs(value) for value in values), default=0.0) or 1.0
    last = max((h for h, value in enumerate(values) if abs(value) > most / 1e4), default=0)
    return [
        f"{hops:4}   {value:+8.3f}  {_bar(value, most, cells)}".rstrip()
        for hops, value in enumerate(values[: last + 1])
    ]


def _bar(value: float, most: float, cells: int) -> str:
    return ("█" if value > 0 else "▒") * round(cells * abs(value) / most)


def _sources(by_source: Sequence[float], labels: Sequence[str]) -> list[str]:
    top_sources = sorted(enumerate(by_source), key=lambda pair: -abs(pair[1]))[:N_SOURCES]
    return [f"{pos:4}   {value:+8.3f}  {labels[pos]}" for pos, value in top_sources if value]


def _agreement(agreement: SceneAgreement) -> list[str]:
    if agreement.coherence is None:
        return [f"coherence over {agreement.grouping}: none (nothing flows)"]
    total = agreement.constructive + abs(agreement.destructive)
    rounding = abs(agreement.destructive) < EPS * total
    less = "0" if rounding else f"{abs(agreement.destructive):.3g}"
    parts = f"constructive {agreement.constructive:.3g}, destructive {less}"
    if agreement.shuffled is not None and agreement.shuffled.low < agreement.shuffled.high:
        parts += (
            f"; random signs give {agreement.shuffled.low:.2f} to {agreement.shuffled.high:.2f}"
        )
    if agreement.estimated is None:
        return [
            f"coherence over {agreement.grouping}: {agreement.coherence:.2f}",
            f"       ({parts})",
        ]
    between = f"{agreement.estimated.low:.2f} to {agreement.estimated.high:.2f}"
    lines = [f"coherence over {agreement.grouping}: about {agreement.coherence:.2f}, {between}"]
    return [*lines, f"       ({parts})", f"       ({agreement.interval})"]


def _effective(effective_part: SceneEffective) -> list[str]:
    number = (
        f"{effective_part.effective:,.1f}"
        if effective_part.effective < LARGEST_WRITTEN
        else f"{effective_part.effective:.2e}"
    )
    return [f"paths in effect: {number}", f"       ({effective_part.of})"]
