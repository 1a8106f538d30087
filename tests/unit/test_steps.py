"""Work that is stopped ends within a step, and leaves the model as it was, bit for bit."""

from __future__ import annotations

import functools
from weakref import WeakKeyDictionary

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_runs import loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.attribution.path_summary import summary_of
from worldline.graph.edits import EdgeCut
from worldline.graph.node import Node
from worldline.graph.order import Order, longest_chain, refuse_illegal
from worldline.interventions.cut import cut, cut_sources
from worldline.interventions.hop_curve import hop_curves
from worldline.interventions.light_cone import light_cone
from worldline.interventions.run_orders import run_orders
from worldline.models.attention import PREFIX, private_keys
from worldline.runs.execution import execute, execute_many
from worldline.runs.plan import Plan
from worldline.runs.recorder import record
from worldline.steps import StoppedError, step, stepping

TYPES = ("llama", "gemma2", "bloom")  # through keys, and operation by operation
N_POS = 9
EVERY = EdgeCut("mask", src=(1,))


@functools.cache
def traced(name: str):
    return record(loaded(name), some_tokens(N_POS))


def tokens():
    return some_tokens(N_POS)


WORK = {
    "record": lambda name: record(loaded(name), tokens()),
    "record, closed over sources": lambda name: record(
        loaded(name), tokens(), close_over="sources"
    ),
    "contribution": lambda name: attribute(traced(name), "contribution"),
    "gradient": lambda name: attribute(traced(name), "gradient"),
    "frozen": lambda name: attribute(traced(name), "frozen"),
    "paths": lambda name: summary_of(traced(name), n_drawn=8),
    "hops": lambda name: hop_curves(loaded(name), tokens(), sink="both", max_hops=3),
    "cone": lambda name: light_cone(loaded(name), tokens(), at=Node(layer=0, pos=2), directions=1),
    "orders": lambda name: run_orders(loaded(name), some_tokens(5), ("decode", "random(0)")),
    "cut": lambda name: cut(loaded(name), tokens(), [EVERY]),
    "sources": lambda name: cut_sources(loaded(name), tokens()),
    "many": lambda name: execute_many(
        loaded(name), [Plan(tokens().ids, frozenset([EVERY]))] * 5, batch=2
    ),
}
ONCE = {"contribution", "paths", "orders", "sources", "many"}  # the same course in every type
CASES = [(name, work) for work in WORK for name in TYPES if name == "llama" or work not in ONCE]


def hooks_of(module: torch.nn.Module) -> int:
    """How many hooks stand on a model and its parts."""
    return sum(
        len(getattr(part, kind))
        for part in module.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    )


def state_of(name: str):
    """All of a model that work might leave changed."""
    module = loaded(name).module
    with torch.no_grad():
        logits = module(torch.tensor([tokens().ids]), use_cache=False).logits
    asking = [parameter.requires_grad for parameter in module.parameters()]
    gradients = [parameter.grad is None for parameter in module.parameters()]
    return logits, hooks_of(module), module.config._attn_implementation, asking, gradients


def same(one, two) -> None:
    assert torch.equal(one[0], two[0])
    assert one[1:] == two[1:]
    assert not str(one[2]).startswith(PREFIX)
    assert not torch.overrides._get_current_function_mode_stack()


@functools.cache
def n_steps(name: str, work: str) -> int:
    """How many steps the whole work takes; what was checked once is not checked again."""
    WORK[work](name)
    taken = 0

    def count() -> None:
        nonlocal taken
        taken += 1

    with stepping(count):
        WORK[work](name)
    return taken


@pytest.mark.parametrize(("name", "work"), CASES)
@settings(max_examples=4)
@given(st.data())
def test_stopped_anywhere_the_model_is_as_before(name, work, data):
    whole = n_steps(name, work)
    assert whole >= (
        1 if work == "contribution" else 2
    )  # a short text's edges are one block of rows
    after = data.draw(st.integers(1, whole), label="steps before the stop")
    before, taken = state_of(name), 0

    def stop() -> None:
        nonlocal taken
        taken += 1
        if taken >= after:
            raise StoppedError

    with pytest.raises(StoppedError), stepping(stop):
        WORK[work](name)
    assert taken == after  # nothing caught the stop and went on
    same(before, state_of(name))


