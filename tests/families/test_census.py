"""What the instrument claims about each of the causal types of the installed transformers.

`census.json` holds, per type, how it mixes its tokens (found by other means, in tiny_models.py) and
what the checks say of it. A type that changes its place is a regression or a reason to change the
table.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers")

import torch

from worldline.models.survey import DECODER, census, summary
from worldline.models.tiny_models import KINDS, causal_types

TABLE = json.loads((Path(__file__).parent / "census.json").read_text(encoding="utf-8"))
#: Of the exact ones, those that take no padded batch themselves and are not checked on one.
UNPADDED = {"xlnet"}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", causal_types())
def test_type_is_what_the_table_says(name):
    (row,) = census([name])
    assert [row["kind"], row["status"]] == TABLE[name], row["reason"]
    if row["status"] == "exact":
        assert row["calls"] == row["expected_calls"] > 0
        assert row["padded"] == (name not in UNPADDED)
        assert bool(row["reason"]) == (name in UNPADDED)
    else:
        assert row["reason"]
        assert "\n" not in row["reason"]
        assert "Error" not in row["reason"]


def test_table_names_every_type():
    assert sorted(TABLE) == causal_types()


def test_nine_in_ten_decoders_are_exact_and_nothing_else_is():
    rows = [{"type": name, "kind": kind, "status": s} for name, (kind, s) in TABLE.items()]
    assert {row["kind"] for row in rows} <= set(KINDS)
    counts = summary(rows)
    assert counts["share_exact"] >= 0.9
    assert counts["exact"] == counts["decoders_exact"]
    assert counts["types"] == counts["exact"] + counts["partly"] + counts["refused"]
    refused = ("inkling2_loop_text", "inkling2_text", "zamba", "zamba2")
    assert all(
        (row["status"] == "refused") == (row["type"] in refused)
        for row in rows
        if row["kind"] == "hybrid"
    )
    assert all(
        row["status"] == "refused" for row in rows if row["kind"] in ("encoder", "recurrent")
    )
    assert all(row["kind"] == DECODER for row in rows if row["status"] == "exact")
