"""Records one run: text in, Trace out."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from worldline.errors import InputError, RefusedError
from worldline.graph.edits import Intervention
from worldline.models.activations import Inside
from worldline.models.gradients import rerun_of
from worldline.models.identity import identify
from worldline.models.laws import (
    Report,
    closure_of,
    model_dtype,
    refuse_mixing,
    rounding_of,
    tolerance_of,
)
from worldline.models.model_calls import on_model, text_of
from worldline.models.positions import context_length
from worldline.models.row_comparison import worse
from worldline.models.terms import CONSTANTS, MLP, OTHER
from worldline.models.unembed import unembedding_numbers
from worldline.models.validation import anatomy_of, checked_report
from worldline.runs.execution import execute
from worldline.runs.forward_passes import inputs_of, run_plain
from worldline.runs.package_versions import versions
from worldline.runs.plan import Plan
from worldline.runs.trace import (
    INSIDE,
    KEEP,
    KEEPABLE,
    Closure,
    Inert,
    LiveBlock,
    Prediction,
    Trace,
)
from worldline.tokens.tokens import Tokens, names_of, tokenize

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent

N_PREDICTIONS = 10
CLOSE_OVER = ("terms", "sample", "sources")
NODES_CLOSED = 128  # a layer's nodes that a sample adds up, on average over the layers


class Recorder:
    """Takes blocks as they complete and keeps their arrays."""

    def __init__(
        self,
        keep: Sequence[str],
        tolerance: float,
        layers_to_close: Sequence[int] = (),
        inside: Inside | None = None,
    ):
        self.keep, self.tolerance, self.closed = keep, tolerance, layers_to_close
        self.inside = inside
        self.resid: list[Tensor] = []
        self.arrays: dict[str, list[Tensor | None]] = {}
        if "terms" in keep:
            self.arrays |= {"attn_out": [], "mlp_out": [], "constants": [], "other": []}
        if "kv" in keep:
            self.arrays |= {"k": [], "v": []}
        if "q" in keep:
            self.arrays["q"] = []
        if "rows" in keep:
            self.arrays |= {"row_max": [], "row_entropy": []}
        self.arrays |= {name: [] for name in INSIDE if name in keep}
        self.live: list[LiveBlock] = []
        self.errors: dict[int, Tensor] = {}
        self.worst = (0.0, 0, 0)
        self.n_heads = self.n_kv_heads = 0

    def on_block(self, event: BlockEvent) -> None:
        """Keep one block."""
        assert event.terms is not None
        self.resid.append(event.resid_pre[0])
        self.last = event.resid_post[0]
        self._close(event)
        for call in event.calls:
            call.release_inputs()
            self.n_heads = max(self.n_heads, call.n_heads)
            self.n_kv_heads = max(self.n_kv_heads, call.k.shape[1])
        self._keep_arrays(event)
        self.live.append(LiveBlock(event.calls, event.terms, rerun_of(event)))

    def _close(self, event: BlockEvent) -> None:
        if event.layer in self.closed:
            worst, z_error, pos = closure_of(event)
            self._note(event.layer, worse(worst, z_error), pos, event.terms or {})
        else:
            self.errors[event.layer] = self._error_of_terms(event)

    def _error_of_terms(self, event: BlockEvent) -> Tensor:
        """Relative error of every node, squared, [pos]: no number is asked for while it runs."""
        values = [term.value()[0].detach() for term in (event.terms or {}).values()]
        total = values[0] + values[1] if len(values) > 1 else values[0].clone()
        for value in values[2:]:
            total += value
        true = event.resid_post[0]
        total -= true
        if true.element_size() < 4:
            total, true = total.float(), true.float()
        return torch.linalg.vecdot(total, total) / torch.linalg.vecdot(true, true).clamp_min(1e-30)

    def finish(self) -> None:
        """All blocks have run: the last row, and the worst closure of all."""
        self.resid.append(self.last)
        if not self.errors:
            return
        measured_worst = self.worst
        worst, pos = torch.stack(list(self.errors.values())).sqrt().max(-1)
        for layer, error, at in zip(self.errors, worst.tolist(), pos.tolist(), strict=True):
            self._note(layer, error, at, list(self.live[layer].terms))
        if self.closed:  # what was added once more says nothing beside what was added up anew
            self.worst = measured_worst

    def _note(self, layer: int, worst: float, pos: int, terms: Iterable[str]) -> None:
        if not worst <= self.tolerance:
            raise RefusedError(
                f"layer {layer}, position {pos}: the terms ({', '.join(terms)}) "
                f"miss the node by {worst:.1e}, allowed are {self.tolerance:.0e}"
            )
        self.worst = max(self.worst, (worst, layer, pos))

    def _keep_arrays(self, event: BlockEvent) -> None:
        terms, calls = event.terms or {}, event.calls
        if "terms" in self.keep:
            reads = [t.value()[0].detach() for n, t in terms.items() if n.startswith("attn")]
            self.arrays["attn_out"].append(sum(reads[1:], reads[0]) if reads else None)
            for name, term in (("mlp_out", MLP), ("constants", CONSTANTS), ("other", OTHER)):
                value = terms[term].value()[0].detach() if term in terms else None
                self.arrays[name].append(value)
        for name in ("k", "v", "q"):
            if name in self.arrays:
                values = [getattr(call, name)[0] for call in calls]
                self.arrays[name].append(_join_heads(values))
        if "rows" in self.keep:
            rows = [row_statistics(call) for call in calls]
            for at, name in enumerate(("row_max", "row_entropy")):
                self.arrays[name].append(torch.cat([r[at] for r in rows]) if rows else None)
        if self.inside is not None:
            for name, values in zip(INSIDE, self.inside.take(event), strict=True):
                if name in self.arrays:
                    self.arrays[name].append(values)


def _join_heads(parts: list[Tensor]) -> Tensor | None:
    """The heads of all reads of a block: no copy where there is one read."""
    return torch.cat(parts) if len(parts) > 1 else next(iter(parts), None)


def row_statistics(call: AttentionCall) -> tuple[Tensor, Tensor]:
    """(largest weight, entropy in nats) of every row of a read's pattern, [head, pos] each."""
    n_pos, step = call.q.shape[2], call.block_rows()
    largest, entropy = [], []
    for start in range(0, n_pos, step):
        pattern = call.pattern_rows(start, min(n_pos, start + step))
        largest.append(pattern.amax(-1))
        entropy.append(-torch.special.xlogy(pattern, pattern).sum(-1))
    return torch.cat(largest, 1), torch.cat(entropy, 1)


