"""What an attention function was given and returned, in whichever way, as one AttentionCall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from worldline.errors import RefusedError
from worldline.models import inline_attention as inline
from worldline.models.attention import AttentionCall, causal_allowed, heads_first, split_mask
from worldline.models.terms import Term

if TYPE_CHECKING:
    from worldline.models.tracer import Watch


def key_call(watch: Watch, module, query, key, value, mask, args, kwargs, out) -> AttentionCall:
    """A read through a private key, as the delegate was called."""
    scaling = kwargs.get("scaling")
    if scaling is None and len(args) == 1 and isinstance(args[0], float):
        scaling = args[0]
    if scaling is None:
        scaling = query.shape[-1] ** -0.5
    allowed_mask, bias = _given_mask(module, query, mask, kwargs)
    position_bias = kwargs.get("position_bias")
    if position_bias is not None:
        bias = position_bias if bias is None else bias + position_bias
    if key.shape[2] != watch.n_pos:
        raise RefusedError(
            f"attention of {_place(watch, module)} reads {key.shape[2]} keys where the text has "
            f"{watch.n_pos} tokens: its keys are not those of single tokens"
        )
    layout = "pos_first" if out.ndim == 4 and out.shape[1] == query.shape[2] else "head_first"
    return _call(
        watch, query, key, value, out, layout, float(scaling), allowed_mask, bias, "key",
        softcap=kwargs.get("softcap"), sinks=kwargs.get("s_aux"),
    )  # fmt: skip


def _given_mask(module, query, mask, kwargs):
    n_pos = query.shape[2]
    if isinstance(mask, torch.Tensor) and mask.ndim == 4:
        return split_mask(mask[..., :n_pos])
    allowed_mask = None
    window = kwargs.get("sliding_window")
    if isinstance(mask, torch.Tensor) and mask.ndim == 2:
        allowed_mask = causal_allowed(n_pos, query.device) & mask.bool()[:, None, None, :]
    causal = kwargs.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    if allowed_mask is None and mask is None and not causal and n_pos > 1:
        shape = (1, 1, n_pos, n_pos)
        return torch.ones(shape, dtype=torch.bool, device=query.device), None
    flash = "flash" in str(getattr(module.config, "_attn_implementation", ""))
    if window is not None and flash:
        near = torch.arange(n_pos, device=query.device)
        within = (near[:, None] - near[None, :]) < window
        base = causal_allowed(n_pos, query.device) if allowed_mask is None else allowed_mask
        allowed_mask = base & within
    return allowed_mask, None


def sdpa_call(watch: Watch, arguments, out) -> AttentionCall:
    """A read by torch's own function, called by a model that asks no interface."""
    query = arguments["query"]
    scale = arguments.get("scale")
    mask = arguments.get("attn_mask")
    n_pos = query.shape[-2]
    if mask is not None:
        allowed_mask, bias = split_mask(mask)
    elif arguments.get("is_causal"):
        allowed_mask, bias = None, None
    else:
        allowed_mask = torch.ones(1, 1, n_pos, n_pos, dtype=torch.bool, device=query.device)
        bias = None
    return _call(
        watch, query, arguments["key"], arguments["value"], out, "head_first",
        float(query.shape[-1] ** -0.5 if scale is None else scale), allowed_mask, bias, "sdpa",
    )  # fmt: skip


def _place(watch: Watch, module: torch.nn.Module | None = None) -> str:
    name = watch.names.get(id(module), "") if module is not None else watch.innermost()
    return name or (f"block {watch.block}" if watch.block >= 0 else "a module")


def inline_call(watch: Watch, weighted_sum: inline.WeightedSum, out) -> AttentionCall:
    """A read recognised in the operations: a product, a softmax, a product."""
    scores, values = weighted_sum.scores, weighted_sum.values
    if scores.q is None or scores.k is None or scores.reason is not None:
        raise RefusedError(f"attention of {_place(watch)}: {scores.reason}")
    layout = weighted_sum.layout or ("head_first" if out.ndim == 4 else "folded")
    q, k, v = (
        t if t.ndim == 4 else heads_first(t, "folded", watch.batch)
        for t in (scores.q, scores.k, values)
    )
    allowed_mask, bias = inline.mask_and_bias(scores, (watch.batch, q.shape[1], watch.n_pos))
    return _call(
        watch,
        q,
        k,
        v,
        out,
        layout,
        scores.scaling,
        allowed_mask,
        bias,
        "softmax",
        softcap=scores.softcap,
        sinks=scores.sinks,
    )


def _call(
    watch, q, k, v, out, layout, scaling, allowed_mask, bias, source, softcap=None, sinks=None
) -> AttentionCall:
    if q.ndim != 4 or v.ndim != 4:
        raise RefusedError(
            f"attention of {_place(watch)}: queries of shape {tuple(q.shape)}, "
            "where batch x head x pos x d_head is expected"
        )
    leaf = Term(out)
    z = heads_first(out, layout, q.shape[0])
    if allowed_mask is not None and allowed_mask.ndim == 3:
        allowed_mask = allowed_mask[None]
    if bias is not None:
        while bias.ndim < 4:
            bias = bias[None]
    return AttentionCall(
        watch.block, len(watch.calls), watch.innermost(), q, k, v, z, leaf, layout, scaling,
        allowed_mask, bias, softcap, None if sinks is None else sinks.detach().reshape(-1), source,
        watch.owner_of(k),
    )  # fmt: skip
