"""One prompt after another: what every measure says, and what the cuts say."""

from __future__ import annotations

import ctypes
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import worldline as wl
from worldline.experiments.faithfulness.curves import curve_plans, orders_of
from worldline.experiments.faithfulness.edge_choice import (
    edges_to_cut,
    every_edge,
    heads_by_layer,
    many_cut,
    one_cut,
    powerless,
    values,
)
from worldline.experiments.faithfulness.part_files import SCHEMA, Store

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.experiments.faithfulness.families import Prompt

EXACT = 50  # edges that the corrected gradient cuts one by one
CORRECTED_GRADIENT = f"gradient + {EXACT} cuts"
PAGE_BYTES = 4096
Progress = Callable[[str], None]


def matched_gradient(how: str) -> str:
    """The gradient that is matched to a cut."""
    return f"gradient ({how})"


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt on its model; `truth`: the edges that are known to make the answer."""

    model: wl.LoadedModel
    prompt: Prompt
    truth: Sequence[tuple[int, int, int, int]] = ()

    def identity(self) -> dict[str, Any]:
        """What parts of this case, and of no other, say."""
        return {
            "schema": SCHEMA,
            "model": self.model.name,
            "weights_hash": self.model.weights_hash,
            **self.prompt.json(),
        }

    @property
    def seed(self) -> int:
        """Of everything drawn for this prompt."""
        return zlib.crc32(self.prompt.name.encode())


def run_case(
    case: Case, hows: Iterable[str], measures: Sequence[str], store: Store, say: Progress
) -> None:
    """Measure what is not in the store yet; each part is kept as soon as it is whole."""
    name, waiting = case.prompt.name, []
    names = store.names()
    for part in ("measures", *hows):
        stored_measures: list[str] = []
        if f"{name}.{part}" in names:
            metadata, _ = store.read(f"{name}.{part}")
            _refuse_other(case, metadata, store)
            stored_measures = metadata["measures"]
        if missing := [measure for measure in measures if measure not in stored_measures]:
            waiting.append((part, stored_measures + missing))
    if not waiting:
        return
    needed_measures = [
        measure for measure in wl.edge_measures() if any(measure in names for _, names in waiting)
    ]
    needed_measures += [
        one for how in hows if (one := matched_gradient(how)) not in needed_measures
    ]
    say(f"{name}: {len(needed_measures)} measures")
    attributions = _run_measures(case, needed_measures, say)
    for part, part_measures in waiting:
        if part == "measures":
            _write_measures(case, attributions, part_measures, store)
        else:
            _write_cuts(case, part, attributions, part_measures, store, say)


def _refuse_other(case: Case, metadata: Mapping[str, Any], store: Store) -> None:
    for key, value in case.identity().items():
        if metadata.get(key) != value:
            raise wl.InputError(
                f"--raw {store.path}: holds {case.prompt.name} with another {key}; name another "
                "folder"
            )


@dataclass(frozen=True, eq=False)
class Attributions:
    """What the measures said of one run; `dense` is [layer, head, dst, src] of each."""

    dense: dict[str, Float[np.ndarray, "layer head dst src"]]
    seconds: dict[str, float]
    peak_mb: dict[str, float | None]
    record_seconds: float
    heads_by_layer: tuple[int, ...]
    precision: dict[str, Any]  # what the effect of a cut has to exceed to be more than rounding

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, heads, positions."""
        n_layers, n_heads, n_pos, _ = next(iter(self.dense.values())).shape
        return n_layers, n_heads, n_pos


def _run_measures(case: Case, names: Sequence[str], say: Progress) -> Attributions:
    measures, prompt = wl.edge_measures(), case.prompt
    start = time.perf_counter()
    clean = wl.record(case.model, prompt.clean)
    record_seconds = time.perf_counter() - start
    corrupted_trace = wl.record(case.model, prompt.corrupted)
    dense, seconds, peak = {}, {}, {}
    for n, name in enumerate(names, 1):
        say(f"{prompt.name}: measure {n} of {len(names)}, {name}")
        with peak_memory() as memory:
            start = time.perf_counter()
            dense[name] = measures[name](
                clean, corrupted_trace=corrupted_trace, target=prompt.answer, versus=prompt.wrong
            )
            seconds[name] = time.perf_counter() - start
        peak[name] = memory.mb
    precision = clean.precision(prompt.answer, prompt.wrong).json()
    return Attributions(dense, seconds, peak, record_seconds, heads_by_layer(clean), precision)


