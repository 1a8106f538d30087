"""Attention that a module writes out itself is recognised by what it does."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F

from worldline.models import inline_attention as inline
from worldline.models.laws import check_model, recomputed_z
from worldline.models.tracer import watched_forward

B, H, T, D = 2, 3, 7, 4
FUTURE = torch.ones(T, T, dtype=torch.bool).triu(1)
MIN = torch.finfo(torch.float64).min
ALIBI = torch.arange(T, dtype=torch.float64) * torch.tensor([0.5, 0.25, 0.1])[:, None, None]
SINK = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)


def softmax(scores):
    return F.softmax(scores, dim=-1)


def plain(q, k, v):
    scores = q @ k.transpose(-1, -2) / math.sqrt(D)
    return softmax(scores.masked_fill(FUTURE, -math.inf)) @ v


def additive(q, k, v):
    scores = torch.matmul(q * 0.5, k.transpose(-1, -2)) * 0.7
    return torch.matmul(softmax(scores + FUTURE * -1e30), v)


def where(q, k, v):
    scores = torch.where(~FUTURE, q @ k.transpose(-1, -2), MIN)
    return F.dropout(softmax(scores), 0.1, training=False) @ v


def ones(q, k, v):
    scores = q @ k.transpose(-1, -2)
    scores = scores * (~FUTURE) + FUTURE * -1e30
    return softmax(scores) @ v


def softcap(q, k, v):
    scores = torch.tanh(q @ k.transpose(-1, -2) * 0.5 / 3.0) * 3.0
    return softmax(scores + FUTURE * -1e9) @ v


def baddbmm(q, k, v):
    alibi = ALIBI.expand(H, 1, T).repeat(B, 1, 1)
    q, k, v = (t.reshape(B * H, T, D) for t in (q, k, v))
    scores = torch.baddbmm(alibi, q, k.transpose(-1, -2), beta=1.0, alpha=0.5)
    scores = scores.view(B, H, T, T).masked_fill_(FUTURE, MIN)
    return torch.bmm(softmax(scores).view(B * H, T, T), v).view(B, H, T, D)


def sinks(q, k, v):
    scores = (q @ k.transpose(2, 3)) * 0.5 + FUTURE * -1e30
    scores = torch.cat([scores, SINK.view(1, -1, 1, 1).expand(B, -1, T, -1)], dim=-1)
    scores = scores - scores.max(dim=-1, keepdim=True).values
    return softmax(scores)[..., :-1] @ v


def einsum(q, k, v):
    q, k, v = (t.permute(2, 0, 1, 3) for t in (q, k, v))  # positions outermost
    scores = torch.einsum("ibnd,jbnd->bnij", q, k) + ALIBI
    scores = scores * 0.5 - 1e30 * FUTURE
    return torch.einsum("bnij,jbnd->ibnd", F.softmax(scores, dim=3), v)


GOOD = [plain, additive, where, ones, softcap, baddbmm, sinks, einsum]


class Holder(nn.Module):
    def __init__(self, attend):
        super().__init__()
        self.attend = attend

    def forward(self, input_ids):
        g = torch.Generator().manual_seed(1)
        q, k, v = (torch.randn(B, H, T, D, generator=g, dtype=torch.float64) for _ in range(3))
        return SimpleNamespace(logits=self.attend(q, k, v))


def calls_of(attend):
    calls = []
    ids = torch.zeros(B, T, dtype=torch.long)
    model = Holder(attend)
    seen = watched_forward(model, {"input_ids": ids}, None, terms=False, on_call=calls.append)
    assert torch.equal(seen.logits, model(ids).logits)
    return calls


@pytest.mark.parametrize("attend", GOOD, ids=lambda f: f.__name__)
def test_reads_are_recognised_and_z_comes_out_again(attend):
    (call,) = calls_of(attend)
    assert call.q.shape == call.k.shape == call.v.shape == call.z.shape == (B, H, T, D)
    assert call.source == "softmax"
    for batch in range(B):
        torch.testing.assert_close(recomputed_z(call, batch), call.z[batch])
        pattern = call.pattern_rows(0, T, batch)
        assert not pattern[:, FUTURE].any()
        if attend is not sinks:
            torch.testing.assert_close(pattern.sum(-1), torch.ones(H, T, dtype=torch.float64))
    torch.testing.assert_close(call.to_heads(call.from_heads(call.z)), call.z)
    assert call.from_heads(call.z).shape == call.leaf.value().shape or attend is baddbmm
    assert (call.softcap is not None) == (attend is softcap)
    assert (call.sinks is not None) == (attend is sinks)


BAD = {
    "pass through `exp`": lambda q, k, v: softmax(torch.exp(q @ k.transpose(-1, -2))) @ v,
    "divided by a tensor": lambda q, k, v: softmax(
        q @ k.transpose(-1, -2) / (1 + torch.arange(T))) @ v,
    "multiplied by a tensor": lambda q, k, v: softmax(
        q @ k.transpose(-1, -2) * (1 + torch.arange(T))) @ v,
    "filled with a finite value": lambda q, k, v: softmax(
        (q @ k.transpose(-1, -2)).masked_fill(FUTURE, -3.0)) @ v,
    "not a product of queries and keys": lambda q, k, v: softmax(
        FUTURE.double().expand(B, H, T, T)) @ v,
    "varies over rows": lambda q, k, v: softmax(
        torch.cat([q @ k.transpose(2, 3), q[..., :1]], -1))[..., :-1] @ v,
    "after something else": lambda q, k, v: softmax(
        torch.tanh(q @ k.transpose(-1, -2) + ALIBI)) @ v,
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_what_is_no_plain_attention_is_refused_with_its_reason(reason):
    from worldline.errors import RefusedError

    with pytest.raises(RefusedError, match=reason):
        calls_of(BAD[reason])


def test_a_pattern_that_is_changed_after_the_softmax_is_no_read():
    def attend(q, k, v):
        pattern = softmax(q @ k.transpose(-1, -2))
        return (pattern * 2 * torch.sigmoid(pattern)) @ v

    assert calls_of(attend) == []


def test_products_of_another_size_are_no_scores():
    assert calls_of(lambda q, k, v: softmax(q[:, :, :5] @ k.transpose(-1, -2)) @ v) == []


def test_a_bias_that_only_shifts_rows_is_kept_as_one_row():
    bias = torch.arange(T).double()[None] - torch.arange(T).double()[:, None]
    one = inline._compress_bias(bias[None, None], ~FUTURE[None, None])
    assert one.shape[-2:] == (1, T)
    bent = inline._compress_bias((bias * bias)[None, None], ~FUTURE[None, None])
    assert bent.shape[-2:] == (T, T)
    assert inline._compress_bias(torch.zeros(1, 1, T, T), None) is None


class Block(nn.Module):
    def __init__(self, parallel, post_norm, gate):
        super().__init__()
        self.parallel, self.post_norm, self.gate = parallel, post_norm, gate
        self.qkvg, self.out = nn.Linear(12, 48), nn.Linear(12, 12)
        self.up, self.down = nn.Linear(12, 20), nn.Linear(20, 12)
        self.norm, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)

    def attention(self, x):
        n = x.shape[1]
        q, k, v, g = (t.unflatten(-1, (3, 4)).transpose(1, 2) for t in self.qkvg(x).chunk(4, -1))
        future = torch.ones(n, n, dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(-1, -2) / 2).masked_fill(future, -math.inf)
        z = softmax(scores) @ v
        z = z * torch.sigmoid(g) if self.gate else z
        return self.out(z.transpose(1, 2).flatten(2))

    def mlp(self, x):
        return self.down(F.gelu(self.up(x)))

    def forward(self, x):
        if self.parallel:
            y = self.norm(x)
            return x + self.attention(y) + self.mlp(y)
        if self.post_norm:
            x = self.norm(x + self.attention(x))
            return self.norm2(x + self.mlp(x))
        y = self.attention(self.norm(x))
        y += x
        z = self.mlp(self.norm2(y))
        z += y
        return z


class Model(nn.Module):
    def __init__(self, **how):
        super().__init__()
        torch.manual_seed(3)
        self.embed, self.head = nn.Embedding(40, 12), nn.Linear(12, 40)
        self.blocks = nn.ModuleList([Block(**how) for _ in range(2)])

    def forward(self, input_ids, use_cache=False):
        x = self.embed(input_ids)
        for block in self.blocks:
            x = block(x)
        return SimpleNamespace(logits=self.head(x))


@pytest.mark.parametrize("gate", [False, True])
@pytest.mark.parametrize(("parallel", "post_norm"), [(True, False), (False, True), (False, False)])
def test_a_model_made_by_hand_is_exact(parallel, post_norm, gate):
    model = Model(parallel=parallel, post_norm=post_norm, gate=gate)
    report = check_model(model, vocab=40)
    assert report.status == "exact", report.reason
    assert (report.calls, report.reached_by, report.n_layers) == (2, "operations", 2)
    assert report.closure_error < 1e-6
    assert not report.padded
    assert "no padded batch" in report.reason
