"""The frozen-linear model on every type that is read exactly: its paths add up to the logit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tiny_runs import loaded, some_tokens
from worldline.flow.weighing import weigh
from worldline.trace.recording import record

CENSUS = json.loads((Path(__file__).parent / "census.json").read_text())
EXACT = sorted(name for name, (_kind, status) in CENSUS.items() if status == "exact")
#: Types that are partly frozen, and why.
PARTLY = {
    "hrm_text": "the state of earlier loops comes from outside the rows",
    "xlm": "its residual stream goes past its blocks, which are lists of parts side by side",
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", EXACT)
def test_paths_add_up(name):
    flow = weigh(record(loaded(name), some_tokens(12)), "frozen", target=27)
    books = flow.conserved
    assert books.whole == (name not in PARTLY)
    if books.whole:
        assert abs(books.remainder) < 1e-4 * books.top_row
        assert flow.meaning.exactness.startswith("exact sum")
