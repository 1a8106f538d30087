"""What is under the floor or the resolution is no number; what can reach nothing is exactly 0."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch

import worldline as wl
from tiny_runs import FLOAT32, FLOAT64, NamesIds, loaded, some_tokens
from worldline.errors import InputError, RefusedError
from worldline.graph.edits import EdgeCut, NodeCut
from worldline.graph.node import Node
from worldline.graph.reachability import Reach
from worldline.interventions.cut import cut, cut_scene, cut_sources, interaction
from worldline.interventions.hop_curve import hop_curve
from worldline.interventions.light_cone import light_cone
from worldline.interventions.run_orders import run_orders
from worldline.models.tiny_models import tiny_model
from worldline.requests import CutRequest
from worldline.runs.execution import execute
from worldline.runs.noise_floor import PlainRow, Precision, logprob_rounding, plain_row, spacing
from worldline.runs.plain_run import plain_run
from worldline.runs.plan import Plan
from worldline.views.altered_runs import cut_lines, sources_lines
from worldline.views.labels import signed_text
from worldline.views.schema.alterations import SceneCut, SceneSources

HALF = [torch.bfloat16, torch.float16]
EDGES = [
    EdgeCut(how, (src,), (dst,), (layer,), (head,))
    for how, layer, head, (src, dst) in itertools.product(
        ("mask", "zero"), (0, 1), (0, 1), ((0, 2), (1, 7), (3, 4), (5, 7))
    )
]


def pair(dtype, model_type="llama"):
    """A tiny model in a dtype, and the same weights in float64."""
    module = tiny_model(model_type, dtype=FLOAT64).to(dtype)
    whole = copy.deepcopy(module).to(FLOAT64)
    return wl.load_model((module, NamesIds())), wl.load_model((whole, NamesIds()))


def said(seen) -> str:
    return " ".join(cut_lines(SceneCut.model_validate(cut_scene(seen)), 200))


@pytest.mark.parametrize("dtype", [*HALF, FLOAT32])
def test_a_cut_that_does_nothing_prints_as_nothing(dtype):
    """The truth is that of the same weights in float64."""
    (model, whole), tokens = pair(dtype), some_tokens(8)
    target = int(execute(whole, Plan(tokens.ids)).logits[0, -1].argmax())
    told = nothing = 0
    for edge in EDGES:
        seen = cut(model, tokens, [edge], target=target)
        true = cut(whole, tokens, [edge], target=target)
        precision = seen.precision["change_nats"]
        assert abs(seen.change_nats - true.change_nats) < 3 * precision.least
        words = said(seen)
        if precision.tells(seen.change_nats):
            told += 1
            assert np.sign(seen.change_nats) == np.sign(true.change_nats)
            assert f"change {signed_text(seen.change_nats)} nats" in words
        elif seen.powerless is None:
            nothing += abs(true.change_nats) < precision.least / 4
            assert f"{seen.change_nats:+.3f} nats" not in words
            floor, resolution = precision.floor, precision.resolution
            kind = "(floor)" if floor > resolution else f"(resolution of {precision.dtype})"
            assert kind in words
        if abs(true.change_nats) < precision.least / 10:
            assert not precision.tells(seen.change_nats)
    assert told
    assert nothing or dtype is FLOAT32


@pytest.mark.parametrize("dtype", HALF)
def test_the_resolution_is_what_the_rounding_of_the_logits_can_do(dtype):
    """Logits of any size, rounded: no log-probability moves by more, and some by nearly as much."""
    draw = torch.Generator().manual_seed(0)
    part = 0.0
    for _ in range(200):
        true = 12 * torch.randn(40, generator=draw, dtype=FLOAT64)
        rounded = true.to(dtype)
        moved = (rounded.double().log_softmax(-1) - true.log_softmax(-1)).abs()
        bound = logprob_rounding(rounded.expand(40, -1), torch.arange(40))
        assert bool((moved <= bound * 1.001).all())
        part = max(part, float((moved / bound).max()))
    assert part > 0.8
    assert spacing(torch.tensor([20.0], dtype=torch.bfloat16)).item() == 0.125


def test_logits_that_were_rounded_before_they_were_widened_keep_their_steps():
    rounded = torch.tensor([20.1, -3.3, 7.7]).bfloat16()
    assert torch.equal(spacing(rounded.float()), spacing(rounded))
    row = PlainRow(rounded.float(), rounded.float()[None])
    assert row.of_logprob(0).dtype == "bfloat16"
    # the likeliest holds all: its own step of 1/8 and that of the sum, before and after
    assert row.of_logprob(0).resolution == pytest.approx(0.25, rel=1e-3)
    assert row.of_logit(0, None).resolution == 0.125
    assert row.of_kl(rounded.float()).resolution == pytest.approx(0.125**2 / 2)


def test_the_floor_is_that_of_equivalent_runs_of_the_same_text():
    model, tokens = loaded("llama"), some_tokens(9)
    plain = execute(model, Plan(tokens.ids)).logits[0, -1]
    row = plain_row(model, tokens.ids, plain)
    assert 0 < float((row.rerun_logits - plain).abs().max()) < 1e-4
    found = row.of_logprob(3)
    assert 0 < found.floor < 1e-4
    seen = (row.rerun_logits.double().log_softmax(-1) - plain.double().log_softmax(-1))[:, 3].abs()
    assert found.floor >= float(seen.max())
    exact = plain_row(loaded("llama", FLOAT64), tokens.ids, plain.double())
    assert exact.of_logprob(3).dtype == "float32"  # these logits were rounded


def test_every_altered_number_carries_its_precision():
    model, tokens = loaded("llama"), some_tokens(6)
    seen = cut(model, tokens, [EdgeCut("mask", (1,), (5,))], target=3, versus=4)
    assert {*seen.precision} == {"change_nats", "change_logits", "kl_nats"}
    each = cut_sources(model, tokens)
    curve = hop_curve(model, tokens, max_hops=1)
    cone = light_cone(model, tokens, at=Node(layer=1, pos=2), directions=1, derivative=False)
    orders = run_orders(model, tokens, ["decode"])
    both = interaction(model, tokens, [EdgeCut("zero", (1,))], [EdgeCut("zero", (2,))])
    span = wl.record(model, tokens).precision(range(2, 6))
    for one in (*seen.precision.values(), each.precision, curve.precision, cone.precision,
                orders.precision, *both.precision.values(), span):  # fmt: skip
        assert isinstance(one, Precision)
        assert one.dtype == "float32"
        assert 0 <= one.floor < 1e-3
        assert 0 < one.resolution < 1e-4
    assert orders.orders[0].nats <= 3 * orders.precision.least
    assert cone.scene()["precision"]["relative"]["floor"] == cone.precision.floor
    assert each.scene()["precision"]["change_nats"] == each.precision.json()
    assert curve.token_precision[0] is None
    assert len(curve.token_precision) == 6


@pytest.mark.parametrize("dtype", HALF)
def test_the_largest_budget_is_the_model_within_its_precision(dtype):
    model, _ = pair(dtype)
    curve = hop_curve(model, some_tokens(8))
    off = abs(float(curve.loss_nats[-1]) - curve.loss_full_nats)
    assert off <= 3 * curve.precision.least
    assert curve.precision.resolution > 1e-4
    assert curve.hops_needed_close[-1] is not None


# --- what can reach the last token ---


def brute_force(reach: Reach) -> np.ndarray:
    """Which nodes reach the last one, by following every edge upwards."""
    n_layers, n_pos = len(reach.reads), reach.n_pos

    def leads(row, pos):
        if row == n_layers:
            return pos == n_pos - 1
        if leads(row + 1, pos):
            return True
        return any(
            each.may(pos, dst) and each.kv_layer == row and leads(layer + 1, dst)
            for layer in range(row, n_layers)
            for each in reach.reads[layer]
            for dst in range(pos + 1, n_pos)
        )

    return np.array([[leads(row, pos) for pos in range(n_pos)] for row in range(n_layers + 1)])


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma2", "gpt_oss", "gpt_neo"])
def test_the_causal_graph_is_that_of_the_masks(name):
    _, reach = plain_run(loaded(name), some_tokens(9).ids)
    np.testing.assert_array_equal(reach.alive, brute_force(reach))


@pytest.mark.parametrize("name", ["llama", "gpt_neo", "gemma2"])
def test_what_is_called_powerless_is_so_and_nothing_else(name):
    """Each single edge of all heads, cut in float64: changes where the graph says that it can."""
    model, tokens = loaded(name, FLOAT64), some_tokens(7)
    plain, reach = plain_run(model, tokens.ids)
    for layer, dst in itertools.product(range(len(reach.reads)), range(1, 7)):
        for src in (0, dst - 1):
            edge = EdgeCut("zero", (src,), (dst,), (layer,))
            after = execute(model, Plan(tokens.ids, frozenset([edge]))).logits[0, -1]
            moved = float((after - plain[-1]).abs().max())
            assert (moved > 1e-7) == (reach.why_powerless([edge]) is None), edge


@pytest.mark.parametrize(
    ("edits", "why"),
    [
        ([EdgeCut("mask", src=(5,))], "no token reads what is cut"),
        ([EdgeCut("mask", (1,), (3,), (2,))], "no path leads from there"),
        ([NodeCut("zero", (3,), (0, 4))], "no path leads from there"),
        ([EdgeCut("mask", (5,)), NodeCut("zero", (3,), (1,))], "no path"),
    ],
)
def test_a_cut_that_can_do_nothing_is_exactly_zero_and_says_why(edits, why):
    seen = cut(loaded("llama"), some_tokens(6), edits, versus=4)
    assert (seen.change_nats, seen.change_logits, seen.kl_nats) == (0.0, 0.0, 0.0)
    assert why in seen.powerless
    assert seen.before == seen.after
    words = said(seen)
    assert "exactly 0" in words
    assert why in words
    assert cut(loaded("llama"), some_tokens(6), [EdgeCut("mask", (1,), (5,))]).powerless is None


def test_an_edge_outside_the_window_is_not_there():
    model, tokens = loaded("mistral"), some_tokens(12)
    window = model.config["sliding_window"]
    assert window < 11
    seen = cut(model, tokens, [EdgeCut("mask", (0,), (11,))])
    assert seen.powerless == "the model's attention mask forbids these reads already"
    assert seen.change_nats == 0.0
    near = cut(model, tokens, [EdgeCut("mask", (10,), (11,))])
    assert near.powerless is None
    assert near.change_nats != 0.0


def test_tokens_that_no_read_can_bring_to_the_answer():
    model, tokens = loaded("mistral"), some_tokens(26)
    seen = cut_sources(model, tokens)
    assert seen.powerless == (0, 1, 2, 3, 25)  # three blocks read 7 tokens back at most
    for pos in range(25):
        assert (seen.change_nats[pos] == 0.0) == (pos in seen.powerless)
    lines = "\n".join(sources_lines(SceneSources.model_validate(seen.scene()), tokens.pieces, 90))
    assert "0 is exact" in lines


def test_a_graph_that_misses_a_way_is_not_believed(monkeypatch):
    monkeypatch.setattr(Reach, "why_powerless", lambda *_: "no path")
    with pytest.raises(RefusedError, match="moves information by other ways"):
        cut(loaded("llama"), some_tokens(6), [EdgeCut("mask", (1,), (5,))])


def test_a_token_against_itself_is_refused():
    model, tokens = loaded("llama"), some_tokens(6)
    trace = wl.record(model, tokens)
    edge = EdgeCut("mask", (1,), (5,))
    for given in ({"target": 20, "versus": 20}, {"target": 20, "versus": "id:20"},
                  {"versus": trace.predictions[0].id}):  # fmt: skip
        for ask in (
            lambda given=given: cut(model, tokens, [edge], **given),
            lambda given=given: interaction(
                model, tokens, [edge], [EdgeCut("zero", (2,))], **given
            ),
            lambda given=given: wl.attribute(trace, "gradient", **given),
            lambda given=given: wl.hop_spectrum(trace, **given),
            lambda given=given: wl.find_paths(trace, **given),
        ):
            with pytest.raises(InputError, match="accepted are two different tokens"):
                ask()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"edges": ["*.*:1>2"], "how": "mask", "patch_from": "t1 t2"}, "takes no other text"),
        ({"nodes": ["1,1"], "node_how": "zero", "patch_from": "t1"}, "takes no other text"),
        ({"edges": ["*.*:1>2"], "how": "mask", "align": "left"}, "--align: needs --patch-from"),
        ({"edges": ["*.*:1>2"], "how": "mask", "layers": "1"}, "--layers: goes with --from"),
        ({"edges": ["*.*:1>2"], "how": "mask", "heads": "1"}, "--heads: goes with --from"),
        ({"edges": ["*.*:1>2"], "how": "mask", "node_how": "zero"}, "name the --node"),
        ({"nodes": ["1,1"], "node_how": "zero", "own": True}, "--own: is about edges"),
        ({"nodes": ["1,1"], "node_how": "zero", "how": "mask"}, "--how: is about edges"),
    ],
)
def test_what_would_be_passed_over_in_silence_is_refused(given, words):
    with pytest.raises(InputError, match=words):
        CutRequest.of_options(**given)
