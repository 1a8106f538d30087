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

from tiny_runs import NamesIds
from worldline.graph.edits import EdgeCut
from worldline.models.loader import load_model
from worldline.models.survey import DECODER, census, summary
from worldline.models.tiny_models import KINDS, causal_types, tiny_ids, tiny_model
from worldline.runs.edit_hooks import Edits
from worldline.runs.forward_passes import run_edited
from worldline.runs.plan import Plan

TABLE = json.loads((Path(__file__).parent / "census.json").read_text(encoding="utf-8"))
#: Of the exact ones, those that take no padded batch themselves and are not checked on one.
UNPADDED = {"xlnet"}
READ = [name for name, (kind, status) in TABLE.items() if kind == DECODER and status != "refused"]


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
        if row["status"] == "partly":
            assert bool(row["opaque_layers"]) == (row["kind"] == "hybrid")
            assert row["opaque_layers"] or row["choosing_layers"]
        assert row["reason"]
        assert "\n" not in row["reason"]
        assert "Error" not in row["reason"]


@pytest.mark.parametrize("name", READ)
def test_a_column_whose_edges_are_all_cut_tells_of_its_token_only_by_a_choice_of_keys(name):
    """By runs alone: what other columns say once no edge leaves column 2, whatever stands there."""
    model = load_model((tiny_model(name), NamesIds()))
    ids = tiny_ids(14, seed=3)[0].tolist()
    plans = [Plan((*ids[:2], ids[2] + more, *ids[3:])) for more in (0, 1)]
    cut = (EdgeCut("mask", src=(2,)),)
    one, other = (run_edited(model, [p], Edits(14, [cut])).logits[0] for p in plans)
    others = [pos for pos in range(14) if pos != 2]
    moved = float((one - other)[others].abs().max() / one.abs().max())
    assert (moved > 1e-3) == (TABLE[name][1] == "partly"), moved
    assert moved > 1e-3 or moved < 1e-5


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
