"""What a plan may ask for, and what is refused in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldline.graph.edits import (
    EdgeCut,
    GraphSize,
    HopBudget,
    NodeCut,
    PatchSource,
    intervention_of,
    longer_than,
)
from worldline.graph.order import Order
from worldline.runs.plan import Plan

IDS = (7, 8, 9, 10)
PATCH_SOURCE = PatchSource((1, 2, 3), (0, 1, 2, None))


def test_edges_of_a_cut():
    assert sorted(EdgeCut("mask", (0, 2), (2, 3)).pairs(4)) == [(0, 2), (0, 3), (2, 3)]
    assert sorted(EdgeCut("mask", (2,), (2, 3), own=True).pairs(4)) == [(2, 2), (2, 3)]
    assert len(list(EdgeCut("zero").pairs(4))) == 6
    assert {pair for cut in longer_than(1, 4) for pair in cut.pairs(4)} == {(0, 2), (0, 3), (1, 3)}
    assert {pair for cut in longer_than(1, 4, 1) for pair in cut.pairs(4)} == {(1, 3)}


def test_a_plan_is_a_value():
    edits = [
        EdgeCut("mask", (1, 0), (3,), (0, 2), (1,)),
        EdgeCut("patch", (0,), (2,), parts="v", patch_source=PATCH_SOURCE),
        NodeCut("mean", (1,), (2,)),
    ]
    one, two = Plan(IDS, frozenset(edits)), Plan(IDS, frozenset(edits[::-1]))
    assert one == two
    assert hash(one) == hash(two)
    assert Plan.from_json(json.loads(json.dumps(one.json()))) == one
    assert one.json() == two.json()
    for order in (Order.parse("wavefront(2)"), Order.given([[[0, 0]], [[0, 1]]])):
        slow = Plan(IDS, order=order)
        assert Plan.from_json(json.loads(json.dumps(slow.json()))) == slow
        assert not slow.plain
        with pytest.raises(ValueError, match="with edits or a hop budget: accepted is prefill"):
            slow.with_edits(*edits[:1])
    limited = Plan(IDS, budget=HopBudget(2, "free", (0, 1)))
    assert Plan.from_json(limited.json()) == limited
    assert not limited.plain
    assert Plan(IDS).with_edits(*edits) == one
    assert "EdgeCut(how='mask'" in repr(one)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EdgeCut("sever", (0,), (1,)), "how='sever': accepted are mask, zero, patch"),
        (
            lambda: EdgeCut("mask", (2,), (1,)),
            "edges from 2 to 1: an edge goes to a later position",
        ),
        (lambda: EdgeCut("mask", (1,), (1,)), "an edge goes to a later position"),
        (lambda: EdgeCut("mask", (-1,), (1,)), "src -1: accepted are whole numbers from 0"),
        (lambda: EdgeCut("mask", (), (1,)), "src: it is empty"),
        (lambda: EdgeCut("mask", parts="k"), "only a patch tells K, V and Q apart"),
        (lambda: EdgeCut("patch"), "how='patch': it needs the text that is patched in"),
        (lambda: EdgeCut("zero", patch_source=PATCH_SOURCE), "how='zero': it takes no other text"),
        (lambda: NodeCut("hide", (0,)), "how='hide': accepted are zero, mean, patch"),
        (lambda: HopBudget(-1), "hops -1: accepted are whole numbers from 0"),
        (lambda: HopBudget(1, "open"), "sink='open': accepted are counted, free"),
        (lambda: longer_than(-1, 4), "longest hop -1"),
        (lambda: Plan.from_json({"schema": "other"}), "accepted is schema worldline.plan/2"),
        (lambda: Plan.from_json({"schema": "worldline.plan/2"}), "a plan: damaged"),
    ],
)
def test_what_is_refused(make, said):
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([EdgeCut("mask", (0,), (4,))], "position 4: the text has 4 tokens, 0 to 3"),
        ([NodeCut("zero", (0,), (9,))], "position 9: the text has 4 tokens"),
        (
            [EdgeCut("patch", (3,), None, own=True, patch_source=PATCH_SOURCE)],
            "position 3 has no counterpart",
        ),
        (
            [EdgeCut("patch", (0,), patch_source=PatchSource((1,), (0,)))],
            "aligned for 1 positions",
        ),
        (
            [EdgeCut("mask", (0,), (2,), (1,), (3,)), EdgeCut("zero", (0,), (2,), (1,), (3,))],
            "edge 1.3:0>2: zero and mask",
        ),
        (
            [EdgeCut("mask", (0, 1), (2,), (1,)), EdgeCut("zero", (1,), (2, 3))],
            "edge 1.0:1>2:",
        ),
        (
            [EdgeCut("mask", (1,), (2,), (1,), (0,)), EdgeCut("zero")],
            "edge 1.0:1>2:",
        ),
        ([NodeCut("zero", (1,)), NodeCut("mean", (1, 2), (3,))], "node at row 1, position 3:"),
    ],
)
def test_edits_outside_the_text_or_in_conflict(edits, said):
    with pytest.raises(ValueError) as caught:
        Plan(IDS, frozenset(edits))
    assert said in str(caught.value).replace("mask and zero", "zero and mask")


def test_edits_that_only_look_alike_are_no_conflict():
    Plan(IDS, frozenset([EdgeCut("mask", (0,), (2,), (0,)), EdgeCut("zero", (0,), (2,), (1,))]))
    Plan(IDS, frozenset([EdgeCut("mask", (0,), (2,)), EdgeCut("mask", (0, 1), (2,))]))
    with pytest.raises(ValueError, match="both say whose K/V is read"):
        Plan(IDS, frozenset([EdgeCut("patch", (0,), patch_source=PATCH_SOURCE)]), HopBudget(1))


SIZE = GraphSize(n_heads=(9,) * 30, n_pos=40)
PLACES = st.none() | st.sets(st.integers(0, 8), min_size=1, max_size=4).map(
    lambda places: tuple(sorted(places))
)


@given(
    PLACES, PLACES.map(lambda at: at and tuple(pos + 9 for pos in at)), PLACES, PLACES,
    st.sampled_from(["mask", "zero"]), st.booleans(),
)  # fmt: skip
@settings(deadline=None)
def test_edges_are_read_from_what_they_print(src, dst, layers, heads, how, own):
    edit = EdgeCut(how, src, dst, layers, heads, own=own)
    assert EdgeCut.parse(edit.place, how, size=SIZE, own=own) == edit
    assert intervention_of(json.loads(json.dumps(edit.json()))) == edit
    assert str(edit).startswith(f"{how} {edit.place}")


@given(st.sets(st.integers(0, 30), min_size=1, max_size=3).map(tuple), PLACES)
@settings(deadline=None)
def test_nodes_are_read_from_what_they_print(rows, positions):
    edit = NodeCut("zero", rows, positions)
    nodes = [NodeCut.parse(place, "zero", size=SIZE) for place in edit.places]
    assert [node.rows for node in nodes] == [(row,) for row in sorted(rows)]
    assert {node.positions for node in nodes} == {edit.positions}
    assert intervention_of(json.loads(json.dumps(edit.json()))) == edit
    assert str(edit) == f"zero {' '.join(edit.places)}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1>2", "edge 1>2: accepted is LAYERS.HEADS:SRC>DST"),
        ("30.0:1>2", "edge 30.0:1>2: layer 30: accepted are 0 to 29"),
        ("0.9:1>2", "head 9: accepted are 0 to 8"),
        ("0.0:40>41", "position 40: accepted are 0 to 39"),
        ("0.0:2>1", "an edge goes to a later position"),
        ("0.x:2>1", "accepted are numbers such as"),
    ],
)
def test_what_no_edge_is_is_refused(text, said):
    with pytest.raises(ValueError, match=r"^edge") as caught:
        EdgeCut.parse(text, "mask", size=SIZE)
    assert said in str(caught.value)
