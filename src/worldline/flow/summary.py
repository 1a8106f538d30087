"""All that `worldline paths` says about one run: a spectrum, its sources, agreement, paths."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from worldline.errors import InputError
from worldline.flow.flow import asked
from worldline.flow.routes import find_paths, share_grid
from worldline.flow.weighing import hop_spectrum
from worldline.grid.node import Node
from worldline.model.load import LoadedModel, load_model
from worldline.paths import weighted
from worldline.paths.best import top_paths
from worldline.paths.interference import interference, target_interference
from worldline.trace.recording import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from worldline.paths.search import Path
    from worldline.trace.trace import Trace


@dataclass(frozen=True, eq=False)
class PathsSeen:
    """The paths into the last token of a run: plain numbers and words, ready to print."""

    title: str
    by: str
    tokens: list[str]
    by_hops: list[float]
    beyond: float
    by_source: list[float]
    closing: str
    agreement: list[dict[str, Any]]
    paths: list[dict[str, Any]]
    found_as: str
    caution: str

    def json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {"schema": "worldline.paths/1"} | asdict(self)


def see_paths(
    text: str,
    model: str | tuple[Any, Any] | LoadedModel | None = None,
    *,
    by: str = "frozen",
    target: str | int | None = None,
    versus: str | int | None = None,
    k: int = 10,
    device: str = "cpu",
    dtype: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> PathsSeen:
    """Record `text` and say what `summary_of` says about its last token.

    Raises:
        InputError: what was given cannot be used.
        RefusedError: the model failed a check; no number is given.
    """
    if not isinstance(model, LoadedModel):
        model = load_model(model, device=device, dtype=dtype, progress=progress)
    if progress is not None:
        progress("recording")
    trace = record(model, text)
    if progress is not None:
        progress("following paths")
    return summary_of(trace, by=by, target=target, versus=versus, k=k)


def summary_of(
    trace: Trace,
    *,
    by: str = "frozen",
    target: str | int | None = None,
    versus: str | int | None = None,
    k: int = 10,
) -> PathsSeen:
    """The paths into the last token, summed and the strong ones listed.

    Raises:
        InputError: an unknown weighing, k below 1, a target that is not one token.
    """
    if by == "frozen":
        return _frozen(trace, target, versus, k)
    if by == "share":
        return _shares(trace, k)
    raise InputError(f"by={by!r}: accepted are frozen, share")


def _frozen(trace: Trace, target, versus, k: int) -> PathsSeen:
    spectrum = hop_spectrum(trace, target=target, versus=versus)
    found = find_paths(trace, target=target, versus=versus, k=k)
    rest = spectrum.target_value - float(spectrum.by_hops.sum()) - spectrum.beyond
    by_source = spectrum.by_source.sum(0)
    groups = [("hop counts", spectrum.by_hops), ("source tokens", by_source)]
    return PathsSeen(
        title=f"All paths to the {asked(spectrum.target)} = {spectrum.target_value:+.3f} logits",
        by="frozen",
        tokens=list(trace.tokens.pieces),
        by_hops=spectrum.by_hops.tolist(),
        beyond=spectrum.beyond,
        by_source=by_source.tolist(),
        closing=f"of {spectrum.target_value:+.3f}; no path carries {rest:+.1e}",
        agreement=[asdict(interference(v, grouping=name)) for name, v in groups],
        paths=[_path(path, trace) for path in found.paths],
        found_as=(
            f"Strong paths found (of {found.looked_at} followed; no bound says that none is "
            f"missing); together {found.share:.0%} of the target"
        ),
        caution=spectrum.caution,
    )


def _shares(trace: Trace, k: int) -> PathsSeen:
    grid, end = share_grid(trace), Node(layer=trace.n_layers, pos=trace.n_pos - 1)
    spectrum, total = weighted.hop_sums(grid, None, end), weighted.sum_paths(grid, None, end)
    by_source = spectrum.signed_by_source.sum(0)
    groups = [("hop counts", spectrum.signed), ("source tokens", by_source)]
    agreement = [asdict(interference(values, grouping=name)) for name, values in groups]
    agreement.append(asdict(target_interference(grid, None, end)))
    top = top_paths(grid, target=end, k=k)
    return PathsSeen(
        title="All paths from row 0 to the last token's last state, by products of shares",
        by="share",
        tokens=list(trace.tokens.pieces),
        by_hops=spectrum.signed.tolist(),
        beyond=0.0,
        by_source=by_source.tolist(),
        closing=f"without signs {total.absolute:.3g}; the rest of 1 began at constants on the way",
        agreement=agreement,
        paths=[_path(path, trace) for path in top.paths],
        found_as=f"The strongest paths ({top.grid} grid, all heads of a hop together)",
        caution=(
            "a product of shares follows directions that lie along the state at every step; what "
            "turns on the way is not in it"
        ),
    )


def _path(path: Path, trace: Trace) -> dict[str, Any]:
    nodes: Sequence[Node] = path.nodes
    return {
        "weight": path.weight,
        "hops": path.hops,
        "nodes": [[node.layer, node.pos] for node in nodes],
        "words": _words(nodes, trace.tokens.pieces),
    }


def _words(nodes: Sequence[Node], pieces: Sequence[str]) -> str:
    """Where a path begins and where it hops: token, and the layer of each read."""
    words = [_name(pieces, nodes[0].pos)]
    for below, above in pairwise(nodes):
        if below.pos != above.pos:
            words.append(f"→ {below.layer} → {_name(pieces, above.pos)}")
    return " ".join(words)


def _name(pieces: Sequence[str], pos: int) -> str:
    return f"{pieces[pos].strip() or repr(pieces[pos])}({pos})"
