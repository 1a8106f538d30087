"""The laws a model must pass before any number of it is shown: inert, closed, causal, whole."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from worldline.arguments import with_checked_arguments
from worldline.errors import RefusedError, first_line
from worldline.models.architecture import Anatomy, find_anatomy
from worldline.models.attention import AttentionCall
from worldline.models.derivative_check import not_the_derivative
from worldline.models.gradients import block_gradients, rerun_of, whole_gradients
from worldline.models.model_calls import embedding_rows, model_call, module_of
from worldline.models.positions import forget_lengths
from worldline.models.probe_runs import Witness, witness_of
from worldline.models.randomness import drawing, dropping, hooks_of, numpy_drawn
from worldline.models.row_comparison import worse
from worldline.models.terms import SKIP, attn_name
from worldline.models.tracer import BlockEvent, watched_forward
from worldline.steps import StoppedError

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.loader import LoadedModel

# Worst errors measured over all types. float64: 1e-7 in nodes and 4e-7 in z, for many types compute
# norms or scores in float32 whatever the weights are (half of them stay below 1e-15). float32:
# 4e-7. bfloat16: 2e-2 in nodes; 2e-2 in z, where scores are rounded before the softmax.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-5, torch.bfloat16: 4e-2, torch.float16: 5e-3}
PROBE_POSITIONS = 23  # longer than a tiny model's window, and no other size of it
N_PLAIN = 3  # runs that must agree
N_COMPANIES = 4  # batches in which the same text is run to see its rounding
CHANGED = (0, 7)  # the tokens that are changed to see what follows


@dataclass
class Report:
    """What the checks found on one model. Errors are relative to the norm of the recomputed row.

    Attributes:
        status: "exact" (every claim holds), "partly" (some layers move information by other means
            than softmax attention and are carried as one opaque term, or choose which keys they
            read by what other columns hold, which no cut of edges stops) or "refused".
        reason: Why it is not exact; empty where it is.
        equal: Whether logits with and without recording are bitwise equal.
        calls: How many attention reads were seen.
        expected_calls: How many there are to be seen.
        reached_by: How attention was reached: by a "key", or by "operations".
        n_layers: Blocks of the model.
        n_heads: Heads of each layer, over all its reads; 0 where it has none.
        opaque_layers: Those that move information between columns by other means.
        choosing_layers: Those that choose which keys they read by what other columns hold.
        floor: How far plain runs of one text differ: 0 but for models whose sums come in another
            order each time, which is rounding.
        shape_floor: How far runs of one text in other shapes differ, within rounding.
        causality_error: The most that a later token changed before it.
        z_error: How far softmax(q k) v, recomputed, is from what attention returned.
        closure_error: How far a node is from the sum of its terms.
        tolerance: What these errors may be.
        padded: Whether a padded batch was checked, too.
        separable: Whether blocks run by themselves give the gradients of the whole model.
        gradient: Why gradients are not the derivative of what the model computes; empty where they
            are.
    """

    status: str = "exact"
    reason: str = ""
    equal: bool = False
    calls: int = 0
    expected_calls: int = 0
    reached_by: str = "key"
    n_layers: int = 0
    n_heads: list[int] = field(default_factory=list)
    opaque_layers: list[int] = field(default_factory=list)
    choosing_layers: list[int] = field(default_factory=list)
    floor: float = 0.0
    shape_floor: float = 0.0
    causality_error: float = 0.0
    z_error: float = 0.0
    closure_error: float = 0.0
    tolerance: float = 0.0
    padded: bool = False
    separable: bool = False
    gradient: str = ""

    def __post_init__(self) -> None:
        self.anatomy: Anatomy | None = None  # which the checks found, and runs must use
        self.witness: Witness | None = None  # of the probe's plain run, where that is steady
        self.is_finding = True  # about the model; not what happened to go wrong around it

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    @property
    def mixing_layers(self) -> list[int]:
        """Layers that move information between columns however many of their edges are cut."""
        return sorted({*self.opaque_layers, *self.choosing_layers})

    def mixing_words(self, layers: Collection[int]) -> str:
        """How some of these layers do so; "" where none does."""
        layer_lists = [
            ", ".join(str(layer) for layer in sorted(found) if layer in layers)
            for found in (self.opaque_layers, self.choosing_layers)
        ]
        ways = ("", ", by the choice of which keys are read")
        return " and ".join(
            f"layers {names} move information between columns without K/V edges{way}"
            for names, way in zip(layer_lists, ways, strict=True)
            if names
        )

    def become_partly(self) -> None:
        """Say what holds no longer of a model with mixing layers."""
        carried = (
            "; what they move is carried as one opaque term each" if self.opaque_layers else ""
        )
        words = self.mixing_words(range(self.n_layers))
        self.status, self.reason = "partly", f"{words}, which no cut of edges stops{carried}"

    def refuse(self, reason: str, *, is_finding: bool = True) -> Report:
        """The same report, refused."""
        self.status, self.reason, self.is_finding = "refused", reason, is_finding
        return self


def tolerance_of(dtype: torch.dtype) -> float:
    """The relative tolerance in which a node's terms must add up."""
    return TOLERANCE.get(dtype, 1e-5)


