"""Numbers of a recorded run are never those of another: rows are compared one by one."""

from __future__ import annotations

import threading

import pytest
import torch

import worldline as wl
from tiny_runs import NamesIds, some_tokens
from worldline.attribution.attribute import hop_spectrum
from worldline.attribution.peers.edge_vectors import refuse_long
from worldline.errors import InputError, RefusedError
from worldline.models.loader import load_model
from worldline.models.row_comparison import other_row, rounding_allowed, worst_position
from worldline.models.tiny_models import tiny_model

N_POS = 9
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
pytestmark = pytest.mark.usefixtures("cache")


class Scale:
    """A number that a hook reads where no identity looks."""

    __slots__ = ("value",)

    def __init__(self):
        self.value = 1.0


def model_of(dtype=torch.float32, sink=False, model_type="llama"):
    """A tiny model whose MLP of layer 1 is multiplied by what a hook reads from elsewhere.

    With `sink`, the first row is thousands of times larger than the others.
    """
    module, scale = tiny_model(model_type, dtype=dtype), threading.local()
    scale.value = 1.0
    if sink:
        with torch.no_grad():
            module.get_input_embeddings().weight[some_tokens(N_POS).ids[0]] *= 3000.0
    hidden = {id(scale): scale}
    module.get_decoder().layers[1].mlp.register_forward_hook(
        lambda _module, _args, out: out * next(iter(hidden.values())).value
    )
    return load_model((module, NamesIds())), scale


ASKED = {
    "gradient": lambda trace: wl.attribute(trace, "gradient", target=27),
    "span": lambda trace: wl.attribute(trace, "gradient", target=range(5, 8)),
    "frozen": lambda trace: wl.attribute(trace, "frozen", target=27),
    "hops": lambda trace: hop_spectrum(trace, target=27),
}


