"""One read recomputed, masks, layouts, and the private keys."""

from __future__ import annotations

import pytest

pytest.importorskip("transformers")

import torch
from transformers import AttentionInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from worldline.models import attention
from worldline.models.attention import AttentionCall, causal_allowed, private_keys, split_mask
from worldline.models.terms import Term
from worldline.models.tiny_models import tiny_ids, tiny_model

H, G, T, D = 4, 2, 6, 3
DTYPE = torch.float64


def call(**change):
    g = torch.Generator().manual_seed(0)
    q, k, v, z = (torch.randn(1, heads, T, D, generator=g, dtype=DTYPE) for heads in (H, G, G, H))
    given = {"layout": "head_first", "scaling": 0.5} | change
    return AttentionCall(0, 0, "", q, k, v, z, Term(z), **given)


def slow(call, softcap=None, bias=None, allowed=None, sinks=None):
    """The pattern by loops."""
    pattern = torch.zeros(H, T, T, dtype=DTYPE)
    for h in range(H):
        for j in range(T):
            exp = {}
            for i in range(T):
                if not (i <= j if allowed is None else bool(allowed[0, 0, j, i])):
                    continue
                s = 0.5 * float(call.q[0, h, j] @ call.k[0, h // (H // G), i])
                if softcap is not None:
                    s = float(softcap * torch.tanh(torch.tensor(s / softcap, dtype=DTYPE)))
                exp[i] = torch.tensor(s + (0 if bias is None else float(bias[0, h, j, i]))).exp()
            total = sum(exp.values()) + (0 if sinks is None else sinks[h].exp())
            for i, e in exp.items():
                pattern[h, j, i] = e / total
    return pattern


WINDOW = causal_allowed(T, torch.device("cpu")) & ~torch.ones(T, T, dtype=torch.bool).tril(-3)
EMPTY = WINDOW & (torch.arange(T) > 1)  # two rows of padding that may read nothing
BIAS = torch.randn(1, H, T, T, generator=torch.Generator().manual_seed(5), dtype=DTYPE)
SINKS = torch.tensor([0.5, -1.0, 3.0, 0.0], dtype=DTYPE)


@pytest.mark.parametrize(
    "how",
    [{}, {"softcap": 1.5}, {"bias": BIAS}, {"allowed": WINDOW}, {"sinks": SINKS},
     {"allowed": EMPTY}, {"softcap": 2.0, "bias": BIAS, "allowed": WINDOW, "sinks": SINKS}],
    ids=lambda how: "+".join(how) or "causal",
)  # fmt: skip
def test_pattern_equals_loops_whatever_the_block_of_rows(how):
    one = call(**how)
    true = slow(one, **how)
    for step in (1, 4, T):
        rows = [one.pattern_rows(s, min(T, s + step)) for s in range(0, T, step)]
        found = torch.zeros(H, T, T, dtype=DTYPE)
        for start, row in zip(range(0, T, step), rows, strict=True):
            found[:, start : start + row.shape[1], : row.shape[2]] = row
        torch.testing.assert_close(found, true, rtol=1e-6, atol=1e-9)
    if "allowed" in how and how["allowed"] is EMPTY:
        assert not found[:, :2].any()


def test_masks_are_split_into_what_is_forbidden_and_what_is_added():
    allowed, bias = split_mask(WINDOW)
    assert allowed is WINDOW
    assert bias is None
    lowest = torch.finfo(DTYPE).min
    allowed, bias = split_mask(torch.where(WINDOW, torch.zeros((), dtype=DTYPE), lowest))
    assert torch.equal(allowed, WINDOW)
    assert bias is None
    allowed, bias = split_mask(torch.where(WINDOW, BIAS, lowest))
    assert torch.equal(allowed, WINDOW.expand_as(BIAS))
    assert torch.equal(bias, torch.where(WINDOW, BIAS, 0.0))


@pytest.mark.parametrize("layout", ["head_first", "pos_first", "pos_outermost", "folded"])
def test_layouts_there_and_back(layout):
    one = call(layout=layout)
    shaped = one.from_heads(one.z)
    assert torch.equal(one.to_heads(shaped), one.z)


def test_views_of_larger_buffers_are_copied_and_others_are_not():
    one = call()
    buffer = torch.randn(1, 10, T, D, dtype=DTYPE)
    one.k, q = buffer[:, :G], one.q
    one.release_inputs()
    assert one.k.untyped_storage().data_ptr() != buffer.untyped_storage().data_ptr()
    assert torch.equal(one.k, buffer[:, :G])
    assert one.q.data_ptr() == q.data_ptr()


@pytest.mark.parametrize("name", ["llama", "gemma2", "gemma4"])
def test_private_keys_are_set_and_taken_back(name):
    model = tiny_model(name)
    before = model.config._attn_implementation

    def inside():
        with private_keys(model):
            key = model.config._attn_implementation
            assert key == f"worldline_{before}"
            assert key in AttentionInterface().valid_keys()
            assert key in ALL_MASK_ATTENTION_FUNCTIONS
            with torch.no_grad():  # outside a watched pass, a key is its delegate
                model(tiny_ids(9))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inside()
    assert model.config._attn_implementation == before


def test_a_delegate_that_cannot_be_found_is_refused():
    from worldline.errors import RefusedError

    with pytest.raises(RefusedError, match="no eager function"):
        attention.delegate_of(torch.nn.Linear(2, 2), "eager")
