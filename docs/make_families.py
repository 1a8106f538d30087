"""Writes the prompt pairs of `worldline faithfulness` from the data sets they come from.

    python docs/make_families.py FOLDER

FOLDER holds eap-ig/, sva-feature-circuits/, relations/ and function-vectors/, the published files
that lab/faithfulness/families/NOTICE.md names. Pairs are of equal length for the bundled model's
tokenizer; other models leave out what is not of equal length for theirs.
"""

from __future__ import annotations

import csv
import functools
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import worldline
from worldline.models.loader import load_model

HOME = Path(worldline.__file__).parent / "lab" / "faithfulness" / "families"
KEPT = 120
SEED = 5
SHOTS = 3
SUBJECTS, SUBJECTS_TRIED = 60, 12  # of a relation; as the other subject of one fact
TASKS = {
    "country-capital": "abstractive",
    "antonym": "abstractive",
    "present-past": "abstractive",
    "singular-plural": "abstractive",
    "capitalize": "abstractive",
}
Pair = dict[str, str]


def indirect_object(source: Path) -> Iterator[Pair]:
    """The name that occurs once, against the one that occurs twice; the second mention swapped."""
    with (source / "eap-ig" / "ioi.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            one, two, subject = re.findall(r"\b[A-Z][a-z]+\b", row["clean"].removeprefix("Then"))[
                :3
            ]
            other = one if subject == two else two
            yield _pair(row["clean"], row["corrupted"], f" {other}", f" {subject}")


def greater_than(source: Path) -> Iterator[Pair]:
    """A tens digit above that of the first year, against one as far below it."""
    with (source / "eap-ig" / "greater_than.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            tens = int(row["label"].zfill(2)[0])
            apart = min(tens, 9 - tens, 3)
            if apart:
                up, down = str(tens + apart), str(tens - apart)
                yield _pair(row["clean"], row["corrupted"], up, down)


def agreement(source: Path) -> Iterator[Pair]:
    """A verb that agrees with the subject, against its other number."""
    folder = source / "sva-feature-circuits"
    kinds = ("nounpp_test", "nounpp_train")
    files = [(folder / f"{kind}.jsonl").read_text().splitlines() for kind in kinds]
    for lines in zip(*files, strict=False):
        for line in lines:
            row = json.loads(line)
            yield _pair(
                row["clean_prefix"], row["patch_prefix"], row["clean_answer"], row["patch_answer"]
            )


def facts(source: Path) -> Iterator[Pair]:
    """The object of a fact, against that of another subject of the same relation."""
    for path in sorted((source / "relations" / "factual").glob("*.json")):
        relation = json.loads(path.read_text())
        template, samples = relation["prompt_templates"][0], relation["samples"][:SUBJECTS]
        for n, one in enumerate(samples):
            for other in samples[n + 1 :][:SUBJECTS_TRIED]:
                if other["object"] != one["object"]:
                    yield _pair(
                        template.replace("{}", one["subject"]),
                        template.replace("{}", other["subject"]),
                        f" {one['object']}",
                        f" {other['object']}",
                    )


def function_vectors(source: Path) -> Iterator[Pair]:
    """What a task makes of a word, against the word; the examples' answers in another order."""
    draw = random.Random(SEED)
    samples = {
        name: json.loads((source / "function-vectors" / kind / f"{name}.json").read_text())
        for name, kind in TASKS.items()
    }
    for _ in range(80):
        for pairs in samples.values():
            *shots, query = draw.sample(pairs, SHOTS + 1)
            answers = [shot["output"] for shot in shots]
            moved = answers[1:] + answers[:1]
            clean, corrupted = (
                "\n".join(
                    f"{shot['input']}: {said}" for shot, said in zip(shots, given, strict=True)
                )
                + f"\n{query['input']}:"
                for given in (answers, moved)
            )
            yield _pair(clean, corrupted, f" {query['output']}", f" {query['input']}")


def _pair(clean: str, corrupted: str, answer: str, wrong: str) -> Pair:
    return {"clean": clean, "corrupted": corrupted, "answer": answer, "wrong": wrong}


FAMILIES = {
    "indirect-object": (indirect_object, False),
    "greater-than": (greater_than, False),
    "agreement": (agreement, False),
    "facts": (facts, True),
    "function-vectors": (function_vectors, True),
}


def main(source: Path) -> None:
    """Write every family: pairs of equal length that end alike, answers of one token each."""
    model = load_model()
    tokenizer = model.tokenizer

    @functools.cache
    def ids(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def says(text: str) -> int:
        import torch

        with torch.no_grad():
            logits = model.module(input_ids=torch.tensor([ids(text)])).logits
        return int(logits[0, -1].argmax())

    HOME.mkdir(parents=True, exist_ok=True)
    for name, (family, answered) in FAMILIES.items():
        lines, seen = [], set()
        for pair in family(source):
            if len(ids(pair["answer"])) > 1 or len(ids(pair["wrong"])) > 1:
                continue
            answer, wrong = ids(pair["answer"])[0], ids(pair["wrong"])[0]
            lengths = {len(ids(pair[side])) for side in ("clean", "corrupted")}
            if pair["clean"] in seen or len(lengths) > 1 or answer == wrong:
                continue
            if ids(pair["clean"])[-1] != ids(pair["corrupted"])[-1]:
                continue
            if answered and says(pair["clean"]) != answer:
                seen.add(pair["clean"])
                continue
            seen.add(pair["clean"])
            lines.append(pair | {"answered": answered})
        random.Random(SEED).shuffle(lines)
        lines = [
            line | {"split": ("choose", "report")[n % 2]} for n, line in enumerate(lines[:KEPT])
        ]
        path = HOME / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        print(name, len(lines), sorted({len(ids(line["clean"])) for line in lines}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
