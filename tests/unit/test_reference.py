"""The reference against transformers (a second witness) and against its own mathematics."""

from __future__ import annotations

import ast
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference as ref
from oracles import FAMILIES, Float64, array, witness_of
from reference import Decoder, Layer, Norm

IDS = (3, 1, 4, 1, 5, 9)
TARGET = ref.logit_target(2, versus=7)
OUT_PROJECTIONS = ("o_proj", "dense", "out_proj")


@pytest.fixture(scope="module", params=FAMILIES)
def witness(request):
    """A tiny random model of a family, every parameter drawn anew, and its Decoder."""
    return witness_of(request.param)


def record(model, ids):
    """The model's outputs, z [layer][head, pos, d_head], and d target / d z of the same shape."""
    z = []

    def keep(module, args):
        args[0].retain_grad()
        z.append(args[0])

    hooks = [
        module.register_forward_pre_hook(keep)
        for name, module in model.named_modules()
        if name.rsplit(".", 1)[-1] in OUT_PROJECTIONS
    ]
    ask = {"use_cache": False, "output_hidden_states": True, "output_attentions": True}
    out = model(torch.tensor([ids]), **ask)
    for hook in hooks:
        hook.remove()
    TARGET(out.logits[0]).backward()
    n = model.config.num_attention_heads
    z, u = ([array(t[0]).reshape(len(ids), n, -1) for t in ts] for ts in (z, [t.grad for t in z]))
    return out, np.swapaxes(z, 1, 2), np.swapaxes(u, 1, 2)


def worst(a, b):
    assert np.shape(a) == np.shape(b)
    return np.abs(np.asarray(a) - b).max()


def test_run_agrees_with_transformers(witness):
    model, decoder = witness
    with Float64():
        out, z, _ = record(model, IDS)
    run = ref.run(decoder, IDS)
    rows = len(run.resid_pre) - 1  # transformers' last hidden state has passed the final norm
    assert worst(run.resid_pre[:rows], [array(x[0]) for x in out.hidden_states[:rows]]) < 1e-9
    assert worst(run.pattern, [array(a[0]) for a in out.attentions]) < 1e-9
    assert worst(run.z, z) < 1e-9
    assert worst(run.logits, array(out.logits[0])) < 1e-9
    assert np.abs(run.logits).max() > 0.1
    assert ref.closure(run) < 1e-12


def test_run_agrees_with_transformers_as_it_is_to_float32_rounding(witness):
    model, decoder = witness
    with torch.no_grad():
        logits = model(torch.tensor([IDS]), use_cache=False).logits[0]
    assert worst(ref.run(decoder, IDS).logits, array(logits)) < 1e-5


def test_gradient_agrees_with_autograd(witness):
    model, decoder = witness
    ids = IDS[:4]  # one more than the window
    with Float64():
        _, _, u = record(model, ids)
    step = 1e-5 if decoder.act == "relu" else 1e-4  # a kink within the step spoils the difference
    ours = ref.logit_gradient_wrt_z(decoder, ref.run(decoder, ids), TARGET, step)
    assert worst(ours, u) < 1e-8


