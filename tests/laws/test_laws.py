"""Laws 1, 2, 3, 5 and 8 as properties, over tiny models of many architectures."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import worldline as wl
from tiny_runs import FLOAT32, FLOAT64, loaded, some_tokens, tokens_of
from worldline.errors import InputError, RefusedError
from worldline.models.laws import check_model
from worldline.runs.forward_passes import inputs_of
from worldline.runs.plan import Plan
from worldline.runs.trace import KEEP

EXPERTS = ("gpt_oss", "deepseek_v3", "mixtral")
TYPES = (
    "llama", "gpt2", "bloom", "gptj", "gemma2", "gpt_oss", "phi", "opt", "openai-gpt",
    "deepseek_v3", "mixtral", "mistral", "cohere", "falcon",
)  # fmt: skip
DENSE = tuple(name for name in TYPES if name not in EXPERTS)
WINDOWED = ("mistral", "gemma2", "gpt_oss")
IN_FLOAT64 = ("llama", "gpt2", "bloom", "gemma2", "gpt_oss", "opt", "deepseek_v3", "cohere")
CASES = [(name, FLOAT32) for name in TYPES] + [(name, FLOAT64) for name in IN_FLOAT64]
CLOSED = {FLOAT32: 1e-5, FLOAT64: 1e-6}
INSIDE_FLOAT32 = ("bloom", "gemma2")  # take norms or scores in float32 whatever the weights are
ONE = {FLOAT32: 1e-4, FLOAT64: 1e-8}

texts = st.lists(st.integers(16, 111), min_size=1, max_size=24)


def law(*strategies, examples=3):
    """A property over texts, tried on every case; few examples each, many together."""

    def wrap(test):
        test = given(*strategies)(test)
        few = settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        ids = [f"{name}-{str(dtype).removeprefix('torch.')}" for name, dtype in CASES]
        return pytest.mark.parametrize(("name", "dtype"), CASES, ids=ids)(few(test))

    return wrap


pytestmark = pytest.mark.usefixtures("cache")


def state_of(module):
    """Everything of a model that recording could have touched."""
    configs = list(
        {id(m.config): m.config for m in module.modules() if hasattr(m, "config")}.values()
    )
    return {
        "implementations": [getattr(c, "_attn_implementation", None) for c in configs],
        "configs": [repr(vars(c)) for c in configs],
        "asking": [p.requires_grad for p in module.parameters()],
        "gradients": [p.grad is None for p in module.parameters()],
        "training": [m.training for m in module.modules()],
        "hooks": [
            [len(hooks) for name, hooks in sorted(vars(m).items()) if name.endswith("_hooks")]
            for m in module.modules()
        ],
        "names": [sorted(vars(m)) for m in module.modules()],
        "forward": ["forward" in vars(m) for m in module.modules()],
        "global_key": torch.is_grad_enabled(),
    }


def weights_of(module):
    return {name: t.detach().clone() for name, t in module.state_dict().items()}


def same_weights(before, after):
    assert before.keys() == after.keys()
    return all(
        torch.equal(a.contiguous().view(torch.uint8), b.contiguous().view(torch.uint8))
        for a, b in zip(before.values(), after.values(), strict=True)
    )


def plain_logits(model, ids):
    with torch.no_grad():
        return model.module(**inputs_of(model, Plan(tuple(ids)))).logits


# --- law 1: inert ---------------------------------------------------------------------------------


@law(texts)
def test_recording_is_inert(name, dtype, ids):
    model = loaded(name, dtype)
    state, weights = state_of(model.module), weights_of(model.module)
    plain = plain_logits(model, ids)
    seen = wl.execute(model, Plan(tuple(ids)))
    assert torch.equal(plain, seen.logits)
    trace = wl.record(model, tokens_of(ids))
    wl.attribute(trace, "gradient", how="mask")
    assert state_of(model.module) == state
    assert same_weights(weights, weights_of(model.module))
    assert torch.equal(plain, plain_logits(model, ids))
    assert trace.inert.equal
    assert trace.inert.checked == "probe"


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_a_verified_run_counts_every_read(name, implementation):
    try:
        model = loaded(name, FLOAT32, implementation)
    except ValueError as error:
        assert implementation == "sdpa"
        assert "does not support an attention implementation" in str(error)  # noqa: PT017
        return
    trace = wl.record(model, some_tokens(13), verify=True)
    assert trace.inert == dataclasses.replace(
        trace.inert, checked="run", equal=True, calls=trace.n_layers, expected_calls=trace.n_layers
    )
    assert trace.closure.over == "sources"
    assert trace.identity.implementation == implementation


def test_what_a_model_asks_of_its_weights_is_left_as_found():
    model = loaded("llama")
    frozen = [p for k, p in enumerate(model.module.parameters()) if k % 2]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        state = state_of(model.module)
        wl.attribute(wl.record(model, some_tokens(5)), "gradient")
        assert state_of(model.module) == state
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def test_a_model_is_left_as_found_when_a_run_fails():
    module = copy.deepcopy(loaded("llama").module)
    model = dataclasses.replace(loaded("llama"), module=module)
    state = state_of(module)

    def fail(event):
        raise KeyError("stop here")

    with pytest.raises(KeyError, match="stop here"):
        wl.execute(model, Plan((20, 21, 22)), fail)
    assert state_of(module) == state
    assert torch.equal(plain_logits(model, (20, 21)), plain_logits(loaded("llama"), (20, 21)))


def test_a_key_that_disturbs_is_refused(monkeypatch):
    from worldline.models import tracer as watch

    true = watch.Watch._note_read

    def disturbed(self, call, out):
        return true(self, call, out) * (1 + 1e-3)

    monkeypatch.setattr(watch.Watch, "_note_read", disturbed)
    report = check_model(copy.deepcopy(loaded("llama").module))
    assert report.status == "refused"
    assert not report.equal
    fresh = copy.deepcopy(loaded("llama").module)
    with torch.no_grad():  # weights that no cached report knows
        next(fresh.parameters()).add_(1e-3)
    model = dataclasses.replace(loaded("llama"), module=fresh)
    with pytest.raises(RefusedError, match="logits change when watched: largest difference"):
        wl.record(model, some_tokens(6))


# --- law 2: closure -------------------------------------------------------------------------------


@law(texts)
def test_every_node_is_the_sum_of_its_terms(name, dtype, ids):
    trace = wl.record(loaded(name, dtype), tokens_of(ids), close_over="sources")
    assert trace.closure.over == "sources"
    assert trace.closure.tolerance == CLOSED[dtype]
    assert 0 <= trace.closure.worst < CLOSED[dtype]
    if dtype is FLOAT64:
        assert trace.closure.worst < (1e-6 if name in INSIDE_FLOAT32 else 1e-12)


@pytest.mark.parametrize("name", TYPES)
def test_kept_arrays_add_up_to_the_next_row(name):
    trace = wl.record(loaded(name), some_tokens(11, seed=3))
    for layer in range(trace.n_layers):
        names = [
            n
            for n in ("attn_out", "mlp_out", "constants", "other")
            if trace.arrays[n][layer] is not None
        ]
        assert "attn_out" in names
        parts = sum(trace.arrays[n][layer] for n in names)
        carried = trace.live[layer].terms["skip"].value()[0].detach()
        row = trace.resid[layer + 1]
        assert ((carried + parts - row).norm(dim=-1) / row.norm(dim=-1)).max() < CLOSED[FLOAT32]


def test_a_term_that_is_missing_is_told_with_its_layer():
    from worldline.runs import recorder as recording

    true = recording.Recorder._close

    def without_mlp(self, event):
        if event.layer == 1:
            event.terms = {n: t for n, t in event.terms.items() if n != "mlp"}
        true(self, event)

    model, tokens = loaded("llama"), some_tokens(7)
    wl.record(model, tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording.Recorder, "_close", without_mlp)
        for over in ("terms", "sources"):
            with pytest.raises(RefusedError, match=r"layer 1, position \d: the terms \(.*attn.*\)"):
                wl.record(model, tokens, close_over=over)


# --- law 3: causality -----------------------------------------------------------------------------


@law(texts, st.data())
def test_later_tokens_change_no_earlier_node(name, dtype, ids, data):
    p = data.draw(st.integers(0, len(ids) - 1), label="first position that changes")
    tail = data.draw(st.lists(st.integers(16, 111), min_size=len(ids) - p, max_size=len(ids) - p))
    tail[0] = tail[0] if tail[0] != ids[p] else 16 + (ids[p] - 15) % 96
    one = wl.record(loaded(name, dtype), tokens_of(ids)).resid
    other = wl.record(loaded(name, dtype), tokens_of([*ids[:p], *tail])).resid
    for a, b in zip(one, other, strict=True):
        if name in EXPERTS:
            floor = 1e-4 if dtype is FLOAT32 else 1e-6
            assert p == 0 or float((a[:p] - b[:p]).abs().max()) <= floor
        else:
            assert torch.equal(a[:p], b[:p])
    assert not torch.equal(one[0][p], other[0][p])
    assert not torch.equal(one[-1][p], other[-1][p])


# --- law 5: shares sum to one; sums are those of all edges ----------------------------------------


@law(texts, st.sampled_from(["identity", "variance"]))
def test_shares_sum_to_one(name, dtype, ids, metric):
    trace = wl.record(loaded(name, dtype), tokens_of(ids))
    flow = wl.attribute(trace, "contribution", metric=metric, top=10)
    assert set(flow.shares) == {"skip", "mlp", "constants", "other", "self_attention", "kv"}
    one = 1e-6 if name in INSIDE_FLOAT32 and dtype is FLOAT64 else ONE[dtype]
    total = sum(flow.shares.values())
    assert total.shape == (trace.n_layers, trace.n_pos)
    size = sum(abs(matrix) for matrix in flow.shares.values())
    assert (abs(total - 1) / np.maximum(1, size)).max() < one
    # and the same from dense weights
    for layer in range(trace.n_layers):
        rest = sum(flow.shares[n][layer] for n in ("skip", "mlp", "constants", "other"))
        error = abs(flow.dense(layer).sum((0, 2)) + rest - 1) / np.maximum(1, size[layer])
        assert error.max() < one


METHODS = st.sampled_from([("contribution", "zero"), ("gradient", "zero"), ("gradient", "mask")])


@law(texts, METHODS, st.sampled_from([0, 1, 7, 10**6]))
def test_a_flow_is_what_its_dense_weights_say(name, dtype, ids, attribution, top):
    by, how = attribution
    trace = wl.record(loaded(name, dtype), tokens_of(ids))
    flow = wl.attribute(trace, by, how=how, top=top)
    dense = np.stack([flow.dense(layer) for layer in range(flow.n_layers)])
    own = np.diagonal(dense, axis1=2, axis2=3)
    edges = np.tril(dense, -1)
    assert not np.triu(dense, 1).any()
    scale = max(abs(edges).sum(), abs(own).max(), 1e-30)
    near = {"rtol": 0, "atol": scale * (1e-5 if dtype is FLOAT32 else 1e-13)}
    positive, negative = np.maximum(edges, 0), np.minimum(edges, 0)
    for sign, part in (("positive", positive), ("negative", negative)):
        for kind, axes in (("in", (1, 3)), ("out", (1, 2)), ("head", (2, 3))):
            found = getattr(flow.totals, f"{kind}_{sign}")
            np.testing.assert_allclose(found, part.sum(axes), **near)
        found = getattr(flow.totals, f"distance_{sign}")
        for d in range(flow.n_pos):
            by_hand = np.diagonal(part, -d, 2, 3).sum((1, 2))
            np.testing.assert_allclose(found[:, d], by_hand, **near)
    np.testing.assert_allclose(flow.totals.self_attention, own.sum(1), **near)
    assert flow.coverage.total == pytest.approx(abs(edges).sum(), rel=1e-5, abs=1e-30)
    assert flow.coverage.edges == len(flow.edges)
    held = sum(abs(e.weight) for e in flow.edges)
    if flow.coverage.total:
        assert flow.coverage.share == pytest.approx(held / flow.coverage.total, abs=1e-5)
    strongest_of(edges, flow, top)
    assert flow.coverage.of == edges_allowed(trace)


def strongest_of(edges, flow, top):
    """Exactly the strongest, strongest first, each with its own sign and size."""
    sizes = np.sort(abs(edges[edges != 0]))[::-1][:top]
    assert [abs(e.weight) for e in flow.edges] == sizes.tolist()
    for edge in flow.edges:
        assert edge.weight == edges[edge.layer, edge.head, edge.dst, edge.src]
        assert edge.src < edge.dst
    places = [e[:4] for e in flow.edges]
    assert len(set(places)) == len(places)
    keys = [(-abs(e.weight), e.layer, e.head, e.dst, e.src) for e in flow.edges]
    assert keys == sorted(keys)


def windows_of(trace):
    """Per layer the window of its reads; None where a row reads all that was before."""
    config = trace.model.module.config
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * trace.n_layers
    return [window if kind == "sliding_attention" else None for kind in kinds]


def edges_allowed(trace):
    """Brute force: pairs src < dst within the window, for every head."""
    return sum(
        trace.identity.n_heads
        for window in windows_of(trace)
        for dst in range(trace.n_pos)
        for src in range(dst)
        if window is None or dst - src < window
    )


@pytest.mark.parametrize("name", WINDOWED)
def test_a_window_leaves_out_far_edges(name):
    trace = wl.record(loaded(name), some_tokens(24))
    windows = windows_of(trace)
    assert any(windows)
    flow = wl.attribute(trace, "contribution", top=10**6)
    for layer, window in enumerate(windows):
        reach = 24 if window is None else window
        weights = np.tril(flow.dense(layer), -1)
        dst, src = np.nonzero(abs(weights).sum(0))
        assert (dst - src).max() == reach - 1
    assert flow.coverage.of == edges_allowed(trace) < trace.n_layers * 4 * 24 * 23 // 2


# --- law 8: saving is the identity ----------------------------------------------------------------


@law(texts, st.sets(st.sampled_from(KEEP)), st.integers(0, 99) | st.none())
def test_saving_and_loading_are_identities(tmp_path_factory, name, dtype, ids, keep, seed):
    model = loaded(name, dtype)
    trace = wl.record(model, tokens_of(ids), keep=tuple(sorted(keep)), seed=seed)
    path = wl.save_trace(trace, tmp_path_factory.mktemp("save") / "trace.safetensors")
    back = wl.load_trace(path)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]
    same_bits(trace.resid, back.resid)
    assert trace.arrays.keys() == back.arrays.keys()
    for key, blocks in trace.arrays.items():
        same_bits(blocks, back.arrays[key])
    for field in ("tokens", "identity", "predictions", "closure", "inert", "versions", "seed",
                  "opaque_layers", "extra"):  # fmt: skip
        if field == "identity":
            a, b = trace.identity, back.identity
            assert dataclasses.replace(a, config={}) == dataclasses.replace(b, config={})
            assert a.config.keys() == b.config.keys()
        else:
            assert getattr(trace, field) == getattr(back, field), field
    assert (back.live, back.model) == (None, None)
    again = wl.save_trace(back, path.with_name("again.safetensors"))
    assert load_file(path).keys() == load_file(again).keys()


def same_bits(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "bloom"])
@pytest.mark.parametrize("by", ["contribution", "gradient"])
def test_a_loaded_trace_gives_the_weights_of_the_live_one(tmp_path, name, by):
    model = loaded(name)
    live = wl.record(model, some_tokens(9))
    back = wl.load_trace(wl.save_trace(live, tmp_path / "t.safetensors"))
    a, b = wl.attribute(live, by, top=50), wl.attribute(back, by, top=50, model=model)
    assert a.edges == b.edges
    assert a.coverage == b.coverage
    assert a.meaning == b.meaning
    for field in dataclasses.fields(a.totals):
        assert np.array_equal(getattr(a.totals, field.name), getattr(b.totals, field.name))
    with pytest.raises(InputError, match=r"needs the model that made it: .*weights [0-9a-f]{12}"):
        wl.attribute(back, by)


def test_another_model_is_refused(tmp_path):
    trace = wl.record(loaded("llama"), some_tokens(5))
    back = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    other = dataclasses.replace(loaded("llama"), module=copy.deepcopy(loaded("llama").module))
    with torch.no_grad():
        list(other.module.parameters())[-1].view(-1)[0] += 1e-3
    for one in (trace, back):
        with pytest.raises(InputError, match=r"the trace was made by .*, not by"):
            wl.attribute(one, model=other)
        with pytest.raises(InputError, match="the trace was made by"):
            wl.attribute(one, model=loaded("llama", FLOAT64))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    trace = wl.record(loaded("llama"), some_tokens(6))
    return wl.save_trace(trace, tmp_path_factory.mktemp("whole") / "t").read_bytes()


class TestDamagedFiles:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.floats(0, 1, exclude_max=True))
    def test_truncated(self, tmp_path_factory, whole, part):
        path = tmp_path_factory.mktemp("cut") / "t"
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(InputError, match="not a whole safetensors file"):
            wl.load_trace(path)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(max_size=200))
    def test_foreign(self, tmp_path_factory, content):
        path = tmp_path_factory.mktemp("foreign") / "t"
        path.write_bytes(content)
        with pytest.raises(InputError):
            wl.load_trace(path)

    def test_absent_and_folder(self, tmp_path):
        for place in (tmp_path, tmp_path / "nothing"):
            with pytest.raises(InputError, match="no such file"):
                wl.load_trace(place)

    def test_another_safetensors_file(self, tmp_path):
        save_file({"a": torch.zeros(3)}, tmp_path / "t")
        with pytest.raises(InputError, match="without a worldline header"):
            wl.load_trace(tmp_path / "t")

    @pytest.mark.parametrize(
        "header",
        ['{"schema": "worldline.runs/99"}', '{"schema": "worldline.runs/1"}', "[]", "no JSON",
         '"text"', "null", '{"schema": "worldline.runs/1", "identity": {"n_layers": 2}}',
         '{"schema": "worldline.runs/1", "identity": null}',
         '{"schema": "worldline.runs/1", "identity": {"n_layers": 0}, "arrays": []}'],
    )  # fmt: skip
    def test_other_headers(self, tmp_path, header):
        save_file({"a": torch.zeros(3)}, tmp_path / "t", metadata={"worldline": header})
        with pytest.raises(InputError):
            wl.load_trace(tmp_path / "t")

    def test_a_file_without_its_checksum_is_refused(self, tmp_path, whole):
        from safetensors import safe_open

        (tmp_path / "t").write_bytes(whole)
        with safe_open(tmp_path / "t", framework="pt") as file:
            header = file.metadata()["worldline"]
        save_file(load_file(tmp_path / "t"), tmp_path / "t", metadata={"worldline": header})
        with pytest.raises(InputError, match="not what was written"):
            wl.load_trace(tmp_path / "t")

    def test_a_row_is_missing(self, tmp_path, whole):
        from safetensors import safe_open

        (tmp_path / "t").write_bytes(whole)
        with safe_open(tmp_path / "t", framework="pt") as file:
            metadata = file.metadata()
        tensors = load_file(tmp_path / "t")
        del tensors["resid.1"]
        save_file(tensors, tmp_path / "u", metadata=metadata)
        with pytest.raises(InputError, match=r"damaged \('resid.1'\)"):
            wl.load_trace(tmp_path / "u")


def test_a_trace_is_written_whole_or_not_at_all(tmp_path):
    trace = wl.record(loaded("llama"), some_tokens(5))
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "t", tmp_path / "absent" / "t"):
        with pytest.raises(InputError, match=f"{place}: cannot be written"):
            wl.save_trace(trace, place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
