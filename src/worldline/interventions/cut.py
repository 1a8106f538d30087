"""Before and after a cut: next tokens, the target's log-probability, and how two cuts interact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import hypot
from typing import TYPE_CHECKING, Any

import torch

from worldline.errors import InputError, RefusedError
from worldline.graph.edits import EdgeCut, Intervention, NodeCut, PatchSource, edits_of
from worldline.models.model_calls import on_model
from worldline.models.positions import fixed_length
from worldline.models.validation import checked_report
from worldline.number_spans import ranges_text
from worldline.resolution import Precision, of_sum
from worldline.runs.execution import execute, execute_many
from worldline.runs.noise_floor import plain_row
from worldline.runs.plain_run import plain_run
from worldline.runs.plan import Plan
from worldline.runs.recorder import predictions_of, tokens_to_run
from worldline.tokens.spans import counterparts
from worldline.tokens.targets import likelier_twin, refuse_itself, refuse_targets
from worldline.tokens.tokens import Tokens, names_of, token_id

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Prediction

LARGEST_DRAWN = 2000
TOKENS_AT_ONCE = 1024  # of runs side by side, where each token is cut: more gain nothing


@dataclass(frozen=True, eq=False)
class CutResult:
    """What a set of cuts did to the prediction after the last token.

    Attributes:
        tokens: The text.
        plan: The cuts.
        target: The token that is asked about.
        versus: The token that it is compared with; None for none.
        target_before: The target's log-probability without the cuts, in nats.
        target_after: The same with them; `change_nats` is the difference, negative where the cut
            took the target away.
        logits_before: The target's logit (less that of `versus`) without the cuts.
        change_logits: The change of that.
        kl_nats: KL(before || after) over all next tokens.
        precision: For each of the three changes, what it has to exceed to be more than rounding.
        before: The likeliest next tokens without the cuts.
        after: The same with them.
        n_layers: Blocks of the model.
        powerless: Why the cut cannot change anything, so that all three are exactly 0; else None.
        note: What should be known of the target that was named.
    """

    tokens: Tokens
    plan: Plan
    target: str
    versus: str | None
    target_before: float
    target_after: float
    logits_before: float
    change_logits: float
    kl_nats: float
    precision: dict[str, Precision]
    before: list[Prediction]
    after: list[Prediction]
    n_layers: int
    powerless: str | None = None
    note: str | None = None

    @property
    def change_nats(self) -> float:
        """What the target's log-probability gained."""
        return self.target_after - self.target_before

    def json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "schema": "worldline.cut/1",
            "tokens": list(self.tokens.pieces),
            "plan": self.plan.json(),
            "words": in_words(self.plan),
            "target": self.target,
            "versus": self.versus,
            "target_before": self.target_before,
            "target_after": self.target_after,
            "change_nats": self.change_nats,
            "logits_before": self.logits_before,
            "change_logits": self.change_logits,
            "kl_nats": self.kl_nats,
            "precision": {name: entry.json() for name, entry in self.precision.items()},
            "powerless": self.powerless,
            "note": self.note,
            "before": [asdict(prediction) for prediction in self.before],
            "after": [asdict(prediction) for prediction in self.after],
        }


@dataclass(frozen=True, eq=False)
class SourceEffects:
    """What is lost where every read of one token is cut, token by token.

    `change_nats[i]` is what the target's log-probability gains without all reads of token i, and
    `after[i]` the likeliest next token then; exactly 0 where no read of the token can reach the
    answer (`powerless`), and None for the last, which nobody reads. `precision` says what a change
    has to exceed to be more than rounding. `note` as `CutResult`.
    """

    tokens: Tokens
    how: str
    target: str
    target_before: float
    change_nats: tuple[float, ...]
    precision: Precision
    after: tuple[Prediction | None, ...]
    powerless: tuple[int, ...] = ()
    note: str | None = None

    def json(self) -> dict[str, Any]:
        """As plain numbers."""
        after = [None if prediction is None else asdict(prediction) for prediction in self.after]
        head = {"schema": "worldline.sources/1", "tokens": list(self.tokens.pieces)}
        return head | self.scene() | {"after": after}

    def scene(self) -> dict[str, Any]:
        """What the picture shows of it."""
        names = ("how", "target", "target_before", "change_nats", "powerless", "note")
        after = [None if prediction is None else asdict(prediction) for prediction in self.after]
        scene_data = {name: getattr(self, name) for name in names} | {"after": after}
        return scene_data | {"precision": {"change_nats": self.precision.json()}}


