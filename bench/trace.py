"""Recording and attribution against the plain forward, and against the peers, in one run.

    .venv/bin/python bench/trace.py [--positions 64,256,1024,2048] [--pairs 7] [--peers]

Time is CPU time of the process, one thread unless --threads says more (a second thread that waits
counts as work). Each measurement alternates with a plain forward (transformers' own, sdpa, no
cache, no_grad, all logits), as often as fills a second or two a pair; the median of the pairs'
ratios is printed with its spread, (third quartile - first quartile) / median. A ratio whose spread
exceeds 10 % is not printed.
Memory is the peak resident size of a fresh process, less its peak after one plain forward.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEER_VENV = ROOT / ".bench-venv"
PEER = "transformer-lens==4.*"
LARGEST_SPREAD = 0.10
LEAST_SECONDS = 1.5  # of plain forwards in a pair
GOALS = {
    "record": {64: 1.15, 256: 1.15, 1024: 1.15, 2048: 1.15},
    "record + contribution": {64: 1.25, 256: 1.25, 1024: 1.6, 2048: 2.0},
    "record + gradient": {64: 3.5, 256: 3.5, 1024: 3.5, 2048: 3.5},
}
OURS = (*GOALS, "eager, output_attentions")
LENS = "TransformerLens run_with_cache"


def main() -> None:
    """Print a table of ratios, and one of memory."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--positions", default="64,256,1024,2048")
    options.add_argument("--pairs", type=int, default=7)
    options.add_argument("--peers", action="store_true", help="also TransformerLens, in its venv")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--only", default="", help="measures, separated by commas")
    options.add_argument("--child", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        print(json.dumps(child(json.loads(given.child))))
        return
    sizes = [int(size) for size in given.positions.split(",")]
    names = [name for name in OURS if not given.only or name in given.only.split(",")]
    jobs = [(name, sys.executable) for name in names]
    if given.peers:
        jobs.append((LENS, str(peer_python())))
    print(
        f"{'positions':>9}  {'measure':32} {'ratio':>7} {'spread':>7} {'goal':>6} {'extra MB':>9}"
    )
    for n_pos in sizes:
        for name, python in jobs:
            found = ask(python, n_pos, name, given.pairs, given.threads)
            report(n_pos, name, found)


def ask(python: str, n_pos: int, name: str, pairs: int, threads: int) -> dict:
    """Measure in a fresh process."""
    job = json.dumps({"n_pos": n_pos, "name": name, "pairs": pairs, "threads": threads})
    command = [python, str(Path(__file__).resolve()), "--child", job]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(n_pos: int, name: str, found: dict) -> None:
    """One line of the table."""
    if "failed" in found:
        print(f"{n_pos:>9}  {name:32} failed: {found['failed']}")
        return
    spread = found["spread"]
    ratio = f"{found['ratio']:.3f}" if spread <= LARGEST_SPREAD else "noisy"
    goal = GOALS.get(name, {}).get(n_pos)
    extra = (found["peak_kb"] - found["plain_peak_kb"]) / 1024
    shown = f"{goal:.2f}" if goal else ""
    line = f"{n_pos:>9}  {name:32} {ratio:>7} {spread:>7.1%} {shown:>6} {extra:>9,.0f}"
    print(line, flush=True)


# --- in the child ---------------------------------------------------------------------------------


def child(job: dict) -> dict:
    """Alternate the measure with plain forwards; then its peak memory is the process's."""
    import torch

    torch.set_num_threads(job["threads"])
    name, n_pos = job["name"], job["n_pos"]
    build = lens_measure if name == LENS else our_measure
    plain, measured = build(name, n_pos)
    plain()
    plain_peak = peak_kb()
    measured()
    rounds = 1 + int(LEAST_SECONDS / seconds(plain))
    ratios = []
    for _ in range(job["pairs"]):
        spent = [(seconds(measured), seconds(plain)) for _ in range(rounds)]
        ratios.append(sum(ours for ours, _ in spent) / sum(theirs for _, theirs in spent))
    quartiles = statistics.quantiles(ratios, n=4)
    middle = statistics.median(ratios)
    return {
        "ratio": middle,
        "spread": (quartiles[2] - quartiles[0]) / middle,
        "peak_kb": peak_kb(),
        "plain_peak_kb": plain_peak,
    }


def seconds(action: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads."""
    start = time.process_time()
    action()
    return time.process_time() - start


def peak_kb() -> int:
    """Peak resident size of this process so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def random_ids(n_pos: int, n_vocab: int):
    """The same tokens for every measure."""
    import torch

    return torch.randint(10, n_vocab, (1, n_pos), generator=torch.Generator().manual_seed(n_pos))


def our_measure(name: str, n_pos: int):
    """(plain forward, what is measured) on the bundled model."""
    import torch

    from worldline.attribution.attribute import attribute
    from worldline.models.loader import load_model
    from worldline.runs.recorder import record
    from worldline.tokens.tokens import Tokens

    model = load_model("bundled")
    module: Any = model.module
    ids = random_ids(n_pos, model.config["vocab_size"])
    empty = tuple((0, 0) for _ in range(n_pos))
    tokens = Tokens("", tuple(ids[0].tolist()), ("",) * n_pos, empty, empty,
                    tuple(range(n_pos)), (False,) * n_pos, False)  # fmt: skip

    def plain():
        with torch.no_grad():
            return module(input_ids=ids, use_cache=False).logits

    def eager():
        module.set_attn_implementation("eager")
        with torch.no_grad():
            kept = module(
                input_ids=ids, use_cache=False, output_attentions=True, output_hidden_states=True
            )
        module.set_attn_implementation("sdpa")
        return kept

    measures = {
        "record": lambda: record(model, tokens),
        "record + contribution": lambda: attribute(record(model, tokens), "contribution"),
        "record + gradient": lambda: attribute(record(model, tokens), "gradient"),
        "eager, output_attentions": eager,
    }
    return plain, measures[name]


def lens_measure(_name: str, n_pos: int):
    """(plain forward, run_with_cache) of the same weights in TransformerLens."""
    import torch
    from transformer_lens.model_bridge import TransformerBridge  # pyright: ignore
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = json.loads((PEER_VENV / "model.json").read_text())["folder"]
    plain_model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = random_ids(n_pos, plain_model.config.vocab_size)
    bridge = TransformerBridge.boot_transformers(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        hf_model=AutoModelForCausalLM.from_pretrained(folder).eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device="cpu",
    )

    def plain():
        with torch.no_grad():
            return plain_model(input_ids=ids, use_cache=False).logits

    def cached():
        with torch.no_grad():
            return bridge.run_with_cache(ids)

    return plain, cached


def peer_python() -> Path:
    """The peer's own virtual environment, made once; its python."""
    python = PEER_VENV / "bin" / "python"
    if not python.exists():
        print(f"installing {PEER} into {PEER_VENV.name} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(PEER_VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt")]
        subprocess.run([*pip, PEER], check=True)
    from worldline.models.bundled import ensure_bundled

    (PEER_VENV / "model.json").write_text(json.dumps({"folder": str(ensure_bundled(None))}))
    return python


if __name__ == "__main__":
    main()
