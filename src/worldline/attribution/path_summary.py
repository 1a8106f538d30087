"""All that `worldline paths` says about one run: a spectrum, its sources, agreement, paths."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from math import comb
from typing import TYPE_CHECKING, Any

from worldline.attribution.attribute import flow_in, hops_in, target_of
from worldline.attribution.flow import Target, target_words
from worldline.attribution.frozen import frozen_of
from worldline.attribution.frozen_paths import FoundPaths, found_in, path_grid
from worldline.attribution.path_samples import sample_in
from worldline.attribution.path_steps import Hop
from worldline.errors import InputError, RefusedError
from worldline.graph import weighted_grid as weighted
from worldline.graph.interference import interference, target_interference
from worldline.graph.node import Node
from worldline.graph.strongest_paths import effective_paths, top_paths
from worldline.models.loader import LoadedModel, load_model, refuse_another
from worldline.runs.recorder import record
from worldline.tokens.targets import refuse_targets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    from worldline.attribution.path_samples import FlowSample
    from worldline.graph.interference import Interference
    from worldline.graph.weighted_grid import WeightedGrid
    from worldline.runs.trace import Trace

LONGEST_FOLLOWED = 32  # tokens; where nobody said whether to follow paths
SHOWN = 5e-4  # less is 0 in the three decimals that are shown
N_PATHS = 10
N_DRAWN = 100  # by the command line, which has the time
WALKS = {
    "paths": "all paths, each in proportion to its size",
    "rows": "a walk down, at every node in proportion to what flows in",
}


@dataclass(frozen=True, eq=False)
class PathSummary:
    """The paths into the last token of a run: plain numbers and words, ready to print.

    Attributes:
        title: What was asked about, in words.
        by: "frozen" or "contribution".
        tokens: The text's tokens.
        ways: How many paths there are, in words.
        by_hops: The sum of the paths with 0, 1, .. hops, in logits or shares.
        beyond: The sum of those with more.
        by_source: The sum of the paths that begin at each position.
        closing: How the sums add up, in words.
        agreement: How far parts agree or cancel, by what the parts are.
        effective: How many paths there are in effect, by the distribution.
        paths: The strong paths, strongest first.
        found_as: What the list of paths may claim, in words.
        caution: What belongs to every picture of it.
    """

    title: str
    by: str
    tokens: list[str]
    ways: str
    by_hops: list[float]
    beyond: float
    by_source: list[float]
    closing: str
    agreement: list[dict[str, Any]]
    effective: list[dict[str, Any]]
    paths: list[dict[str, Any]]
    found_as: str
    caution: str

    def json(self) -> dict[str, Any]:
        """The same as JSON."""
        return {"schema": "worldline.graph/1"} | asdict(self)


def summarize_paths(
    text: str,
    model: str | tuple[Any, Any] | LoadedModel | None = None,
    *,
    by: str = "frozen",
    target: str | int | None = None,
    versus: str | int | None = None,
    k: int = 10,
    n_drawn: int = N_DRAWN,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    progress: Callable[[str], None] | None = None,
) -> PathSummary:
    """Record `text`, sum the paths into its last token by hops and by source, list strong ones.

    Args:
        text: The text.
        model: A model's name, a (model, tokenizer) pair or a model from `load_model`; by default
            the bundled one.
        by: "frozen" (paths to a target, in logits) or "contribution" (products of shares, without
            a target).
        target: The token whose logit is summed (by default the likeliest next one).
        versus: A second token: the difference of the two logits is summed.
        k: How many paths to list.
        n_drawn: By frozen, how many paths are drawn to estimate how far single ones agree.
        device: Where a model that is named runs.
        dtype: In what it computes.
        progress: Called with a line whenever work goes on.

    Returns:
        Sums by hops and by source, how far they agree, and the strong paths.

    Raises:
        InputError: what was given cannot be used.
        RefusedError: the model failed a check; no number is given.

    Exactness: sums are exact up to rounding; what is drawn is an estimate and says so.
    """
    if isinstance(model, LoadedModel):
        refuse_another(model, device=device, dtype=dtype)
    else:
        model = load_model(model, device=device, dtype=dtype, progress=progress)
    refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
    if progress is not None:
        progress("recording")
    trace = record(model, text)
    if progress is not None:
        progress("following paths")
    return summary_of(trace, by=by, target=target, versus=versus, k=k, n_drawn=n_drawn)


def paths_of(
    trace: Trace, target: Target | None, with_paths: bool | None, progress: Callable[[str], None]
) -> PathSummary | str:
    """The paths of a run by frozen for a target, by contribution without; or why they are left out.

    `with_paths=None` leaves them out of texts over `LONGEST_FOLLOWED` tokens: there following takes
    longer than all the rest.
    """
    if with_paths is False:
        return "not asked for"
    if with_paths is None and trace.n_pos > LONGEST_FOLLOWED:
        return f"{trace.n_pos} tokens: paths of over {LONGEST_FOLLOWED} are followed when asked for"
    progress("following paths")
    try:
        return _shares(trace, N_PATHS) if target is None else _frozen_to(trace, target, N_PATHS)
    except RefusedError as error:
        return str(error)


def summary_of(
    trace: Trace,
    *,
    by: str = "frozen",
    target: str | int | None = None,
    versus: str | int | None = None,
    k: int = 10,
    n_drawn: int = 0,
) -> PathSummary:
    """The paths into the last token, summed and the strong ones listed.

    By frozen, how far single paths agree is estimated from `n_drawn` of them.

    Raises:
        InputError: an unknown method, k below 1, a target that is not one token.
    """
    if by == "frozen":
        return _frozen_to(trace, target_of(trace, target, versus), k, n_drawn)
    if by == "contribution":
        return _shares(trace, k)
    raise InputError(f"by={by!r}: accepted are frozen, contribution")


def _frozen_to(trace: Trace, target: Target, k: int, n_drawn: int = 0) -> PathSummary:
    run = frozen_of(trace, target)
    spectrum, found_paths = hops_in(run, trace, target), found_in(run, target, k)
    remainder = spectrum.target_value - float(spectrum.by_hops.sum()) - spectrum.beyond
    by_source = spectrum.by_source.sum(0)
    groups = [("hop counts", spectrum.by_hops), ("source tokens", by_source)]
    agreement = [_agreement(interference(v, grouping=name)) for name, v in groups]
    if n_drawn:
        agreement.append(_sampled_agreement(sample_in(run, target, n_drawn)))
    words = trace.tokens.pieces
    return PathSummary(
        title=f"All paths to the {target_words(target)} = {spectrum.target_value:+.3f} logits",
        by="frozen",
        tokens=list(words),
        ways=_ways(trace),
        by_hops=spectrum.by_hops.tolist(),
        beyond=spectrum.beyond,
        by_source=by_source.tolist(),
        closing=f"of {spectrum.target_value:+.3f}; remainder, carried by no path: {remainder:+.1e}",
        agreement=agreement,
        effective=_effective(path_grid(flow_in(run, trace, target, 0)), ["rows"]),
        paths=[_path(p.nodes, p.weight, [*p.reads], words) for p in found_paths.paths],
        found_as=_found_as(found_paths),
        caution=spectrum.caution,
    )


def _found_as(found_paths: FoundPaths) -> str:
    """What the list of paths may claim."""
    if found_paths.bound is None:
        n_followed = found_paths.n_followed
        claim = f"Strong paths found (of {n_followed} followed; no bound on those not found)"
    else:
        most = f"more than {found_paths.bound:.3g}" if found_paths.bound else "anything"
        claim = f"The strongest paths (no other carries {most})"
    part = (
        "of a target of 0"
        if found_paths.share is None
        else f"{found_paths.share:.0%} of the target"
    )
    return f"{claim}, each head a road; together {part}"


def _shares(trace: Trace, k: int) -> PathSummary:
    grid, end = path_grid(trace), Node(layer=trace.n_layers, pos=trace.n_pos - 1)
    spectrum, total = weighted.hop_sums(grid, None, end), weighted.sum_paths(grid, None, end)
    by_source = spectrum.signed_by_source.sum(0)
    groups = [("hop counts", spectrum.signed), ("source tokens", by_source)]
    agreement = [_agreement(interference(values, grouping=name)) for name, values in groups]
    agreement.append(_agreement(target_interference(grid, None, end)))
    top = top_paths(grid, target=end, k=k)
    return PathSummary(
        title="All paths from row 0 to the last token's last state, by products of shares",
        by="contribution",
        tokens=list(trace.tokens.pieces),
        ways=_ways(trace),
        by_hops=spectrum.signed.tolist(),
        beyond=0.0,
        by_source=by_source.tolist(),
        closing=_closing(total.signed, total.absolute),
        agreement=agreement,
        effective=_effective(grid, ["paths", "rows"]),
        paths=[
            _path(path.nodes, path.weight, _reads(path.nodes), trace.tokens.pieces)
            for path in top.paths
        ],
        found_as=f"The strongest paths ({top.grid} grid, all heads of a hop together)",
        caution=(
            "a product of shares follows directions that lie along the state at every step; what "
            "turns on the way is not in it"
        ),
    )


def _closing(signed: float, absolute: float) -> str:
    """What shares make without signs, and what of the whole no path from row 0 brought."""
    rest = 1 - signed
    words = f"without signs {absolute:.3g}"
    if abs(rest) < SHOWN:
        return words
    return f"{words}; the rest of 1, {rest:+.3f}, began at constants on the way"


def _agreement(agreement: Interference) -> dict[str, Any]:
    chance = agreement.shuffled
    interval = None if chance is None else {"low": chance[0], "high": chance[1]}
    return asdict(agreement) | {"shuffled": interval, "estimated": None}


def _sampled_agreement(sample: FlowSample) -> dict[str, Any]:
    """How far single paths agree, as far as the drawn ones say."""
    interval, total = sample.coherence_range, sample.absolute
    return {
        "grouping": f"single paths from row 0, heads together ({sample.n} drawn)",
        "n_values": None,
        "signed": sample.signed,
        "absolute": total,
        "coherence": sample.coherence,
        "constructive": (total + abs(sample.signed)) / 2,
        "destructive": max((total - abs(sample.signed)) / 2, 0.0),
        "shuffled": None,
        "interval": f"estimate: bootstrap, seed {sample.seed}; the draws make "
        f"{sample.signed_estimate:+.3g} of the sum {sample.signed:+.3g}",
        "estimated": None if interval is None else {"low": interval[0], "high": interval[1]},
    }


def _effective(grid: WeightedGrid, ways: Sequence[str]) -> list[dict[str, Any]]:
    """How many paths there are in effect, by each named distribution."""
    end, entries = Node(layer=grid.n_layers, pos=grid.n_pos - 1), []
    for normalise in ways:
        try:
            path_count = effective_paths(grid, None, end, normalise=normalise)
        except InputError:  # nothing flows: there is no path to count
            continue
        entries.append(
            {
                "normalise": normalise,
                "of": WALKS[normalise],
                "effective": path_count.effective,
                "entropy_nats": path_count.entropy_nats,
            }
        )
    return entries


def _ways(trace: Trace) -> str:
    """Paths from row 0 to the last node of the full grid, one edge per layer, source and target."""
    return str(comb(trace.n_pos - 1 + trace.n_layers, trace.n_layers))


def _reads(nodes: Sequence[Node]) -> list[Hop]:
    """The hops of a path on a grid of all heads together."""
    return [Hop(a.layer, -1) for a, b in pairwise(nodes) if a.pos != b.pos]


def _path(
    nodes: Sequence[Node], weight: float, reads: Sequence[Hop], words: Sequence[str]
) -> dict[str, Any]:
    return {
        "weight": weight,
        "hops": len(reads),
        "nodes": [{"layer": node.layer, "pos": node.pos} for node in nodes],
        "reads": [
            {"layer": hop.layer, "head": None if hop.head < 0 else hop.head} for hop in reads
        ],
        "words": _words(nodes, reads, words),
    }


def _words(nodes: Sequence[Node], reads: Sequence[Hop], pieces: Sequence[str]) -> str:
    """Where a path begins and where it hops: token, and the layer and head of each read."""
    parts = [_name(pieces, nodes[0].pos)]
    hop_positions = [above.pos for below, above in pairwise(nodes) if below.pos != above.pos]
    for hop, pos in zip(reads, hop_positions, strict=True):
        where = f"{hop.layer}" if hop.head < 0 else f"{hop.layer}.{hop.head}"
        parts.append(f"→ {where} → {_name(pieces, pos)}")
    return " ".join(parts)


def _name(pieces: Sequence[str], pos: int) -> str:
    return f"{pieces[pos].strip() or repr(pieces[pos])}({pos})"
