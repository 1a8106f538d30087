"""docs/claims.md holds what the verdicts that come with worldline say, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_verdict_on_the_page_is_computed_from_what_ships():
    made = runpy.run_path(str(ROOT / "docs" / "make_claims.py"))
    assert made["written"]() == (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    assert len(made["verdicts"]()) >= 15