@on_model
def record(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    keep: Sequence[str] = KEEP,
    *,
    verify: bool = False,
    close_over: str = "terms",
    seed: int | None = None,
    add_special_tokens: bool | None = None,
    edits: Iterable[Intervention] = (),
) -> Trace:
    """Run `model` on `text` once and keep both highways.

    The model is checked on a probe text first (once for the model as it is).

    Args:
        model: A model from `load_model`.
        text: The text, or its tokens or ids.
        keep: What is recorded beside the residual stream: "terms" (what attention, MLP and
            constants added), "kv" (what a KV cache holds), "q", "rows" (statistics of every pattern
            row, which costs a second Q K product), "k_unplaced" (keys before positions) and
            "mlp_hidden".
        verify: Whether the logits of this very run are compared with a plain one, no columns mix
            outside of attention on this very text, and every node is closed over heads and sources.
        close_over: "sources" closes every node over heads and sources; "sample" does so in a few
            layers; "terms" only adds up what the model added, which is no closure.
        seed: Seed of the layers of a sample (default: 0).
        add_special_tokens: Whether a BOS and the like are added (None: as the tokenizer does).
        edits: Makes it a run that never happened: its trace names the plan and can be looked at,
            not attributed. Rows are those that enter the blocks, overwritten nodes included.

    Returns:
        The recorded run.

    Raises:
        InputError: an empty text, a text over the context length, an unknown name in `keep`.
        RefusedError: a check failed: the layer, the term and the size of the error.

    Exactness: bitwise; the closure error of every node is measured and a run whose terms do not
    add up within the tolerance of the dtype is refused.
    """
    if close_over not in CLOSE_OVER:
        raise InputError(f"close_over={close_over!r}: accepted are {', '.join(CLOSE_OVER)}")
    unknown = [name for name in keep if name not in KEEPABLE]
    if unknown:
        raise InputError(f"keep={unknown[0]!r}: accepted are {', '.join(KEEPABLE)}")
    tokens = tokens_to_run(model, text, add_special_tokens)
    identity = identify(model)
    report = checked_report(model, identity)
    over = "sources" if verify else close_over
    blocks = anatomy_of(model.module).distinct_blocks()
    inside = Inside(blocks) if set(INSIDE) & set(keep) else None
    layers_to_close = closed_layers(over, report.n_layers, len(tokens), seed or 0)
    recorder = Recorder(keep, tolerance_of(model_dtype(model.module)), layers_to_close, inside)
    plan = Plan(tuple(tokens.ids), frozenset(edits))
    if not plan.plain and over != "terms":
        raise InputError("edits: a run with cuts is closed over its terms, not verified")
    if verify:
        refuse_mixing(model.module, anatomy_of(model.module), inputs_of(model, plan), report)
    with inside or nullcontext():
        run = run_plain if plan.plain else execute
        watched_run = run(model, plan, recorder.on_block)
    recorder.finish()
    if not bool(torch.isfinite(watched_run.logits[0, -1]).all()):
        raise RefusedError(
            "the logits of this run are not finite: NaN or infinity in the forward pass"
        )
    return Trace(
        tokens=tokens,
        identity=replace(
            identity,
            n_layers=len(recorder.live),
            n_heads=recorder.n_heads,
            n_kv_heads=recorder.n_kv_heads,
            d_model=recorder.last.shape[-1],
        ),
        resid=recorder.resid,
        arrays=recorder.arrays,
        predictions=predictions_of(model, watched_run.logits[0, -1]),
        closure=Closure(
            *recorder.worst,
            tolerance=recorder.tolerance,
            over="sources" if layers_to_close else "terms",
            n_nodes=len(layers_to_close) * len(tokens),
            of_nodes=report.n_layers * len(tokens),
            layers=layers_to_close if 0 < len(layers_to_close) < report.n_layers else None,
            seed=(seed or 0) if 0 < len(layers_to_close) < report.n_layers else None,
        ),
        inert=_inert(model, plan, report, watched_run if verify else None),
        versions=versions(),
        seed=seed,
        opaque_layers=tuple(report.opaque_layers),
        plan=None if plan.plain else plan.json(),
        live=recorder.live if plan.plain else None,
        unembedding=unembedding_numbers(model.module),
        model=model,
        extra={"n_vocab": watched_run.logits.shape[-1]},
    )