def random_case(seed, heads, n_layers, norm, post, position, ids, absent, window, tied, **options):
    """A small random decoder, and token ids for it. `absent`: beginnings of weight names."""
    rng = np.random.default_rng(seed)
    (n_heads, n_kv_heads), d_model, d_head, d_mlp, d_vocab = heads, 6, 4, 5, 8
    shapes = {
        "W_Q": (n_heads, d_model, d_head),
        "W_K": (n_kv_heads, d_model, d_head),
        "W_V": (n_kv_heads, d_model, d_head),
        "W_O": (n_heads, d_head, d_model),
        "W_in": (d_model, d_mlp),
        "W_out": (d_mlp, d_model),
        "W_gate": (d_model, d_mlp),
        "b_Q": (n_heads, d_head),
        "b_K": (n_kv_heads, d_head),
        "b_V": (n_kv_heads, d_head),
        "b_O": (d_model,),
        "b_in": (d_mlp,),
        "b_gate": (d_mlp,),
        "b_out": (d_model,),
        "sinks": (n_heads,),
    }
    names = [name for name in shapes if not name.startswith(absent)]

    def normal(*shape):
        return 0.6 * rng.normal(size=shape)

    def norm_like(kind):
        if kind == "none":
            return Norm()
        b = normal(d_model) if kind == "layer" else 0.0
        return Norm(kind, 1.0 + normal(d_model), b, eps=0.01)  # keeps derivatives moderate

    layers = [
        Layer(
            {name: normal(*shapes[name]) for name in names},
            *(norm_like(kind) for kind in (norm, norm, post, post)),
            window=window if n == 0 else None,
        )
        for n in range(n_layers)
    ]
    W_E = normal(d_vocab, d_model)
    decoder = Decoder(
        W_E,
        layers,
        norm_like(norm),
        W_E.T if tied else normal(d_model, d_vocab),
        W_pos=normal(5, d_model) if position == "learned" else None,
        rope_base=20.0 if position == "rope" else None,
        **options,
    )
    return decoder, tuple(ids)


def cases(*, smooth=False, positions=(None, "rope", "learned")):
    """Calls of random_case: a strategy may not itself set off the random checks of beartype."""
    acts = ["silu", "gelu", "gelu_tanh", "quick_gelu"] + ([] if smooth else ["relu"])
    absent = [(), ("b_",), ("sinks",), ("b_", "sinks"), ("W_gate", "b_gate"), ("W_gate", "b", "s")]
    return st.builds(
        partial,
        st.just(random_case),
        seed=st.integers(0, 10**6),
        heads=st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2)]),
        n_layers=st.integers(1, 2),
        norm=st.sampled_from(["rms", "layer"]),
        post=st.sampled_from(["none", "rms", "layer"]),
        position=st.sampled_from(positions),
        ids=st.lists(st.integers(0, 7), min_size=1, max_size=4),
        absent=st.sampled_from(absent),
        window=st.sampled_from([None, 2]),
        tied=st.booleans(),
        rope_dim=st.sampled_from([None, 2]),
        rope_interleaved=st.booleans(),
        act=st.sampled_from(acts),
        parallel=st.booleans(),
        attn_softcap=st.sampled_from([None, 0.8]),
        residual_multiplier=st.sampled_from([1.0, 0.4]),
        final_softcap=st.sampled_from([None, 2.0]),
    )


def edges_of(run):
    """Every edge that exists, as cut_effect's keywords."""
    for layer, head, dst, src in zip(*np.nonzero(run.pattern), strict=True):
        yield {"layer": layer, "head": head, "src": src, "dst": dst}


def edit_of(run, edges, keep=0.0):
    edit = np.ones_like(run.pattern)
    for edge in edges:
        edit[edge["layer"], edge["head"], edge["dst"], edge["src"]] = keep
    return edit


few = settings(max_examples=25, deadline=None)
fewer = settings(max_examples=8, deadline=None)


@few
@given(cases(), st.booleans())
def test_terms_add_up_and_shares_sum_to_one(case, weighed):
    decoder, ids = case()
    run = ref.run(decoder, ids)
    assert ref.closure(run) < 1e-12
    assert worst(sum(run.sources.values()), run.resid_pre[0]) == 0
    shares = ref.share(run, np.linspace(0.1, 3, 6) if weighed else 1.0)
    total = shares.pop("kv").sum(axis=(1, 3)) + shares.pop("self_attention").sum(axis=1)
    assert set(shares) == {"skip", "mlp", "b_O", "ln1_post_b", "b_out", "ln2_post_b"}
    assert worst(total + sum(shares.values()), np.ones_like(total)) < 1e-10


