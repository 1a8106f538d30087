"""What sums over groups cost: CPU time of attribution with words and sentences over that without.

    .venv/bin/python bench/groups.py [--positions 256,1024] [--pairs 7]

One thread, the bundled model reading this repository's documentation, a trace already recorded.
With and without alternate; printed is the median of the pairs' ratios with its spread, (third
quartile - first quartile) / median. A ratio whose spread exceeds 10 % is called noisy.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST_SPREAD = 0.10


def main() -> None:
    """Print a line for each length and method of attribution."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--positions", default="256,1024")
    options.add_argument("--pairs", type=int, default=7)
    given = options.parse_args()

    import torch

    from worldline.attribution.attribute import attribute
    from worldline.models.loader import load_model
    from worldline.runs.recorder import record
    from worldline.tokens.tokens import tokenize
    from worldline.tokens.units import groupings

    torch.set_num_threads(1)
    model = load_model()
    pages = [ROOT / "docs" / "how_it_works.md", ROOT / "README.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    spans = tokenize(model.tokenizer, text).char_spans
    for n_pos in map(int, given.positions.split(",")):
        tokens = tokenize(model.tokenizer, text[: spans[n_pos - 1][1]])
        trace, groups = record(model, tokens), groupings(tokens)
        sizes = ", ".join(f"{each.n_groups} {each.name}" for each in groups)
        for by in ("contribution", "gradient"):
            ratios = [
                seconds(partial(attribute, trace, by, groups=groups))
                / seconds(partial(attribute, trace, by))
                for _ in range(given.pairs)
            ]
            low, middle, high = statistics.quantiles(ratios, n=4)
            spread = (high - low) / middle
            noisy = "  noisy" if spread > LARGEST_SPREAD else ""
            line = (
                f"{len(tokens)} positions, {sizes}: {by} {middle:.3f}, spread {spread:.1%}{noisy}"
            )
            print(line, flush=True)


def seconds(action: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    action()
    return time.process_time() - start


if __name__ == "__main__":
    main()
