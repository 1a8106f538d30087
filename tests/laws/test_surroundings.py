"""Whatever surrounds a call, its numbers are the same; and the user's model is left as found."""

from __future__ import annotations

import contextlib
import random
import threading
from functools import cache

import numpy as np
import pytest
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import worldline as wl
from every_call import CALLS, TOKENS, model, numbers
from tiny_runs import NamesIds, tokens_of
from worldline.errors import InputError, RefusedError
from worldline.models import attention, exclusive_use
from worldline.models.tiny_models import tiny_model
from worldline.steps import StoppedError, stepping

pytestmark = pytest.mark.usefixtures("cache")


@cache
def expected(name):
    """The numbers of a call that nothing surrounds."""
    return list(numbers(CALLS[name]()))


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def float64_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def head_of_a_notebook():
    with deterministic(), torch.device("meta"), torch.set_grad_enabled(False):
        yield


SAME = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "gradients off, another device, deterministic": head_of_a_notebook,
}


# Every call in every surrounding, but for no_grad: another of them turns gradients off too, so of
# that every third call is enough.
SURROUNDED = [
    (name, around)
    for number, name in enumerate(CALLS)
    for around in SAME
    if around != "no_grad" or number % 3 == 0
]


@pytest.mark.parametrize(("name", "around"), SURROUNDED)
def test_numbers_are_bitwise_those_of_a_call_that_nothing_surrounds(name, around):
    known = expected(name)
    with SAME[around]():
        assert list(numbers(CALLS[name]())) == known


@pytest.mark.parametrize("around", ["no_grad", "inference_mode"])
def test_a_first_call_within_finds_what_one_without_finds(around, monkeypatch, tmp_path):
    """Nothing that is found of a model there, and kept, is another."""
    module = tiny_model("llama", seed=5)
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))
    with SAME[around]():
        fresh = wl.load_model((module, NamesIds()))
        flow = wl.attribute(wl.record(fresh, TOKENS), "gradient", target=40)
        report = wl.check_model(fresh)
    assert report.separable
    again = wl.load_model((tiny_model("llama", seed=5), NamesIds()))
    plain = wl.attribute(wl.record(again, TOKENS), "gradient", target=40)
    assert list(numbers(flow.edges)) == list(numbers(plain.edges))
    assert report.as_dict() == wl.check_model(again).as_dict()


@pytest.mark.parametrize("name", [name for name in CALLS if name != "continuation"])
def test_what_changes_the_models_own_arithmetic_is_refused_by_name(name):
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(InputError, match="autocast"):
        CALLS[name]()
    with float64_by_default(), pytest.raises(InputError, match=r"dtype is torch\.float64"):
        CALLS[name]()


def test_weights_of_inference_mode_are_refused_and_left_as_they_are():
    with torch.inference_mode():
        module = tiny_model("llama", seed=6)
    before = [weight.requires_grad for weight in module.parameters()]
    with pytest.raises(InputError, match=r"made under torch\.inference_mode\(\)"):
        wl.load_model((module, NamesIds()))
    with pytest.raises(InputError, match=r"made under torch\.inference_mode\(\)"):
        wl.check_model(module)
    assert [weight.requires_grad for weight in module.parameters()] == before


def test_a_model_that_is_loaded_under_inference_mode_has_usual_weights():
    with torch.inference_mode():
        fresh = wl.load_model("tiny:llama")
    assert not any(weight.is_inference() for weight in fresh.module.parameters())
    assert wl.attribute(wl.record(fresh, TOKENS), "gradient", target=40).edges


# --- threads -------------------------------------------------------------------------------------