@dataclass(frozen=True)
class Interaction:
    """Two sets of cuts, alone and together, on the target's logit (less that of `versus`).

    Attributes:
        target: The token that is asked about.
        first: How much the target loses by the first set, in logits.
        second: How much by the second.
        together: How much by both.
        interaction: first + second - together.
        precision: What each of the four has to exceed to be more than rounding, by its name.
        word: "redundant" where each can do without the other's help, "in series" where both lie on
            the same ways; None where no such word may be said: two masks in one row of a pattern,
            or an interaction or a joint loss that is no more than rounding.
    """

    target: str
    first: float
    second: float
    together: float
    interaction: float
    precision: dict[str, Precision]
    word: str | None


@on_model
def cut(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    edits: Intervention | Iterable[Intervention],
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
) -> CutResult:
    """Run a text with and without `edits`, and compare what follows its last token.

    Edits are attention knockout and zero ablation of K/V edges, zero and mean ablation of nodes,
    activation patching of either from another run, and vectors added to nodes (steering).

    Args:
        model: A model from `load_model`.
        text: The text of the clean run, or its tokens or ids.
        edits: `EdgeCut` and `NodeCut` values, one or several.
        target: The token that is looked at (default: the likeliest next one of the uncut run).
        versus: A second token: logits are the difference to its logit.

    Returns:
        The log-probability of the target before and after, the change of its logit, the KL
        divergence over all next tokens, and what each has to exceed to be more than rounding.

    Raises:
        InputError: edits outside the text or the model, or in conflict; no edit at all.
        RefusedError: the model failed a check, or a layer cannot be cut.

    Exactness: both runs are exact up to the rounding of two equivalent runs. Units: nats, logits.
    """
    tokens = tokens_to_run(model, text)
    plan = Plan(tokens.ids, edits_of(edits))
    if plan.plain:
        raise InputError("a cut: name at least one edge, span or node")
    refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
    logits, reach = plain_run(model, tokens.ids)
    before, after = logits[-1], execute(model, plan).logits[0, -1]
    target_id, versus_id = targets(model, before, target, versus)
    row = plain_row(model, tokens.ids, before)
    powerless = reach.why_powerless(plan.edits)
    if powerless is not None:
        _refuse_felt(
            row.of_logprob(target_id, after),
            _logprob(after, target_id) - _logprob(before, target_id),
        )
        after = before
    logprobs = [torch.log_softmax(last_logits.double(), -1) for last_logits in (before, after)]
    chance = logprobs[0].exp()
    kl = torch.where(chance > 0, chance * (logprobs[0] - logprobs[1]), 0.0).sum()
    value = _value(before, target_id, versus_id)
    return CutResult(
        tokens=tokens,
        plan=plan,
        target=names_of(model.tokenizer, [target_id])[0],
        versus=None if versus_id is None else names_of(model.tokenizer, [versus_id])[0],
        target_before=float(logprobs[0][target_id]),
        target_after=float(logprobs[1][target_id]),
        logits_before=value,
        change_logits=_value(after, target_id, versus_id) - value,
        kl_nats=max(float(kl), 0.0),
        precision={
            "change_nats": row.of_logprob(target_id, after),
            "change_logits": row.of_logit(target_id, versus_id, after),
            "kl_nats": row.of_kl(after),
        },
        before=predictions_of(model, before),
        after=predictions_of(model, after),
        n_layers=checked_report(model).n_layers,
        powerless=powerless,
        note=likelier_twin(model.tokenizer, chances(before), target, versus),
    )


