"""Counts of paths and of orders: the table, closed forms against the programme, refusals."""

from __future__ import annotations

from itertools import pairwise, product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldline.errors import InputError, RefusedError
from worldline.graph.node import Node
from worldline.graph.path_conventions import CONVENTIONS
from worldline.graph.path_counts import count_paths, decimal

TABLE = {  # (m, N): block, lattice, streams, blocks, heads with 12 heads
    (2, 2): (3, 3, 5, 20, 1_824),
    (3, 4): (20, 20, 88, 1_408, 7_797_504),
    (10, 12): (352_716, 352_716, 37_986_984, 155_594_686_464, 21_396_309_323_007_879_217_152),
}


def everything(n):
    return np.tri(n, dtype=bool)


@pytest.mark.parametrize(("m", "n_layers"), TABLE)
def test_the_table(m, n_layers):
    for convention, expected in zip(CONVENTIONS, TABLE[m, n_layers], strict=True):
        size = {"n_layers": n_layers, "distance": m, "n_heads": 12, "convention": convention}
        found = count_paths(**size)
        assert found.count == expected
        assert (found.n_blocks, found.n_up, found.distance) == (n_layers, n_layers - 1, m)
        assert count_paths(**size, mask=everything(m + 1)) == found


def test_parallel_blocks():
    size = {"n_layers": 12, "distance": 10, "n_heads": 12}
    heads = count_paths(**size, convention="heads", parallel=True).count
    assert f"{heads:.2e}" == "8.42e+18"
    for convention in ("block", "lattice", "streams"):  # no MLP is told apart
        serial = count_paths(**size, convention=convention)
        assert count_paths(**size, convention=convention, parallel=True).by_hops == serial.by_hops


@pytest.mark.parametrize(("n_layers", "first"), [(30, 6_680), (80, 273), (126, 147)])
def test_past_the_atoms(n_layers, first):
    before, after = (
        count_paths(n_layers=n_layers, distance=m, convention="lattice") for m in (first - 1, first)
    )
    assert after.count == comb(first + n_layers - 1, n_layers - 1)
    assert (before.passes_atoms, after.passes_atoms) == (False, True)
    assert before.log10 < 80 < after.log10


def series(n_blocks, distance, block):
    """[x^m] of a power of one block's polynomial, by plain multiplication."""
    total = [1] + [0] * distance
    for _ in range(n_blocks):
        total = [sum(total[i] * block[m - i] for i in range(m + 1)) for m in range(distance + 1)]
    return total[distance]


@given(st.integers(1, 5), st.integers(0, 7), st.integers(1, 4), st.booleans(), st.integers(1, 9))
def test_the_generating_functions(n_layers, m, heads, parallel, window):
    """2 (1 + H/(1-x)), or 2 + H/(1-x) in parallel, cut by the window."""
    size = {"n_layers": n_layers, "distance": m, "n_heads": heads, "window": window}
    reads = [1 if d < window else 0 for d in range(m + 1)]  # 1/(1-x), or (1-x^w)/(1-x)

    def expected(times, past, ways):
        return series(
            n_layers, m, [times * (past * (d == 0) + ways * r) for d, r in enumerate(reads)]
        )

    for convention, value in {
        "block": expected(1, 0, 1),
        "lattice": expected(1, 0, 1),
        "streams": expected(1, 1, 1),
        "blocks": expected(1, 2, 1) if parallel else expected(2, 1, 1),
        "heads": expected(1, 2, heads) if parallel else expected(2, 1, heads),
    }.items():
        assert count_paths(**size, convention=convention, parallel=parallel).count == value


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(CONVENTIONS), st.booleans(), st.integers(1, 4), st.integers(0, 5),
    st.one_of(st.none(), st.integers(1, 6)), st.integers(0, 2), st.integers(0, 2),
)  # fmt: skip
def test_closed_form_and_programme_agree(convention, parallel, n_layers, m, window, row, column):
    row = min(row, n_layers - 1)
    how = {
        "n_layers": n_layers, "n_heads": 3, "convention": convention, "parallel": parallel,
        "window": window, "source": Node(layer=row, pos=column),
        "target": Node(layer=n_layers - (convention == "lattice"), pos=column + m),
    }  # fmt: skip
    closed = count_paths(**how)
    assert count_paths(**how, mask=everything(column + m + 2)) == closed
    assert closed.n_blocks == n_layers - row
    assert len(closed.by_hops) == closed.n_blocks + 1


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_spread_over_hops(convention):
    """C(N, k) C(m-1, k-1) in `block`; times the ways of the other conventions."""
    N, m, H = 5, 4, 3
    factor = {
        "block": lambda k: 1,
        "lattice": lambda k: 1,
        "streams": lambda k: 2 ** (N - k),
        "blocks": lambda k: 2 ** (2 * N - k),
        "heads": lambda k: 2**N * H**k * (1 + H) ** (N - k),
    }[convention]
    size = {"n_layers": N, "n_heads": H, "convention": convention}
    found = count_paths(**size, distance=m)
    assert found.by_hops[0] == 0
    for k in range(1, N + 1):
        assert found.by_hops[k] == comb(N, k) * comb(m - 1, k - 1) * factor(k)
        assert count_paths(**size, distance=m, hops=k).count == found.by_hops[k]
    assert count_paths(**size, distance=m, hops=N + 1).count == 0
    assert count_paths(**size, distance=0).by_hops == (factor(0), *[0] * N)