def test_share_of_an_edge_is_its_projection_on_the_node():
    decoder, ids = llama_by_hand(), (1, 2, 3)
    run = ref.run(decoder, ids)
    y, term = run.resid_pre[2, 2], run.pattern[1, 0, 2, 1] * run.v[1, 0, 1]
    by_hand = (term @ decoder.layers[1].weights["W_O"][0]) @ y / (y @ y)
    assert ref.share(run)["kv"][1, 0, 2, 1] == pytest.approx(by_hand, rel=1e-12)
    assert not ref.share(run)["kv"][:, :, range(3), range(3)].any()


def llama_by_hand():
    rng = np.random.default_rng(7)
    shapes = {"Q": (1, 4, 2), "K": (1, 4, 2), "V": (1, 4, 2), "O": (1, 2, 4), "in": (4, 3)}
    shapes |= {"gate": (4, 3), "out": (3, 4)}
    layers = [
        Layer({"W_" + k: rng.normal(size=s) for k, s in shapes.items()}, Norm("rms"), Norm("rms"))
        for _ in range(2)
    ]
    W_E = rng.normal(size=(5, 4))
    return Decoder(W_E, layers, Norm("rms"), W_E.T, rope_base=10.0)


@few
@given(cases(), st.data())
def test_nothing_outside_the_past_changes_a_node(case, data):
    decoder, ids = case()
    t = data.draw(st.integers(0, len(ids) - 1))
    changed = (*ids[:t], (ids[t] + 1) % 8, *ids[t + 1 :])
    a, b = ref.run(decoder, ids), ref.run(decoder, changed)
    assert np.array_equal(a.resid_pre[:, :t], b.resid_pre[:, :t])
    assert np.array_equal(a.logits[:t], b.logits[:t])
    future = np.triu(np.ones((len(ids), len(ids)), dtype=bool), 1)
    assert not a.pattern[..., future].any()
    assert not a.attn_term[:, :, future].any()


@few
@given(cases())
def test_a_pattern_row_sums_to_one_less_the_sink(case):
    decoder, ids = case()
    run = ref.run(decoder, ids)
    if "sinks" not in decoder.layers[0].weights:
        assert worst(run.pattern.sum(-1), np.ones(run.pattern.shape[:-1])) < 1e-14
        return
    sink = run.sinks[..., None]
    odds = np.exp(run.scores - sink[..., None]).sum(-1)  # all that is read, against the sink
    assert worst(run.pattern.sum(-1), odds / (1 + odds)) < 1e-12


@fewer
@given(cases(smooth=True), st.data())
def test_gradients_are_the_derivatives_of_the_cuts(case, data):
    """d target / d keep at 1: a <v, u> for zero, a <v - z, u> = (1 - a) gradient_mask for mask."""
    decoder, ids = case()
    run = ref.run(decoder, ids)
    u = ref.logit_gradient_wrt_z(decoder, run, TARGET)
    weights = {"zero": ref.gradient_zero(run, u)}
    weights["mask"] = (1 - run.pattern) * ref.gradient_mask(run, u)
    edges = list(edges_of(run))
    for edge in data.draw(st.lists(st.sampled_from(edges), min_size=1, max_size=4)):
        for how, weight in weights.items():
            f = [
                ref.cut_effect(decoder, ids, TARGET, **edge, how=how, keep=1 + n * 1e-4)
                for n in (-2, -1, 1, 2)
            ]
            derivative = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / 12e-4
            at = tuple(edge[n] for n in ("layer", "head", "dst", "src"))
            assert derivative == pytest.approx(weight[at], rel=1e-6, abs=1e-8)


