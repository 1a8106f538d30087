"""The slow, obvious reference: a small decoder and every measured quantity, in NumPy float64.

It imports nothing of worldline, so it can contradict the rest. All arrays are
float64, a matrix over positions is [q_pos, k_pos] = [dst, src], and every node is a sum:

    x[l+1, j] = skip[l, j] + sum over h, i <= j of attn_term[l, h, j, i] + mlp[l, j] + constants
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Target = Callable[[Array], float]  # a function of the logits [pos, d_vocab]
ACTIVATIONS = {
    "silu": lambda x: x / 2 * (1 + np.tanh(x / 2)),
    "quick_gelu": lambda x: x / 2 * (1 + np.tanh(1.702 * x / 2)),
    "gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0.0),
}


@dataclass(frozen=True)
class Norm:
    """n(x) = w * c / sqrt(mean(c^2) + eps) + b, c = x (rms) or x - mean(x) (layer); none: x."""

    kind: str = "none"
    w: Array | float = 1.0
    b: Array | float = 0.0
    eps: float = 1e-6

    def __call__(self, x: Array, at: Array | None = None) -> Array:
        """n(x), [..., d_model]; with `at` its linear part: no b, the root held as in n(at)."""
        if self.kind == "none":
            return x
        if at is None:
            return self(x, x) + self.b
        c, d = (t - t.mean(-1, keepdims=True) * (self.kind == "layer") for t in (x, at))
        return self.w * c / np.sqrt((d * d).mean(-1, keepdims=True) + self.eps)


@dataclass
class Layer:
    """One block. Weights by name; those a model does not have are left out.

    W_Q [head, d_model, d_head]; W_K, W_V [kv_head, d_model, d_head]; W_O [head, d_head, d_model];
    b_Q, b_K, b_V [head or kv_head, d_head]; b_O; sinks [head], a score without a value per row;
    W_in, W_gate [d_model, d_mlp]; W_out [d_mlp, d_model]; b_in, b_gate, b_out.
    """

    weights: dict[str, Array]
    ln1: Norm
    ln2: Norm  # a parallel block with one norm has it twice
    ln1_post: Norm = Norm()  # on the attention output, before it is added
    ln2_post: Norm = Norm()  # on the MLP output, before it is added
    window: int | None = None  # j reads i only where j - i < window


@dataclass
class Decoder:
    """Weights and options. Multipliers of embeddings or logits are folded into W_E and W_U."""

    W_E: Array  # [d_vocab, d_model]
    layers: Sequence[Layer]
    ln_final: Norm
    W_U: Array  # [d_model, d_vocab]; tied: W_E transposed
    W_pos: Array | None = None  # [pos, d_model]: learned positions
    rope_base: float | None = None  # None: no rotary
    rope_dim: int | None = None  # None: the whole head is rotated
    rope_interleaved: bool = False  # rotates pairs (2m, 2m+1), not (m, m + rope_dim/2)
    act: str = "silu"  # with W_gate the MLP is act(x W_gate) * (x W_in), else act(x W_in)
    parallel: bool = False  # the MLP reads x[l, j], not x[l, j] + attn_out
    attn_scale: float | None = None  # None: d_head ** -0.5
    attn_softcap: float | None = None
    residual_multiplier: float = 1.0
    final_softcap: float | None = None


@dataclass
class Run:
    """What happened, and every node's terms, all between z and the stream held at its value."""

    ids: tuple[int, ...]
    edits: dict[str, Array]  # as given to run
    sources: dict[str, Array]  # embed, pos_embed: [pos, d_model], they add up to row 0
    resid_pre: Array  # [layer + 1, pos, d_model]: x; the last row enters the final norm
    logits: Array  # [pos, d_vocab]
    q: Array  # [layer, head, pos, d_head], after rotary
    k: Array  # [layer, head, pos, d_head], after rotary, repeated for grouped heads
    v: Array  # [layer, head, pos, d_head], with b_V, repeated for grouped heads
    scores: Array  # [layer, head, q_pos, k_pos]: what the softmax sees, -inf where nothing is read
    sinks: Array  # [layer, head], -inf where there is none
    pattern: Array  # [layer, head, q_pos, k_pos]: live weights, after both edits
    z: Array  # [layer, head, pos, d_head]
    attn_out: Array  # [layer, pos, d_model]: all that attention adds to the stream
    mlp_out: Array  # [layer, pos, d_model]: all that the MLP adds
    attn_term: Array  # [layer, head, q_pos, k_pos, d_model]: what edge (h, i) writes into node j
    terms: dict[str, Array]  # skip, mlp, b_O, ln1_post_b, b_out, ln2_post_b: [layer, pos, d_model]


