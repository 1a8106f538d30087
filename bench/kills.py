"""Commands that write, killed (SIGKILL) at random moments; what of the user's was lost."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

COMMAND = [sys.executable, "-c", "from worldline.apps.cli import main; main()"]
SUPPORT = Path(__file__).resolve().parents[1] / "tests" / "support"
SCENARIO = """title = "Killed"
opening = {who = "You", text = "go"}
[rules]
max_tokens = 8
[budget]
messages = 400
""" + "".join(
    f'[[participant]]\nname = "{name}"\nscript = [{", ".join(f"{name!r}" for _ in range(200))}]\n'
    for name in ("Ada", "Bob")
)


class Killed:
    """Times a command and kills it: every second time in its last part, where it writes."""

    def __init__(self, command: list[str], folder: Path, seed: int) -> None:
        self.command, self.folder = command, folder
        self.draw = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.said = b""
        self.whole_s = float("inf")
        self.run(None)

    def run(self, seconds: float | None) -> bool:
        """Whether it was killed before it ended by itself; what it printed is in `said`."""
        began = time.monotonic()
        with (self.folder / "said").open("w+b") as out:
            process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=out, stderr=subprocess.DEVNULL
            )
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
            out.seek(0)
            self.said = out.read()
        if seconds is None and process.returncode:
            raise SystemExit(f"{' '.join(self.command[3:])}: it fails without being killed")
        if process.returncode == 0:  # the machine may have had other work before
            self.whole_s = min(self.whole_s, time.monotonic() - began)
        return process.returncode == -signal.SIGKILL

    def trial(self, n: int) -> None:
        """One more run, killed at a random moment."""
        at = self.draw.uniform(0.6, 1.05) if n % 2 else self.draw.uniform(0, 1)
        self.counts["killed"] += self.run(at * self.whole_s)

    def row(self, name: str) -> str:
        """A row of the table."""
        counts = self.counts
        cells = (counts[one] for one in ("killed", "old", "new", "lost", "left"))
        return " | ".join((name, *map(str, cells)))


def written(name: str, words: list[str], option: str, place: Path, n: int, seed: int) -> str:
    """A file that was there: after a kill it is the old one, bit for bit, or the whole new one."""
    place.mkdir()
    target = place / "output[1]*.html"  # a name that a pattern would read as one
    neighbours = {place / f"{target.name}{more}": more.encode() for more in (".part", ".bak", "x")}
    for path, content in neighbours.items():
        path.write_bytes(content)
    killed = Killed([*COMMAND, *words, option, str(target)], place, seed)
    fresh = len(target.read_bytes())
    for trial in range(n):
        old = f"what the user had, {trial}".encode()
        target.write_bytes(old)
        killed.trial(trial)
        content = target.read_bytes()
        whole = abs(len(content) - fresh) < fresh / 100 and _is_whole(option, target)
        killed.counts["old" if content == old else "new" if whole else "lost"] += 1
        for path, known in neighbours.items():
            if not path.exists() or path.read_bytes() != known:
                killed.counts["lost"] += 1
                path.write_bytes(known)
    killed.counts["left"] = len(set(place.iterdir()) - {target, place / "said", *neighbours})
    return killed.row(name)


def _is_whole(option: str, file: Path) -> bool:
    """Whether a file ends as it should; a trace holds a checksum of all of it."""
    import json

    import worldline as wl

    if option == "--out":
        return file.read_bytes().rstrip().endswith(b"</html>")
    try:
        json.loads(file.read_bytes()) if option == "--json" else wl.load_trace(file)
    except ValueError:
        return False
    return True


def _steady(content: bytes) -> bytes:
    """What two whole files share: all but their hours and seconds."""
    return re.sub(rb"\d{4}-\d\d-\d\d[T ][\d:.]+|\d+\.\d+ ?s\b", b"", content)


def room(place: Path, n: int, seed: int) -> str:
    """A room's log: every event that was shown is in it, numbers whole, none twice."""
    from worldline.room.log import Log, Reading

    place.mkdir()
    (place / "scenario.toml").write_text(SCENARIO, encoding="utf-8")
    log = place / "log[1]*.room"
    words = ["room", "--headless", "--scenario", "scenario.toml", "--images", "none"]
    killed = Killed([*COMMAND, *words, "--no-flow", "--log", str(log)], place, seed)
    for trial in range(n):
        for path in place.iterdir():
            if path.name.startswith(log.name):
                path.unlink()
        killed.trial(trial)
        shown = [int(one) for one in re.findall(rb"\(#(\d+), scripted\)", killed.said)]
        if not log.exists():
            killed.counts["lost" if shown else "old"] += 1
            continue
        reading = Reading(log)
        events = reading.events()
        reading.close()
        again = Log(log)  # a writer can go on
        sound = not reading.damage and not again.repair_note and again.events() == events
        again.close()
        numbers = [one.number for one in events]
        sound = sound and numbers == list(range(1, len(events) + 1)) and set(shown) <= {*numbers}
        killed.counts["new" if sound else "lost"] += 1
    killed.counts["left"] = len([one for one in place.iterdir() if ".damaged" in one.name])
    return killed.row("room --headless --log")


