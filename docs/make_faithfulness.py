"""Writes the tables and figures of docs/faithfulness.md from the raw effects beside it.

    python docs/make_faithfulness.py [FOLDER]

With FOLDER, a run's raw parts, they are packed into the zip first.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worldline.experiments.faithfulness.curves import SHARES
from worldline.experiments.faithfulness.part_files import Store
from worldline.experiments.faithfulness.prompt_runs import CORRECTED_GRADIENT, matched_gradient
from worldline.experiments.faithfulness.scores import correlation, mean, rank_correlation
from worldline.experiments.faithfulness.table import PromptResult, make_table, prompts_in
from worldline.experiments.faithfulness.table_text import (
    CIRCUIT,
    families_of,
    found_of,
    number,
    spread,
)

HERE = Path(__file__).parent
RAW = HERE / "faithfulness" / "smollm2-135m-instruct.zip"
PAGE, README = HERE / "faithfulness.md", HERE.parent / "README.md"
COLOURS = ("#d9480f", "#1971c2", "#2f9e44", "#9c36b5", "#868e96")
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}line.axis{stroke:#999}"
    "line.grid{stroke:#ddd}@media(prefers-color-scheme:dark){text{fill:#ddd}"
    "line.grid{stroke:#444}}"
)
SCORES = ("rank_signed", "rank_size", "linear", "recall", "cmd_linear", "cmd_log", "cpr_log")
BUDGETS = (0, 10, 25, 50)
HOWS = ("zero", "mask", "patch")
WORDS = {"rank_signed": "rank", "cmd_linear": "CMD"}
WIDTH, LEFT, ROW = 860, 160, 17


def blocks(table: Mapping[str, Any], store: Store) -> dict[str, str]:
    """The parts of the page that are computed, by name."""
    rows = table["rows"]
    found = {
        f"{key} {how}": markdown(rows, how, key)
        for how in HOWS
        for key in (
            "rank_signed",
            "rank_size",
            "linear",
            "recall",
            "cmd_linear",
            "cmd_log",
            "cpr_log",
        )
    }
    found["deletion_log zero"] = markdown(rows, "zero", "deletion_log")
    found["completeness zero"] = markdown(rows, "zero", "completeness")
    found["faithfulness"] = summary(rows)
    found["circuits"] = circuits_markdown(rows)
    found["prompts"] = _prompts(table)
    found["cost"] = _cost(rows)
    found["verdict"] = _verdict(table)
    found["every edge"] = _variants(rows)
    found["corrections"] = _corrections(store)
    return found


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """For the README: means over the families."""
    shown = (
        "gradient",
        "frozen",
        "EAP",
        "EAP-IG",
        "flow routes, routed",
        "ALTI",
        "value norm",
        "attention weight",
        "rollout",
    )
    columns = [(how, key) for key in ("rank_signed", "cmd_linear") for how in HOWS]
    lines = [
        f"| measure | {' | '.join(f'{WORDS[key]}, {how}' for how, key in columns)} |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name in shown:
        cells = []
        for how, key in columns:
            measure = matched_gradient(how) if name == "gradient" else name
            found = [
                row[key][0]
                for row in rows
                if (row["how"], row["measure"]) == (how, measure)
                and not row["family"].startswith("circuit")
            ]
            cells.append(f"{sum(found) / len(found):.2f}")
        said = "gradient, matched to the cut" if name == "gradient" else name
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return "\n".join(lines)


def markdown(rows: Sequence[Mapping[str, Any]], how: str, key: str) -> str:
    """One score of every measure and family as a Markdown table.

    Bold are the best of a column and all that no other is told apart from: of whom no measure is
    ahead in a paired bootstrap over prompts.
    """
    mine = [row for row in rows if row["how"] == how and not row["family"].startswith(CIRCUIT)]
    families = families_of(mine)
    lines = [f"| measure | {' | '.join(families)} |", "|---|" + "--:|" * len(families)]
    for measure in dict.fromkeys(row["measure"] for row in mine):
        cells = []
        for family in families:
            (row,) = [r for r in mine if (r["measure"], r["family"]) == (measure, family)]
            cell = spread(row.get(key))
            cells.append(f"**{cell}**" if key in row["not_behind"] else cell)
        if set(cells) != {"-"}:
            lines.append(f"| {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def circuits_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The circuits as a Markdown table."""
    mine = [row for row in rows if "known_found" in row and row["how"] == "zero"]
    names = list(dict.fromkeys(row["family"] for row in mine))
    lines = [
        f"| measure | {' | '.join(name.removeprefix(CIRCUIT) for name in names)} |",
        "|---|" + "--:|" * len(names),
    ]
    for measure in dict.fromkeys(row["measure"] for row in mine):
        row_by_family = {row["family"]: row for row in mine if row["measure"] == measure}
        lines.append(
            f"| {measure} | {' | '.join(found_of(row_by_family[name]) for name in names)} |"
        )
    return "\n".join(lines)


