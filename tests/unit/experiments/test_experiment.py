"""Whole runs on the circuits set by hand: what is measured, kept, resumed and said."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import numpy as np
import pytest

import worldline as wl
from worldline.experiments.faithfulness import prompt_runs as running
from worldline.experiments.faithfulness.benchmark import cases_of, refuse_unknown, run
from worldline.experiments.faithfulness.curves import RANDOM_ORDER
from worldline.experiments.faithfulness.edge_choice import HOWS
from worldline.experiments.faithfulness.families import CIRCUITS, circuit_prompts
from worldline.experiments.faithfulness.part_files import Store
from worldline.experiments.faithfulness.prompt_runs import Case, run_case
from worldline.experiments.faithfulness.table import make_table, prompts_in
from worldline.experiments.faithfulness.table_text import table_lines

MAKE_PAGE = runpy.run_path(str(Path(__file__).parents[3] / "docs" / "make_faithfulness.py"))
MEASURES = ["gradient (zero)", "gradient (mask)", "frozen", "EAP", "attention weight"]


def quiet(*_):
    """Say nothing."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    found = Store(tmp_path_factory.mktemp("raw"))
    for circuit in circuit_prompts():
        run_case(Case(*circuit), ("zero",), MEASURES, found, quiet)
    return found


def test_known_edges_are_found_by_the_gradient_and_not_by_attention(store):
    """Heads that cancel: unsigned measures show flow where cuts of a head show it too."""
    table = make_table(store, ("zero",))
    rows = {(row["family"], row["measure"]): row for row in table["rows"]}
    families = {family for family, _ in rows}
    assert len(families) == 5
    for family in families:
        row = rows[family, "gradient (zero)"]
        assert row["known_found"] == 1
        assert row["on_idle_edges"] < 1e-4
        assert row["linear"][0] > 0.9  # ranks would be those of edges that rounding moves
    idle = [rows[family, "attention weight"]["on_idle_edges"] for family in families]
    assert max(idle) > 0.8
    assert rows["circuit induction", "frozen"]["known_found"] == 0.5  # patterns are made too
    assert (
        RANDOM_ORDER not in {measure for _, measure in rows}
        or "known_found" not in rows["circuit induction", RANDOM_ORDER]
    )