def every_way(N, m, allowed, cuts):
    """Paths of `streams` one by one: residual or self-attention in a column, else a read."""
    found = 0
    for columns in product(range(m + 1), repeat=N - 1):
        stops = (0, *columns, m)
        ways = 1
        for layer, (i, j) in enumerate(pairwise(stops)):
            if i == j:
                ways *= 0 if (layer, i, j) in cuts else 1 + int(allowed[layer, i, i])
            else:
                ways *= int(i < j and allowed[layer, j, i] and (layer, i, j) not in cuts)
        found += ways
    return found


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(0, 4), st.data())
def test_random_masks_and_cuts(N, m, data):
    bits = data.draw(st.lists(st.booleans(), min_size=N * 25, max_size=N * 25))
    allowed = np.array(bits).reshape(N, 5, 5)
    edge = st.tuples(st.integers(0, N - 1), st.integers(0, 4), st.integers(0, 4))
    cuts = [(layer, min(a, b), max(a, b)) for layer, a, b in data.draw(st.lists(edge, max_size=4))]
    found = count_paths(
        n_layers=N, distance=m, convention="streams", mask=allowed,
        cuts=[(Node(layer=n, pos=i), Node(layer=n + 1, pos=j)) for n, i, j in cuts],
    )  # fmt: skip
    assert found.count == every_way(N, m, allowed, cuts)
    one = count_paths(n_layers=N, distance=m, convention="streams", mask=allowed[0])
    again = count_paths(n_layers=N, distance=m, convention="streams", mask=allowed[[0] * N])
    assert one == again


def test_shared_kv():
    """Block 1 reads the K/V of row 0: one hop at block 0, or at block 1 from row 0; never two."""
    how = {"n_layers": 2, "distance": 2, "kv_rows": [0, 0]}
    assert count_paths(**how).by_hops == (0, 2, 0)
    assert count_paths(**{**how, "kv_rows": [0, 1]}).by_hops == (0, 2, 1)
    read = Node(layer=0, pos=0), Node(layer=2, pos=2)
    assert count_paths(**how, cuts=[read]).count == 1
    with pytest.raises(InputError, match="it would start at row 0"):
        count_paths(**how, cuts=[(Node(layer=1, pos=0), Node(layer=2, pos=2))])


def test_nodes_between():
    inner = {"source": Node(layer=1, pos=3), "target": Node(layer=2, pos=5)}
    assert count_paths(n_layers=4, **inner).count == 1  # one block: one read
    found = count_paths(n_layers=4, **inner, convention="lattice")
    assert (found.count, found.n_blocks, found.n_up, found.distance) == (3, 2, 1, 2)
    same_row = {"source": Node(layer=1, pos=3), "target": Node(layer=1, pos=5)}
    assert count_paths(n_layers=4, **same_row).count == 0
    assert count_paths(n_layers=4, **same_row, mask=everything(6)).count == 0
    here = {"source": Node(layer=1, pos=3), "target": Node(layer=1, pos=3)}
    assert count_paths(n_layers=4, **here).by_hops == (1,)