def _prompts(table: Mapping[str, Any]) -> str:
    lines = [
        "| family | prompts reported | tokens | target, logits | cut of all edges: zero, mask, "
        "patch | edges cut, a kind of cut | of one head |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for family, by_how in table["families"].items():
        if family.startswith("circuit"):
            continue
        facts = by_how["zero"]
        moved = ", ".join(f"{by_how[how]['all_cut_change']:.1f}" for how in by_how)
        low, high = facts["tokens"]
        lines.append(
            f"| {family} | {facts['prompts']} | {low} to {high} | {facts['clean']:.1f} | {moved} | "
            f"{facts['edges_cut']:,} | {facts['head_edges_cut']:,} |"
        )
    return "\n".join(lines)


def _cost(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| measure | seconds | memory, MB |", "|---|--:|--:|"]
    for measure in dict.fromkeys(row["measure"] for row in rows):
        mine = [
            row
            for row in rows
            if row["measure"] == measure
            and row["family"] == "function-vectors"
            and "seconds" in row
        ]
        if mine:
            memory = mine[0]["peak_mb"]
            lines.append(
                f"| {measure} | {mine[0]['seconds']:.2f} | "
                f"{'-' if memory is None else f'{memory:.0f}'} |"
            )
    return "\n".join(lines)


def _verdict(table: Mapping[str, Any]) -> str:
    keys = ("rank_signed", "rank_size", "cmd_linear", "cmd_log")
    lines = [
        "| cut | rank, signed | rank, by size | CMD, linear | CMD, log |",
        "|---|--:|--:|--:|--:|",
    ]
    for how in HOWS:
        mine = [
            one
            for one in table["verdict"]
            if one["how"] == how and not one["family"].startswith("circuit")
        ]
        cells = [
            f"{sum(one['leads'].get(key, False) for one in mine)} of {len(mine)}" for key in keys
        ]
        lines.append(f"| {how} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _variants(rows: Sequence[Mapping[str, Any]]) -> str:
    """The matched gradient and the best of the others under other choices of edges."""
    choices = {
        "rank_signed": "edges that can have an effect",
        "rank_signed_without_column_0": "without column 0",
        "rank_signed_every_edge": "with edges that can have none",
        "rank_signed_heads": "single heads",
    }
    lines = [f"| cut, measure | {' | '.join(choices.values())} |", "|---|" + "--:|" * len(choices)]
    for how in HOWS:
        for measure in (matched_gradient(how), "EAP", "EAP-IG", "frozen"):
            mine = [
                row
                for row in rows
                if (row["how"], row["measure"]) == (how, measure)
                and not row["family"].startswith("circuit")
            ]
            cells = [f"{sum(row[key][0] for row in mine) / len(mine):.2f}" for key in choices]
            lines.append(f"| {how}, {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _corrections(store: Store) -> str:
    heads = [f"{word}, {cuts} cut" for word in ("linear", "error") for cuts in BUDGETS]
    lines = [
        f"| cut, family | {' | '.join(heads)} | seconds for 50 | "
        "errors ranked by the gap to frozen | by size alone |",
        "|---|" + "--:|" * (len(heads) + 3),
    ]
    for how in HOWS:
        found = corrections(store, how)
        for family in families_of([{"family": name} for name in found]):
            one = found[family]
            cells = [number([one[word][cuts]]) for word in ("linear", "error") for cuts in BUDGETS]
            lines.append(
                f"| {how}, {family} | {' | '.join(cells)} | {one['seconds'][50]:.2f} | "
                f"{one['warning']:.2f} | {one['size']:.2f} |"
            )
    return "\n".join(lines)


def corrections(store: Store, how: str, split: str = "report") -> dict[str, dict[str, Any]]:
    """What correcting the matched gradient costs and leaves, by family.

    `linear`: Pearson's r of the gradient with the true effects of the edges that are left when so
    many of the strongest are cut one by one, the seconds that takes being `seconds`; `error`: the
    mean size of its error there, in parts of the mean size of an effect there. `warning`: how well
    |gradient - frozen| ranks the gradient's errors; `size`: how well |gradient| alone does.
    """
    by_family = {}
    for family, every in prompts_in(store, how).items():
        results = [
            result
            for result in every
            if result.metadata["split"] == split and not result.metadata["truth"]
        ]
        if not results or any(
            {matched_gradient(how), "frozen"} - set(result.at) for result in results
        ):
            continue
        per_cut = float(np.median([one.cut["seconds_per_cut"] for one in results]))
        linear, seconds, error = {}, {}, {}
        for cuts in BUDGETS:
            pairs = [_left_over(one, cuts) for one in results]
            linear[cuts] = mean([correlation(weights, effects) for weights, effects in pairs])
            error[cuts] = mean([_mean_error(weights, effects) for weights, effects in pairs])
            seconds[cuts] = cuts * per_cut
        by_family[family] = {
            "linear": linear,
            "error": error,
            "seconds": seconds,
            "warning": mean([_error_by(one, one.weights("frozen")) for one in results]),
            "size": mean([_error_by(one, np.zeros(1)) for one in results]),
        }
    return by_family


def _left_over(result: PromptResult, cuts: int) -> tuple[np.ndarray, np.ndarray]:
    """(The gradient's weights, the true effects) of edges that can have one and were not cut."""
    corrected_edges = set(map(tuple, result.arrays["corrected_edges"][:cuts].tolist()))
    edges = map(tuple, result.arrays["layer_edges"].tolist())
    mask = np.array([edge not in corrected_edges for edge in edges]) & result.able("layer_edges")
    effects = result.arrays["layer_effects"].astype(float)
    return result.weights(matched_gradient(result.cut["how"]))[mask], effects[mask]


def _mean_error(weights: np.ndarray, effects: np.ndarray) -> float | None:
    size = np.abs(effects).sum()
    return float(np.abs(weights - effects).sum() / size) if size else None


def _error_by(result: PromptResult, reference: np.ndarray) -> float | None:
    """Rank correlation of |gradient - other| with the gradient's errors."""
    gradient = result.weights(matched_gradient(result.cut["how"]))
    errors = np.abs(gradient - result.arrays["layer_effects"])
    return rank_correlation(np.abs(gradient - reference), errors)


# --- figures ---


def rank_figure(table: Mapping[str, Any], how: str) -> str:
    """Rank correlations with intervals: a row a measure, a colour a family."""
    rows = [
        row
        for row in table["rows"]
        if row["how"] == how and "rank_signed" in row and not row["family"].startswith("circuit")
    ]
    families = families_of(rows)
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    step = ROW * len(families) // 2 + 10
    height = 70 + step * len(measures)

    def x(value: float) -> float:
        return LEFT + (value + 0.3) / 1.3 * (WIDTH - LEFT - 20)

    parts = [_axis(x(tick / 10), 40, height - 20, f"{tick / 10:.1f}") for tick in range(-2, 11, 2)]
    parts += _legend(families)
    for m, measure in enumerate(measures):
        top = 50 + step * m
        parts.append(
            f'<text x="{LEFT - 10}" y="{top + step / 2}" text-anchor="end">{measure}</text>'
        )
        for f, family in enumerate(families):
            (row,) = [r for r in rows if (r["measure"], r["family"]) == (measure, family)]
            value, low, high = row["rank_signed"]
            if value is None:
                continue
            y, colour = top + 6 + f * ROW / 2, COLOURS[f % len(COLOURS)]
            if low is not None and high is not None:
                parts.append(
                    f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" '
                    f'stroke="{colour}" stroke-width="2" opacity="0.55"/>'
                )
            parts.append(f'<circle cx="{x(value):.1f}" cy="{y}" r="3.5" fill="{colour}"/>')
    title = f"Rank correlation with the true effect of cutting one edge ({how}), 95 % over prompts"
    return _svg(title, height, parts)


def curve_figure(table: Mapping[str, Any], how: str) -> str:
    """How far the target is from the whole run's when only the strongest edges are kept."""
    rows = [
        row
        for row in table["rows"]
        if row["how"] == how and not row["family"].startswith("circuit")
    ]
    families = families_of(rows)
    measures = [matched_gradient(how), CORRECTED_GRADIENT, "EAP", "EAP-IG", "at random"]
    wide, high = (WIDTH - 60) / len(families), 220
    shares = [*SHARES, 1.0]
    parts = _legend(measures)
    for f, family in enumerate(families):
        left = 50 + f * wide

        def x(share: float, left: float = left) -> float:
            return left + (math.log10(share) + 3) / 3 * (wide - 20)

        def y(value: float) -> float:
            return 60 + high * (1 - min(value, 1.5) / 1.5)

        parts.append(f'<text x="{left}" y="52">{family}</text>')
        for tick in (0.0, 0.5, 1.0, 1.5):
            parts.append(
                f'<line class="grid" x1="{left}" x2="{left + wide - 20:.1f}" y1="{y(tick):.1f}" '
                f'y2="{y(tick):.1f}"/>'
            )
            if f == 0:
                word = "1.5+" if tick == 1.5 else f"{tick:.1f}"
                parts.append(f'<text x="{left - 32}" y="{y(tick) + 4:.1f}">{word}</text>')
        for share, anchor in ((0.001, "start"), (0.01, "middle"), (0.1, "middle"), (1.0, "end")):
            parts.append(
                f'<text x="{x(share):.1f}" y="{60 + high + 18}" text-anchor="{anchor}">'
                f"{share * 100:g}%</text>"
            )
        for m, measure in enumerate(measures):
            found = [row for row in rows if (row["measure"], row["family"]) == (measure, family)]
            if not found:
                continue
            curve = found[0]["insertion_by_size"][1:]
            points = " ".join(
                f"{x(share):.1f},{y(value):.1f}" for share, value in zip(shares, curve, strict=True)
            )
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{COLOURS[m]}" stroke-width="2"/>'
            )
    title = f"Distance from the whole run's target, the strongest edges kept, the rest cut ({how})"
    return _svg(title, high + 100, parts)


def _legend(names: Sequence[str]) -> list[str]:
    parts, at = [], 20.0
    for n, name in enumerate(names):
        parts.append(f'<circle cx="{at}" cy="32" r="4" fill="{COLOURS[n % len(COLOURS)]}"/>')
        parts.append(f'<text x="{at + 8}" y="36">{name}</text>')
        at += 30 + 7 * len(name)
    return parts


def _axis(x: float, top: float, bottom: float, word: str) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{word}</text>'
    )


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" role="img" aria-label="{title}">'
        f'<style>{STYLE}</style><text x="10" y="16">{title}</text>' + "".join(parts) + "</svg>\n"
    )


def written() -> dict[Path, str]:
    """Every file this writes, with its text."""
    store = Store(RAW)
    table = make_table(store)
    pages = {page: page.read_text(encoding="utf-8") for page in (PAGE, README)}
    for name, text in blocks(table, store).items():
        mark = rf"<!-- {re.escape(name)} -->.*?<!-- end -->"
        new = f"<!-- {name} -->\n\n{text}\n\n<!-- end -->"
        for page, old in pages.items():
            pages[page] = re.sub(mark, lambda _, new=new: new, old, flags=re.S)
    folder = RAW.parent
    return {
        **pages,
        folder / "rank_zero.svg": rank_figure(table, "zero"),
        folder / "rank_mask.svg": rank_figure(table, "mask"),
        folder / "curves_zero.svg": curve_figure(table, "zero"),
        folder / "curves_patch.svg": curve_figure(table, "patch"),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Store(Path(sys.argv[1])).pack(RAW)
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