def model_dtype(model: torch.nn.Module) -> torch.dtype:
    """The dtype in which the model computes: that of its first floating parameter."""
    return next(p.dtype for p in model.parameters() if p.is_floating_point())


def recomputed_z(call: AttentionCall, batch: int = 0) -> Tensor:
    """What attention returns for one batch item, made from everything that it was given."""
    n_pos, step = call.q.shape[2], call.block_rows()
    group = call.n_heads // call.v.shape[1]
    rows = []
    for start in range(0, n_pos, step):
        stop = min(n_pos, start + step)
        pattern = call.pattern_rows(start, stop, batch)
        v = call.v[batch, :, :stop].to(pattern.dtype)
        grouped_pattern = pattern.view(v.shape[0], group * (stop - start), stop)
        rows.append(torch.bmm(grouped_pattern, v).view(call.n_heads, stop - start, v.shape[-1]))
    return torch.cat(rows, 1)


def row_error(recomputed_rows: Tensor, true: Tensor) -> Tensor:
    """Error of each row relative to the row's norm; rows that are zero count absolutely."""
    norm = true.double().norm(dim=-1)
    return (recomputed_rows.double() - true.double()).norm(dim=-1) / torch.where(
        norm > 0, norm, 1.0
    )


def readable_rows(call: AttentionCall, batch: int) -> Tensor:
    """Rows that may read at least one source (padding rows may not)."""
    return call.allowed_rows(0, call.q.shape[2], batch).any(-1).all(0)


def closure_of(event: BlockEvent, batch: int = 0) -> tuple[float, float, int]:
    """(worst closure error, worst z error, position of the worst closure) of one block.

    The attention terms are rebuilt head by head from recomputed patterns and recorded values,
    pushed through whatever lies between z and the stream, and added to the other terms.
    """
    assert event.terms is not None
    total = torch.zeros_like(event.resid_post)
    readable = torch.ones(event.resid_post.shape[1], dtype=torch.bool)
    z_error = 0.0
    reads = {attn_name(call.index): call for call in event.calls}
    for name, term in event.terms.items():
        call = reads.get(name)
        if call is None:
            total = total + term.value().detach()
            continue
        rows = readable_rows(call, batch).cpu()
        readable &= rows
        z = recomputed_z(call, batch).to(call.z.dtype)
        error = row_error(z, call.z[batch])[:, rows.to(z.device)]
        z_error = worse(z_error, float(error.max()) if error.numel() else 0.0)
        for head in range(call.n_heads):
            head_z = torch.zeros_like(call.z)
            head_z[batch, head] = z[head]
            total = total + term.replay(call.leaf, call.from_heads(head_z)).detach()
    errors = row_error(total[batch], event.resid_post[batch].detach()).cpu()
    errors = torch.where(readable, errors, 0.0)
    return float(errors.max()), z_error, int(errors.argmax())