def _write_measures(
    case: Case, attributions: Attributions, names: Sequence[str], store: Store
) -> None:
    n_layers, n_heads, n_pos = attributions.shape
    edges = edges_to_cut(attributions.heads_by_layer, n_pos, case.seed)
    every = every_edge(n_layers, n_pos)
    by_edge = [attributions.dense[name].sum(1) for name in names]
    powerless_edges = powerless(n_layers, n_pos)
    store.write(
        f"{case.prompt.name}.measures",
        {
            **case.identity(),
            "clean": list(case.prompt.clean.pieces),
            "corrupted": list(case.prompt.corrupted.pieces),
            "measures": list(names),
            "n_layers": n_layers,
            "n_heads": n_heads,
            "seconds": {name: attributions.seconds[name] for name in names},
            "peak_mb": {name: attributions.peak_mb[name] for name in names},
            "record_seconds": attributions.record_seconds,
            "sums": {
                name: float(_at(attributions.dense[name].sum(1), every).sum()) for name in names
            },
            "truth": [list(edge) for edge in case.truth],
        },
        layer_edges=edges.layer,
        head_edges=edges.head,
        layer_weights=np.stack([_at(w, edges.layer) for w in by_edge]),
        powerless_weights=np.stack([_at(w, powerless_edges) for w in by_edge]),
        head_weights=np.stack([_at(attributions.dense[name], edges.head) for name in names]),
    )


def _write_cuts(
    case: Case,
    how: str,
    attributions: Attributions,
    names: Sequence[str],
    store: Store,
    say: Progress,
) -> None:
    n_layers, _, n_pos = attributions.shape
    prompt, start = case.prompt, time.perf_counter()
    edges = edges_to_cut(attributions.heads_by_layer, n_pos, case.seed)
    every = every_edge(n_layers, n_pos)
    by_edge = {
        name: _at(attributions.dense[name].sum(1), every)
        for name in (*names, matched_gradient(how))
    }
    strongest = np.argsort(-np.abs(by_edge[matched_gradient(how)]), kind="stable")[:EXACT]
    plans = [wl.Plan(prompt.clean.ids), many_cut(prompt, how, every)]
    plans += [one_cut(prompt, how, edge) for edge in every[strongest]]
    plans += [one_cut(prompt, how, edge) for edge in (*edges.layer, *edges.head)]

    def run(plans: list[wl.Plan], label: str) -> Float[np.ndarray, " plan"]:
        def on_done(n: int) -> None:
            say(f"{prompt.name}, {how}: {label} {n:,} of {len(plans):,}")

        on_done(0)
        return values(case.model, prompt, plans, on_done)

    logit_differences = run(plans, "cut")
    clean, all_cut = logit_differences[:2]
    single, seconds = clean - logit_differences[2:], time.perf_counter() - start
    exact, effects = single[: len(strongest)], single[len(strongest) :]
    corrected_weights = by_edge[matched_gradient(how)].copy()
    corrected_weights[strongest] = exact
    weights_by_measure = {name: by_edge[name] for name in names} | {
        CORRECTED_GRADIENT: corrected_weights
    }
    circuits, places = curve_plans(prompt, how, every, orders_of(weights_by_measure, case.seed))
    on_curves = run(circuits, "circuit")
    store.write(
        f"{prompt.name}.{how}",
        {
            **case.identity(),
            "how": how,
            "measures": list(names),
            "precision": attributions.precision,
            "clean": float(clean),
            "none": float(all_cut),
            "curves": [list(key) for key in places],
            "seconds": seconds,
            "seconds_per_cut": seconds / len(plans),
            "corrected_sum": float(corrected_weights.sum()),
        },
        layer_effects=effects[: len(edges.layer)],
        head_effects=effects[len(edges.layer) :],
        corrected_edges=every[strongest],
        corrected_effects=exact,
        curves=np.array([on_curves[at] for at in places.values()]),
    )


def _at(dense: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The numbers of edges."""
    return dense[tuple(edges.T)]


class _Peak:
    """The most memory above that at the start, in MB; None where the system does not say."""

    mb: float | None = None


@contextmanager
def peak_memory() -> Iterator[_Peak]:
    """Look at the size of this process every millisecond while inside."""
    peak, place = _Peak(), Path("/proc/self/statm")
    if not place.exists():
        yield peak
        return

    with suppress(OSError, AttributeError):  # where the C library can, let go of what is free
        ctypes.CDLL(None).malloc_trim(0)

    def pages() -> int:
        return int(place.read_text().split()[1])

    start = most = pages()
    stop = threading.Event()

    def look() -> None:
        nonlocal most
        while not stop.wait(0.001):
            most = max(most, pages())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield peak
    finally:
        stop.set()
        looking.join()
        peak.mb = (max(most, pages()) - start) * PAGE_BYTES / 1e6
