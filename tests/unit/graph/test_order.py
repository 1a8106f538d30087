"""Which orders are legal, against an independent definition, and what a cone needs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldline.graph.node import Node
from worldline.graph.order import Order, Slice, cone_slices, longest_chain, refuse_illegal


def windowed(width):
    return lambda _layer, pos: range(max(0, pos - width + 1), pos + 1)


def legal(events, n_layers, n_pos, reads):
    """Every event after all it needs: W(l, j) needs B(l - 1, j), B(l, j) needs W(l, i) it reads."""
    when = {event: n for n, event in enumerate(events)}
    for layer in range(n_layers):
        for pos in range(n_pos):
            for src in reads(layer, pos):
                if when["W", layer, src] > when["B", layer, pos]:
                    return False
            if layer and when["B", layer - 1, pos] > when["W", layer, pos]:
                return False
    return True


def as_slices(events):
    """One event a slice."""
    made = {"W": lambda cell: Slice((), (cell,)), "B": lambda cell: Slice((cell,))}
    return [made[kind]((layer, pos)) for kind, layer, pos in events]


def accepted(slices, n_layers, n_pos, reads):
    try:
        refuse_illegal(slices, n_layers, n_pos, reads)
    except ValueError:
        return False
    return True


@settings(max_examples=300)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.randoms(), st.booleans())
def test_legality_against_the_definition(n_layers, n_pos, width, chance, nearly):
    reads = windowed(width)
    events = [(k, layer, p) for layer in range(n_layers) for p in range(n_pos) for k in "WB"]
    chance.shuffle(events)
    if nearly:  # a legal order with two events swapped, or none
        order = Order.parse(f"random({chance.randrange(99)})").on(n_layers, n_pos, reads)
        events = [("W", *one.only_kv[0]) if one.only_kv else ("B", *one.cells[0]) for one in order]
        assert legal(events, n_layers, n_pos, reads)
        i, j = chance.randrange(len(events)), chance.randrange(len(events))
        events[i], events[j] = events[j], events[i]
    # a block writes what it has not written before it runs, so that a late W does no harm there
    before = {e[1:] for n, e in enumerate(events) if e[0] == "B" and ("W", *e[1:]) in events[n:]}
    if not before:
        true = legal(events, n_layers, n_pos, reads)
        assert accepted(as_slices(events), n_layers, n_pos, reads) == true


@pytest.mark.parametrize(
    "name", ["prefill", "decode", "wavefront(1)", "wavefront(0.3)", "random(5)"]
)
@pytest.mark.parametrize("width", [2, 9])
def test_named_orders_are_legal_and_whole(name, width):
    reads = windowed(width)
    slices = Order.parse(name).on(4, 6, reads)
    refuse_illegal(slices, 4, 6, reads)
    assert sorted(cell for one in slices for cell in one.cells) == [
        (layer, pos) for layer in range(4) for pos in range(6)
    ]
    assert longest_chain(slices, reads) == 4


def test_slices_of_the_named_orders():
    assert [one.width for one in Order.parse("prefill").on(3, 5)] == [5, 5, 5]
    assert len(Order.parse("decode").on(3, 5)) == 15
    assert max(one.width for one in Order.parse("wavefront(1)").on(3, 5)) == 3
    assert len(Order.parse("wavefront(1)").on(3, 5)) == 7
    assert Order.parse("random(1)").on(3, 5) == Order.parse("random(1)").on(3, 5)
    assert Order.parse("random(1)").on(3, 5) != Order.parse("random(2)").on(3, 5)


@settings(max_examples=100)
@given(st.integers(0, 4), st.integers(0, 5), st.integers(1, 6))
def test_a_cone_is_what_the_node_needs_and_nothing_else(layer, pos, width):
    """Against a search backward through the events."""
    reads = windowed(width)
    needed, todo = set(), [("B", layer - 1, pos)] if layer else []
    while todo:
        event = todo.pop()
        if event in needed:
            continue
        needed.add(event)
        kind, of, at = event
        if kind == "B":
            todo += [("W", of, src) for src in reads(of, at)]
        elif of:
            todo.append(("B", of - 1, at))
        if kind == "B" and of:
            todo.append(("B", of - 1, at))
    slices = cone_slices(Node(layer=layer, pos=pos), reads)
    assert {cell for one in slices for cell in one.cells} == {e[1:] for e in needed if e[0] == "B"}
    wrote = {cell for one in slices for cell in (*one.cells, *one.only_kv)}
    assert wrote == {e[1:] for e in needed if e[0] == "W"}
    refuse_illegal(slices, 5, 6, reads)


@pytest.mark.parametrize(
    ("slices", "said"),
    [
        ([[[0, 0]], [[1, 1]]], "slice 1: block (1, 1) needs block (0, 1)"),
        ([[[0, 1]]], "slice 0: block (0, 1) reads K and V of (0, 0)"),
        ([[[0, 0], [1, 0]]], "slice 0: block (1, 0) needs block (0, 0), which has not run in an"),
        ([[[0, 0]], [[0, 0]]], "slice 1: block (0, 0) runs a second time"),
        ([[[0, 0], [0, 0]]], "slice 0: a block stands in it twice"),
        ([[[2, 0]]], "slice 0: block (2, 0) is off the grid"),
        ([[[0, -1]]], "slice 0: block (0, -1) is off the grid"),
    ],
)
def test_the_first_violated_dependency_is_named(slices, said):
    with pytest.raises(ValueError) as caught:
        Order.given(slices).on(2, 2)
    assert said in str(caught.value)


def test_orders_that_are_none():
    for words in ("zigzag", "wavefront", "wavefront(x)", "random(-1)", "random(1.5)", "cone(1)"):
        with pytest.raises(ValueError, match="accepted are"):
            Order.parse(words)
    with pytest.raises(ValueError, match="accepted are slopes above 0"):
        Order.parse("wavefront(0)")
    with pytest.raises(ValueError, match=r"cone\(9,0\): accepted are rows 0 to 2, columns 0 to 1"):
        Order.parse("cone(9,0)").on(2, 2)
    with pytest.raises(ValueError, match="a list of lists of"):
        Order.given([[3]])
