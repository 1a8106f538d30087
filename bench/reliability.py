"""What worldline survives: faults, kills, hostile input, five hundred questions.

    .venv/bin/python bench/reliability.py [--quick] [--only faults kills hostile memory]
        [--kills 40] [--damages 300] [--requests 500] [--seed 0]

Four tables. **Faults**: an endpoint that misbehaves in every way that the tests know, and files
that are damaged at random; each must end in a whole result or in one line. **Kills**: commands that
write are killed (SIGKILL) at random moments; what the user had must be there, bit for bit, or the
new file whole. **Hostile input**: bytes per CPU second of every reader of foreign text, at growing
lengths; a linear reader keeps its rate. **Memory**: the server's resident size as it answers. All
on tiny random models in a temporary folder; nothing of the user's is read or written. The exit
code is 1 where a fault was not survived or something was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = map(str, (TESTS / "support", TESTS / "laws", TESTS / "unit" / "room" / "providers"))
CELL_SECONDS = 3.0  # of CPU for one reader at one length
LENGTHS = (1_000, 10_000, 50_000, 200_000)


def main() -> None:
    """Print the tables that are asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a tenth of everything")
    options.add_argument("--kills", type=int, default=40, help="times each command is killed")
    options.add_argument("--damages", type=int, default=300, help="of each kind of file")
    options.add_argument("--requests", type=int, default=500)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    given = options.parse_args()
    if given.quick:
        given.kills, given.damages = given.kills // 10, given.damages // 10
        given.requests //= 10
    warnings.simplefilter("ignore")  # of torch and transformers, on what they read
    _forget_the_user()
    with tempfile.TemporaryDirectory(prefix="worldline-reliability-") as folder:
        os.environ |= {
            "WORLDLINE_CACHE": f"{folder}/cache",
            "WORLDLINE_DATA": f"{folder}/data",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        lost = sum(TABLES[name](given, _own_folder(Path(folder), name)) for name in given.only)
    raise SystemExit(1 if lost else 0)


def _forget_the_user() -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "WORLDLINE_ROOM_KEY":
            del os.environ[name]


def _own_folder(folder: Path, name: str) -> Path:
    """A folder of one table: no file of another's stands in its way."""
    place = folder / name
    place.mkdir()
    return place


def _tiny(folder: Path) -> Path:
    from tiny_folder import tiny_folder

    place = folder / "model"
    return place if place.exists() else tiny_folder(place, n_pos=64)


def _table(title: str, *heads: str) -> None:
    print(
        f"\n{title}\n\n| {' | '.join(heads)} |\n| --- |{' ---: |' * (len(heads) - 1)}", flush=True
    )


def _say(what: str) -> None:
    print(f"reliability: {what}", file=sys.stderr, flush=True)


# --- faults --------------------------------------------------------------------------------------


def faults(given: argparse.Namespace, folder: Path) -> int:
    """Try every fault; how many were not survived."""
    _table("Faults tried and survived", "fault", "tried", "survived", "CPU s")
    lost = 0
    for name, trials in chain(_endpoint_faults(given), _damages(given, folder)):
        _say(f"faults, {name}")
        tried, survived, began = 0, 0, time.process_time()
        for trial in trials:
            tried += 1
            try:
                with _silent():
                    trial()
                survived += 1
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                _say(f"{name}: {type(error).__name__}: {error}")
        lost += tried - survived
        print(f"| {name} | {tried} | {survived} | {time.process_time() - began:.1f} |", flush=True)
    return lost


Trials = Iterator[Callable[[], object]]


def _endpoint_faults(given: argparse.Namespace) -> Iterator[tuple[str, Trials]]:
    import test_faults as known
    import test_hostile_endpoints as damaged

    checks = (
        ("endpoint: a reply spelled another way", known.REPLIES,
         known.test_the_words_come_as_they_were_said),
        ("endpoint: silence, drips and floods", known.SILENT,
         known.test_the_deadline_holds_whatever_it_does),
        ("endpoint: the same, stopped by the reader", known.SILENT,
         known.test_a_stop_ends_it_whatever_it_does),
        ("endpoint: more than fits", known.LARGE,
         known.test_what_is_too_large_is_not_read_to_its_end),
    )  # fmt: skip
    for name, table, check in checks:
        yield name, (lambda n=one, c=check: c(n) for one in table)
    seeds = range(given.seed, given.seed + given.damages)
    yield (
        "endpoint: replies damaged at random",
        (lambda s=seed: damaged.survived(s) for seed in seeds),
    )


def _damages(given: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Trials]]:
    import test_hostile_files as files
    import test_hostile_models as models
    import test_hostile_rooms as rooms

    from damage import damaged_bytes, outcome

    def draws(name: str) -> Iterator[random.Random]:
        return (random.Random(f"{name}{given.seed + n}") for n in range(given.damages))

    def file(kind: Any, place: Path, content: bytes, value: Any) -> None:
        read = files._outcome(kind, place, content)
        assert not kind.sealed or read in (files.REFUSED, value), "half of it was read"

    for name, kind in files.KINDS.items():
        place = folder / name
        place.mkdir()
        content, value = files._good(name, place)
        bad = place / f"bad{kind.ending}"
        yield (
            f"damaged: {name}",
            (
                lambda d=draw, k=kind, b=bad, c=content, v=value: file(k, b, damaged_bytes(c, d), v)
                for draw in draws(name)
            ),
        )
    log, at = folder / "a.room", folder / "rooms"
    at.mkdir()
    whole = rooms.whole_log(at)

    def opened(draw: random.Random) -> None:
        for left in folder.glob("a.room*"):
            left.unlink()
        log.write_bytes(damaged_bytes(whole, draw))
        read = outcome(lambda: rooms.opened(log))
        if read != files.REFUSED:
            assert [one.number for one in read] == list(range(1, len(read) + 1))

    yield "damaged: room's log", (lambda d=draw: opened(d) for draw in draws("log"))
    tiny = models.Models(folder / "models")
    seeds = range(given.seed, given.seed + given.damages)
    for name in models.FILES:
        yield (
            f"damaged: {'GGUF file' if name.endswith('gguf') else name}",
            (
                lambda n=name, s=seed: outcome(lambda: models.what_runs(tiny.damaged(n, s)))
                for seed in seeds
            ),
        )