@pytest.mark.parametrize(("name", "work"), [(n, w) for n, w in CASES if n == "llama"])
def test_after_a_stop_the_same_work_gives_the_same(name, work):
    def stop() -> None:
        raise StoppedError

    first = flat(WORK[work](name))
    with pytest.raises(StoppedError), stepping(stop):
        WORK[work](name)
    second = flat(WORK[work](name))
    assert len(first) == len(second) > 0
    for one, two in zip(first, second, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)


def flat(found) -> list[torch.Tensor]:
    """The numbers of whatever a call gave."""
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, list):
        return [number for one in found for number in flat(one)]
    if hasattr(found, "resid"):
        return found.resid
    if hasattr(found, "edges"):
        return [torch.tensor([edge.weight for edge in found.edges])]
    if hasattr(found, "by_hops"):
        return [torch.tensor(found.by_hops)]
    if hasattr(found, "loss_nats"):
        return [torch.tensor(found.loss_nats)]
    if hasattr(found, "relative"):
        return [torch.tensor(table) for table in found.relative.values()]
    if hasattr(found, "orders"):
        return [torch.tensor([one.nats, one.row_error]) for one in found.orders]
    return [torch.tensor(found.change_nats)]


def test_a_listener_hears_only_what_is_inside_and_listeners_nest():
    heard: list[str] = []
    step()
    with stepping(lambda: heard.append("outer")):
        step()
        with stepping(lambda: heard.append("inner")):
            step()
        step()
    step()
    assert heard == ["outer", "inner", "outer"]
    with pytest.raises(StoppedError), stepping(_raise):
        step()
    step()
    assert heard == ["outer", "inner", "outer"]


def _raise() -> None:
    raise StoppedError


def test_another_thread_is_not_stopped():
    import threading

    done = []

    def work() -> None:
        execute(loaded("llama"), Plan(tokens().ids))
        done.append(True)

    with stepping(_raise):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert done == [True]


def test_the_checks_of_a_model_can_be_stopped_and_are_not_kept(monkeypatch, tmp_path):
    """A stop while a model is checked is no failed check: asked again it passes."""
    from worldline.models import validation as guard

    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(guard, "_reports", WeakKeyDictionary())
    model = loaded("gpt_neox")
    for after in (1, 3, 8):
        taken = 0

        def stop(after=after) -> None:
            nonlocal taken
            taken += 1
            if taken >= after:
                raise StoppedError

        with pytest.raises(StoppedError), stepping(stop):
            guard.checked_report(model)
    assert not list(tmp_path.rglob("*.json"))
    assert guard.checked_report(model).status == "exact"


@pytest.mark.parametrize("name", ["decode", "random(0)", "wavefront(1)", "cone"])
def test_an_order_on_a_large_grid_can_be_stopped_while_it_is_made(name):
    n_layers, n_pos, taken = 6, 60, 0
    slices = Order.parse(name).on(n_layers, n_pos)

    def count() -> None:
        nonlocal taken
        taken += 1

    def reads(_layer: int, pos: int) -> range:
        return range(pos + 1)

    for look in (
        lambda: refuse_illegal(slices, n_layers, n_pos, reads),
        lambda: longest_chain(slices, reads),
        *([lambda: Order.parse(name).on(n_layers, n_pos)] if name == "random(0)" else []),
    ):
        taken = 0
        with stepping(count):
            look()
        assert taken >= n_layers


def test_private_keys_are_undone_by_a_stop():
    module = loaded("llama").module
    before = module.config._attn_implementation
    with pytest.raises(StoppedError), private_keys(module):
        raise StoppedError
    assert module.config._attn_implementation == before