def closed_layers(over: str, n_layers: int, n_pos: int, seed: int) -> tuple[int, ...]:
    """The layers whose nodes are added up over heads and sources.

    Of a sample a quarter of the layers at most, fewer the longer the text, never none: each costs
    about as much as a few of its own forward passes.

    >>> len(closed_layers("sample", 30, 384, 0)), len(closed_layers("sample", 30, 1024, 0))
    (7, 3)
    """
    if over == "terms":
        return ()
    if over == "sources":
        return tuple(range(n_layers))
    n = max(1, min(n_layers // 4, NODES_CLOSED * n_layers // n_pos))
    return tuple(sorted(random.Random(seed).sample(range(n_layers), n)))


def tokens_to_run(
    model: LoadedModel, text: str | Tokens | Sequence[int], add_special_tokens: bool | None = None
) -> Tokens:
    """What `model` is given for a text, its tokens or their ids.

    Raises:
        InputError: no text, none that the tokenizer or the model takes, or a longer one.
    """
    text = text_of(text, model)
    tokens = (
        text
        if isinstance(text, Tokens)
        else tokenize(model.tokenizer, text, add_special_tokens=add_special_tokens)
    )
    refuse_length(model, tokens)
    return tokens


def refuse_length(model: LoadedModel, tokens: Tokens) -> None:
    """Raise InputError for no tokens, more than the model was made for, or one that it lacks."""
    if not tokens.ids:
        raise InputError("text: it is empty; give at least one token")
    limit = context_length(model.config)
    if limit is not None and len(tokens.ids) > limit:
        raise InputError(
            f"text: {len(tokens.ids):,} tokens, but {model.name} was made for at most {limit:,}"
        )
    rows, last = model.n_rows, max(tokens.ids)
    if rows is not None and last >= rows:
        piece = tokens.pieces[tokens.ids.index(last)]
        raise InputError(
            f"text: the token {piece!r} has the id {last}, but the ids that {model.name} knows "
            f"go from 0 to {rows - 1}; leave it out, or resize the model's embedding"
        )


def _inert(model: LoadedModel, plan: Plan, report: Report, watched_run) -> Inert:
    if watched_run is None:
        return Inert("probe", report.equal, report.calls, report.expected_calls)
    with torch.no_grad():
        plain = model.module(**inputs_of(model, plan)).logits
    equal = torch.equal(plain, watched_run.logits)
    difference = float((plain.double() - watched_run.logits.double()).abs().max())
    if not equal and not difference <= rounding_of(plain, report):
        raise RefusedError(f"recording moved the logits of this run by {difference:.1e}")
    return Inert("run", equal, watched_run.n_calls, anatomy_of(model.module).expected_calls)


def predictions_of(model: LoadedModel, logits: Tensor) -> list[Prediction]:
    """The most probable next tokens."""
    logprobs = torch.log_softmax(logits.double(), -1)
    best = logprobs.topk(min(N_PREDICTIONS, logprobs.numel()))
    ids = [int(token) for token in best.indices]
    names = names_of(model.tokenizer, ids)
    return [
        Prediction(name, token, float(value))
        for name, token, value in zip(names, ids, best.values, strict=True)
    ]
