"""Whether what is said of confidence follows how probable the answer was when it was written."""

from __future__ import annotations

import zlib
from typing import Any

import worldline as wl
from worldline.experiments.introspection.answer_gate import YES_NO
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.steering import answer_logits
from worldline.experiments.stimuli.introspection.texts import draw_distinct, facts

QUESTION = 'Were you sure of that? Answer with "The answer is yes" or "The answer is no".'
PER_ITEM = 8


def measure_confidence(model: wl.LoadedModel, seed: int, first: int) -> dict[str, Any]:
    """Eight questions with their answers: log-probability of the answer, and what is said of it.

    `said`: logit(yes) - logit(no) where the model is asked whether it was confident; `cut`: the
    same with every read of the answer by question and report masked; `control_logits`: with as many
    of the question's tokens masked instead.
    """
    fact_pairs = facts()
    rows = [
        _measure(model, seed, fact_pairs[n])
        for n in range(first, min(first + PER_ITEM, len(fact_pairs)))
    ]
    return {"facts": rows}


def _measure(model: wl.LoadedModel, seed: int, fact: tuple[str, str]) -> dict[str, Any]:
    question, answer = fact
    messages = [
        Message("system", ""),
        Message("user", question),
        Message("assistant", answer),
        Message("user", QUESTION),
    ]
    prompt = ask(model, messages, "The answer is", YES_NO)
    mine, theirs = prompt.turn(2), prompt.turn(1)
    later = tuple(range(mine[-1] + 1, len(prompt.ids)))
    control_positions = tuple(
        sorted(draw_distinct(theirs, len(mine), seed, zlib.crc32(question.encode())))
    )
    edits = [
        frozenset({wl.EdgeCut("mask", src=src, dst=later)}) for src in (mine, control_positions)
    ]
    cut, control_logits = answer_logits(model, prompt.ids, prompt.answers, edits, reuse=False)
    full_logits = wl.execute(model, wl.Plan(prompt.ids)).logits[0].double()
    logprobs = full_logits[mine[0] - 1 : mine[-1]].log_softmax(-1)
    ids = [prompt.ids[pos] for pos in mine]
    yes, no = (float(full_logits[-1, answer_id]) for answer_id in prompt.answers)
    return {
        "question": question,
        "logprob": float(logprobs[range(len(ids)), ids].sum()),
        "tokens": len(ids),
        "said": yes - no,
        "cut": float(cut[0] - cut[1]),
        "other": float(control_logits[0] - control_logits[1]),
    }