@on_model
def cut_sources(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    *,
    how: str = "mask",
    target: str | int | None = None,
    progress: Callable[[str], None] | None = None,
) -> SourceEffects:
    """Cut all reads of one token, in all layers and heads, for each token in turn.

    One run for every token but the last. Effects of single tokens do not add up: what two tokens
    carry alike is lost only with both.

    Exactness: as `cut`. Units: nats.

    Raises:
        InputError: how is not mask or zero; a target that is not one token.
        RefusedError: as `cut`.
    """
    if how not in ("mask", "zero"):
        raise InputError(f"how={how!r}: accepted are mask, zero")
    tokens = tokens_to_run(model, text)
    refuse_targets(model.tokenizer, target, n_rows=model.n_rows)
    n = len(tokens) - 1
    say = progress or (lambda _line: None)
    plans = [Plan(tokens.ids, frozenset([EdgeCut(how, src=(pos,))])) for pos in range(n)]
    say(f"cutting each of {n} tokens")
    logits, reach = plain_run(model, tokens.ids)
    target_id, _ = targets(model, logits[-1], target, None)
    run_logits = execute_many(
        model, [Plan(tokens.ids), *plans], last=True,
        batch=max(1, min(32, TOKENS_AT_ONCE // (n + 1))),
        on_done=lambda k: say(f"{k} of {n + 1} runs"),
    )  # fmt: skip
    before, *cuts = (run[-1] for run in run_logits)  # side by side with what it is compared with
    precision = plain_row(model, tokens.ids, logits[-1]).of_logprob(target_id, *cuts)
    changes = [_logprob(cut_logits, target_id) - _logprob(before, target_id) for cut_logits in cuts]
    powerless = [at for at, plan in enumerate(plans) if reach.why_powerless(plan.edits)]
    for at in powerless:
        _refuse_felt(precision, changes[at])
        changes[at], cuts[at] = 0.0, before
    return SourceEffects(
        tokens=tokens,
        how=how,
        target=names_of(model.tokenizer, [target_id])[0],
        target_before=_logprob(before, target_id),
        change_nats=(*changes, 0.0),
        precision=precision,
        after=(*(predictions_of(model, cut_logits)[0] for cut_logits in cuts), None),
        powerless=(*powerless, n),
        note=likelier_twin(model.tokenizer, chances(before), target),
    )


@on_model
def interaction(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    first: Intervention | Iterable[Intervention],
    second: Intervention | Iterable[Intervention],
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
) -> Interaction:
    """How two sets of cuts act together: D(first) + D(second) - D(both), D what the target loses.

    Args:
        model: A model from `load_model`.
        text: The text, or its tokens or ids.
        first: One set of cuts.
        second: The other set.
        target: The token whose logit is looked at (default: the likeliest next one).
        versus: A second token: the difference of the two logits is looked at.

    Returns:
        What the target loses by each set and by both, and the difference.

    Raises:
        InputError: as `cut`; the two sets in conflict.
        RefusedError: as `cut`.

    Exactness: as `cut`. Units: logits.
    """
    tokens = tokens_to_run(model, text)
    first_edits, second_edits = edits_of(first), edits_of(second)
    if not first_edits or not second_edits:
        raise InputError("an interaction: name at least one cut on either side")
    refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
    edit_sets = (frozenset(), first_edits, second_edits, first_edits | second_edits)
    plans = [Plan(tokens.ids, edits) for edits in edit_sets]
    plain, *cuts = (run_logits[-1] for run_logits in execute_many(model, plans, batch=4, last=True))
    target_id, versus_id = targets(model, plain, target, versus)
    plain_value = _value(plain, target_id, versus_id)
    first_loss, second_loss, joint_loss = (
        plain_value - _value(logits, target_id, versus_id) for logits in cuts
    )
    interaction_logits = first_loss + second_loss - joint_loss
    word = None
    row = plain_row(model, tokens.ids, plain)
    losses = [row.of_logit(target_id, versus_id, cut_logits) for cut_logits in cuts]
    precision = {
        "first": losses[0],
        "second": losses[1],
        "together": losses[2],
        "interaction": of_sum(losses),
    }
    if (
        _may_be_worded(first_edits, second_edits, len(tokens))
        and precision["interaction"].tells(interaction_logits)
        and precision["together"].tells(joint_loss)
    ):
        word = "redundant" if interaction_logits * joint_loss < 0 else "in series"
    name = names_of(model.tokenizer, [target_id])[0]
    return Interaction(
        name, first_loss, second_loss, joint_loss, interaction_logits, precision, word
    )


def patch_source_of(
    model: LoadedModel, tokens: Tokens, text: str, align: str | None = None
) -> PatchSource:
    """Another text to patch from, its positions matched with this one's.

    Raises InputError for an empty text, and another length without an alignment.
    """
    theirs = tokens_to_run(model, text)
    limit = fixed_length(model.module)
    if limit is not None and len(theirs) != len(tokens) and max(len(theirs), len(tokens)) > limit:
        raise InputError(
            f"patch: beyond {limit:,} tokens this model's positions depend on the text's length; "
            f"accepted is a text of {len(tokens):,} tokens, this one has {len(theirs):,}"
        )
    return PatchSource(tuple(theirs.ids), counterparts(tokens, theirs, align))


def in_words(plan: Plan) -> list[str]:
    """The edits of a plan, one line each."""
    return sorted(_edge_words(e) if isinstance(e, EdgeCut) else _node_words(e) for e in plan.edits)


def cut_scene(cut_result: CutResult) -> dict[str, Any]:
    """What the picture shows of it."""
    n_pos = len(cut_result.tokens)
    edges, nodes, n_edges = [], [], 0
    for edit in sorted(cut_result.plan.edits, key=repr):
        if isinstance(edit, NodeCut):
            where = range(n_pos) if edit.positions is None else edit.positions
            nodes += [{"layer": row, "pos": pos} for row in edit.rows for pos in where]
            continue
        for src, dst in edit.pairs(n_pos):
            for layer in edit.layers or range(cut_result.n_layers):
                for head in edit.heads or (None,):
                    n_edges += 1
                    if src != dst and len(edges) < LARGEST_DRAWN:
                        edges.append({"layer": layer, "head": head, "src": src, "dst": dst})
    result_json = cut_result.json()
    names = ("words", "target", "versus", "target_before", "target_after", "change_nats")
    more = ("logits_before", "change_logits", "kl_nats", "precision", "powerless", "note")
    scene_part = {name: result_json[name] for name in (*names, *more, "before", "after")}
    return scene_part | {"n_edges": n_edges, "edges": edges, "nodes": nodes}


def targets(
    model: LoadedModel, logits: Tensor, target: str | int | None, versus: str | int | None
) -> tuple[int, int | None]:
    """Ids of what is asked; by default the likeliest next token.

    Raises InputError for what is not one token, and one token held against itself.
    """

    def id_of(name: str, token: str | int) -> int:
        return token_id(model.tokenizer, token, len(logits), name)

    target_id = int(logits.argmax()) if target is None else id_of("target", target)
    versus_id = None if versus is None else id_of("versus", versus)
    refuse_itself(model.tokenizer, target_id, versus_id)
    return target_id, versus_id


# A batch of cuts may round otherwise than the two copies that the floor is taken from: a tiny
# windowed model moved by 8.7e-07 nats, over its floor, where nothing can reach. Four is no measure.
FELT = 4


def _refuse_felt(precision: Precision, change: float) -> None:
    """Raise where a cut of what reaches nothing was felt: the graph is not the whole model."""
    if precision.tells(change / FELT):
        raise RefusedError(
            f"a cut from which no K/V edge leads to the last token moved it by {change:+.1e} nats: "
            "this model moves information by other ways"
        )


def chances(logits: Tensor) -> Callable[[int], float]:
    """The log-probability of a token, by its id."""
    logprobs = torch.log_softmax(logits.double(), -1)
    return lambda token: float(logprobs[token])


def _logprob(logits: Tensor, token: int) -> float:
    return float(torch.log_softmax(logits.double(), -1)[token])


def _value(logits: Tensor, target: int, versus: int | None) -> float:
    value = logits.double()
    return float(value[target] - (0.0 if versus is None else value[versus]))


def _may_be_worded(
    first: frozenset[Intervention], second: frozenset[Intervention], n_pos: int
) -> bool:
    """Whether no two masks or patches share a row of a pattern, where they move each other."""
    for a in first:
        for b in second:
            if not isinstance(a, EdgeCut) or not isinstance(b, EdgeCut):
                return False
            if a.how == b.how == "zero":
                continue
            apart = (
                _apart(a.layers, b.layers)
                or _apart(a.heads, b.heads)
                or not {dst for _, dst in a.pairs(n_pos)} & {dst for _, dst in b.pairs(n_pos)}
            )
            if not apart:
                return False
    return True


def _apart(first: Sequence[int] | None, second: Sequence[int] | None) -> bool:
    return first is not None and second is not None and not set(first) & set(second)


def _edge_words(edit: EdgeCut) -> str:
    spans = {"layers": edit.layers, "heads": edit.heads, "from": edit.src, "to": edit.dst}
    parts = [
        f"{name} {'all' if span is None else ranges_text(span)}" for name, span in spans.items()
    ]
    how = edit.how if edit.parts == "kv" else f"{edit.how} {edit.parts.upper()} only"
    own_words = ", self-attention too" if edit.own else ""
    return f"{how}: {', '.join(parts)}{own_words}"


def _node_words(edit: NodeCut) -> str:
    where = "all" if edit.positions is None else ranges_text(edit.positions)
    of = ""
    if edit.how == "mean":
        of = " so far" if edit.patch_source is None else " of another text"
    if edit.vector is not None:
        of = f" by a vector of norm {hypot(*edit.vector):.3g}"
    return f"{edit.how}{of}: rows {ranges_text(edit.rows)}, positions {where}"
