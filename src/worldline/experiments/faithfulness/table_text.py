"""The table in words: for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worldline.experiments.faithfulness.families import FAMILIES

CIRCUIT = "circuit "
COLUMNS = (
    ("rank_signed", "rank"),
    ("rank_size", "by size"),
    ("rank_signed_without_column_0", "no column 0"),
    ("rank_signed_heads", "one head"),
    ("linear", "linear"),
    ("recall", "top 50"),
    ("cpr_log", "CPR"),
    ("cmd_log", "CMD"),
    ("cmd_linear", "CMD linear"),
    ("completeness", "completeness"),
)
SHORT = {
    "rank_signed": "rank correlation with the true effects, signed",
    "cmd_log": "CMD, log axis",
}


def table_lines(table: Mapping[str, Any]) -> list[str]:
    """For a terminal: all columns of one family, or the families side by side."""
    rows, lines = table["rows"], []
    prompts = [row for row in rows if not row["family"].startswith(CIRCUIT)]
    families = families_of(prompts)
    for how in dict.fromkeys(row["how"] for row in prompts):
        mine = [row for row in prompts if row["how"] == how]
        if len(families) == 1:
            lines += ["", f"{families[0]}, {how}: value ({_interval(mine)})", *_family_lines(mine)]
        else:
            for key, words in SHORT.items():
                lines += ["", f"{how}: {words}", *_side_by_side(mine, families, key)]
    lines += _circuits(rows)
    return [*_facts(table, families), *lines]


def _interval(rows: Sequence[Mapping[str, Any]]) -> str:
    """What stands in brackets behind a value, or why nothing does."""
    cells = [row.get(key) for row in rows for key in SHORT]
    drawn = any(cell is not None and cell[1] is not None for cell in cells)
    return "95 % over prompts" if drawn else "no interval: that takes 2 prompts or more"


def _prompts(n: int) -> str:
    return f"{n} prompt{'' if n == 1 else 's'}"


def families_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The families of rows, ours in their order first."""
    family_names = dict.fromkeys(row["family"] for row in rows)
    known_families = [name for name in FAMILIES if name in family_names]
    return known_families + [name for name in family_names if name not in known_families]


def _facts(table: Mapping[str, Any], families: Sequence[str]) -> list[str]:
    lines = []
    for family in families:
        (how, facts), *_ = table["families"][family].items()
        low, high = facts["tokens"]
        tokens = f"{low}" if low == high else f"{low} to {high}"
        lines.append(
            f"{family}: {_prompts(facts['prompts'])} to {table['split']} on, {tokens} tokens, "
            f"{facts['edges_cut']:,} edges cut one at a time ({how}), model {facts['model']}"
        )
        if facts["least_effect"] is not None:
            lines.append(
                f"  effects up to {facts['least_effect']:.1e} logits are rounding: taken as 0"
            )
    return lines


def _family_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head = (
        f"{'':22}"
        + "".join(f"{words:>19}" if key in SHORT else f"{words:>13}" for key, words in COLUMNS)
        + f"{'seconds':>9}"
    )
    lines = [head]
    for row in rows:
        cells = [
            spread(row.get(key)).rjust(19) if key in SHORT else number(row.get(key)).rjust(13)
            for key, _ in COLUMNS
        ]
        seconds = row.get("seconds")
        lines.append(
            f"{row['measure']:22}" + "".join(cells) + ("" if seconds is None else f"{seconds:9.2f}")
        )
    return lines


def _side_by_side(
    rows: Sequence[Mapping[str, Any]], families: Sequence[str], key: str
) -> list[str]:
    lines = [f"{'':22}" + "".join(f"{family:>21}" for family in families)]
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row["measure"], {})[row["family"]] = spread(row.get(key))
    for measure, cell_by_family in cells.items():
        if any(cell != "-" for cell in cell_by_family.values()):
            lines.append(
                f"{measure:22}"
                + "".join(f"{cell_by_family.get(family, '-'):>21}" for family in families)
            )
    return lines


def _circuits(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many of the known edges each measure finds, and what it lays on edges of no effect."""
    mine = [row for row in rows if "known_found" in row and row["how"] == "zero"]
    names = list(dict.fromkeys(row["family"] for row in mine))
    if not names:
        return []
    lines = ["", "circuits set by hand: known edges found / weight on edges that no cut shows"]
    lines += [f"  {n + 1}: {name.removeprefix(CIRCUIT)}" for n, name in enumerate(names)]
    lines.append(f"{'':22}" + "".join(f"{n + 1:>14}" for n in range(len(names))))
    for measure in dict.fromkeys(row["measure"] for row in mine):
        row_by_family = {row["family"]: row for row in mine if row["measure"] == measure}
        cells = [found_of(row_by_family[name]) if name in row_by_family else "-" for name in names]
        lines.append(f"{measure:22}" + "".join(f"{cell:>14}" for cell in cells))
    return lines


def found_of(row: Mapping[str, Any]) -> str:
    """Known edges found, and the part of |weight| on edges without effect."""
    idle = row["on_idle_edges"]
    return f"{row['known_found']:.0%} / " + ("-" if idle is None else f"{idle:.0%}")


def number(cell: Sequence[float | None] | None) -> str:
    """A value alone."""
    return "-" if cell is None or cell[0] is None else f"{cell[0]:.2f}"


def spread(cell: Sequence[float | None] | None) -> str:
    """A value and where 95 % of it lie."""
    if cell is None or cell[0] is None:
        return "-"
    value, low, high = cell
    return f"{value:.2f}" + ("" if low is None else f" ({low:.2f} {high:.2f})")