@with_checked_arguments
def check_model(
    model: LoadedModel | torch.nn.Module,
    *,
    vocab: int | None = None,
    seed: int = 0,
    with_keys: bool = True,
) -> Report:
    """Run every check on a probe of random tokens; never raises for what a model does.

    Checks: logits bitwise equal (or within the floor that two plain runs show), number of reads,
    z recomputed, closure over heads and sources, causality, isolation (with every read cut,
    nothing moves between columns), a padded batch.

    Args:
        model: A model from `load_model`, or a module of transformers.
        vocab: How many token ids the probe is drawn from; None for all that the model has.
        seed: Seed of the probe.
        with_keys: Whether attention may be reached by a function that is registered with
            transformers; else it is recognised in torch's operations even where that would do.

    Returns:
        What was found, with the reason where the model is refused or read in part. Errors are
        relative to the norm of a row.

    Raises:
        InputError: what is given is no model, or one that is compiled, split or packed.
    """
    module = module_of(model, "check_model")
    with model_call(module):
        report = Report(tolerance=tolerance_of(model_dtype(module)))
        try:
            return _check(module, report, vocab or embedding_rows(module), seed, with_keys)
        except RefusedError as error:
            return report.refuse(str(error))
        except StoppedError:
            raise
        except Exception as error:  # a model's own code raises what it likes
            error_text = _error_line(error)
            return report.refuse(
                f"watching this model failed, so nothing is claimed ({error_text})",
                is_finding=False,
            )


