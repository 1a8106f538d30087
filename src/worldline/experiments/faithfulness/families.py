"""Pairs of prompts with a known answer: those that come with worldline, or the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import worldline as wl
from worldline.foreign_json import read_json
from worldline.places import expand_path

HOME = Path(__file__).parent / "families"
FAMILIES = ("indirect-object", "greater-than", "agreement", "facts", "function-vectors")
CIRCUITS = "circuits"
SPLITS = ("choose", "report")
FILTER = (
    "both prompts of equal length in tokens and with the same last one, answers of one token each, "
    "the answer preferred on the clean prompt and by more than on the other one (facts and "
    "function vectors: the likeliest token of all)"
)


@dataclass(frozen=True)
class Pair:
    """A prompt, one like it with another answer, and the two answers.

    `split` says what the pair is for: to "choose" by, or to "report" on. With `answered` the pair
    counts only where the answer is the model's likeliest token.
    """

    clean: str
    corrupted: str
    answer: str
    wrong: str
    answered: bool = False
    split: str = "report"


@dataclass(frozen=True, eq=False)
class Prompt:
    """A pair that a model accepts, in tokens."""

    family: str
    number: int
    split: str
    clean: wl.Tokens
    corrupted: wl.Tokens
    answer: int
    wrong: int

    @property
    def name(self) -> str:
        """Names the prompt in files."""
        return f"{self.family.replace(' ', '-')}-{self.number:03d}"

    def json(self) -> dict[str, Any]:
        """What was asked, in ids."""
        return {
            "family": self.family,
            "number": self.number,
            "split": self.split,
            "clean_ids": list(self.clean.ids),
            "corrupted_ids": list(self.corrupted.ids),
            "answer": self.answer,
            "wrong": self.wrong,
        }


def load_pairs(name: str) -> list[Pair]:
    """The pairs of a family, or of a file with one JSON object a line.

    Raises:
        InputError: no such family or file, or a line that is not a pair.
    """
    path = HOME / f"{name}.jsonl" if name in FAMILIES else expand_path(name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise wl.InputError(
            f"--data {name}: accepted are all, {', '.join(FAMILIES)}, {CIRCUITS}, or a file of "
            f"pairs, one JSON object a line ({getattr(error, 'strerror', None) or error})"
        ) from None
    pairs = [_pair(line, f"{name} line {n + 1}", n) for n, line in enumerate(lines) if line.strip()]
    if not pairs:
        raise wl.InputError(f"--data {name}: it has no pairs")
    return pairs


def _pair(line: str, where: str, number: int) -> Pair:
    accepted_form = 'accepted is {"clean": ..., "corrupted": ..., "answer": ..., "wrong": ...}'
    try:
        pair_fields = {"split": SPLITS[number % 2], "answered": False} | read_json(line, where)
    except (TypeError, ValueError):
        raise wl.InputError(f"{where}: not a pair; {accepted_form}") from None
    if set(pair_fields) != {field.name for field in fields(Pair)}:
        raise wl.InputError(f"{where}: not a pair; {accepted_form}")
    texts = [value for name, value in pair_fields.items() if name != "answered"]
    if (
        not all(isinstance(text, str) and text for text in texts)
        or pair_fields["split"] not in SPLITS
    ):
        raise wl.InputError(f"{where}: not a pair of texts; {accepted_form}")
    return Pair(**{**pair_fields, "answered": bool(pair_fields["answered"])})


def prompts_of(
    model: wl.LoadedModel, family: str, pairs: Sequence[Pair], n: int
) -> Iterator[Prompt]:
    """The first `n` pairs that the model accepts, half of them to choose by; see `FILTER`."""
    count_by_split: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for number, pair in enumerate(pairs):
        most = (n + 1) // 2 if pair.split == SPLITS[1] else n // 2
        if count_by_split[pair.split] >= most:
            continue
        prompt = _prompt_from_pair(model, family, number, pair)
        if prompt is not None:
            count_by_split[pair.split] += 1
            yield prompt


def _prompt_from_pair(model: wl.LoadedModel, family: str, number: int, pair: Pair) -> Prompt | None:
    clean, corrupted_tokens = (
        wl.tokenize(model.tokenizer, text) for text in (pair.clean, pair.corrupted)
    )
    answers = [_one_token(model, text) for text in (pair.answer, pair.wrong)]
    answer, wrong = answers
    if answer is None or wrong is None or answer == wrong:
        return None
    if len(clean.ids) != len(corrupted_tokens.ids) or clean.ids == corrupted_tokens.ids:
        return None
    if clean.ids[-1] != corrupted_tokens.ids[-1]:
        return None
    runs = wl.execute_many(model, [wl.Plan(clean.ids), wl.Plan(corrupted_tokens.ids)], last=True)
    on_clean, on_other = (float(run[-1][answer] - run[-1][wrong]) for run in runs)
    if on_clean <= max(on_other, 0.0) or (pair.answered and int(runs[0][-1].argmax()) != answer):
        return None
    return Prompt(family, number, pair.split, clean, corrupted_tokens, answer, wrong)


def _one_token(model: wl.LoadedModel, text: str) -> int | None:
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    return int(ids[0]) if len(ids) == 1 else None


def circuit_prompts() -> Iterator[tuple[wl.LoadedModel, Prompt, list[tuple[int, int, int, int]]]]:
    """(Model set by hand, its prompt, the edges (layer, head, dst, src) that make the answer)."""
    for name, circuit in wl.known_circuits().items():
        model = wl.load_model((circuit.module, circuit.tokenizer))
        clean, corrupted_tokens = (
            wl.tokenize(model.tokenizer, " ".join(f"t{token_id}" for token_id in ids))
            for ids in (circuit.ids, circuit.corrupted)
        )
        prompt = Prompt(
            f"circuit {name}", 0, "report", clean, corrupted_tokens, circuit.target, circuit.versus
        )
        yield model, prompt, [(e.layer, e.head, e.dst, e.src) for e in circuit.edges]
