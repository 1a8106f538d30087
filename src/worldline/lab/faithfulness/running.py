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
from worldline.lab.faithfulness.curves import curve_plans, orders_of
from worldline.lab.faithfulness.edges import (
    edges_to_cut,
    every_edge,
    many_cut,
    one_cut,
    powerless,
    values,
)
from worldline.lab.faithfulness.store import SCHEMA, Store

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.lab.faithfulness.families import Prompt

EXACT = 50  # edges that the corrected gradient cuts one by one
CORRECTED = f"gradient + {EXACT} cuts"
PAGE_BYTES = 4096
Progress = Callable[[str], None]


def matched(how: str) -> str:
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
        known: list[str] = []
        if f"{name}.{part}" in names:
            said, _ = store.read(f"{name}.{part}")
            _refuse_other(case, said, store)
            known = said["measures"]
        if missing := [one for one in measures if one not in known]:
            waiting.append((part, known + missing))
    if not waiting:
        return
    needed = [one for one in wl.edge_measures() if any(one in names for _, names in waiting)]
    needed += [one for how in hows if (one := matched(how)) not in needed]
    say(f"{name}: {len(needed)} measures")
    weighed = _weighed(case, needed, say)
    for part, wanted in waiting:
        if part == "measures":
            _write_measures(case, weighed, wanted, store)
        else:
            _write_cuts(case, part, weighed, wanted, store, say)


def _refuse_other(case: Case, said: Mapping[str, Any], store: Store) -> None:
    for key, value in case.identity().items():
        if said.get(key) != value:
            raise wl.InputError(
                f"--raw {store.path}: holds {case.prompt.name} with another {key}; name another "
                "folder"
            )


@dataclass(frozen=True, eq=False)
class Weighed:
    """What the measures said of one run; `dense` is [layer, head, dst, src] of each."""

    dense: dict[str, Float[np.ndarray, "layer head dst src"]]
    seconds: dict[str, float]
    peak_mb: dict[str, float | None]
    record_seconds: float
    precision: dict[str, Any]  # what the effect of a cut has to exceed to be more than rounding

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, heads, positions."""
        n_layers, n_heads, n_pos, _ = next(iter(self.dense.values())).shape
        return n_layers, n_heads, n_pos


def _weighed(case: Case, names: Sequence[str], say: Progress) -> Weighed:
    measures, prompt = wl.edge_measures(), case.prompt
    start = time.perf_counter()
    clean = wl.record(case.model, prompt.clean)
    record_seconds = time.perf_counter() - start
    corrupted = wl.record(case.model, prompt.corrupted)
    dense, seconds, peak = {}, {}, {}
    for n, name in enumerate(names, 1):
        say(f"{prompt.name}: measure {n} of {len(names)}, {name}")
        with peak_memory() as memory:
            start = time.perf_counter()
            dense[name] = measures[name](
                clean, corrupted=corrupted, target=prompt.answer, versus=prompt.wrong
            )
            seconds[name] = time.perf_counter() - start
        peak[name] = memory.mb
    precision = clean.precision(prompt.answer, prompt.wrong).json()
    return Weighed(dense, seconds, peak, record_seconds, precision)


def _write_measures(case: Case, weighed: Weighed, names: Sequence[str], store: Store) -> None:
    n_layers, n_heads, n_pos = weighed.shape
    edges = edges_to_cut(n_layers, n_heads, n_pos, case.seed)
    every = every_edge(n_layers, n_pos)
    by_edge = [weighed.dense[name].sum(1) for name in names]
    none = powerless(n_layers, n_pos)
    store.write(
        f"{case.prompt.name}.measures",
        {
            **case.identity(),
            "clean": list(case.prompt.clean.pieces),
            "corrupted": list(case.prompt.corrupted.pieces),
            "measures": list(names),
            "n_layers": n_layers,
            "n_heads": n_heads,
            "seconds": {name: weighed.seconds[name] for name in names},
            "peak_mb": {name: weighed.peak_mb[name] for name in names},
            "record_seconds": weighed.record_seconds,
            "sums": {name: float(_at(weighed.dense[name].sum(1), every).sum()) for name in names},
            "truth": [list(edge) for edge in case.truth],
        },
        layer_edges=edges.layer,
        head_edges=edges.head,
        layer_weights=np.stack([_at(w, edges.layer) for w in by_edge]),
        powerless_weights=np.stack([_at(w, none) for w in by_edge]),
        head_weights=np.stack([_at(weighed.dense[name], edges.head) for name in names]),
    )


def _write_cuts(
    case: Case, how: str, weighed: Weighed, names: Sequence[str], store: Store, say: Progress
) -> None:
    n_layers, n_heads, n_pos = weighed.shape
    prompt, start = case.prompt, time.perf_counter()
    edges, every = edges_to_cut(n_layers, n_heads, n_pos, case.seed), every_edge(n_layers, n_pos)
    by_edge = {name: _at(weighed.dense[name].sum(1), every) for name in (*names, matched(how))}
    strongest = np.argsort(-np.abs(by_edge[matched(how)]), kind="stable")[:EXACT]
    plans = [wl.Plan(prompt.clean.ids), many_cut(prompt, how, every)]
    plans += [one_cut(prompt, how, edge) for edge in every[strongest]]
    plans += [one_cut(prompt, how, edge) for edge in (*edges.layer, *edges.head)]

    def run(plans: list[wl.Plan], what: str) -> Float[np.ndarray, " plan"]:
        def on_done(n: int) -> None:
            say(f"{prompt.name}, {how}: {what} {n:,} of {len(plans):,}")

        on_done(0)
        return values(case.model, prompt, plans, on_done)

    found = run(plans, "cut")
    clean, none = found[:2]
    single, seconds = clean - found[2:], time.perf_counter() - start
    exact, effects = single[: len(strongest)], single[len(strongest) :]
    corrected = by_edge[matched(how)].copy()
    corrected[strongest] = exact
    ordered = {name: by_edge[name] for name in names} | {CORRECTED: corrected}
    circuits, places = curve_plans(prompt, how, every, orders_of(ordered, case.seed))
    on_curves = run(circuits, "circuit")
    store.write(
        f"{prompt.name}.{how}",
        {
            **case.identity(),
            "how": how,
            "measures": list(names),
            "precision": weighed.precision,
            "clean": float(clean),
            "none": float(none),
            "curves": [list(key) for key in places],
            "seconds": seconds,
            "seconds_per_cut": seconds / len(plans),
            "corrected_sum": float(corrected.sum()),
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
    found, place = _Peak(), Path("/proc/self/statm")
    if not place.exists():
        yield found
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
        yield found
    finally:
        stop.set()
        looking.join()
        found.mb = (max(most, pages()) - start) * PAGE_BYTES / 1e6
