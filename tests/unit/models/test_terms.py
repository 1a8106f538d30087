"""Each rule: the terms add up to the result, and each is linear in its leaf."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F

from worldline.models.terms import (
    CONSTANTS,
    MLP,
    OTHER,
    SKIP,
    NonlinearMark,
    Parts,
    Term,
    mark_of,
    set_mark,
)
from worldline.models.tracer import Watch

B, T, D = 2, 5, 6


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def followed(fn, z_shape=(B, T, D)):
    """(result, terms or None, leaves) of `fn(x, z)`, x being the skip connection and z a read."""
    watch = Watch(None, T)
    watch.block = 0
    x, z = draw(B, T, D, seed=1), draw(*z_shape, seed=2)
    leaves = {SKIP: Term(x), "attn0": Term(z)}
    set_mark(x, Parts({SKIP: leaves[SKIP]}, 0))
    set_mark(z, Parts({"attn0": leaves["attn0"]}, 0))
    with torch.no_grad(), watch:
        out = fn(x, z)
    mark = mark_of(out, 0)
    return out, mark.terms if isinstance(mark, Parts) else None, leaves


W, V = nn.Parameter(draw(D, D, seed=3)), nn.Parameter(draw(D, seed=4))
ROWS = torch.tensor([4, 0, 2, 1, 3])
EXPERTS = nn.Parameter(draw(2, D, D, seed=5))


def experts(x, z):
    """Rows sorted by a held choice, each through its expert, gated, put back."""
    flat = z.reshape(-1, D)
    gate = torch.sigmoid(x.reshape(-1, D).sum(-1))
    order = gate.argsort()
    parts = flat[order].split([4, 6])
    out = torch.cat([F.linear(part, EXPERTS[k]) for k, part in enumerate(parts)])
    out = out * gate[order][:, None]
    return x + torch.zeros(B * T, D, dtype=z.dtype).index_add(0, order, out).view(B, T, D)


def in_place(x, z):
    y = F.linear(z, W)
    y += x
    y.mul_(0.5)
    y -= V
    return y


LINEAR = {
    "sum": (lambda x, z: x + F.linear(z, W, V), {SKIP, "attn0", CONSTANTS}),
    "difference": (lambda x, z: x - 2 * z, {SKIP, "attn0"}),
    "alpha": (lambda x, z: torch.add(x, z, alpha=0.3), {SKIP, "attn0"}),
    "in place": (in_place, {SKIP, "attn0", CONSTANTS}),
    "parallel": (lambda x, z: F.gelu(F.linear(x, W)) + z @ W + x, {SKIP, "attn0", MLP}),
    "post norm": (
        lambda x, z: F.layer_norm(x + z, (D,), V, V, 1e-3),
        {SKIP, "attn0", CONSTANTS},
    ),
    "rms norm": (lambda x, z: x + F.rms_norm(z, (D,), V, 1e-3), {SKIP, "attn0"}),
    "rms norm by hand": (
        lambda x, z: V * (z * torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + 1e-3)) + x,
        {SKIP, "attn0"},
    ),
    "gate": (lambda x, z: x + z * torch.sigmoid(F.linear(x, W)), {SKIP, "attn0"}),
    "quotient": (lambda x, z: x + z / 3 / (1 + x.abs().sum(-1, keepdim=True)), {SKIP, "attn0"}),
    "addmm": (
        lambda x, z: x + torch.addmm(V, z.view(-1, D), W).view(B, T, D),
        {SKIP, "attn0", CONSTANTS},
    ),
    "einsum": (lambda x, z: torch.einsum("btd,ed->bte", z, W) + x, {SKIP, "attn0"}),
    "halves": (
        lambda x, z: torch.cat([a - b for a, b in [z.chunk(2, -1)]] * 2, -1) + x,
        {SKIP, "attn0"},
    ),
    "index": (lambda x, z: x + z[:, ROWS][:, ROWS.argsort()], {SKIP, "attn0"}),
    "experts": (experts, {SKIP, "attn0"}),
    "stack and mean": (lambda x, z: torch.stack([x, z]).mean(0) + x.sum() * 0, None),
    "casts": (lambda x, z: x.float().double() + z.transpose(0, 1).contiguous().transpose(0, 1),
              {SKIP, "attn0"}),
    "from outside": (lambda x, z: x + z + draw(B, T, D, seed=9), {SKIP, "attn0", OTHER}),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_terms_add_up_and_each_is_linear_in_its_leaf(name):
    fn, names = LINEAR[name]
    out, terms, leaves = followed(fn)
    assert terms is not None
    if names is not None:
        assert set(terms) == names
    total = sum(term.value() for term in terms.values())
    torch.testing.assert_close(total, out, rtol=1e-6 if name == "casts" else 1e-12, atol=1e-7)
    for leaf_name, leaf in leaves.items():
        term = terms[leaf_name]
        a, b = leaf.value(), draw(*leaf.value().shape, seed=7)
        torch.testing.assert_close(term.replay(leaf, a), term.value(), rtol=1e-12, atol=1e-12)
        mixed = term.replay(leaf, 2 * a - 3 * b)
        apart = 2 * term.replay(leaf, a) - 3 * term.replay(leaf, b)
        torch.testing.assert_close(mixed, apart, rtol=1e-5, atol=1e-5 if name == "casts" else 1e-10)
        # <image of b, g> = <b, pull-back of g>
        g = draw(*out.shape, seed=8)
        left = (term.replay(leaf, b) * g).sum()
        torch.testing.assert_close(left, (b * term.pull_back(leaf, g)).sum(), rtol=1e-5, atol=1e-5)


HELD = {
    "tanh": lambda x, z: torch.tanh(z),
    "product of skip and read": lambda x, z: x * z,
    "norm scale of the product of two": lambda x, z: (x + z) * torch.sigmoid(x),
    "matrix made from the input": lambda x, z: z @ x.transpose(-1, -2),
    "einsum of two": lambda x, z: torch.einsum("btd,btd->bt", x, z),
    "divided by itself": lambda x, z: x / z,
    "dropout that drops": lambda x, z: F.dropout(z, 0.5, training=True),
}


@pytest.mark.parametrize("name", HELD)
def test_what_is_not_linear_is_held(name):
    _, terms, _ = followed(HELD[name])
    assert terms is None


def test_writing_into_a_tensor_makes_it_held():
    def fn(x, z):
        y = torch.zeros_like(x)
        y[:, 1:] = z[:, 1:]
        return y

    assert followed(fn)[1] is None


def test_an_in_place_operation_leaves_the_leaf_as_it_was():
    kept = {}

    def fn(x, z):
        kept["x"] = x.clone()
        x += z
        return x

    out, terms, leaves = followed(fn)
    assert torch.equal(leaves[SKIP].value(), kept["x"])
    assert torch.equal(terms[SKIP].value() + terms["attn0"].value(), out)


def test_marks_of_another_block_count_as_from_outside():
    x = draw(B, T, D)
    set_mark(x, NonlinearMark(3))
    assert mark_of(x, 3) is not None
    assert mark_of(x, 4) is None
    assert mark_of("no tensor", 3) is None


def test_a_term_knows_its_leaves_and_refuses_others():
    a, b = Term(draw(2, 3)), Term(draw(2, 3, seed=1))
    both = Term(None, torch.add, (a, b))
    assert both.leaves() == [a, b]
    with pytest.raises(ValueError, match="not an image"):
        both.replay(a, a.value())
