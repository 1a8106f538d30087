"""A table as a user asks for it: checked, measured on a model or read from a zip, and made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import worldline as wl
from worldline.atomic_file import refuse_unwritable
from worldline.experiments.faithfulness.benchmark import (
    ProgressCallback,
    cases_of,
    names_of,
    refuse_unknown,
    run,
    settings,
)
from worldline.experiments.faithfulness.edge_choice import HOWS
from worldline.experiments.faithfulness.families import CIRCUITS, SPLITS, Prompt, load_pairs
from worldline.experiments.faithfulness.part_files import SCHEMA, Store
from worldline.experiments.faithfulness.table import make_table

PROMPTS = 16


@dataclass(frozen=True)
class FaithfulnessRequest:
    """Which prompts, cuts and measures, and which half of the prompts the table is of.

    Args:
        data: A family, a file of pairs, "circuits" or "all".
        how: Kinds of cut with commas between; None or "all" for all of them.
        measures: Names of measures with commas between; None for all of them.
        n: Prompts of a family; None for the usual number.
        split: "report" or "choose".

    Raises:
        InputError: a cut, measure, half or number that is not there.
    """

    data: str
    how: str | None = None
    measures: str | None = None
    n: int | None = None
    split: str = "report"

    def __post_init__(self) -> None:
        refuse_unknown(self._measure_names, self._hows, self._n)
        if self.split not in SPLITS:
            raise wl.InputError(f"--split {self.split}: accepted are {', '.join(SPLITS)}")

    def refuse_unreadable(self, raw: Path | None) -> None:
        """Raise InputError, before a model is loaded, for prompts or a folder that are not there.

        Args:
            raw: The folder where parts are to be kept; None for the cache.
        """
        for name in names_of(self.data):
            if name != CIRCUITS:
                load_pairs(name)
        if raw is not None:
            refuse_unwritable(raw / "part.npz")

    def measured_table(
        self,
        model: wl.LoadedModel,
        model_name: str | None,
        raw: Path,
        on_progress: ProgressCallback,
        say: Callable[[str], None],
    ) -> dict[str, Any]:
        """The table, after what the folder does not hold yet was measured.

        Args:
            model: The loaded model.
            model_name: The name that it was asked for by, for the table's settings.
            raw: The folder where each part is kept.
            on_progress: Told of (prompts done, of how many, what happens).
            say: Told where the parts are kept.

        Raises:
            InputError: pairs that the model does not accept, or none in the half that is shown.
        """
        cases = cases_of(model, names_of(self.data), self._n)
        self._refuse_empty_half([case.prompt for case in cases])
        store = Store(raw)
        say(f"each part is kept in {store.path}")
        run(cases, self._hows, self._measure_names, store, on_progress)
        prompts = [(case.prompt.family, case.prompt.number) for case in cases]
        table = make_table(store, self._hows, self._measure_names, None, self.split, prompts)
        table["settings"] = settings(self.data, self._hows, self._n, model_name)
        return table

    def packed_table(self, packed: Path) -> dict[str, Any]:
        """The table of parts in a zip, without a model.

        Raises:
            InputError: no such file, or a damaged one.
        """
        store = Store(packed)
        families = None if self.data == "all" else [Path(self.data).stem]
        if self.data == CIRCUITS:
            parts = [store.read(name)[0] for name in sorted(store.names()) if "circuit" in name]
            names = {part["family"] for part in parts}
            families = sorted(name for name in names if name.startswith("circuit "))
        table = make_table(store, self._hows, self._measure_names, families, self.split, None)
        table["settings"] = settings(self.data, self._hows, None, None)
        return table

    @property
    def _n(self) -> int:
        return PROMPTS if self.n is None else self.n

    @property
    def _hows(self) -> tuple[str, ...]:
        return HOWS if self.how in (None, "all") else tuple(self.how.split(","))

    @property
    def _measure_names(self) -> list[str] | None:
        return None if self.measures is None else _names_in(self.measures)

    def _refuse_empty_half(self, prompts: list[Prompt]) -> None:
        if not any(prompt.split == self.split for prompt in prompts):
            passing = "1 prompt passes" if len(prompts) == 1 else f"{len(prompts)} prompts pass"
            raise wl.InputError(
                f"--data {self.data}: {passing} the filter, none in the half that "
                f"--split {self.split} shows; odd lines are to choose by, even ones are reported: "
                "give two pairs or more, or the other --split"
            )


def parts_folder(cache: Path, model: wl.LoadedModel) -> Path:
    """Where the parts of a model are kept; parts of another schema are not read."""
    schema = SCHEMA.rpartition(".")[2].replace("/", "")
    return cache / "faithfulness" / schema / model.identity.key()[:12]


def _names_in(measures: str) -> list[str]:
    """Names at the commas, but for those with a comma inside."""
    remaining_text, measure_names = measures, []
    known_measures = sorted(wl.edge_measures(), key=len, reverse=True)
    while remaining_text:
        name = next(
            (measure for measure in known_measures if remaining_text.startswith(measure)),
            remaining_text.split(",")[0],
        )
        measure_names.append(name)
        remaining_text = remaining_text[len(name) :].lstrip(", ")
    return [name.strip() for name in measure_names]
