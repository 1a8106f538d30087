"""What reading a model's words takes: bytes a second of each reader, on texts made to be hard.

Each text is a piece repeated to so many letters; the slowest piece counts. The last column is the
time of the longest text over that of the one before, divided by how much longer it is: 1 is linear,
with 50,000 and 200,000 letters 4 is quadratic. CPU time of one thread, the fastest of some runs.

    python bench/room_readers.py [--lengths 1000 10000 50000 200000] [--reader parse]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable

from worldline.room.action_claims import claims
from worldline.room.events import Event, Message
from worldline.room.export_files import as_html, as_markdown
from worldline.room.inert_regions import regions, without_reasoning
from worldline.room.mojibake import mend
from worldline.room.other_formats import load_json
from worldline.room.reasoning import ReasoningFilter
from worldline.room.reply_commands import parse
from worldline.room.speaker_labels import borrowed_passages, without_own_label, without_room_lines
from worldline.room.state import Participant
from worldline.room.turns import mentioned_participants
from worldline.tokens.sanitize import one_line, visible

NAMES = ("Ada", "Bob", "李雷", "Senior_Engineer")
PEOPLE = [Participant(name, "m", "", 1.0, False, 0) for name in NAMES]
PIECES = (
    "!leave ", "!leave", "!image ", '!image "', '!image "a"', '!image "a" ', '"!image "',
    "!imagine ", "!abcdef ", "!temperature a ", "!a  ", "!image\n", "?image 'x' ", '"', "“", "[",
    "]", "[room", "[a:", "［room: ", "(", "`", "``` ", "`a`` ", "```\n", "~~~\n", "> `a\n", "@",
    "@a", "@Ada ", "@李雷", "<", "<think>", "</think>", "<think>a</think>", "[THINK]",
    "[thinking] ", "<|channel|>", "a\u0301\u0302", "\u0301", "é", "Ã¼", "Ada: ", "[Ada] ",
    "**Ada:** ", "Bob: x\n", "\n", " ", "\t\n", "*", "*draws a ", "*draw ", "![", "<img",
    "(image ", "a", "李", "\u202e", "\u200d", "\ud800", "a.b", "!x \u00a0", "\\",
)  # fmt: skip


def hushed(text: str) -> None:
    """A reply in pieces of 16 letters, as it streams."""
    quiet = ReasoningFilter()
    for at in range(0, len(text), 16):
        quiet.more(text[at : at + 16])


def exported(write: Callable[[list[Event]], str]) -> Callable[[str], str]:
    """What writes one message."""
    return lambda text: write([Event(1, 0, 1.0, Message("Ada", text, text, model="m"))])


READERS: dict[str, Callable[[str], object]] = {
    "parse": parse,
    "regions": regions,
    "without_reasoning": without_reasoning,
    "hushed": hushed,
    "claims": claims,
    "borrowed": lambda text: borrowed_passages(text, "Ada", NAMES),
    "without_own_label": lambda text: without_own_label(text, "Ada"),
    "without_room_lines": without_room_lines,
    "mentioned": lambda text: mentioned_participants(text, PEOPLE),
    "mend": mend,
    "visible": visible,
    "one_line": lambda text: one_line(text, 400),
    "loaded": lambda text: load_json(json.dumps([text]), Counter()),
    "as_markdown": exported(as_markdown),
    "as_html": exported(as_html),
}


def seconds(read: Callable[[str], object], text: str, runs: int = 3) -> float:
    """CPU seconds of the fastest of some runs; one run where it takes long."""
    fastest = float("inf")
    for _ in range(runs):
        began = time.process_time()
        read(text)
        fastest = min(fastest, time.process_time() - began)
        if fastest > 0.2:
            break
    return max(fastest, 1e-7)


def main() -> None:
    """Print a table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lengths", type=int, nargs="+", default=[1000, 10_000, 50_000, 200_000])
    options.add_argument("--reader", nargs="+", choices=[*READERS], default=[*READERS])
    given = options.parse_args()
    heads = " | ".join(f"{n:,}" for n in given.lengths)
    print(f"bytes a second by letters | {heads} | hardest piece | against linear")
    for name in given.reader:
        slowest: list[tuple[float, str]] = []
        for length in given.lengths:
            texts = {piece: (piece * (length // len(piece) + 1))[:length] for piece in PIECES}
            slowest.append(
                max((seconds(READERS[name], one), piece) for piece, one in texts.items())
            )
        rates = " | ".join(
            f"{n / s:,.0f}" for n, (s, _) in zip(given.lengths, slowest, strict=True)
        )
        longer = given.lengths[-1] / given.lengths[-2] if len(given.lengths) > 1 else 1
        ratio = slowest[-1][0] / slowest[-2][0] / longer if len(slowest) > 1 else 1
        print(f"{name} | {rates} | {slowest[-1][1]!r} | {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