def run(decoder: Decoder, ids: Sequence[int], **edits: Array) -> Run:
    """Run `ids`; edits: mask, zero [layer, head, q_pos, k_pos] (1: as is, 0: cut); z_shift, as z.

    mask multiplies exp(score), so the rest of the row renormalises; zero multiplies the weight
    after the softmax; z_shift is added to z (and is no term). Edges where from_k or from_v, as
    mask, is 1 read their K or V from another_k or another_v, shaped as k and v. row_scale, row_add
    [layer + 1, pos, d_model] change every row before anything reads it.
    """
    embed = decoder.W_E[list(ids)]
    pos_embed = np.zeros_like(embed) if decoder.W_pos is None else decoder.W_pos[: len(ids)]
    scale, add = edits.get("row_scale"), edits.get("row_add")
    scale = np.ones((len(decoder.layers) + 1, 1, 1)) if scale is None else scale
    add = np.zeros((len(decoder.layers) + 1, 1, 1)) if add is None else add
    in_blocks = {k: e for k, e in edits.items() if not k.startswith("row_")}
    rows, blocks, terms = [(embed + pos_embed) * scale[0] + add[0]], [], []
    for n, layer in enumerate(decoder.layers):
        block, terms_here = _block(
            decoder, layer, rows[-1], **{k: e[n] for k, e in in_blocks.items()}
        )
        blocks.append(block)
        terms.append(terms_here)
        above = rows[-1] + block["attn_out"] + block["mlp_out"]
        rows.append(above * scale[n + 1] + add[n + 1])
    return Run(
        ids=tuple(ids),
        edits=edits,
        sources={"embed": embed, "pos_embed": pos_embed},
        resid_pre=np.stack(rows),
        logits=_soft_cap(decoder.ln_final(rows[-1]) @ decoder.W_U, decoder.final_softcap),
        terms={name: np.stack([t[name] for t in terms]) for name in terms[0]},
        **{name: np.stack([b[name] for b in blocks]) for name in blocks[0]},
    )


