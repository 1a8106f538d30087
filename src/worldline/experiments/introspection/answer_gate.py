"""Before anything else: whether the model answers plain questions by yes and no at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.introspection.chat import ChatPrompt, Message, ask
from worldline.experiments.introspection.steering import answer_logits
from worldline.experiments.statistics import DRAWS, wilson
from worldline.experiments.stimuli.introspection.texts import records_of

YES_NO = (" yes", " no")
SURE = ("yes", "no")  # the groups whose answer is not in doubt


def questions(groups: Sequence[str] = SURE) -> list[dict[str, Any]]:
    """The control questions of these groups, in the order of the file."""
    return [
        question
        for question in records_of("control_questions.jsonl")
        if question["group"] in groups
    ]


def ask_alone(model: wl.LoadedModel, question: dict[str, Any]) -> ChatPrompt:
    """A control question as a conversation of its own."""
    messages = [Message("system", ""), Message("user", question["asked_as"])]
    return ask(model, messages, question["prefill"], YES_NO)


def measure_gate(model: wl.LoadedModel, first: int, count: int) -> dict[str, Any]:
    """Logit of yes less that of no, for some of the 24 questions."""
    gate_questions = questions()[first : first + count]
    answers = []
    for question in gate_questions:
        prompt = ask_alone(model, question)
        yes, no = answer_logits(model, prompt.ids, prompt.answers, [frozenset()])[0]
        answers.append(
            {
                "group": question["group"],
                "question": question["question"],
                "yes_no": float(yes - no),
            }
        )
    return {"answers": answers}


def judge_gate(answers: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Balanced accuracy of yes and no, as the model answers and with its bias taken off.

    The bias is the median difference of logits over all questions; as twice as many are to be
    denied, taking it off costs even a perfect model some. `open`: the lower end of the accuracy as
    answered is above 1/2.
    """
    yes, no = (
        np.array([answer["yes_no"] for answer in answers if answer["group"] == group])
        for group in SURE
    )
    median = float(np.median(np.concatenate([yes, no])))
    judgement: dict[str, Any] = {"n": len(yes) + len(no), "bias_logits": median}
    for name, bias in (("as_answered", 0.0), ("bias_taken_off", median)):
        judgement[name] = _balanced_accuracy(yes - bias > 0, no - bias < 0, seed)
    judgement["open"] = judgement["as_answered"]["low"] > 0.5
    return judgement


def _balanced_accuracy(yes: np.ndarray, no: np.ndarray, seed: int) -> dict[str, float]:
    """Balanced accuracy; its interval is the wider of the bootstrap's and one made of Wilson's."""
    draw = np.random.default_rng(seed)
    value = float(yes.mean() + no.mean()) / 2
    resampled_shares = [
        hits[draw.integers(len(hits), size=(DRAWS, len(hits)))].mean(1) for hits in (yes, no)
    ]
    draws = (resampled_shares[0] + resampled_shares[1]) / 2
    low, high = np.quantile(draws, [0.025, 0.975])
    ends = [(float(hits.mean()), *wilson(int(hits.sum()), len(hits))) for hits in (yes, no)]
    below = math.hypot(*(share - least for share, least, _ in ends)) / 2
    above = math.hypot(*(most - share for share, _, most in ends)) / 2
    return {
        "balanced_accuracy": value,
        "low": min(float(low), value - below),
        "high": max(float(high), value + above),
        "yes_right": ends[0][0],
        "no_right": ends[1][0],
    }
