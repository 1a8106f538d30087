"""The spelling of a target: the other one, with or without a space, is never passed over."""

from __future__ import annotations

import math

import pytest

from tiny_runs import NamesIds
from worldline.errors import InputError
from worldline.tokens import targets
from worldline.tokens.targets import likelier_twin, refuse_itself

WORDS = {"Paris": 1, " Paris": 2, " London": 3, "id:2": 4}
CHANCES = {1: 0.001, 2: 0.77, 3: 0.01, 4: 0.0001}


@pytest.fixture(autouse=True)
def vocabulary(monkeypatch):
    monkeypatch.setattr(targets, "whole_token", lambda _tokenizer, text: WORDS.get(text))


def logprob(token):
    return math.log(CHANCES[token])


def test_the_likelier_spelling_is_named_with_its_chance():
    assert likelier_twin(NamesIds(), logprob, "Paris") == (
        '"Paris" (no space) is another token than " Paris", which is 77 % here'
    )
    turned = {1: 0.6, 2: 0.002}
    assert likelier_twin(NamesIds(), lambda token: math.log(turned[token]), " Paris") == (
        '" Paris" (with a space) is another token than "Paris", which is 60 % here'
    )


@pytest.mark.parametrize("given", [" Paris", " London", "London", "id:2", 1, None])
def test_nothing_is_said_where_nothing_else_can_be_meant(given):
    assert likelier_twin(NamesIds(), logprob, given) is None


def test_both_tokens_are_looked_at_and_unknown_chances_are_small():
    both = likelier_twin(NamesIds(), {2: math.log(0.77)}.get, "Paris", "Paris")
    assert both.count("77 %") == 2
    assert likelier_twin(NamesIds(), {1: math.log(0.5)}.get, "Paris") is None


def test_one_token_cannot_be_held_against_itself():
    with pytest.raises(InputError, match='target and versus are both "t7 "'):
        refuse_itself(NamesIds(), 7, 7)
    refuse_itself(NamesIds(), 7, 8)
    refuse_itself(NamesIds(), 7, None)
