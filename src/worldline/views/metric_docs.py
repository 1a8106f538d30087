"""Every number that the page names: its formula, unit and exactness, as records.

The one place that says so. Words in braces differ from Scene to Scene;
``number_records.py`` fills them.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOSED = "exact sum; the terms of a node add up to {tolerance} in {dtype}"
SIX = "six digits kept"
COUNTERFACTUAL = (
    "exact counterfactual, up to rounding: the floor of equivalent runs of this text, and the "
    "resolution of the dtype of the logits; what is under either is said to be so"
)
ATTRIBUTED = "sum over all edges, exact up to rounding; each edge: {weight_exactness}"
PATHS_SUM = "exact sum over all paths, up to rounding of {dtype}"
COUNT = "integer-exact"
LENS_SOURCE = "nostalgebraist, interpreting GPT: the logit lens (2020)"
SEMIRING_SOURCE = "Li and Eisner, First- and second-order expectation semirings (2009)"


@dataclass(frozen=True)
class Meaning:
    """One record: `needs` names the part of a Scene it belongs to, `of` what Python calls it."""

    needs: str
    title: str
    formula: str
    unit: str
    exactness: str
    kind: str
    of: str
    source: str | None = None


def _share(title: str, term: str, name: str) -> Meaning:
    formula = f"<c, y> / <y, y>, c = {term}, y = x[l+1, j]"
    unit = "share of the node; all terms of a node add up to 1"
    return Meaning("shares", title, formula, unit, CLOSED, "scene", f"nodes.shares.{name}")


def _flow(title: str, formula: str, name: str) -> Meaning:
    return Meaning(
        "flow", title, formula, "{weight_unit}", ATTRIBUTED, "scene", f"flow.{name}".rstrip(".")
    )


def _hops(title: str, formula: str, unit: str, exactness: str, of: str) -> Meaning:
    return Meaning("hops", title, formula, unit, exactness, "hops", of)


def _cut(title: str, formula: str, unit: str, of: str) -> Meaning:
    return Meaning("cut", title, formula, unit, COUNTERFACTUAL, "cut", of)


def _cone(title: str, formula: str, unit: str, exactness: str, of: str) -> Meaning:
    return Meaning("cone", title, formula, unit, exactness, "cone", of)


def _order(title: str, formula: str, unit: str, exactness: str, of: str = "orders") -> Meaning:
    return Meaning("orders", title, formula, unit, exactness, "orders", of)


def _count(title: str, formula: str, unit: str, of: str) -> Meaning:
    return Meaning("edges", title, formula, unit, COUNT, "json", of)


def _group_total(title: str, formula: str, name: str) -> Meaning:
    of = f"groupings[0].{name}"
    return Meaning("groups", title, formula, "{weight_unit}", ATTRIBUTED, "scene", of)


def _path(title: str, formula: str, unit: str, exactness: str, of: str, source=None) -> Meaning:
    return Meaning("paths", title, formula, unit, exactness, "json", f"paths.{of}", source)


_NO_SIGNS = "sum of |weight| over {}, over that of all edges of the run"
MEANINGS: dict[str, Meaning] = {
    # edges
    "weight": Meaning(
        "edges",
        "Weight of a K/V edge",
        "{weight_formula}",
        "{weight_unit}",
        "{weight_exactness}",
        "json",
        "edges",
    ),
    "widest": Meaning(
        "edges",
        "Size of the strongest edge that may be drawn; a width is the square root of a size",
        "|w|, w = {weight_formula}",
        "{weight_unit}",
        "{weight_exactness}",
        "json",
        "edges[0].weight",
    ),
    "drawn_edges": _count(
        "Edges drawn", "the strongest n by |weight|, n from the slider", "edges", "coverage.edges"
    ),
    "listed_edges": _count(
        "Edges of this node in the file", "how many of the edges kept", "edges", "coverage.edges"
    ),
    "all_edges": _count(
        "Edges of the run",
        "layers x heads x pairs of columns (source < destination) that the masks allow",
        "edges",
        "coverage.of",
    ),
    "edge_rank": _count("Rank of the edge", "1 for the largest |weight|", "place", "edges"),
    "flow_share": Meaning(
        "edges",
        "Part of the flow that is drawn",
        _NO_SIGNS.format("the edges drawn"),
        "part of 1",
        ATTRIBUTED,
        "json",
        "coverage",
    ),
    "edge_share": Meaning(
        "edges",
        "Part of the flow in this edge",
        _NO_SIGNS.format("this edge alone"),
        "part of 1",
        ATTRIBUTED,
        "json",
        "coverage",
    ),
    "within_positive": _group_total(
        "Constructive reads inside groups",
        "sum of w > 0 over edges whose two tokens are of one group",
        "within_positive",
    ),
    "within_negative": _group_total(
        "Destructive reads inside groups",
        "sum of w < 0 over edges whose two tokens are of one group",
        "within_negative",
    ),
    "constructive": _group_total(
        "Constructive part of a group edge",
        "sum of w > 0 over all heads and all pairs of tokens of the two groups",
        "edges[0].positive",
    ),
    "destructive": _group_total(
        "Destructive part of a group edge",
        "sum of w < 0 over all heads and all pairs of tokens of the two groups",
        "edges[0].negative",
    ),
    "closure": Meaning(
        "edges",
        "Closure: the worst error with which a node is the sum of its terms",
        "max over the nodes that are named of |y - sum of terms| / |y|",
        "relative to the node's norm",
        "measured on this run; at most {tolerance} in {dtype}, else the run is refused; only over "
        "heads and sources is it closure, over terms what the model added is added again",
        "json",
        "closure_error",
    ),
    # predictions and nodes
    "prediction": Meaning(
        "predictions",
        "Log-probability of the next token; its exponential is shown",
        "log softmax(logits at the last column)[token]",
        "nats",
        "of logits bitwise equal to the plain run's; the logarithm in float64",
        "json",
        "predictions",
    ),
    "lens": Meaning(
        "lens",
        "Logit lens: what the node would predict if it were decoded here; shown as a probability",
        "log softmax(unembed(ln_final(x[l, j])))[token]",
        "nats",
        f"on the last row the model's own logits, bitwise; {SIX}",
        "scene",
        "nodes.lens",
        LENS_SOURCE,
    ),
    "norm": Meaning(
        "nodes",
        "Norm of the residual stream at this node",
        "||x[l, j]||",
        "as the residual stream",
        f"of the model's own values, up to rounding of {{dtype}}; {SIX}",
        "scene",
        "nodes.norm",
    ),
    "writes_agree": Meaning(
        "agree",
        "How far what the block writes here points one way",
        "||sum of c|| / sum of ||c||, c each head and every other term but the skip connection",
        "none; 1 all agree, near 0 they cancel",
        "the terms of a node add up to {tolerance} in {dtype}",
        "scene",
        "nodes.writes_agree",
    ),
    "skip": _share("Share of the skip connection", "what passes on of x[l, j]", "skip"),
    "mlp": _share("Share of the MLP", "the MLP's term", "mlp"),
    "self_attention": _share(
        "Share of self-attention", "all heads' reads of column j itself", "self_attention"
    ),
    "kv": _share("Share of K/V reads", "all heads' reads of earlier columns", "kv"),
    "constants": _share("Share of constants", "biases and other constants", "constants"),
    "other": _share("Share from elsewhere", "what enters from beside the node below", "other"),
    "in_positive": _flow(
        "Constructive reads written here", "sum of w > 0 over edges into it", "in_positive"
    ),
    "in_negative": _flow(
        "Destructive reads written here", "sum of w < 0 over edges into it", "in_negative"
    ),
    "in_net": _flow("Net of the reads written here", "sum of w over edges into it", ""),
    "out_positive": _flow(
        "Constructive reads of this node", "sum of w > 0 over edges out of it", "out_positive"
    ),
    "out_negative": _flow(
        "Destructive reads of this node", "sum of w < 0 over edges out of it", "out_negative"
    ),
    "out_net": _flow("Net of the reads of this node", "sum of w over edges out of it", ""),
    # paths
    "ways": _path(
        "Paths of the full grid",
        "C(T - 1 + L, L): one edge per layer, source and target; T tokens, L layers",
        "paths",
        COUNT,
        "ways",
    ),
    "hops": _path(
        "What all paths with so many hops bring",
        "coefficient of z^h in one backward sweep that marks every hop with z",
        "{paths_unit}",
        PATHS_SUM,
        "by_hops",
    ),
    "path": _path(
        "Weight of one path",
        "product over its steps of what each passes on",
        "{paths_unit}",
        "weight exact up to rounding; {paths_listed}",
        "paths",
    ),
    "coherence": _path(
        "Coherence: how far the parts of one sum agree",
        "|sum v| / sum |v| over the grouping that is named",
        "none; 1 all agree, near 0 they cancel",
        "sums rounded once; an estimate, with its interval, where paths were drawn",
        "agreement",
    ),
    "coherence_interval": _path(
        "What the coherence is compared with, or how sure it is",
        "2.5 % and 97.5 % quantiles: over random signs of the same sizes, or of the estimate",
        "none",
        "exact by enumeration up to 12 values, an estimate beyond",
        "agreement",
    ),
    "effective": _path(
        "Paths in effect",
        "exp H, H = -sum p log p over the distribution that is named",
        "paths",
        "closed to L x T x 2^-53 of H, in float64",
        "effective",
        SEMIRING_SOURCE,
    ),
    # runs that never happened
    "loss_full_nats": _hops(
        "Loss with any number of hops",
        "mean of -log p(token) over all tokens but the first",
        "nats per token",
        "the model's own run, up to rounding",
        "loss_full_nats",
    ),
    "loss_nats": _hops(
        "Loss with at most so many hops",
        "the same mean, where copy b reads K and V of copy b - 1",
        "nats per token",
        COUNTERFACTUAL,
        "loss_nats",
    ),
    "hop_budget": _hops(
        "Hop budget", "how many hops information may make", "hops", COUNT, "budgets"
    ),
    "hops_needed": _hops(
        "Hops needed",
        "the least h from which on, at every budget, the predicted token is the full model's; "
        "tokens whose logits are no further apart than rounding are both predicted",
        "hops",
        f"an integer, read off runs that are each an {COUNTERFACTUAL}",
        "hops_needed",
    ),
    "state_gain_nats": _hops(
        "State gain: a bound from above on what reading past inner states is worth",
        "loss(1) - loss(all); it includes the cost of being off the model's distribution",
        "nats per token",
        COUNTERFACTUAL,
        "state_gain_nats",
    ),
    "target_nats": _cut(
        "Log-probability of the target", "log softmax(logits)[target]", "nats", "target_before"
    ),
    "change_nats": _cut(
        "What the cut changes", "log p(target) after - before", "nats", "change_nats"
    ),
    "kl_nats": _cut("How far the whole prediction moved", "KL(before || after)", "nats", "kl_nats"),
    "versus_logits": _cut(
        "Logit of the target less that of the other token",
        "logits[target] - logits[versus]",
        "logits",
        "logits_before",
    ),
    "change_logits": _cut(
        "What the cut changes of it",
        "(logits[target] - logits[versus]) after - before",
        "logits",
        "change_logits",
    ),
    "prediction_before": _cut(
        "Log-probability without the cut; its exponential is shown",
        "log softmax(logits)[token]",
        "nats",
        "before",
    ),
    "prediction_after": _cut(
        "Log-probability with the cut; its exponential is shown",
        "log softmax(logits)[token]",
        "nats",
        "after",
    ),
    "source_lost_nats": Meaning(
        "sources",
        "What the answer loses without all reads of one token",
        "log p(target) before - after every K/V edge out of its column is cut, in all heads: "
        "minus change_nats",
        "nats",
        COUNTERFACTUAL + "; such losses do not add up over tokens",
        "sources",
        "change_nats",
    ),
    "relative_change": _cone(
        "Response to the perturbation",
        "|change of x[l, j]| / ||x[l, j]||, mean over directions",
        "relative to the node's norm",
        "exact counterfactual of a finite step; exact zero outside the cone (bitwise)",
        "relative",
    ),
    "n_directions": _cone(
        "Directions perturbed in", "drawn at random", "directions", COUNT, "n_directions"
    ),
    "perturbation_step": _cone(
        "Size of the perturbation",
        "|perturbation| / ||x[l, j]||",
        "relative to the norm",
        "as given",
        "step",
    ),
    "derivative_error": _cone(
        "How far the finite step is from the derivative",
        "|change - forward-mode derivative| / |derivative| at the last row, mean over directions",
        "relative",
        "measured",
        "derivative_error",
    ),
    "additivity_error": _cone(
        "How far both highways are from adding up",
        "|d residual + d kv - d both| / |d both|, the worst direction",
        "relative",
        "measured on derivatives; 0 up to rounding is expected",
        "additivity_error",
    ),
    "n_slices": _order("Slices", "sets of blocks that run at once", "slices", COUNT),
    "widest_slice": _order("Widest slice", "most blocks in one slice", "blocks", COUNT),
    "longest_chain": _order(
        "Critical path", "longest chain of blocks that wait for each other", "blocks", COUNT
    ),
    "blocks_run": _order("Blocks executed", "blocks run / all L x T blocks", "part of 1", COUNT),
    "order_seconds": _order(
        "Time", "wall time of one execution", "seconds", "measured once, on this machine"
    ),
    "order_nats": _order(
        "Largest difference from the plain run",
        "max |log p - log p of the plain run|",
        "nats",
        "measured; within the floor, or the model is refused",
    ),
    "order_ulp": _order(
        "The same, in units in the last place",
        "max |logit - plain logit| / ulp at the largest |logit|",
        "ulp",
        "measured",
    ),
    "floor_nats": _order(
        "Floor: how far equivalent plain runs differ",
        "root of the sum of squares of max |log p - plain log p|: side by side, attention anew, "
        "token by token",
        "nats",
        "measured on this text",
        "floor_nats",
    ),
}
