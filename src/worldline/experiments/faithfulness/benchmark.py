"""The whole of it: families, measures and cuts in; parts kept as they come; the table out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import worldline as wl
from worldline.experiments.faithfulness.edge_choice import HOWS
from worldline.experiments.faithfulness.families import (
    CIRCUITS,
    FAMILIES,
    circuit_prompts,
    load_pairs,
    prompts_of,
)
from worldline.experiments.faithfulness.part_files import Store
from worldline.experiments.faithfulness.prompt_runs import Case, run_case

MOST_TOKENS = 64  # the peers' measures hold every edge
ProgressCallback = Callable[[int, int, str], None]


def names_of(data: str) -> list[str]:
    """What `--data` means: a name, a file, or all families and the circuits."""
    return [*FAMILIES, CIRCUITS] if data == "all" else [data]


def refuse_unknown(measures: Sequence[str] | None, hows: Sequence[str], n: int) -> None:
    """Raise InputError for a measure or a cut that is not there, or too few prompts."""
    known_measures = wl.edge_measures()
    for name in measures or ():
        if name not in known_measures:
            raise wl.InputError(f"--measures {name}: accepted are {', '.join(known_measures)}")
    for how in hows:
        if how not in HOWS:
            raise wl.InputError(f"--how {how}: accepted are all, {', '.join(HOWS)}")
    if n < 1:
        raise wl.InputError(f"--n {n}: accepted are whole numbers from 1")


def cases_of(model: wl.LoadedModel, data: Sequence[str], n: int) -> list[Case]:
    """The prompts to run; one of each family by turns, so that an early end leaves some of all.

    Raises:
        InputError: a family or file that is not there, or whose pairs the model does not accept.
    """
    turn_cases: list[tuple[int, Case]] = []
    for name in data:
        if name == CIRCUITS:
            turn_cases += [(-1, Case(*circuit)) for circuit in circuit_prompts()]
            continue
        pairs, family = load_pairs(name), name.rpartition("/")[2].removesuffix(".jsonl")
        prompts = list(prompts_of(model, family, pairs, n))
        if not prompts:
            raise wl.InputError(
                f"--data {name}: {model.name} accepts none of its {len(pairs)} pairs: prompts of "
                "equal length that end alike, answers of one token each, the right one preferred"
            )
        for prompt in prompts:
            if len(prompt.clean.ids) > MOST_TOKENS:
                raise wl.InputError(
                    f"--data {name}: {prompt.name} has {len(prompt.clean.ids)} tokens, accepted "
                    f"are {MOST_TOKENS}"
                )
        turn_cases += [(turn, Case(model, prompt)) for turn, prompt in enumerate(prompts)]
    return [case for _, case in sorted(turn_cases, key=lambda one: one[0])]


def run(
    cases: Sequence[Case],
    hows: Sequence[str],
    measures: Sequence[str] | None,
    store: Store,
    on_progress: ProgressCallback,
) -> None:
    """Run what the store does not hold yet; `on_progress` gets (cases done, of, what happens)."""
    measure_names = list(measures or wl.edge_measures())
    for n_done, case in enumerate(cases):
        name = case.prompt.name
        on_progress(n_done, len(cases), name)
        run_case(
            case,
            hows,
            measure_names,
            store,
            lambda line, n=n_done: on_progress(n, len(cases), line),
        )
    on_progress(len(cases), len(cases), "done")


def settings(data: str, hows: Sequence[str], n: int | None, model: str | None) -> dict[str, Any]:
    """How to make the same table again."""
    return {"data": data, "how": list(hows), "n": n, "model": model or "bundled"}
