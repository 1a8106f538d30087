"""Before and after a cut, on tiny models and on circuits whose edges are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import worldline as wl
from tiny_runs import FLOAT64, loaded, some_tokens, tokens_of
from worldline.errors import InputError
from worldline.graph.edits import EdgeCut, HopBudget, NodeCut
from worldline.interventions.cut import cut, cut_scene, in_words, interaction, patch_source_of
from worldline.models.known_circuits import cancelling, chain, induction
from worldline.requests import CutRequest
from worldline.runs.execution import execute
from worldline.runs.forward_passes import layer_heads
from worldline.runs.plan import Plan
from worldline.service.altered_run import edits_of_request

MASK = EdgeCut("mask", (1,), (5,))


def opened(circuit):
    model = wl.load_model((circuit.module, circuit.tokenizer))
    return model, tokens_of(circuit.ids)


def of(edge, how="zero"):
    return EdgeCut(how, (edge.src,), (edge.dst,), (edge.layer,), (edge.head,))


@pytest.mark.parametrize(
    "call",
    [
        lambda model, text, **asked: wl.observe(text, model, **asked),
        lambda model, text, **asked: wl.summarize_paths(text, model, **asked),
        lambda model, text, **asked: cut(model, text, [MASK], **asked),
        lambda model, text, **asked: interaction(model, text, MASK, MASK, **asked),
    ],
    ids=["observe", "summarize_paths", "cut", "interaction"],
)
def test_a_token_held_against_itself_is_refused_before_any_run(call, monkeypatch):
    model = loaded("llama", FLOAT64)

    def runs(*_args, **_more):
        raise AssertionError("the model ran")

    for place in ("session.record", "attribution.path_summary.record",
                  "interventions.cut.execute_many", "interventions.cut.plain_run"):  # fmt: skip
        monkeypatch.setattr(f"worldline.{place}", runs)
    with pytest.raises(InputError, match="two different tokens"):
        call(model, some_tokens(6).text, target="id:30", versus=30)


def test_numbers_of_a_cut_are_those_of_two_runs():
    model, tokens = loaded("llama", FLOAT64), some_tokens(6)
    edits = [EdgeCut("mask", (1,), (5,))]
    seen = cut(model, tokens, edits, target=30, versus=31)
    plain, altered = (
        execute(model, Plan(tokens.ids, frozenset(e))).logits[0, -1] for e in ((), edits)
    )
    one, two = (x.log_softmax(-1) for x in (plain, altered))
    assert seen.target_before == pytest.approx(float(one[30]), abs=1e-9)
    assert seen.change_nats == pytest.approx(float(two[30] - one[30]), abs=1e-9)
    kl = torch.nn.functional.kl_div(two, one, log_target=True, reduction="sum")
    assert seen.kl_nats == pytest.approx(float(kl), abs=1e-9)
    lost = (altered[30] - altered[31]) - (plain[30] - plain[31])
    assert seen.change_logits == pytest.approx(float(lost), abs=1e-9)
    assert seen.before[0].id == int(plain.argmax())
    assert seen.after[0].id == int(altered.argmax())
    assert seen.json()["plan"] == Plan(tokens.ids, frozenset(edits)).json()
    assert cut(model, tokens, edits).target == seen.before[0].token


def test_a_circuit_falls_with_any_of_its_edges_and_with_no_other():
    circuit = induction()
    model, tokens = opened(circuit)
    asked = {"target": circuit.target, "versus": circuit.versus}
    for edge in circuit.edges:
        assert cut(model, tokens, [of(edge)], **asked).change_logits < -1
    for layer, head in list(circuit.idle)[:5]:
        idle = EdgeCut("zero", layers=(layer,), heads=(head,))
        assert abs(cut(model, tokens, [idle], **asked).change_logits) < 1e-3


def test_a_chain_is_in_series_and_heads_that_cancel_are_not():
    circuit = chain((0, 1, 2), 3)
    model, tokens = opened(circuit)
    one, two = (of(edge) for edge in list(circuit.edges)[:2])
    asked = {"target": circuit.target, "versus": circuit.versus}
    found = interaction(model, tokens, [one], [two], **asked)
    assert found.word == "in series"
    assert found.interaction == pytest.approx(found.first + found.second - found.together)
    assert found.first == pytest.approx(found.together, abs=1e-3)
    alone = cut(model, tokens, [one], **asked)
    assert found.precision["first"] == alone.precision["change_logits"]
    least = [found.precision[name].floor for name in ("first", "second", "together")]
    assert found.precision["interaction"].floor == pytest.approx(np.hypot.reduce(least))
    pair = cancelling()
    model, tokens = opened(pair)
    one, two = (of(edge) for edge in list(pair.edges)[:2])
    asked = {"target": pair.target, "versus": pair.versus}
    alone = cut(model, tokens, [one], **asked).change_logits
    assert abs(alone) > 1
    found = interaction(model, tokens, [one], [two], **asked)
    assert np.sign(found.first) == -np.sign(found.second)
    masks = interaction(model, tokens, [of(pair.edges[0], "mask")], [EdgeCut("mask", (1,))])
    assert masks.word is None  # two masks in one row move each other


def test_the_picture_of_a_cut():
    model, tokens = loaded("llama", FLOAT64), some_tokens(4)
    patch_source = patch_source_of(model, tokens, "t20 t21 t22 t23")
    seen = cut(
        model,
        tokens,
        [
            EdgeCut("patch", (0, 1), (3,), (1,), (0, 2), parts="k", patch_source=patch_source),
            NodeCut("mean", (1,), (2,)),
        ],
    )
    shown = cut_scene(seen)
    assert in_words(seen.plan) == [
        "mean so far: rows 1, positions 2",
        "patch K only: layers 1, heads 0,2, from 0-1, to 3",
    ]
    assert {(e["layer"], e["head"], e["src"], e["dst"]) for e in shown["edges"]} == {
        (1, 0, 0, 3), (1, 2, 0, 3), (1, 0, 1, 3), (1, 2, 1, 3),
    }  # fmt: skip
    assert shown["nodes"] == [{"layer": 1, "pos": 2}]
    assert shown["n_edges"] == 4
    whole = cut_scene(cut(model, tokens, [EdgeCut("mask", (0,), (2, 3))]))
    assert len(whole["edges"]) == whole["n_edges"] == 2 * seen.n_layers


def test_a_head_that_a_layer_lacks_is_refused_and_not_cut_in_silence():
    """laguna's layers have 4, 6 and 4 heads: the others count up to their own number."""
    model, tokens = loaded("laguna", FLOAT64), some_tokens(8)
    assert layer_heads(model) == (4, 6, 4)

    def edge(head, layers):
        return EdgeCut("zero", src=(3,), dst=(7,), layers=layers, heads=(head,))

    for layers in ((0,), (2,), (0, 1), (1, 2)):
        lacking = next(layer for layer in layers if layer != 1)
        for head in (4, 5):
            words = f"head {head} of layer {lacking}: accepted are heads 0 to 3"
            with pytest.raises(InputError, match=words):
                cut(model, tokens, edge(head, layers))
            with pytest.raises(InputError, match=words):
                execute(model, Plan(tokens.ids, frozenset([edge(head, layers)]), HopBudget(1)))
    with pytest.raises(InputError, match="head 6 of layer 1: accepted are heads 0 to 5"):
        cut(model, tokens, edge(6, (1,)))
    with pytest.raises(InputError, match="head 6: accepted are heads 0 to 5"):
        cut(model, tokens, edge(6, None))
    everywhere, alone = (cut(model, tokens, edge(5, layers)) for layers in (None, (1,)))
    assert everywhere.change_nats == pytest.approx(alone.change_nats, abs=1e-12)
    assert abs(alone.change_nats) > 1e-6
    for written, last in (("0.-1:3>7", 3), ("1.-1:3>7", 5), ("*.-1:3>7", 5)):
        (cut_edge,) = edits_of_request(model, tokens, CutRequest(edges=(written,), how="zero"))
        assert cut_edge.heads == (last,)
    with pytest.raises(InputError, match="head 4: accepted are 0 to 3"):
        edits_of_request(model, tokens, CutRequest(edges=("0.4:3>7",), how="zero"))


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([], "name at least one edge, span or node"),
        ([EdgeCut("mask", (0,), (1,), (9,))], "layer 9: accepted are layers 0 to "),
        ([EdgeCut("mask", (0,), (1,), None, (77,))], "head 77: accepted are heads 0 to "),
        ([NodeCut("zero", (9,), (1,))], "row 9: accepted are rows 0 to "),
        ([EdgeCut("mask", (0,), (6,))], "position 6: the text has 6 tokens"),
    ],
)
def test_what_cannot_be_cut(edits, said):
    with pytest.raises(ValueError) as caught:
        cut(loaded("llama", FLOAT64), some_tokens(6), edits)
    assert said in str(caught.value)