def test_the_three_paths_of_the_source_text():
    """K/V at layer i-1, position j-2, to K/V read at layer i, position j; here i = 4, j = 7."""
    ends = {"source": Node(layer=3, pos=5), "target": Node(layer=4, pos=7)}
    assert count_paths(n_layers=5, convention="lattice", **ends).count == 3


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("window", [None, 10_000])
def test_a_million_positions(convention, window):
    size = {"n_layers": 126, "distance": 10**6, "n_heads": 96, "window": window}
    found = count_paths(**size, convention=convention)
    assert found.passes_atoms
    assert found.count == sum(found.by_hops)
    if window:
        assert found.by_hops[100] == 0  # 100 hops of 9,999 do not reach
        assert found.by_hops[101] > 0


def test_json_says_all_digits():
    huge = count_paths(n_layers=400, distance=10**15)
    assert huge.count > 10**4_300  # more than str() takes
    text = huge.json()["count"]
    assert set(text) <= set("0123456789")
    assert (len(text), int(text[-9:])) == (int(huge.log10) + 1, huge.count % 10**9)
    assert decimal(0) == "0"
    none = count_paths(n_layers=1, distance=2, window=2)
    assert (none.json()["count"], none.json()["log10"], none.log10) == ("0", None, -float("inf"))


NODES = {"source": Node(layer=1, pos=1), "target": Node(layer=2, pos=1)}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"convention": "roads"}, "convention 'roads': one of block, lattice"),
        ({"distance": -1}, "distance -1: at least 0"),
        ({"n_layers": 0}, "n_layers 0: at least 1"),
        ({"n_layers": 1001}, "n_layers 1001: 1 to 1,000"),
        ({"n_heads": 0}, "n_heads 0: at least 1"),
        ({"window": 0}, "window 0: at least 1"),
        ({"hops": -1}, "hops -1: at least 0"),
        ({"distance": None}, "distance: give it, or source and target"),
        (NODES, "distance: give it, or source and target"),
        ({"distance": None, "source": Node(layer=0, pos=0)}, "target: is missing"),
        (
            {**NODES, "distance": None, "target": Node(layer=5, pos=1)},
            r"target Node\(layer=5, pos=1\): off the grid; rows are 0 to 4",
        ),
        (
            {**NODES, "distance": None, "target": Node(layer=4, pos=1), "convention": "lattice"},
            "off the grid; rows are 0 to 3",
        ),
        ({**NODES, "distance": None, "target": Node(layer=0, pos=1)}, "before the source"),
        ({**NODES, "distance": None, "target": Node(layer=2, pos=0)}, "before the source"),
        ({"mask": np.ones((3, 3))}, "mask of float64: give booleans"),
        ({"mask": everything(3)}, r"mask \[3, 3\]: .*of at least 4 positions"),
        ({"mask": everything(9)[None]}, r"mask \[1, 9, 9\]"),
        ({"kv_rows": [0, 0]}, r"kv_rows \[0, 0\]: one row for each of 4 blocks"),
        ({"kv_rows": [0, 1, 3, 0]}, "none above it"),
        ({"kv_rows": [0, 1, 2, 3], "convention": "lattice"}, "'lattice': has no edges"),
        ({"cuts": [(Node(layer=0, pos=0), Node(layer=0, pos=1))]}, "written by none of the 4"),
        ({"cuts": [(Node(layer=0, pos=2), Node(layer=1, pos=1))]}, "no edge goes from"),
        ({"cuts": [(Node(layer=0, pos=1), Node(layer=2, pos=1))]}, "no edge goes from"),
    ],
)
def test_wrong_input_is_one_line(change, line):
    with pytest.raises(InputError, match=line) as caught:
        count_paths(**{"n_layers": 4, "distance": 3, **change})
    assert "\n" not in str(caught.value)


def test_a_sweep_too_long_is_refused():
    with pytest.raises(RefusedError, match=r"126 blocks x 10,001 positions take 1\.6e\+12"):
        count_paths(n_layers=126, distance=10_000, kv_rows=list(range(126)))