@pytest.mark.parametrize("sink", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("asked", ASKED)
def test_a_change_that_no_identity_shows_is_refused(asked, dtype, sink):
    model, scale = model_of(dtype, sink)
    trace = wl.record(model, some_tokens(N_POS))
    ASKED[asked](trace)
    scale.value = 1.1
    with pytest.raises(RefusedError, match="record it again"):
        ASKED[asked](trace)
    scale.value = 1.0
    ASKED[asked](trace)


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_blocks_do_not_stand_for_themselves_a_change_is_refused_too(dtype):
    model, scale = model_of(dtype, model_type="gemma4_text")
    trace = wl.record(model, some_tokens(N_POS))
    wl.attribute(trace, "gradient", target=27)
    scale.value = 1.1
    with pytest.raises(RefusedError, match="record it again"):
        wl.attribute(trace, "gradient", target=27)


def test_last_logits_that_are_not_the_recorded_ones_are_refused():
    """A row of a large unembedding is in no sample, and the gradient begins there."""
    model, _ = model_of()
    trace = wl.record(model, some_tokens(N_POS))
    token = trace.predictions[0].id
    trace.predictions[0].__dict__["logprob"] -= 0.01
    with pytest.raises(RefusedError, match="the list of predictions"):
        wl.attribute(trace, "gradient", target=token)


STATE = {
    "scaling": lambda module: setattr(rotary(module), "attention_scaling", 1.02),
    "eps": lambda module: setattr(norm(module), "variance_epsilon", 1e-2),
}


def rotary(module):
    return module.get_decoder().rotary_emb


def norm(module):
    return module.get_decoder().layers[1].input_layernorm


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(before + 1)
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sink", [False, True])
@pytest.mark.parametrize("change", STATE)
def test_of_a_file_what_modules_hold_must_be_the_same_whatever_else_differs(
    change, sink, dtype, tmp_path, two_threads
):
    model, _ = model_of(dtype, sink)
    trace = wl.record(model, some_tokens(N_POS))
    stored = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    two_threads()
    wl.attribute(stored, "gradient", target=27, model=model)  # other threads alone: rounding
    STATE[change](model.module)
    with pytest.raises(InputError, match=r"as it is now: .*(attention_scaling|variance_epsilon)"):
        wl.attribute(stored, "gradient", target=27, model=model)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sink", [False, True])
def test_of_a_file_other_threads_excuse_no_other_position(sink, dtype, tmp_path, two_threads):
    model, scale = model_of(dtype, sink)
    trace = wl.record(model, some_tokens(N_POS))
    stored = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    two_threads()
    scale.value = 1.5
    with pytest.raises((InputError, RefusedError)):
        wl.attribute(stored, "gradient", target=27, model=model)


def test_a_small_position_beside_a_huge_one_is_compared_by_its_own_size():
    recorded = torch.ones(3, 4)
    recorded[0] *= 1e6
    now = recorded.clone()
    now[2] *= 1.01
    assert worst_position(now, recorded) == (pytest.approx(0.01, rel=1e-3), 2)
    assert "position 2" in other_row([now], [recorded], allow_rounding=True)
    now[2] = recorded[2] * (1 + 0.5 * rounding_allowed(torch.float32))
    assert other_row([now], [recorded], allow_rounding=True) is None
    assert other_row([now], [recorded]) is not None
    assert worst_position(recorded * float("nan"), recorded)[0] == float("inf")
    assert worst_position(recorded[:2], recorded)[0] == float("inf")


def test_shares_on_weights_that_changed_where_no_sample_looks_are_refused(monkeypatch):
    monkeypatch.setattr(
        "worldline.models.weights._WHOLE", 0
    )  # as of a large model: 16 samples each
    model, _ = model_of()
    module = model.module
    trace = wl.record(model, some_tokens(N_POS))
    wl.attribute(trace, "contribution")
    module.get_decoder().layers[1].self_attn.o_proj.weight.data[:, 1:15] *= 30
    with pytest.raises(RefusedError, match=r"shares of the node add up to|run again, row"):
        wl.attribute(trace, "contribution")


@pytest.mark.parametrize("same_logit", [False, True])
@pytest.mark.parametrize(
    "asked",
    [
        *ASKED,
        wl.logit_lens,
        lambda trace: trace.precision(27),
        refuse_long,
    ],
)
def test_another_row_of_the_unembedding_is_refused(asked, same_logit, monkeypatch):
    """Of a token that no list names: no row of the run tells, and its logit need not either."""
    monkeypatch.setattr("worldline.models.weights._WHOLE", 0)
    module = tiny_model("llama")
    trace = wl.record(load_model((module, NamesIds())), some_tokens(N_POS))
    token = 27
    assert token not in [prediction.id for prediction in trace.predictions]
    row = module.lm_head.weight.data[token]
    with torch.no_grad():
        normed = module.model.norm(trace.resid[-1][-1:])[0]
    change = row.roll(1)
    row += change - same_logit * (change @ normed) / (normed @ normed) * normed
    ask = ASKED.get(asked, asked)
    with pytest.raises(RefusedError, match=f"unembedding of token {token} is another|run again"):
        ask(trace)
    assert wl.attribute(trace, "contribution").edges  # asks for no logit


def test_shares_over_a_hook_that_reads_another_tensor_now_say_what_was_seen():
    """No weight changed; of a long list no identity shows every tensor."""
    module = tiny_model("llama")
    shifts = [torch.zeros(module.config.hidden_size) for _ in range(70)]
    module.get_decoder().layers[0].register_forward_hook(lambda _, _args, out: out + shifts[69])
    trace = wl.record(load_model((module, NamesIds())), some_tokens(N_POS))
    shifts[69] += torch.randn(shifts[69].shape, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RefusedError, match="run again, row 1 at position") as refused:
        wl.attribute(trace, "contribution")
    assert "weights" not in str(refused.value)


@pytest.mark.parametrize("by", ["gradient", "frozen"])
def test_a_thread_that_trains_meanwhile_keeps_all_its_gradients(by):
    """Every parameter, every step, while another thread attributes."""
    module = tiny_model("llama")
    trace = wl.record(load_model((module, NamesIds())), some_tokens(N_POS))
    ids, faults, stop = torch.tensor([trace.tokens.ids]), [], threading.Event()
    steps = 0

    def train():
        nonlocal steps
        while not stop.is_set():
            module.zero_grad(set_to_none=True)
            try:
                module(input_ids=ids, use_cache=False).logits.sum().backward()
            except RuntimeError as error:
                faults.append(str(error))
            faults.extend(name for name, p in module.named_parameters() if p.grad is None)
            steps += 1

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(15):
            wl.attribute(trace, by, target=27)
            assert all(weight.requires_grad for weight in module.parameters())
    finally:
        stop.set()
        thread.join()
    assert steps > 3
    assert not faults