def test_threads_on_one_model_get_the_numbers_of_one_alone():
    names = ["record", "gradient", "frozen", "cut", "light_cone", "hop_curve"]
    known = {name: expected(name) for name in names}
    before, wrong = footprint(), []

    def work(order):
        for name in order:
            try:
                if list(numbers(CALLS[name]())) != known[name]:
                    wrong.append(name)
            except BaseException as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(order,)) for order in (names, names[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert footprint() == before


@pytest.mark.parametrize("name", ["record", "gradient", "frozen", "find_paths", "light_cone"])
def test_a_plain_run_in_another_thread_is_right_and_is_not_recorded(name):
    """At every block of every run the same module runs elsewhere, on another text."""
    module, known = model().module, expected(name)
    ids = torch.tensor([[50, 51, 52]])
    with torch.no_grad():
        right = module(ids).logits
    found, busy = [], []

    def elsewhere():
        with torch.no_grad():
            found.append(module(ids).logits)

    def meanwhile(*_):
        if busy or threading.current_thread() is not threading.main_thread():
            return
        busy.append(True)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(30)
        busy.clear()

    handles = [layer.register_forward_pre_hook(meanwhile) for layer in module.model.layers]
    try:
        assert list(numbers(CALLS[name]())) == known
    finally:
        for handle in handles:
            handle.remove()
    assert len(found) >= len(module.model.layers)
    for logits in found:
        torch.testing.assert_close(logits, right, rtol=0, atol=1e-6)


def test_a_run_by_whoever_hears_of_this_one_is_not_taken_for_a_part_of_it():
    known, layers = wl.execute(model(), wl.Plan(TOKENS.ids)), []

    def hear(event):
        layers.append(event.layer)
        with torch.no_grad():
            model().module(torch.tensor([[50, 51, 52]]))

    seen = wl.execute(model(), wl.Plan(TOKENS.ids), hear)
    assert layers == list(range(len(model().module.model.layers)))
    assert torch.equal(seen.logits, known.logits)
    assert seen.n_calls == known.n_calls


# --- left as found -------------------------------------------------------------------------------


def footprint():
    """All of a user's model, and of the process, that a call must leave as it was."""
    module = model().module
    # Python's own generator is left out: the run-time type checks of these tests draw from it
    drawn = torch.get_rng_state().tolist(), repr(np.random.get_state())
    return {
        "weights": [
            (name, id(p), p.requires_grad, p.grad is None, p._version, p.detach().sum().item())
            for name, p in module.named_parameters()
        ],
        "buffers": [(name, id(b), b.sum().item()) for name, b in module.named_buffers()],
        "marks": [
            hasattr(tensor, "_worldline") for tensor in (*module.parameters(), *module.buffers())
        ],
        "parts": [
            (
                part.training,
                sorted(vars(part)),
                [list(value) for name, value in vars(part).items() if "hook" in name and value],
            )
            for part in module.modules()
        ],
        "configuration": (module.config.to_dict(), module.config._attn_implementation_internal),
        "generation": module.generation_config.to_dict(),
        "random": drawn,
        "modes": (
            torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
            torch.get_default_device(), torch.backends.cuda.math_sdp_enabled(),
            torch.backends.cuda.flash_sdp_enabled(), torch._C._len_torch_function_stack(),
        ),
        "functions": [
            {name: id(value) for name, value in table.items() if "worldline" not in name}
            for table in (ALL_ATTENTION_FUNCTIONS, ALL_MASK_ATTENTION_FUNCTIONS)
        ],
        "ours": (exclusive_use._turns[:], attention._TAP.get()),
    }  # fmt: skip


LIKE_ANOTHER = ("dense", "mask", "hop_spectrum", "path_grid", "ALTI", "execute")


class Fault:
    """Raises at its n-th call, where one is asked for."""

    def __init__(self):
        self.n_calls, self.at, self.error = 0, None, None

    def __call__(self, *_):
        self.n_calls += 1
        if self.n_calls == self.at:
            raise self.error("on purpose")


def fault_there(*_):
    """Every fault of a module is this one hook, and an identity does not see where it is kept:
    so the model is checked once with it, and not each time.
    """
    fault = vars(threading.current_thread()).get("fault")
    if fault is not None:
        fault()


@contextlib.contextmanager
def fault_at(where):
    """A fault at each step of the work, or at each run of a part of the model's blocks."""
    fault, layers = Fault(), model().module.model.layers
    if where == "step":
        with stepping(fault):
            yield fault
        return
    handles = [getattr(layer, where).register_forward_hook(fault_there) for layer in layers]
    wl.record(model(), TOKENS)  # its checks turn an error of the model into a refusal
    vars(threading.current_thread())["fault"] = fault
    try:
        yield fault
    finally:
        del vars(threading.current_thread())["fault"]
        for handle in handles:
            handle.remove()


# At its steps every call, in the midst of a block's forward every second one.
ENDED = [name for name in CALLS if name not in LIKE_ANOTHER]
PLACES = [(name, "step") for name in ENDED] + [(name, "self_attn") for name in ENDED[::2]]


@pytest.mark.parametrize(("name", "where"), PLACES)
def test_the_model_is_left_as_found_where_a_call_ends_early(name, where):
    """At every place of few, at five of many; an error, an interrupt and a stop in turn."""
    errors = (KeyboardInterrupt, StoppedError, ArithmeticError)
    before = footprint()
    with fault_at(where) as fault:
        CALLS[name]()
        first, fault.n_calls = fault.n_calls, 0
        CALLS[name]()  # a first call may check the model
        n = fault.n_calls
    assert 0 < n <= first
    assert footprint() == before
    places = range(1, n + 1)
    if n > 5:
        places = sorted({1, n, *random.Random(name).sample(range(2, n), 3)})
    ended = 0
    for place in places:
        with fault_at(where) as fault:
            fault.at, fault.error = place, errors[place % len(errors)]
            try:
                CALLS[name]()
            except errors:
                ended += 1
            except RefusedError as refused:  # a check of the model met the error, and says it
                ended += "on purpose" in str(refused)
            else:  # a check met it, and looked again
                ended += errors[place % len(errors)] is ArithmeticError and fault.n_calls > place
        assert footprint() == before
    assert ended == len(places)


def test_a_models_own_gradients_and_frozen_weights_stay():
    module = tiny_model("llama", seed=7)
    names = [name for name, _ in module.named_parameters()]
    for name, weight in module.named_parameters():
        weight.requires_grad_("mlp" in name)
    module(torch.tensor([[40, 41, 42]])).logits.sum().backward()
    before = {name: weight.grad for name, weight in module.named_parameters()}
    fresh = wl.load_model((module, NamesIds()))
    wl.attribute(wl.record(fresh, tokens_of([40, 41, 42])), "frozen", target=40)
    for name, weight in module.named_parameters():
        assert weight.requires_grad == ("mlp" in name)
        assert weight.grad is before[name]
    assert any(before[name] is not None for name in names)