@contextmanager
def _silent() -> Iterator[None]:
    """Bars and reports of other libraries go nowhere."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


# --- kills ---------------------------------------------------------------------------------------


def kills(given: argparse.Namespace, folder: Path) -> int:
    """Kill commands that write; how many lost something."""
    from kills import rows

    _table(
        f"Kills and what was lost ({given.kills} runs of each command)",
        "command", "killed", "the old is whole", "the new is whole", "lost", "hidden parts left",
    )  # fmt: skip
    lost = 0
    for name, row in rows(_tiny(folder), folder, given.kills, given.seed):
        _say(f"kills, {name}")
        with _silent():
            cells = row()
        lost += int(cells.split(" | ")[4])
        print(f"| {cells} |", flush=True)
    return lost


# --- hostile input -------------------------------------------------------------------------------


def hostile(given: argparse.Namespace, folder: Path) -> int:
    """Bytes per CPU second of each reader, by the hardest of its pieces."""
    lengths = LENGTHS[:2] if given.quick else LENGTHS
    _table(
        "Hostile input: bytes per CPU second of the hardest text, by letters",
        "reader", *(f"{n:,}" for n in lengths), "slower than linear, times", "hardest piece",
    )  # fmt: skip
    for name, (read, pieces) in _readers(folder).items():
        _say(f"hostile, {name}")
        rates, hardest = [], ""
        for n in lengths:
            found = _slowest(read, pieces, n)
            if found is None:
                break
            taken, n_bytes, hardest = found
            rates.append(n_bytes / taken)
        ratio = f"{rates[-2] / rates[-1]:.2f}" if len(rates) > 1 else ""
        cells = [f"{one:,.0f}" for one in rates] + ["over the time"] * (len(lengths) - len(rates))
        print(f"| {name} | {' | '.join(cells)} | {ratio} | {hardest!r} |", flush=True)
    return 0


def _slowest(
    read: Callable[[str], object], pieces: tuple[str, ...], length: int
) -> tuple[float, int, str] | None:
    """(CPU seconds, bytes, piece) of the piece that takes longest a byte; None past the limit."""
    slowest, began = None, time.process_time()
    for piece in pieces:
        text = (piece * (length // len(piece) + 1))[:length]
        taken = min(_seconds(read, text) for _ in range(2))
        n_bytes = len(text.encode(errors="surrogatepass"))
        if slowest is None or taken / n_bytes > slowest[0] / slowest[1]:
            slowest = taken, n_bytes, piece
        if time.process_time() - began > CELL_SECONDS * len(pieces) / 4:
            return None
    return slowest


def _seconds(read: Callable[[str], object], text: str) -> float:
    from worldline.errors import InputError

    began = time.process_time()
    with suppress(InputError):
        read(text)
    return max(time.process_time() - began, 1e-7)


def _readers(folder: Path) -> Mapping[str, tuple[Callable[[str], object], tuple[str, ...]]]:
    import json

    from transformers import AutoTokenizer

    import worldline as wl
    from room_readers import PIECES, READERS
    from small_tokenizers import byte_level, sentence_piece
    from tiny_runs import loaded, some_tokens
    from worldline.foreign_json import read_json
    from worldline.room.imports import from_elsewhere, from_messages, from_transcript
    from worldline.tokens.chat_templates import Turn, render_chat
    from worldline.tokens.tokens import tokenize

    scripts = (
        "the cat sat. ", "abcdefgh", "日本語の本", "👩‍👩‍👧‍👦", "e\u0301\u0323\u0302",
        "a é\n日 🎉\t\u200d…ß", " ", "\n", "0", "<|end|>",
    )  # fmt: skip
    nests = (
        "[",
        "{",
        '{"a":',
        '"',
        "\\",
        "\\u00e9",
        "[1,",
        "1",
        "[[],",
        '"\\ud83d",',
        " ",
        "\ufeff",
    )
    entry = '{"role":"user","content":"x"}\n'
    lines = ("Ada: hi\n", "[room] x\n", "**Ada:** x\n", "```\n", "\n", "Ada", entry)
    chat = AutoTokenizer.from_pretrained(_tiny(folder))
    trace = wl.save_trace(wl.record(loaded("llama"), some_tokens(4)), folder / "trace")
    content = trace.read_bytes()
    size = int.from_bytes(content[:8], "little")
    outer = json.loads(content[8 : 8 + size])

    def header(text: str) -> object:
        outer["__metadata__"]["worldline"] = text
        head = json.dumps(outer).encode()
        bad = folder / "bad-trace"
        bad.write_bytes(len(head).to_bytes(8, "little") + head + content[8 + size :])
        return wl.load_trace(bad)

    def kept(text: str) -> str:  # what is no text is refused, quickly
        return text.encode(errors="replace").decode()

    byte_wise: Any
    unigram: Any
    byte_wise, unigram = byte_level(), sentence_piece("unigram")
    return {f"room: {name}": (read, PIECES) for name, read in READERS.items()} | {
        "tokenize, byte-level": (lambda text: tokenize(byte_wise, text), scripts),
        "tokenize, unigram": (lambda text: tokenize(unigram, text), scripts),
        "chat template": (
            lambda text: render_chat(chat, [Turn("user", kept(text)), Turn("assistant", "a")]),
            (*scripts, "{{ x }}", "user:", "<|end|>user:"),
        ),
        "JSON": (lambda text: read_json(text, "x"), nests),
        "header of a trace": (header, nests),
        "import: transcript": (from_transcript, lines),
        "import: messages": (
            lambda text: from_messages(json.dumps([{"role": "user", "content": text}])),
            PIECES,
        ),
        "import: any file": (from_elsewhere, (*lines, *nests)),
    }


# --- memory --------------------------------------------------------------------------------------


def memory(given: argparse.Namespace, folder: Path) -> int:
    """Resident size of a server as it answers."""
    import psutil

    from served import serving

    kinds = (
        {"ask": "trace"},
        {"ask": "cut", "each": True, "how": "mask"},
        {"ask": "cut", "edges": ["*.*:1>*"], "how": "mask"},
        {"ask": "hops", "max_hops": 3},
        {"ask": "paths"},
    )
    words = ("the", "cat", "sat", "hat", "on", "a", "that", "and")
    _table("Memory of one server, five kinds of question in turn", "answered", "resident MB")
    with serving("--model", str(_tiny(folder)), "--threads", "1", **os.environ) as server:
        process = psutil.Process(server.process.pid)
        marks = {1, *range(50, 101, 50), *range(200, given.requests, 100), given.requests}
        for n in range(1, given.requests + 1):
            draw = random.Random(given.seed + n // len(kinds))  # each text is asked five things
            text = " ".join(draw.choices(words, k=6))
            server.answered("reliability", text=text, **kinds[n % len(kinds)])
            if n in marks:
                _say(f"memory, {n} answered")
                print(f"| {n} | {process.memory_info().rss / 2**20:.0f} |", flush=True)
    return 0


TABLES = {"faults": faults, "kills": kills, "hostile": hostile, "memory": memory}

if __name__ == "__main__":
    main()