def gguf(model: Path, place: Path, n: int, seed: int) -> str:
    """A GGUF file's conversion: the next start works, and nothing half-made is taken for whole."""
    from transformers import LlamaForCausalLM

    from gguf_files import write_gguf

    place.mkdir()
    file = write_gguf(LlamaForCausalLM.from_pretrained(model), place / "tiny.gguf")
    numbers = place / "numbers.json"
    words = ["trace", "the cat", "--model", str(file), "--no-paths", "--json", str(numbers)]
    os.environ["WORLDLINE_CACHE"] = str(place / "cache")
    killed = Killed([*COMMAND, *words], place, seed)
    wanted = _steady(numbers.read_bytes())
    for trial in range(n):
        _clear(place / "cache")
        killed.trial(trial)
        numbers.unlink(missing_ok=True)
        killed.run(None)  # the next start; fails loudly
        killed.counts["new" if _steady(numbers.read_bytes()) == wanted else "lost"] += 1
    killed.counts["left"] = len(list((place / "cache").rglob(".making-*")))
    return killed.row("trace --model file.gguf, then again")


def claims(place: Path, n: int, seed: int) -> str:
    """An experiment: what was measured before the kill is in the store, the next run ends it."""
    place.mkdir()
    helper = ["-c", f"import sys; sys.path.insert(0, {str(SUPPORT)!r}); import coin_flips; "
              "coin_flips.main(*sys.argv[1:])"]  # fmt: skip
    noted = place / "noted"
    killed = Killed([sys.executable, *helper, str(place), str(noted), "0", "0.02"], place, seed)
    whole = _items(place)
    for trial in range(n):
        _clear(place / "store")
        noted.unlink(missing_ok=True)
        killed.trial(trial)
        before = _items(place)
        measured = len(noted.read_text().splitlines()) if noted.exists() else 0
        sound = measured - 1 <= len(before) <= measured and before.items() <= whole.items()
        killed.run(None)
        sound = sound and _items(place) == whole
        killed.counts["new" if sound else "lost"] += 1
    return killed.row("claims run, then again")


def _items(place: Path) -> dict[str, str]:
    store = place / "store" / "claims.sqlite"
    if not store.exists():
        return {}
    base = sqlite3.connect(store)
    try:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = base.execute("SELECT name FROM sqlite_master WHERE name = 'items'").fetchall()
        return dict(base.execute("SELECT key, measured FROM items")) if tables else {}
    finally:
        base.close()


def _clear(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def rows(model: Path, folder: Path, n: int, seed: int) -> list[tuple[str, Callable[[], str]]]:
    """(What it is, what makes its row) of every command."""
    trace = ["trace", "the cat sat", "--model", str(model), "--no-paths"]
    made: list[tuple[str, Callable[[], str]]] = [
        (option, lambda o=option: written(f"trace {o}", trace, o, folder / o[2:], n, seed))
        for option in ("--out", "--save", "--json")
    ]
    return [
        *made,
        ("room", lambda: room(folder / "room", n, seed)),
        ("claims", lambda: claims(folder / "claims", n, seed)),
        ("gguf", lambda: gguf(model, folder / "gguf", n, seed)),
    ]