def _error_line(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"[:160]


def _check(model, report: Report, vocab: int, seed: int, with_keys: bool) -> Report:
    draw = torch.Generator().manual_seed(seed)
    inputs = probe_of(model, vocab, draw)
    if problem := dropping(model):
        return report.refuse(problem)
    plain = _plain_logits(model, inputs, report)
    if plain is None:
        return report
    report.anatomy = anatomy = find_anatomy(model, inputs, with_keys=with_keys)
    report.n_layers, report.expected_calls = anatomy.n_layers, anatomy.expected_calls
    if not bool(torch.isfinite(plain).all()):
        return report.refuse("the model's own logits, unwatched, are not finite numbers")
    events: list[BlockEvent] = []
    watched_run = watched_forward(model, inputs, anatomy, on_block=events.append)
    report.calls = watched_run.n_calls
    report.n_heads = [sum(call.n_heads for call in event.calls) for event in events]
    report.reached_by = "key" if watched_run.n_key_calls == watched_run.n_calls else "operations"
    report.equal = torch.equal(plain, watched_run.logits)
    if not _is_close(plain, watched_run.logits, rounding_of(plain, report)):
        return report.refuse(
            _difference_words("logits change when watched", plain, watched_run.logits)
        )
    if watched_run.n_calls != anatomy.expected_calls or not watched_run.n_calls:
        return report.refuse(
            f"{watched_run.n_calls} attention reads were seen, {anatomy.expected_calls} were "
            f"expected"
        )
    if problem := _structure(events) or _closure(events, report):
        return report.refuse(problem)
    if problem := _causality(model, anatomy, inputs, [e.resid_post for e in events], report):
        return report.refuse(problem)
    if problem := _in_series(model, anatomy, inputs, events):
        return report.refuse(problem)
    report.opaque_layers, report.choosing_layers = _leaks(model, anatomy, inputs, report)
    report.separable = _separable(model, anatomy, inputs, events, report)
    report.gradient = not_the_derivative(model, anatomy, inputs, events)
    if problem := _padding_problem(
        model, anatomy, probe_of(model, vocab, draw, 2)["input_ids"], report
    ):
        return report.refuse(problem)
    if report.mixing_layers:
        report.become_partly()
    elif report.floor and not report.reason:
        report.reason = (
            f"plain runs of one text differ by {report.floor:.1e}: sums come in another order "
            "each time, so nothing is bitwise"
        )
    return report


def _plain_logits(model, inputs: dict[str, Tensor], report: Report) -> Tensor | None:
    """The logits of the model's own run, unwatched; None where it is refused for what it does."""
    try:
        with torch.no_grad():
            plain, *repeated_logits = (model(**inputs).logits for _ in range(N_PLAIN))
        problem = drawing(model, inputs)
    except StoppedError:
        raise
    except Exception as error:
        report.refuse(
            f"the model itself, unwatched, fails on {PROBE_POSITIONS} random tokens: "
            f"{_error_line(error)}",
            is_finding=False,
        )
        return None
    if not problem and bool(torch.isfinite(plain).all()):
        problem = _unsteady(model, plain, repeated_logits, report)
    if problem:
        report.refuse(problem)
        return None
    report.witness = witness_of(plain, rounding_of(plain, report))
    if numpy_drawn(model, inputs):
        reason = "NumPy's generator moves as it runs: it, or another thread, draws random numbers"
        report.refuse(reason, is_finding=False)
        return None
    return plain


def _unsteady(
    model: torch.nn.Module, plain: Tensor, repeated_logits: list[Tensor], report: Report
) -> str:
    """Why plain runs of one text differ by more than the order of sums; "" where they do not."""
    report.floor = max(_largest_difference(plain, logits) for logits in repeated_logits)
    hooks = hooks_of(model)
    if not report.floor or (not hooks and report.floor <= rounding_of(plain, report)):
        return ""
    hook_note = f"; what remembers may be {hooks}" if hooks else ""
    return (
        f"{N_PLAIN} plain runs of one text differ by {report.floor:.1e}, so that a number would "
        f"be of one run and not of the model{hook_note} (.training is {model.training})"
    )


def witness_now(model: torch.nn.Module) -> Witness | None:
    """What the model says of the probe as it is now, unwatched; None where it fails there."""
    with model_call(model), torch.no_grad():
        try:
            return witness_of(model(**probe_of(model)).logits)
        except StoppedError:
            raise
        except Exception:  # a model's own code raises what it likes
            return None


def rounding_of(values: Tensor, report: Report) -> float:
    """How far equal runs of a model may differ: 0, but for one that was seen to differ."""
    if not report.floor:
        return 0.0
    steps = 64 if values.element_size() >= 4 else 2
    return steps * torch.finfo(values.dtype).eps * float(values.abs().max())


def probe_of(
    model: torch.nn.Module,
    vocab: int | None = None,
    draw: torch.Generator | None = None,
    batch: int = 1,
) -> dict[str, Any]:
    """The inputs of the checks: random tokens, `draw` giving which."""
    vocab = vocab or embedding_rows(model)
    draw = draw or torch.Generator().manual_seed(0)
    ids = torch.randint(min(8, vocab // 2), vocab, (batch, PROBE_POSITIONS), generator=draw)
    forget_lengths(model)
    return {"input_ids": ids.to(next(model.parameters()).device), "use_cache": False}


def _is_close(left: Tensor, right: Tensor, tolerance: float) -> bool:
    return torch.equal(left, right) or (
        tolerance > 0 and _largest_difference(left, right) <= tolerance
    )


def _largest_difference(left: Tensor, right: Tensor) -> float:
    return float((left.double() - right.double()).abs().nan_to_num(float("inf")).max())


def _difference_words(description: str, plain: Tensor, watched_logits: Tensor) -> str:
    return f"{description}: largest difference {_largest_difference(plain, watched_logits):.1e}"


def _structure(events: list[BlockEvent]) -> str:
    for event in events:
        if SKIP not in (event.terms or {}):
            if event.streams > 1:
                return (
                    f"block {event.layer}: {event.streams} residual streams run side by side and "
                    "are mixed in a way that cannot be held linear"
                )
            return f"block {event.layer} does not carry its input on: no residual stream there"
        for call in event.calls:
            if attn_name(call.index) not in (event.terms or {}):
                return (
                    f"block {event.layer}: what attention returned goes through a non-linear part "
                    "before it reaches the residual stream, so no K/V edge has a share of its own"
                )
            if not _keeps_columns(event, call):
                return (
                    f"block {event.layer}: what attention returned to one column is mixed into "
                    "other columns before it reaches the residual stream"
                )
    return ""


def _keeps_columns(event: BlockEvent, call: AttentionCall) -> bool:
    """Whether z of one position goes to the node of that position and to no other."""
    assert event.terms is not None
    pos = call.q.shape[2] // 2
    z_at_pos = torch.zeros_like(call.z)
    z_at_pos[:, :, pos] = call.z[:, :, pos]
    image = event.terms[attn_name(call.index)].replay(call.leaf, call.from_heads(z_at_pos)).detach()
    image = image.clone()
    image[:, pos] = 0
    return not bool(image.any())


def _closure(events: list[BlockEvent], report: Report) -> str:
    for event in events:
        closure, z_error, pos = closure_of(event)
        report.closure_error = worse(report.closure_error, closure)
        report.z_error = worse(report.z_error, z_error)
        if not z_error <= report.tolerance:
            return f"layer {event.layer}: z recomputed differs from the model's by {z_error:.1e}"
        if not closure <= report.tolerance:
            names = ", ".join(event.terms or {})
            return (
                f"layer {event.layer}, position {pos}: the terms ({names}) miss the node by "
                f"{closure:.1e}"
            )
    return ""


def _separable(model, anatomy: Anatomy, inputs, events: list[BlockEvent], report: Report) -> bool:
    """Whether blocks that run by themselves give the gradients of the whole model.

    They do not where something else than the row goes from block to block: shared K and V.
    """
    reruns = [rerun_of(event) for event in events]
    if report.reached_by != "key" or None in reruns:
        return False
    rows = [event.resid_pre[0] for event in events] + [events[-1].resid_post[0]]

    def measure(logits: Tensor) -> Tensor:
        return logits[0] - logits[1:].logsumexp(0)

    try:
        block_result = block_gradients(model, [r for r in reruns if r is not None], rows, measure)
        if block_result is None:
            return False
        value, full_gradients = whole_gradients(model, anatomy, inputs, measure)
    except StoppedError:
        raise
    except Exception:
        return False
    pairs = [
        (a, b)
        for x, y in zip(block_result[1], full_gradients, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    worst = max(float((a - b).norm() / b.norm().clamp_min(1e-30)) for a, b in pairs)
    return worst <= report.tolerance and abs(block_result[0] - value) <= report.tolerance * abs(
        value
    )


def refuse_mixing(
    module: torch.nn.Module, anatomy: Anatomy, inputs: dict[str, Any], report: Report
) -> None:
    """What the checks find of columns on the probe must hold on a text too.

    Raises:
        RefusedError: a later token moves an earlier node, or columns mix outside of attention where
            they did not on the probe.
    """
    if inputs["input_ids"].shape[1] < 2:
        return
    here = replace(report)
    problem = _causality(module, anatomy, inputs, _rows(module, anatomy, inputs), here)
    here.shape_floor = max(here.shape_floor, report.shape_floor)

    def new_layers() -> set[int]:
        here.opaque_layers, here.choosing_layers = _leaks(module, anatomy, inputs, here)
        return {*here.mixing_layers} - {*report.mixing_layers}

    new = new_layers()
    if new and not here.shape_floor:  # experts may add up otherwise
        rows, n_pos = _rows(module, anatomy, inputs), inputs["input_ids"].shape[1]
        here.shape_floor = _shape_floor(module, anatomy, inputs, n_pos - 1, rows)
        new = new_layers()
    if new:
        problem = problem or f"{here.mixing_words(new)}, and did not on the probe"
    if problem:
        raise RefusedError(f"on this text: {problem}")


def _replace_tokens(ids: Tensor, positions: Sequence[int]) -> Tensor:
    """Other tokens at `positions`: of the next ones in the text the first that differs."""
    new_ids = ids.clone()
    for pos in positions:
        here = int(ids[0, pos])
        after = (int(token) for token in ids[0].roll(-pos - 1))
        new_ids[0, pos] = next((token for token in after if token != here), here - 1 if here else 1)
    return new_ids


def _moved_at(n_pos: int) -> tuple[int, ...]:
    """The tokens that are changed to see what follows."""
    return tuple(pos for pos in CHANGED if pos < n_pos - 1)


def _causality(
    model, anatomy: Anatomy, inputs: dict[str, Any], first: list[Tensor], report: Report
) -> str:
    n_pos = inputs["input_ids"].shape[1]
    keep = n_pos - min(6, n_pos // 2)
    changed_ids = _replace_tokens(inputs["input_ids"], range(keep, n_pos))
    later = _rows(model, anatomy, inputs | {"input_ids": changed_ids})
    differences = [
        _largest_difference(a[:, :keep], b[:, :keep]) for a, b in zip(first, later, strict=True)
    ]
    report.causality_error = max(differences)
    if report.causality_error > 0:
        report.shape_floor = _shape_floor(model, anatomy, inputs, keep, first)
    for layer, size in enumerate(differences):
        if size > max(rounding_of(first[layer], report), 10 * report.shape_floor):
            return f"layer {layer} is not causal: a later token moves an earlier node by {size:.1e}"
    return ""


def _rows(model, anatomy: Anatomy, inputs) -> list[Tensor]:
    resid_posts: list[Tensor] = []
    watched_forward(
        model, inputs, anatomy, terms=False, on_block=lambda e: resid_posts.append(e.resid_post)
    )
    return resid_posts


def _shape_floor(model, anatomy: Anatomy, inputs, keep: int, first: list[Tensor]) -> float:
    """How much the same tokens move in equivalent runs of other shapes.

    Experts are given other numbers of rows then, and sums come in another order. The runs: in the
    company of other texts, and without the tokens that follow. What exceeds the tolerance of the
    dtype is no rounding and counts as 0.
    """
    ids, runs = inputs["input_ids"], []
    for company in range(N_COMPANIES):
        batch = torch.cat([ids, *(ids.roll(7 * k + company + 1, 1) for k in range(company + 1))])
        runs.append(_rows(model, anatomy, inputs | {"input_ids": batch}))
    runs.append(_rows(model, anatomy, inputs | {"input_ids": ids[:, :keep]}))
    worst = 0.0
    for run in runs:
        for a, b in zip(first, run, strict=True):
            n_pos = b.shape[1]
            size = _largest_difference(a[:, :n_pos], b[:1])
            if size <= tolerance_of(a.dtype) * float(a.abs().max()):
                worst = max(worst, size)
    return worst


def _in_series(model, anatomy: Anatomy, inputs, events: list[BlockEvent]) -> str:
    """Whether a block's later read uses what an earlier read of the same block returned.

    Reads side by side are more heads of one row; reads in series are two rows in one block.
    """
    layers = [event.layer for event in events if len(event.calls) > 1]
    problem = ""

    def disturb(call: AttentionCall) -> Tensor | None:
        return call.z + 1 if call.layer == layers[0] and call.index == 0 else None

    def compare(event: BlockEvent) -> None:
        nonlocal problem
        if event.layer != layers[0]:
            return
        for call, before in zip(event.calls[1:], events[event.layer].calls[1:], strict=True):
            if not all(torch.equal(getattr(call, n), getattr(before, n)) for n in "qkv"):
                problem = (
                    f"block {event.layer} reads attention {len(event.calls)} times in series: a "
                    "path could hop twice in one row of the grid"
                )

    if layers:
        watched_forward(model, inputs, anatomy, terms=False, on_block=compare, rewrite=disturb)
    return problem


def _alone(call: AttentionCall) -> Tensor:
    """A read of one's own value and of nothing else."""
    return call.v.repeat_interleave(call.n_heads // call.v.shape[1], dim=1)


def _leaks(model, anatomy: Anatomy, inputs, report: Report) -> tuple[list[int], list[int]]:
    """Layers that move information between columns although every attention read is cut.

    Of the second kind are those that do so by the choice of what is read: a cut leaves a mask as
    the model makes it.

    Two runs with other tokens at some positions; in the second, the stream everywhere else is put
    back after each block to what it was in the first, so that every layer is tested for itself.
    Neither the stream may move there nor queries, keys or values, from which the patterns are made;
    and between two such positions neither the mask nor what is added to the scores.

    Raises:
        RefusedError: what comes after the last block moves information between columns.
    """
    first: list[BlockEvent] = []
    plain = watched_forward(
        model, inputs, anatomy, terms=False, on_block=first.append, rewrite=_alone
    )
    n_pos = inputs["input_ids"].shape[1]
    changed_at = _moved_at(n_pos)
    unchanged_positions = [j for j in range(n_pos) if j not in changed_at]
    leaky_layers: list[int] = []
    choosing_layers: list[int] = []

    def same_there(left: Tensor, right: Tensor) -> bool:
        return _is_close(left, right, max(rounding_of(left, report), 10 * report.shape_floor))

    def compare(event: BlockEvent) -> None:
        first_event = first[event.layer]
        before = first_event.resid_post[:, unchanged_positions]
        pairs = [(before, event.resid_post[:, unchanged_positions])]
        if event.layer == 0:
            pairs.append(
                (
                    first_event.resid_pre[:, unchanged_positions],
                    event.resid_pre[:, unchanged_positions],
                )
            )
        for call, first_call in zip(event.calls, first_event.calls, strict=True):
            for name in ("q", "k", "v"):
                a, b = getattr(call, name), getattr(first_call, name)
                pairs.append((a[:, :, unchanged_positions], b[:, :, unchanged_positions]))
        if not all(same_there(a, b) for a, b in pairs):
            leaky_layers.append(event.layer)
        elif not all(
            same_there(a, b)
            for call, first_call in zip(event.calls, first_event.calls, strict=True)
            for a, b in zip(
                _mask_between(call, unchanged_positions),
                _mask_between(first_call, unchanged_positions),
                strict=True,
            )
        ):
            choosing_layers.append(event.layer)
        event.put_back(unchanged_positions, before)  # what the next block is given

    changed_ids = _replace_tokens(inputs["input_ids"], changed_at)
    changed_run = watched_forward(
        model, inputs | {"input_ids": changed_ids}, anatomy, terms=False,
        on_block=compare, rewrite=_alone,
    )  # fmt: skip
    if not same_there(
        plain.logits[:, unchanged_positions], changed_run.logits[:, unchanged_positions]
    ):
        raise RefusedError("what comes after the last block moves information between columns")
    return leaky_layers, choosing_layers


def _mask_between(call: AttentionCall, positions: list[int]) -> list[Tensor]:
    """Which of some positions may read which, and what is added to the scores there."""
    rows = torch.tensor(positions, device=call.q.device)
    parts = [call.allowed_at(rows)]
    if call.bias is not None:
        parts.append(call.bias[:, :, rows] if call.bias.shape[2] > 1 else call.bias)
    return [part[..., rows] for part in parts]


def _padding_problem(model, anatomy: Anatomy, ids: Tensor, report: Report) -> str:
    """A batch of two, one of them padded on the left: equal logits, and z under that mask."""
    mask = torch.ones_like(ids)
    mask[1, :5] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    try:
        with torch.no_grad():
            plain = model(**inputs).logits
    except StoppedError:
        raise
    except Exception as error:
        report.reason = (
            f"the model takes no padded batch ({_error_line(error)}): not checked on one"
        )
        return ""
    real = mask.bool()
    if not bool(torch.isfinite(plain[real]).all()):
        report.reason = (
            "the model's own logits of a padded batch are not finite: not checked on one"
        )
        return ""
    events: list[BlockEvent] = []
    watched_run = watched_forward(model, inputs, anatomy, on_block=events.append)
    if not _is_close(plain[real], watched_run.logits[real], rounding_of(plain[real], report)):
        return _difference_words(
            "logits of a padded batch change when watched", plain[real], watched_run.logits[real]
        )
    for event in events:
        for batch in (0, 1):
            closure, z_error, pos = closure_of(event, batch)
            if not worse(closure, z_error) <= report.tolerance:
                return (
                    f"layer {event.layer}, padded batch, position {pos}: z misses by "
                    f"{z_error:.1e}, the node by {closure:.1e}"
                )
    report.padded = True
    return ""
