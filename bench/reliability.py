"""What worldline survives: faults, kills, hostile input, five hundred questions.

    .venv/bin/python bench/reliability.py [--kills 40] [--requests 500] [--only kills memory]

Four tables. **Faults**: an endpoint that misbehaves in every way that the tests know, and files
that were damaged at random; each must end in a whole result or in one line. **Kills**: commands
that write are killed (SIGKILL) at random moments; what the user had must be there, bit for bit, or
the new file whole. **Hostile input**: bytes per CPU second of every reader of foreign text, at
growing lengths; a linear reader keeps its rate. **Memory**: the server's resident size after 100
and after all requests. All on a tiny random model in a temporary folder; nothing of the user's is
read or written.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

COMMAND = [sys.executable, "-c", "from worldline.apps.cli import main; main()"]
TEXTS = ("the cat sat", "the hat", "a cat and the hat", "that the cat")


def main() -> None:
    """Print the tables that are asked for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=40, help="times each command is killed")
    options.add_argument("--requests", type=int, default=500)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="worldline-reliability-") as folder:
        os.environ |= {
            "WORLDLINE_CACHE": f"{folder}/cache",
            "WORLDLINE_DATA": f"{folder}/data",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        model = _tiny_model(Path(folder) / "model")
        for name in given.only:
            TABLES[name](given, Path(folder), model)


def _tiny_model(place: Path) -> Path:
    from tiny_folder import tiny_folder

    return tiny_folder(place, n_pos=64)


# --- kills ---------------------------------------------------------------------------------------


def kills(given: argparse.Namespace, folder: Path, model: Path) -> None:
    """Kill commands that write, at random moments, and look at what the user had."""
    print(f"\nkills: each command {given.kills} times, SIGKILL at a random moment of its run")
    print(
        f"{'command':38} {'killed':>6} {'old file':>9} {'new file':>9} {'damaged':>8} {'left':>6}"
    )
    for name, words, output in _writers(model):
        _kill_one(given, folder, name, words, output)


def _writers(model: Path) -> list[tuple[str, list[str], str]]:
    """(What it is, its words, the option that names its file)."""
    trace = ["trace", "the cat sat", "--model", str(model), "--no-paths"]
    return [
        ("trace --out page.html", trace, "--out"),
        ("trace --save run.safetensors", trace, "--save"),
        ("trace --json numbers.json", trace, "--json"),
    ]


def _kill_one(
    given: argparse.Namespace, folder: Path, name: str, words: list[str], option: str
) -> None:
    draw = random.Random(given.seed)
    place = folder / option.strip("-")
    place.mkdir()
    target = place / "output[1]*.html"  # a name that a pattern would read as one
    neighbours = {place / f"{target.name}{more}": more.encode() for more in (".part", ".bak", "x")}
    for path, content in neighbours.items():
        path.write_bytes(content)
    command = [*COMMAND, *words, option, str(target)]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, cwd=place)
    whole_s, fresh = time.monotonic() - began, len(target.read_bytes())
    counts = {"killed": 0, "old": 0, "new": 0, "damaged": 0}
    for trial in range(given.kills):
        old = f"what the user had, {trial}".encode()
        target.write_bytes(old)
        process = subprocess.Popen(
            command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        # half of the kills in the last third of the run, where files are written
        at = draw.uniform(0.6, 1.05) if trial % 2 else draw.uniform(0, 1)
        try:
            process.wait(at * whole_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            counts["killed"] += 1
        content = target.read_bytes()
        kind = "old" if content == old else "new" if len(content) > fresh * 0.9 else "damaged"
        counts[kind] += 1
        for path, known in neighbours.items():
            if not path.exists() or path.read_bytes() != known:
                counts["damaged"] += 1
                path.write_bytes(known)
    left = len(set(place.iterdir()) - {target, *neighbours})
    print(
        f"{name:38} {counts['killed']:>6} {counts['old']:>9} {counts['new']:>9} "
        f"{counts['damaged']:>8} {left:>6}"
    )


# --- memory --------------------------------------------------------------------------------------


def memory(given: argparse.Namespace, folder: Path, model: Path) -> None:
    """Resident size of a server as it answers."""
    import psutil

    from served import serving

    kinds = (
        {"ask": "see"},
        {"ask": "sources"},
        {"ask": "cut", "edges": ["*.*:1>*"], "how": "mask"},
        {"ask": "hops", "max_hops": 3},
        {"ask": "paths"},
    )
    print(f"\nmemory: {given.requests} questions to one server, five kinds in turn, tiny model")
    print(f"{'answered':>8} {'resident MB':>12}")
    with serving("--model", str(model), "--threads", "1", **os.environ) as server:
        process = psutil.Process(server.process.pid)
        marks = {1, 50, 100, 200, 300, 400, given.requests}
        for done in range(1, given.requests + 1):
            text = (
                f"{TEXTS[done % len(TEXTS)]} {hashlib.sha256(bytes([done % 251])).hexdigest()[:8]}"
            )
            server.answered("reliability", text=text, **kinds[done % len(kinds)])
            if done in marks:
                print(f"{done:>8} {process.memory_info().rss / 2**20:>12.0f}")


TABLES = {"kills": kills, "memory": memory}

if __name__ == "__main__":
    main()
