"""The flow between speakers: against cuts, against the reply's own chances, and in sums."""

from __future__ import annotations

import json

import pytest
import torch

import worldline as wl
from tiny_folder import tiny_folder
from worldline.errors import InputError
from worldline.models.loader import LoadedModel, load_model
from worldline.room.providers.chat_model import ChatMessage, Part, Settings, Usage
from worldline.room.providers.local_model import Local, LocalUsage
from worldline.room.reply_flow import who_reads_whom
from worldline.room.reply_reads import (
    NO_LOCAL,
    NOT_ASKED,
    flow_of_reply,
    logprob,
    why_no_flow,
)
from worldline.tokens.tokens import decode, extend_tokens, tokenize

TALK = (
    ChatMessage("system", "You are Ada.", (Part(None, "", 0, 12),)),
    ChatMessage("user", "Bob: the sea", (Part(1, "Bob", 5, 12),)),
    ChatMessage("assistant", "the end", (Part(2, "Ada", 0, 7),)),
    ChatMessage(
        "user", "Cleo: the sky\n\nBob: no", (Part(3, "Cleo", 6, 13), Part(4, "Bob", 20, 22))
    ),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LoadedModel:
    return load_model(str(tiny_folder(tmp_path_factory.mktemp("tiny"), n_pos=256)))


@pytest.fixture(scope="module")
def told(model) -> LocalUsage:
    *_, last = Local(model, "tiny").reply(TALK, Settings(1.0, 4, 12))
    return last


@pytest.fixture(scope="module")
def flow(model, told):
    return flow_of_reply(model, told, exact=True)


def chances(model, told) -> float:
    ids = torch.tensor([[*told.reading.tokens.ids, *told.reply_ids]])
    with torch.no_grad():
        scores = model.module(input_ids=ids).logits[0].double().log_softmax(-1)
    first = len(told.reading.tokens)
    return sum(float(scores[first - 1 + n, token]) for n, token in enumerate(told.reply_ids))


def test_its_target_is_the_log_probability_of_what_was_written(model, told, flow):
    assert flow.logprob_nats == pytest.approx(chances(model, told), abs=1e-4)
    assert len(flow.pieces) == len(told.reply_ids)


def test_every_message_has_a_row(flow):
    rows = [(one.event, one.speaker) for one in flow.messages]
    assert rows == [(None, ""), (1, "Bob"), (2, "Ada"), (3, "Cleo"), (4, "Bob")]
    assert [one.n_tokens for one in flow.messages[1:]] == [5, 5, 5, 2]  # "the" is one token
    assert not flow.unplaced


def test_attention_adds_up(flow):
    whole = sum(one.attention for one in flow.messages)
    whole += flow.template_attention + flow.own_attention
    assert whole == pytest.approx(1, abs=1e-5)


def test_sums_by_layer_and_by_token_are_one_thing(flow):
    for one in flow.messages:
        assert sum(one.lost_by_layer) == pytest.approx(one.lost_nats, abs=1e-6)
        assert sum(one.by_token) == pytest.approx(one.lost_nats, abs=1e-6)
        assert len(one.by_token) == len(flow.pieces)


def test_a_cut_is_the_run_without_these_reads(model, told, flow):
    tokens = extend_tokens(model.tokenizer, told.reading.tokens, told.reply_ids)
    first = len(told.reading.tokens)
    span = range(first, len(tokens))
    row = flow.messages[3]  # Cleo's
    part = next(p for p in told.reading.parts if p.event == 3)
    src = [
        at for at, (low, high) in enumerate(tokens.char_spans[:first])
        if low < part.end and part.start < high
    ]  # fmt: skip
    cut = wl.EdgeCut("mask", src=tuple(src), dst=tuple(range(first - 1, len(tokens) - 1)))
    after = logprob(model, wl.Plan(tokens.ids, frozenset([cut])), span)
    assert row.cut_nats == pytest.approx(flow.logprob_nats - after, abs=1e-4)


def test_the_estimate_nears_the_cut_as_edges_get_weak(model, told):
    """In a model whose last layers read weakly, first order is all there is."""
    flow = flow_of_reply(model, told, how="zero", exact=True)
    scale = max(abs(one.cut_nats) for one in flow.messages)
    for one in flow.messages:
        assert one.lost_nats == pytest.approx(one.cut_nats, abs=0.35 * scale)


def test_json_is_plain_and_sums_speakers(flow):
    seen = json.loads(json.dumps(flow.json()))
    assert seen["schema"] == "worldline.room_flow/1"
    assert set(seen["speakers"]) == {"", "Bob", "Ada", "Cleo"}
    bob = [one["lost_nats"] for one in seen["messages"] if one["speaker"] == "Bob"]
    assert seen["speakers"]["Bob"]["lost_nats"] == pytest.approx(sum(bob))
    assert "first-order" in seen["exactness"]


def test_the_rooms_matrix():
    def reply(**attention):
        return {"speakers": {n: {"lost_nats": 1.0, "attention": a} for n, a in attention.items()}}

    seen = who_reads_whom(
        [("Ada", reply(Bob=0.2, Ada=0.6)), ("Ada", reply(Bob=0.4)), ("Bob", reply(Ada=0.1))]
    )
    assert seen["replies"] == {"Ada": 2, "Bob": 1}
    pairs = {(one["reader"], one["read"]): one["attention"] for one in seen["pairs"]}
    assert pairs == {
        ("Ada", "Bob"): pytest.approx(0.3),
        ("Ada", "Ada"): pytest.approx(0.3),
        ("Bob", "Ada"): pytest.approx(0.1),
    }
    assert seen["most_read"] == "Bob"
    assert who_reads_whom([])["most_read"] is None


def test_elsewhere_it_says_that_it_cannot(told):
    assert why_no_flow(told) is None
    assert why_no_flow(Usage()) == NO_LOCAL
    assert why_no_flow(Usage(), is_scripted=True) == NOT_ASKED


@pytest.mark.parametrize("wrong", [LocalUsage(), LocalUsage(reply_ids=(1,))])
def test_a_reply_of_nothing_is_refused(model, wrong):
    with pytest.raises(InputError, match="no tokens"):
        flow_of_reply(model, wrong)


def test_another_how_is_refused(model, told):
    with pytest.raises(InputError, match="mask, zero"):
        flow_of_reply(model, told, how="patch")


def test_continued_tokens_are_these_ids(model):
    tokenizer = model.tokenizer
    first = tokenize(tokenizer, "the a", add_special_tokens=False)
    more = tokenize(tokenizer, "\N{SNOWMAN}<|end|>x", add_special_tokens=False).ids
    whole = extend_tokens(tokenizer, first, more)
    assert whole.ids == (*first.ids, *more)
    assert whole.text == "the a\N{SNOWMAN}<|end|>x" == first.text + decode(tokenizer, more)
    assert "".join(whole.text[low:high] for low, high in whole.char_spans) == whole.text
    assert whole.specials[-2]
    assert extend_tokens(tokenizer, first, ()).ids == first.ids