def _block(
    decoder: Decoder, layer: Layer, x: Array, mask=1.0, zero=1.0, z_shift=0.0, *,
    from_k=0.0, another_k=None, from_v=0.0, another_v=None,
):  # fmt: skip
    """One block on x [pos, d_model]: this layer's part of Run's arrays, and of its terms."""
    W, m = layer.weights, decoder.residual_multiplier
    (n_heads, _, d_head), nothing = W["W_Q"].shape, np.zeros_like(x)
    b_O, b_in, b_gate, b_out = (W.get(name, 0.0) for name in ("b_O", "b_in", "b_gate", "b_out"))
    norm_out = layer.ln1(x)
    q, k, v = (norm_out @ W["W_" + n] + W.get("b_" + n, np.zeros(1))[..., None, :] for n in "QKV")
    k, v = (np.repeat(heads, n_heads // len(heads), axis=0) for heads in (k, v))
    q, k = _rotate(decoder, q), _rotate(decoder, k)
    sinks = W.get("sinks", np.full(n_heads, -math.inf))
    scale = d_head**-0.5 if decoder.attn_scale is None else decoder.attn_scale
    dots = q @ k.swapaxes(1, 2)
    if another_k is not None:
        dots = np.where(from_k, q @ another_k.swapaxes(1, 2), dots)
    dots = _soft_cap(scale * dots, decoder.attn_softcap)
    back = np.subtract.outer(np.arange(len(x)), np.arange(len(x)))  # j - i
    scores = np.where((back >= 0) & (back < (layer.window or math.inf)), dots, -math.inf)
    with np.errstate(divide="ignore"):  # log(0) = -inf is what cuts
        scores = scores + np.log(mask)
    pattern = [[softmax_row(row, sinks[h]) for row in scores[h]] for h in range(n_heads)]
    pattern = np.array(pattern) * zero
    another_v = v if another_v is None else another_v
    z = (pattern * (1 - from_v)) @ v + (pattern * from_v) @ another_v + z_shift
    attn = (z @ W["W_O"]).sum(axis=0) + b_O
    attn_out = m * layer.ln1_post(attn)
    attn_term = np.einsum("hji,hid,hdm->hjim", pattern * (1 - from_v), v, W["W_O"])  # a v W_O
    attn_term += np.einsum("hji,hid,hdm->hjim", pattern * from_v, another_v, W["W_O"])
    attn_term = m * layer.ln1_post(attn_term, attn[:, None])
    norm_out = layer.ln2(x if decoder.parallel else x + attn_out)
    act, mlp_hidden = ACTIVATIONS[decoder.act], norm_out @ W["W_in"] + b_in
    mlp_hidden = (
        act(norm_out @ W["W_gate"] + b_gate) * mlp_hidden if "W_gate" in W else act(mlp_hidden)
    )
    mlp = mlp_hidden @ W["W_out"] + b_out
    block = {"q": q, "k": k, "v": v, "scores": scores, "sinks": sinks, "pattern": pattern, "z": z}
    block |= {"attn_out": attn_out, "mlp_out": m * layer.ln2_post(mlp), "attn_term": attn_term}
    return block, {
        "skip": x,
        "mlp": m * layer.ln2_post(mlp - b_out, mlp),
        "b_O": m * layer.ln1_post(nothing + b_O, attn),
        "ln1_post_b": m * (nothing + layer.ln1_post.b),
        "b_out": m * layer.ln2_post(nothing + b_out, mlp),
        "ln2_post_b": m * (nothing + layer.ln2_post.b),
    }


def _rotate(decoder: Decoder, heads: Array) -> Array:
    """Pair m of [head, pos, d_head] at position j turns by j * rope_base ** (-2m / rope_dim)."""
    dim, out = decoder.rope_dim or heads.shape[-1], heads.copy()
    for j, m in np.ndindex(heads.shape[1], dim // 2 if decoder.rope_base else 0):
        pair = [2 * m, 2 * m + 1] if decoder.rope_interleaved else [m, m + dim // 2]
        c, s = (turn(j * decoder.rope_base ** (-2 * m / dim)) for turn in (math.cos, math.sin))
        out[:, j, pair] = heads[:, j, pair] @ np.array([[c, s], [-s, c]])
    return out


def _soft_cap(y: Array, cap: float | None) -> Array:
    return y if cap is None else cap * np.tanh(y / cap)


def softmax_row(scores: Array, sink: Array | float = -math.inf) -> Array:
    """exp(s_i) / (sum over m of exp(s_m) + exp(sink)); a row that reads nothing is all 0."""
    top = max(scores.max(), sink)
    if top == -math.inf:
        return np.zeros_like(scores)
    e = np.exp(scores - top)
    return e / (e.sum() + math.exp(sink - top))


def closure(run: Run) -> float:
    """The worst |x[l+1, j] - sum of its terms| over all numbers of all nodes."""
    total = run.attn_term.sum(axis=(1, 3)) + sum(run.terms.values())
    return float(np.abs(run.resid_pre[1:] - total).max())


def share(run: Run, metric: Array | float = 1.0) -> dict[str, Array]:
    """For every term c of y = x[l+1, j]: <c, y> / <y, y>, stored at [l, j]; a node's sum is 1.

    `kv` [layer, head, q_pos, k_pos] (i < j only), `self_attention` [layer, head, pos], the other
    terms by name [layer, pos]. `metric` [d_model] weighs the dimensions of both inner products.
    """
    y = run.resid_pre[1:]
    yy = (metric * y * y).sum(-1)
    edges = (metric * run.attn_term * y[:, None, :, None]).sum(-1) / yy[:, None, :, None]
    shares = {name: (metric * term * y).sum(-1) / yy for name, term in run.terms.items()}
    return shares | {"kv": np.tril(edges, -1), "self_attention": np.diagonal(edges, 0, 2, 3)}


def logit_target(token: int, versus: int | None = None, pos: int = -1) -> Target:
    """The target logits[pos, token], less logits[pos, versus] if given."""
    return lambda logits: logits[pos, token] - (0.0 if versus is None else logits[pos, versus])


def logit_gradient_wrt_z(decoder: Decoder, run_: Run, target: Target, step: float = 1e-4) -> Array:
    """u[l, h, j] = d target / d z[l, h, j], [layer, head, pos, d_head], by central differences.

    Estimate: (8 f(s) - 8 f(-s) - f(2s) + f(-2s)) / 12 s; f re-runs with one number of z shifted.
    """
    u = np.zeros_like(run_.z)
    for place in np.ndindex(*u.shape):
        for n, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            shift = np.zeros_like(u)
            shift[place] = n * step
            logits = run(decoder, run_.ids, **{**run_.edits, "z_shift": shift}).logits
            u[place] += weight * target(logits) / (12 * step)
    return u


def gradient_zero(run: Run, u: Array) -> Array:
    """Per edge a <v, u>, what `zero` takes away to first order: [layer, head, q_pos, k_pos]."""
    return run.pattern * np.einsum("lhid,lhjd->lhji", run.v, u)


def gradient_mask(run: Run, u: Array) -> Array:
    """Per edge a <v - z_rest, u> = a / (1 - a) <v - z, u>, what `mask` takes away, as above.

    z_rest, the row without the edge, is a softmax over the others (0 if there are none), so a = 1
    does no harm. Only for runs without dropped edges.
    """
    weights = np.zeros_like(run.pattern)
    for l, h, j, i in np.ndindex(*weights.shape):  # noqa: E741
        other_scores = np.where(np.arange(len(run.ids)) == i, -math.inf, run.scores[l, h, j])
        z_rest = softmax_row(other_scores, run.sinks[l, h]) @ run.v[l, h]
        weights[l, h, j, i] = run.pattern[l, h, j, i] * ((run.v[l, h, i] - z_rest) @ u[l, h, j])
    return weights


def cut_effect(decoder, ids, target, *, layer, head, src, dst, how, keep=0.0) -> float:
    """target(edge cut) - target(plain run), about minus the weight above; how is mask or zero."""
    if not 0 <= src <= dst < len(ids):
        raise ValueError(f"no edge from src={src} to dst={dst} among {len(ids)} positions")
    plain = run(decoder, ids)
    edit = np.ones_like(plain.pattern)
    edit[layer, head, dst, src] = keep
    return target(run(decoder, ids, **{how: edit}).logits) - target(plain.logits)


def frozen_jacobians(decoder: Decoder, run_: Run, layer: int) -> tuple[Array, Array]:
    """(stay [pos, d, d], hop [head, q_pos, k_pos, d, d]) of the frozen-linear block, rows times J.

    Norms, patterns, activation ratios and gates are held at this run; a gated product goes by
    halves. stay is residual and MLP; hop is one read (i = j too), then what the block does after.
    """
    part, x = decoder.layers[layer], run_.resid_pre[layer]
    W, m, (n_pos, d) = part.weights, decoder.residual_multiplier, x.shape
    n_heads, identity = len(W["W_Q"]), np.eye(d)
    attn = (run_.z[layer] @ W["W_O"]).sum(axis=0) + W.get("b_O", 0.0)
    middle = x if decoder.parallel else x + run_.attn_out[layer]
    act, b_in, b_gate = ACTIVATIONS[decoder.act], W.get("b_in", 0.0), W.get("b_gate", 0.0)
    stay, hop = np.zeros((n_pos, d, d)), np.zeros((n_heads, n_pos, n_pos, d, d))
    for j in range(n_pos):
        into = part.ln2(identity, middle[j]) @ W["W_in"]
        inner = part.ln2(middle[j]) @ W["W_in"] + b_in
        if "W_gate" in W:
            gate = part.ln2(middle[j]) @ W["W_gate"] + b_gate
            gates = part.ln2(identity, middle[j]) @ W["W_gate"] * (act(gate) / gate)
            mlp_hidden, at = (into * act(gate) + gates * inner) / 2, act(gate) * inner
        else:
            mlp_hidden, at = into * (act(inner) / inner), act(inner)
        mlp = m * part.ln2_post(mlp_hidden @ W["W_out"], at @ W["W_out"] + W.get("b_out", 0.0))
        stay[j] = identity + mlp
        for h, i in np.ndindex(n_heads, j + 1):
            v = part.ln1(identity, x[i]) @ W["W_V"][h * len(W["W_V"]) // n_heads]
            attn_read = run_.pattern[layer, h, j, i] * v @ W["W_O"][h]
            hop[h, j, i] = (
                m * part.ln1_post(attn_read, attn[j]) @ (identity if decoder.parallel else stay[j])
            )
    return stay, hop
