"""Conversations and protocols on the bundled model, with vectors made without it."""

from __future__ import annotations

import numpy as np
import pytest

import worldline as wl
from worldline.experiments.introspection import report_protocol as reporting
from worldline.experiments.introspection import strength_comparison as comparing
from worldline.experiments.introspection.cell_choice import Cell
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.detection import ask_within, conversations
from worldline.experiments.introspection.localization import listing_of
from worldline.experiments.introspection.scope import N_SENTENCES, Scope
from worldline.experiments.introspection.steering_vectors import Bank
from worldline.experiments.stimuli.introspection.texts import records_of

ROW = 24
pytestmark = pytest.mark.bundled


@pytest.fixture(scope="module")
def model():
    return wl.load_model()


def fake_bank(scope):
    draw = np.random.default_rng(0)
    means = {ROW: draw.standard_normal((len(scope.vector_concepts), 2, 576))}
    return Bank(tuple(scope.vector_concepts), means, {ROW: 200.0}, 30, 0)


def test_perturbed_tokens_are_those_of_the_marked_messages(model):
    one = conversations(wide=False)[0]
    control = records_of("control_questions.jsonl")[0]
    for asked, where in (
        ask_within(model, one["messages"], None),
        ask_within(model, one["messages"], control),
    ):
        text = asked.tokens.text
        spans = [asked.tokens.char_spans[pos] for pos in where]
        said = "".join(text[start:end] for start, end in spans)
        assert said == one["messages"][1]["content"] + one["messages"][2]["content"]
        assert text.endswith("The answer is")
        assert [model.tokenizer.decode([one]) for one in asked.answers] == [" yes", " no"]
        assert 0 not in where
    assert control["asked_as"] in text


def test_a_listing_names_ten_sentences_by_ten_tokens(model):
    listing = listing_of(model, "bread", 0, "asked")
    assert len(set(listing.answers)) == N_SENTENCES
    assert len({pos for one in listing.candidates for pos in one}) == sum(
        map(len, listing.candidates)
    )
    assert max(map(max, listing.candidates)) < listing.since < len(listing.ids)
    assert [model.tokenizer.decode([one]) for one in listing.answers] == [*"0123456789"]


def test_answers_that_begin_alike_are_refused(model):
    with pytest.raises(wl.InputError, match="tell apart"):
        ask(model, [Message("user", "Hi")], "It is", (" yes", " yes please"))


def test_without_a_template_turns_are_written_out(model):
    class Bare:
        def __getattr__(self, name):
            return None if name == "chat_template" else getattr(model.tokenizer, name)

        def __call__(self, *given, **options):
            return model.tokenizer(*given, **options)

        def __len__(self):
            return len(model.tokenizer)

    bare = wl.LoadedModel(model.module, Bare(), "bare", model.config, model.device, model.dtype)
    asked = ask(bare, [Message("system", ""), Message("user", "Hi")], "It is", (" so", " not"))
    assert asked.tokens.text.startswith("User: Hi\nAssistant: It is")


def test_comparison_and_picture_run(model, monkeypatch):
    scope = Scope(8, 0)
    for module in (comparing, reporting):
        monkeypatch.setattr(module, "bank_of", lambda _model, scope: fake_bank(scope))
        monkeypatch.setattr(module, "chosen_cell", lambda _model, _scope: Cell(ROW, 1.0))
    concept = scope.reported_concepts[0]
    found = comparing.measure_compare(model, scope, concept)
    assert all(one in (0.0, 0.5, 1.0) for one in found["concept"] + found["random"])
    assert any(abs(one) > 1e-3 for one in found["concept_logits"])
    shown = reporting.measure_picture(model, scope)
    spans = shown["cuts"][0].partition(":")[2].partition(">")
    tokens = wl.tokenize(model.tokenizer, shown["text"])
    first, last = map(int, spans[0].split("-"))
    said = shown["text"][tokens.char_spans[first][0] : tokens.char_spans[last][1]]
    assert said.strip() == "Rain fell all night."
    assert int(spans[2].split("-")[1]) == len(tokens) - 1
