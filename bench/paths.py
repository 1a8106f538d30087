"""Paths of a weighted grid against networkx and rustworkx, on one lattice in one run.

    .venv/bin/python bench/paths.py [--positions 16,64,256] [--large 1024] [--runs 5] [--no-peers]

The lattice: 30 blocks, a carry per node and a K/V edge from every node into all later positions
of the next row, weights drawn from (0, 1] by a seed; from the first node to the last. CPU time of
a fresh process, one thread, after the graph is built in the peer's own form (not counted; ours is
the arrays). The median of the runs is printed with its spread, (third quartile - first quartile) /
median; above 10 % it is not printed, but called noisy. A run past --limit CPU seconds is killed
and reported as "stops". Every answer is compared with ours: "!" marks a difference above 1e-9.

The peers' algorithms, by the names below:
  Yen           networkx shortest_simple_paths on -log w: k shortest simple paths, with nodes
  k lengths     rustworkx k_shortest_path_lengths on -log w: lengths only, no nodes
  Dijkstra      shortest path with nodes on -log w, of both
  programme     k best with nodes, or the sum, by a dynamic programme over the library's own
                topological order, in Python (neither library has one)
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
# Beside what bench/trace.py installs, which makes its folder only if there is no python in it.
PEER_VENV = ROOT / ".bench-venv" / "paths"
PEERS = ("networkx>=3.6", "rustworkx>=0.17", "numpy>=2")
N_LAYERS = 30
LARGEST_SPREAD = 0.10
LEAST_SECONDS = 1.0  # of one run: quick actions are repeated
GOALS = {(256, "10 best"): 0.2, (256, "100 best"): 1.0}
LARGE_SECONDS, LARGE_MB = 30.0, 4096
BEST = {"best path": 1, "10 best": 10, "100 best": 100}
TASKS = (*BEST, "sum")
PEER_WAYS = {
    "best path": ("networkx Dijkstra", "networkx programme", "rustworkx Dijkstra",
                  "rustworkx programme"),
    "10 best": ("networkx Yen", "networkx programme", "rustworkx k lengths",
                "rustworkx programme"),
    "100 best": ("networkx Yen", "networkx programme", "rustworkx k lengths",
                 "rustworkx programme"),
    "sum": ("networkx programme", "rustworkx programme"),
}  # fmt: skip
LARGE_TASKS = ("sum", "hop spectrum", "100 best")


def main() -> None:
    """Print a table of CPU seconds and ratios, and one of the large grid."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    options.add_argument("--positions", default="16,64,256")
    options.add_argument("--large", type=int, default=1024, help="0: leave it out")
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--limit", type=int, default=60, help="CPU seconds of one run")
    options.add_argument("--no-peers", action="store_true")
    options.add_argument("--child", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    peers = "" if given.no_peers else str(peer_python())
    print(f"{'positions':>9}  {'task':12} {'by':24} {'CPU s':>9} {'spread':>7} {'times':>7}")
    for n_pos in map(int, filter(None, given.positions.split(","))):
        for task in TASKS:
            ours = ask(sys.executable, n_pos, task, "worldline", given)
            report(n_pos, task, "worldline", ours, ours, given.limit)
            for way in PEER_WAYS[task] if peers else ():
                report(n_pos, task, way, ask(peers, n_pos, task, way, given), ours, given.limit)
    if given.large:
        large(given.large, given)


def ask(python: str, n_pos: int, task: str, way: str, given: argparse.Namespace) -> dict:
    """Measure in a fresh process."""
    job = {"n_pos": n_pos, "task": task, "way": way, "runs": given.runs, "limit": given.limit}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    command = [python, str(Path(__file__).resolve()), "--child", json.dumps(job)]
    environment = os.environ | dict.fromkeys(names, "1")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode < 0:
        return {"stops": True}
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def report(n_pos: int, task: str, way: str, found: dict, ours: dict, limit: int) -> None:
    """One line of the table."""
    line = f"{n_pos:>9}  {task:12} {way:24} "
    if "failed" in found:
        line += f"failed: {found['failed']}"
    elif "stops" in found:
        line += f"stops at {limit} CPU s"
        if readable(ours):
            line += f", over {limit / ours['seconds']:,.0f} times ours"
    else:
        line += f"{shown(found):>9} {found['spread']:>7.1%} "
        if readable(found) and readable(ours) and found is not ours:
            line += f"{found['seconds'] / ours['seconds']:>7,.1f}"
        if found is ours and (n_pos, task) in GOALS:
            line += f"  goal {GOALS[n_pos, task]} s"
        if "answer" in ours and not math.isclose(found["answer"], ours["answer"], rel_tol=1e-9):
            line += f" ! {found['answer']} against {ours['answer']}"
    print(line, flush=True)


def large(n_pos: int, given: argparse.Namespace) -> None:
    """Ours alone: seconds of each, and the largest memory of any of their processes."""
    all_found = [ask(sys.executable, n_pos, task, "worldline", given) for task in LARGE_TASKS]
    for task, found in zip(LARGE_TASKS, all_found, strict=True):
        if "seconds" not in found:
            print(f"{n_pos:>9}  {task:12} {found}")
            continue
        peak = found["peak_kb"] / 1024
        line = f"{n_pos:>9}  {task:12} {'worldline':24} {shown(found):>9} {found['spread']:>7.1%}"
        print(f"{line}   peak {peak:,.0f} MB, {found['grid_mb']:,.0f} of them weights")
    if all(readable(found) for found in all_found):
        total = sum(found["seconds"] for found in all_found)
        peak = max(found["peak_kb"] for found in all_found) / 1024
        goal = f"goal {LARGE_SECONDS:.0f} s, {LARGE_MB} MB"
        print(f"{n_pos:>9}  all three: {total:.2f} CPU s, {peak:,.0f} MB ({goal})")


def readable(found: dict) -> bool:
    """Whether the runs agreed well enough to give a number."""
    return "seconds" in found and found["spread"] <= LARGEST_SPREAD


def shown(found: dict) -> str:
    """The seconds, or why there are none."""
    return f"{found['seconds']:.4f}" if readable(found) else "noisy"


# --- in the child ---------------------------------------------------------------------------------


def child(job: dict) -> None:
    """Build, then measure; the kernel ends a run that goes past the limit."""
    carry, kv = lattice(job["n_pos"])
    build = {"worldline": our_action, "networkx": networkx_action, "rustworkx": rustworkx_action}
    library, _, algorithm = job["way"].partition(" ")
    action = build[library](carry, kv, job["task"], algorithm)
    rounds, (spent, answer) = 1, seconds(action, 1, job["limit"])
    while spent * rounds < LEAST_SECONDS:  # doubled, as some clocks tick in steps of 10 ms
        rounds *= 2
        spent, answer = seconds(action, rounds, job["limit"])
    timings = [spent]
    while len(timings) < job["runs"]:
        timings.append(seconds(action, rounds, job["limit"])[0])
    quartiles = statistics.quantiles(timings, n=4) if len(timings) > 1 else [timings[0]] * 3
    middle = statistics.median(timings)
    found = {
        "seconds": middle,
        "spread": (quartiles[2] - quartiles[0]) / middle,
        "answer": answer,
        "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "grid_mb": (kv.nbytes + carry.nbytes) / 2**20,
    }
    print(json.dumps(found))


def seconds(action: Callable[[], float], rounds: int, limit: int) -> tuple[float, float]:
    """CPU seconds of one action, all threads, and its answer."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    answer, start = 0.0, time.process_time()
    for _ in range(rounds):
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time()) + limit, hard))
        answer = action()
    return (time.process_time() - start) / rounds, answer


def lattice(n_pos: int) -> tuple[np.ndarray, np.ndarray]:
    """(carry, kv) of the same numbers for everyone."""
    draw = np.random.default_rng(n_pos)
    carry = 1.0 - 0.5 * draw.random((N_LAYERS, n_pos))
    kv = np.tril(1.0 - draw.random((N_LAYERS, n_pos, n_pos)), -1)
    return carry, kv


def edges(carry: np.ndarray, kv: np.ndarray):
    """(from, to, weight) of every edge; a node's number is layer * n_pos + pos."""
    n_pos = carry.shape[1]
    for layer, plane in enumerate(kv):
        below, above = layer * n_pos, (layer + 1) * n_pos
        for pos, weight in enumerate(carry[layer].tolist()):
            yield below + pos, above + pos, weight
        for dst, row in enumerate(plane.tolist()):
            for src in range(dst):
                yield below + src, above + dst, row[src]


def our_action(carry: np.ndarray, kv: np.ndarray, task: str, _algorithm: str):
    from worldline.graph.node import Node
    from worldline.graph.strongest_paths import top_paths
    from worldline.graph.weighted_grid import WeightedGrid, hop_sums, sum_paths

    grid = WeightedGrid(carry=carry, kv=kv, pruned=False, name="bench")
    ends = Node(layer=0, pos=0), Node(layer=N_LAYERS, pos=carry.shape[1] - 1)
    if task == "sum":
        return lambda: sum_paths(grid, *ends).signed
    if task == "hop spectrum":
        return lambda: float(hop_sums(grid, *ends).signed.sum())

    def strongest():
        found = top_paths(grid, source=ends[0], target=ends[1], k=BEST[task])
        return found.paths[-1].log2_size

    return strongest


def networkx_action(carry: np.ndarray, kv: np.ndarray, task: str, algorithm: str):
    import itertools

    import networkx as nx  # pyright: ignore

    graph = nx.DiGraph()
    graph.add_weighted_edges_from(
        (a, b, weight if algorithm == "programme" else -math.log(weight))
        for a, b, weight in edges(carry, kv)
    )
    first, last = 0, (N_LAYERS + 1) * carry.shape[1] - 1

    def length(path):
        return -sum(graph[a][b]["weight"] for a, b in itertools.pairwise(path)) / math.log(2)

    def strongest():
        if algorithm == "Dijkstra":
            return length(nx.dijkstra_path(graph, first, last))
        ways = nx.shortest_simple_paths(graph, first, last, weight="weight")
        return length(list(itertools.islice(ways, BEST[task]))[-1])

    def into(node):
        return ((src, of["weight"]) for src, of in graph.pred[node].items())

    if algorithm != "programme":
        return strongest
    return lambda: programme(nx.topological_sort(graph), into, task, first, last)


def rustworkx_action(carry: np.ndarray, kv: np.ndarray, task: str, algorithm: str):
    import itertools

    import rustworkx as rx  # pyright: ignore

    graph: Any = rx.PyDiGraph()
    graph.add_nodes_from(list(range((N_LAYERS + 1) * carry.shape[1])))
    graph.add_edges_from(
        [
            (a, b, weight if algorithm == "programme" else -math.log(weight))
            for a, b, weight in edges(carry, kv)
        ]
    )
    first, last = 0, (N_LAYERS + 1) * carry.shape[1] - 1

    def strongest():
        if algorithm == "Dijkstra":
            path = rx.dijkstra_shortest_paths(graph, first, last, weight_fn=float)[last]
            pairs = itertools.pairwise(path)
            return -sum(graph.get_edge_data(a, b) for a, b in pairs) / math.log(2)
        lengths = rx.digraph_k_shortest_path_lengths(graph, first, BEST[task], float, last)
        return -lengths[last] / math.log(2)

    def into(node):
        return ((src, weight) for src, _, weight in graph.in_edges(node))

    if algorithm != "programme":
        return strongest
    return lambda: programme(rx.topological_sort(graph), into, task, first, last)


def programme(order, into, task: str, first: int, last: int) -> float:
    """Sum, or k best with nodes, over a topological order: per node the sum or the k best so far.

    Of the k best each holds (size, node before, which of its best), from which nodes follow.
    """
    if task == "sum":
        sums = {}
        for node in order:
            total = 1.0 if node == first else 0.0
            for src, weight in into(node):
                total += weight * sums[src]
            sums[node] = total
        return sums[last]
    k, best = BEST[task], {}
    for node in order:
        ways = [(1.0, -1, 0)] if node == first else []
        for src, weight in into(node):
            ways.extend((weight * way[0], src, at) for at, way in enumerate(best[src]))
        best[node] = heapq.nlargest(k, ways) if k > 1 else [max(ways)] if ways else []
    paths = []
    for size, before, at in best[last]:
        nodes = [last]
        while before >= 0:
            nodes.append(before)
            _, before, at = best[before][at]
        paths.append((size, nodes[::-1]))
    return math.log2(paths[-1][0])


def peer_python() -> Path:
    """The peers' own virtual environment, made once; its python."""
    python = PEER_VENV / "bin" / "python"
    if not python.exists():
        print(f"installing {', '.join(PEERS)} into {PEER_VENV} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(PEER_VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


if __name__ == "__main__":
    main()