def test_effects_are_those_of_cuts(store):
    for model, prompt, truth in circuit_prompts():
        said, weights = store.read(f"{prompt.name}.measures")
        cut, effects = store.read(f"{prompt.name}.zero")
        known = {tuple(edge) for edge in truth}
        moved = {
            tuple(edge)
            for edge, effect in zip(
                weights["head_edges"].tolist(), effects["head_effects"], strict=True
            )
            if abs(effect) > 1e-3
        }
        assert moved == known
        whole = wl.execute(model, wl.Plan(prompt.clean.ids)).logits[0, -1]
        target = float(whole[prompt.answer] - whole[prompt.wrong])
        assert cut["clean"] == pytest.approx(target)
        assert said["measures"] == MEASURES


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch):
    case = Case(*next(iter(circuit_prompts())))
    store, calls = Store(tmp_path), []
    run_measures = running._run_measures
    monkeypatch.setattr(running, "_run_measures", lambda *a: calls.append(a[1]) or run_measures(*a))
    write = Store.write

    def killed(self, name, said, **arrays):
        if name.endswith(".mask"):
            raise KeyboardInterrupt
        write(self, name, said, **arrays)

    monkeypatch.setattr(Store, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run_case(case, ("zero", "mask"), MEASURES[:2], store, quiet)
    monkeypatch.setattr(Store, "write", write)
    name = case.prompt.name
    assert store.names() == {f"{name}.measures", f"{name}.zero"}
    before = (tmp_path / f"{name}.zero.npz").stat().st_mtime_ns
    run_case(case, ("zero", "mask"), MEASURES[:2], store, quiet)
    assert store.names() == {f"{name}.measures", f"{name}.zero", f"{name}.mask"}
    assert (tmp_path / f"{name}.zero.npz").stat().st_mtime_ns == before
    n_calls = len(calls)
    run_case(case, ("zero", "mask"), MEASURES[:2], store, quiet)
    assert len(calls) == n_calls  # nothing was left to do
    run_case(case, ("zero",), MEASURES[3:], store, quiet)
    said, arrays = store.read(f"{name}.zero")
    assert said["measures"] == MEASURES[:2] + MEASURES[3:]
    assert len(arrays["curves"]) == len(said["curves"])


def test_the_same_run_twice_gives_the_same_numbers(store, tmp_path):
    case = Case(*next(iter(circuit_prompts())))
    again = Store(tmp_path)
    run_case(case, ("zero",), MEASURES, again, quiet)
    for part in ("measures", "zero"):
        one, two = (s.read(f"{case.prompt.name}.{part}")[1] for s in (store, again))
        for key, value in one.items():
            np.testing.assert_array_equal(value, two[key])


def test_results_of_something_else_are_not_mixed_in(store):
    case = Case(*next(iter(circuit_prompts())))
    other = dataclasses.replace(case, prompt=dataclasses.replace(case.prompt, wrong=5))
    with pytest.raises(wl.InputError, match="with another wrong; name another folder"):
        run_case(other, ("zero",), MEASURES, store, quiet)


def test_a_file_of_pairs_becomes_a_table(tmp_path):
    """Four prompts for the induction head; the table is of the half to report on."""
    lines = [
        f'{{"clean": "t7 t1 t{n} t8 t9 t1", "corrupted": "t7 t1 t3 t8 t9 t1", '
        f'"answer": "t{n}", "wrong": "t11"}}\n'
        for n in (2, 4, 5, 6)
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(lines))
    model, _, _ = next(iter(circuit_prompts()))
    store, heard = Store(tmp_path / "raw"), []
    cases = cases_of(model, [str(path)], 4)
    run(cases, HOWS, MEASURES, store, lambda *line: heard.append(line))
    assert heard[-1][:2] == (4, 4)
    table = make_table(store, HOWS, MEASURES, ["mine"])
    facts = table["families"]["mine"]["zero"]
    assert facts["prompts"] == 2
    rows = {(row["how"], row["measure"]): row for row in table["rows"]}
    for how in HOWS:
        value, low, high = rows[how, "gradient (zero)"]["cmd_linear"]
        assert low <= value <= high
    corrected = rows["zero", "gradient + 50 cuts"]  # not held against what it knows
    for key in ("rank_signed", "rank_size", "linear", "recall", "rank_signed_every_edge"):
        assert corrected[key] == [None, None, None]
    assert corrected["cmd_linear"][0] is not None
    assert "deletion_linear" not in corrected
    assert {one["how"] for one in table["verdict"]} == {"zero", "mask"}
    assert table["verdict"][0]["leads"]["rank_signed"] is True
    text = "\n".join(table_lines(table))
    assert "mine: 2 prompts to report on, 6 tokens" in text
    assert "gradient (zero)" in MAKE_PAGE["markdown"](table["rows"], "zero", "rank_signed")
    found = MAKE_PAGE["corrections"](store, "zero")["mine"]
    seen = prompts_in(store, "zero")["mine"]
    reported = [one for one in seen if one.metadata["split"] == "report"]
    assert found["linear"][50] is None  # all of them are cut: nothing is left to be wrong about
    for cuts in (0, 10):
        by_hand = []  # none of a prompt whose edges that are left have no effect at all
        for one in reported:
            given = one.arrays["corrected_edges"][:cuts].tolist()
            left = [n for n, e in enumerate(one.arrays["layer_edges"].tolist()) if e not in given]
            weights = one.weights("gradient (zero)")[left]
            effects = one.arrays["layer_effects"][left]
            if np.ptp(weights) and np.ptp(effects):
                by_hand.append(np.corrcoef(weights, effects)[0, 1])
            assert len(left) == len(one.arrays["layer_edges"]) - cuts
        known = pytest.approx(np.mean(by_hand), abs=1e-6) if by_hand else None
        assert found["linear"][cuts] == known
        assert by_hand or cuts


def test_what_the_table_says_in_words(store):
    table = make_table(store, ("zero",))
    text = "\n".join(table_lines(table))
    assert "5: induction" in text
    assert MAKE_PAGE["circuits_markdown"](table["rows"]).count("100% / 0%") >= 5
    with pytest.raises(wl.InputError, match="nothing of what was asked for"):
        make_table(store, ("mask",))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((["nonsense"], HOWS, 4), "--measures nonsense: accepted are gradient"),
        ((None, ("zap",), 4), "--how zap: accepted are all, zero"),
        ((None, HOWS, 0), "--n 0: accepted"),
    ],
)
def test_what_is_refused(given, said):
    with pytest.raises(wl.InputError, match=said):
        refuse_unknown(*given)


def test_no_pair_accepted(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"clean": "t1 t2", "corrupted": "t1", "answer": "t3", "wrong": "t4"}\n')
    model, _, _ = next(iter(circuit_prompts()))
    with pytest.raises(wl.InputError, match="accepts none of its 1 pairs"):
        cases_of(model, [str(path)], 4)
    assert len(cases_of(model, [CIRCUITS], 4)) == 5