@fewer
@given(cases(), st.sampled_from([1.0, 40.0]))
def test_gradient_mask_is_exact_for_the_change_of_z(case, sharpness):
    """Also where a = 1 in floating point and a / (1 - a) is not a number."""
    decoder, ids = case()
    for layer in decoder.layers:
        layer.weights["W_Q"] = sharpness * layer.weights["W_Q"]
    run = ref.run(decoder, ids)
    u = np.random.default_rng(0).normal(size=run.z.shape)
    weights = ref.gradient_mask(run, u)
    for edge in edges_of(run):
        at = tuple(edge[n] for n in ("layer", "head", "dst", "src"))
        row = at[:3]
        cut = ref.run(decoder, ids, mask=edit_of(run, [edge]))
        assert weights[at] == pytest.approx((run.z[row] - cut.z[row]) @ u[row], rel=1e-9, abs=1e-12)
        if run.pattern[at] < 0.9:
            a, v = run.pattern[at], run.v[at[0], at[1], at[3]]
            assert weights[at] == pytest.approx(a / (1 - a) * (v - run.z[row]) @ u[row], rel=1e-9)


def test_gradient_mask_where_an_edge_has_the_whole_row():
    decoder = llama_by_hand()
    for layer in decoder.layers:
        layer.weights["W_Q"] = 500.0 * layer.weights["W_Q"]
    run = ref.run(decoder, (1, 2, 3))
    assert (run.pattern[:, :, 1:] == 1.0).any()  # rows of several edges, one has it all
    weights = ref.gradient_mask(run, np.ones_like(run.z))
    assert np.isfinite(weights).all()
    assert weights[0, 0, 0, 0] == pytest.approx(run.v[0, 0, 0].sum())  # an emptied row gives z = 0


@few
@given(cases(), st.sampled_from(["mask", "zero"]))
def test_edits_that_cut_nothing_are_the_identity(case, how):
    decoder, ids = case()
    run = ref.run(decoder, ids)
    same = ref.run(decoder, ids, **{how: edit_of(run, [])}, z_shift=np.zeros_like(run.z))
    assert np.array_equal(run.logits, same.logits)
    assert np.array_equal(run.attn_term, same.attn_term)


@few
@given(cases(positions=(None, "rope")))
def test_a_column_that_reads_nobody_is_its_one_token_run(case):
    decoder, ids = case()
    run = ref.run(decoder, ids)
    into_last = [e for e in edges_of(run) if e["src"] < e["dst"] == len(ids) - 1]
    alone = ref.run(decoder, ids, mask=edit_of(run, into_last))
    assert worst(alone.logits[-1], ref.run(decoder, ids[-1:]).logits[0]) < 1e-9
    assert ref.closure(alone) < 1e-12


@fewer
@given(cases())
def test_a_zeroed_edge_leaves_the_other_weights_alone(case):
    decoder, ids = case()
    run = ref.run(decoder, ids)
    for edge in edges_of(run):
        if edge["layer"] == 0:
            cut = ref.run(decoder, ids, zero=edit_of(run, [edge]))
            expected = run.pattern[0].copy()
            expected[edge["head"], edge["dst"], edge["src"]] = 0.0
            assert np.array_equal(cut.pattern[0], expected)
            assert ref.closure(cut) < 1e-12


@fewer
@given(cases(), st.sampled_from(["mask", "zero"]))
def test_last_layer_edges_into_other_columns_do_nothing(case, how):
    decoder, ids = case()
    run = ref.run(decoder, ids)
    for edge in edges_of(run):
        if edge["layer"] == len(decoder.layers) - 1 and edge["dst"] < len(ids) - 1:
            assert ref.cut_effect(decoder, ids, TARGET, **edge, how=how) == 0.0


def test_cut_effect_refuses_what_is_no_edge():
    with pytest.raises(ValueError, match="src=2 to dst=1"):
        ref.cut_effect(
            llama_by_hand(), (1, 2, 3), TARGET, layer=0, head=0, src=2, dst=1, how="mask"
        )
    with pytest.raises(TypeError):
        ref.cut_effect(
            llama_by_hand(), (1, 2, 3), TARGET, layer=0, head=0, src=1, dst=2, how="patch"
        )


def test_reference_imports_nothing_of_ours():
    tree = ast.parse(Path(ref.__file__).read_text(encoding="utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert {name for n in imports for name in [getattr(n, "module", None) or n.names[0].name]} == {
        "__future__",
        "math",
        "collections.abc",
        "dataclasses",
        "numpy",
    }
