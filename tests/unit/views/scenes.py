"""Deterministic synthetic Scenes: shaped like real ones, with every kind of awkward token."""

from __future__ import annotations

import random
from typing import Any

from worldline.requests import TraceRequest
from worldline.views.number_records import with_meanings
from worldline.views.reproduce import recipe_of
from worldline.views.schema.recipe import Recipe, RecipeText
from worldline.views.schema.scene import Scene

CAPITAL = ["<|im_start|>", "The", " capital", " of", " France", " is"]
AWKWARD = [
    "<|im_start|>",
    "Hello",
    ",",
    " world",
    "!",
    "\n",
    "\t",
    "</script>",
    "<b>bold</b>",
    " 東京",
    "は",
    "日本",
    "の",
    "首都",
    "\u00f0\u009f",
    "\u0098\u0080",
    " שלום",
    " مرحبا",
    "\u202e",
    "evil",
    "\x1b[31m",
    "\x9b",
    " 👩‍🚀",
    "🚀",
    "e\u0301",
    "\u0301",
    "\u00a0",
    "\u2028",
    " '\"&amp;",
    " supercalifragilistic",
    "expialidocious",
    " and",
    " then",
    " the",
    " cat",
    " sat",
    " on",
    " the",
    " mat",
    ".",
]
SENTENCE = (
    "The quick brown fox jumps over the lazy dog while a calm old river carries every word that "
    "was read towards the next one and nothing is ever lost , only weighed again ."
)
WORDS = SENTENCE.split()


def words(n_tokens: int) -> list[str]:
    """Give ``n_tokens`` plain tokens, each with its leading space."""
    return ["<|im_start|>"] + [f" {WORDS[at % len(WORDS)]}" for at in range(n_tokens - 1)]


def make_scene(
    texts: list[str] | None = None,
    *,
    n_layers: int = 30,
    n_heads: int = 9,
    n_edges: int = 200,
    by: str = "gradient",
    with_nodes: bool = True,
    with_flow: bool = True,
    groups: dict[str, list[int]] | None = None,
    seed: int = 7,
) -> Scene:
    """Build a Scene for these token texts; the same arguments always give the same Scene."""
    made = Scene.model_validate(
        make_wire(
            texts,
            n_layers=n_layers,
            n_heads=n_heads,
            n_edges=n_edges,
            by=by,
            with_nodes=with_nodes,
            with_flow=with_flow,
            groups=groups,
            seed=seed,
        )
    )
    return with_meanings(made)


def make_wire(
    texts: list[str] | None = None,
    *,
    n_layers: int = 30,
    n_heads: int = 9,
    n_edges: int = 200,
    by: str = "gradient",
    with_nodes: bool = True,
    with_flow: bool = True,
    groups: dict[str, list[int]] | None = None,
    seed: int = 7,
) -> dict[str, Any]:
    """Build the same as plain dictionaries, as they travel; `groups`: the group of each token."""
    texts = CAPITAL if texts is None else texts
    rng = random.Random(seed)
    n_tokens = len(texts)
    everything = _edges(rng, n_tokens, n_layers, n_heads)
    everything.sort(key=lambda edge: (-abs(edge["weight"]), *sorted(edge.items())))
    kept = everything[:n_edges]
    total = sum(abs(edge["weight"]) for edge in everything) * 1.04
    held = sum(abs(edge["weight"]) for edge in kept)
    return {
        "schema": "worldline.scene/2",
        "title": "".join(texts)[:60],
        "text": "".join(texts),
        "created": "2026-01-02T03:04:05+00:00",
        "model": {
            "name": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "n_layers": n_layers,
            "n_heads": n_heads,
            "n_kv_heads": 3,
            "d_model": 576,
            "dtype": "float32",
            "device": "cpu",
            "weights_hash": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
        "versions": {"worldline": "0.1.0", "torch": "2.13.0", "transformers": "5.24.0"},
        "seed": None,
        "tokens": _tokens(texts),
        "predictions": _predictions(rng),
        "attribution": _attribution(by),
        "edges": kept,
        "coverage": {
            "edges": len(kept),
            "of": n_layers * n_heads * n_tokens * (n_tokens - 1) // 2,
            "share": held / total if total else 0.0,
            "total": total,
        },
        "nodes": _nodes(rng, n_tokens, n_layers) if with_nodes else None,
        "flow": _flow(everything, n_tokens, n_layers) if with_flow else None,
        "groupings": [
            _grouping(name, group_of, everything, texts, n_layers, n_edges)
            for name, group_of in (groups or {}).items()
        ],
        "inert": {"checked": "probe", "equal": True, "calls": 30, "expected_calls": 30},
        "closure_error": {
            "worst": 3.1e-07,
            "layer": 17,
            "pos": 0,
            "tolerance": 1e-05,
            "over": "sources",
        },
        "reproduce": recipe_of(
            made_on("The capital of France is"),
            TraceRequest.model_construct(by=by, how="zero", target=" Paris"),
        )
        .reproduce_lines()
        .model_dump(),
    }


def made_on(text: str, source: str | None = "smollm2-135m-instruct") -> Recipe:
    """The start of a recipe: this text, and the bundled model or another."""
    return Recipe(
        command="", call="", source=source, device="cpu", dtype=None, text=RecipeText.of(text)
    )


def _edges(rng: random.Random, n_tokens: int, n_layers: int, n_heads: int) -> list[dict[str, Any]]:
    """A sink in column 0, previous-token heads, and a few long reads into the last column."""
    edges: list[dict[str, Any]] = []
    per_column = max(2, min(n_heads, 1600 // max(n_tokens, 1)))
    subject = max(1, n_tokens - 2)
    for layer in range(n_layers):
        depth = layer / max(1, n_layers - 1)
        for dst in range(1, n_tokens):
            for head in sorted(rng.sample(range(n_heads), min(per_column, n_heads))):
                kind = rng.random()
                if kind < 0.3:
                    src, scale = 0, 0.012
                elif kind < 0.55:
                    src, scale = dst - 1, 0.02 * (1.1 - depth)
                else:
                    src, scale = rng.randrange(dst), 0.008
                weight = scale * rng.lognormvariate(0, 1.1) * rng.choice((1, 1, 1, -1, -1))
                edge = {"layer": layer, "head": head, "src": src, "dst": dst, "weight": weight}
                edges.append(edge)
        if n_tokens > 3 and 0.45 < depth < 0.95:
            weight = 0.12 * rng.lognormvariate(0, 0.9) * rng.choice((1, 1, 1, -1))
            head = rng.randrange(n_heads)
            edge = {
                "layer": layer,
                "head": head,
                "src": subject,
                "dst": n_tokens - 1,
                "weight": weight,
            }
            edges = [old for old in edges if not _same_road(old, edge)] + [edge]
    return edges


def _same_road(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("layer", "head", "src", "dst"))


def _tokens(texts: list[str]) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = []
    char = byte = 0
    for pos, text in enumerate(texts):
        size = len(text.encode("utf-8"))
        tokens.append(
            {
                "pos": pos,
                "id": 100 + pos,
                "text": text,
                "char_start": char,
                "char_end": char + len(text),
                "byte_start": byte,
                "byte_end": byte + size,
                "group": pos,
                "special": text.startswith("<|"),
            }
        )
        char += len(text)
        byte += size
    return tokens


def _predictions(rng: random.Random) -> list[dict[str, Any]]:
    names = [" Paris", " the", " a", " France", " located", " \n", " not", " home", "</script>"]
    names.append(" 巴黎")
    logprob, given = -0.62, []
    for at, name in enumerate(names):
        given.append({"token": name, "id": 7000 + at, "logprob": round(logprob, 4)})
        logprob -= 0.4 + rng.random()
    return given


def _attribution(by: str) -> dict[str, Any]:
    if by == "contribution":
        return {
            "by": "contribution",
            "target": None,
            "versus": None,
            "how": None,
            "metric": "euclidean",
            "formula": "share(c) = <c, y> / <y, y>,  c = a v W_O,  y = x[l+1, j]",
            "unit": "part of the state written",
            "exactness": "closed to 1e-5 in float32",
        }
    return {
        "by": "gradient",
        "target": {"token": " Paris", "id": 7000},
        "versus": None,
        "how": "zero",
        "metric": None,
        "formula": "w = a <v, u>,  u = d logit / d z",
        "unit": "logit",
        "exactness": "first order; exact for one edge up to curvature",
    }


def _nodes(rng: random.Random, n_tokens: int, n_layers: int) -> dict[str, Any]:
    sink = 900.0
    norm = [
        [
            (sink if pos == 0 and row > 1 else 3.0 + 2.4 * row) * (0.9 + 0.2 * rng.random())
            for pos in range(n_tokens)
        ]
        for row in range(n_layers + 1)
    ]
    guesses = [" the", " Paris", " city", ",", " a", "\n", "France", " 東", "</b>"]
    lens = [
        [
            [
                {"token": rng.choice(guesses), "logprob": round(-0.3 - 1.2 * k - rng.random(), 4)}
                for k in range(3)
            ]
            for _ in range(n_tokens)
        ]
        for _ in range(n_layers + 1)
    ]
    shares: dict[str, list[list[float]]] = {
        name: [] for name in ("skip", "mlp", "self_attention", "kv", "constants")
    }
    for _ in range(n_layers):
        rows: dict[str, list[float]] = {name: [] for name in shares}
        for at in range(n_tokens):
            mlp = rng.gauss(0.08, 0.06)
            own = rng.gauss(0.03, 0.02)
            kv = rng.gauss(0.06, 0.05) if at else 0.0
            rows["mlp"].append(mlp)
            rows["self_attention"].append(own)
            rows["kv"].append(kv)
            rows["constants"].append(0.0)
            rows["skip"].append(1.0 - mlp - own - kv)
        for name, row in rows.items():
            shares[name].append(row)
    return {"norm": norm, "lens": lens, "shares": {**shares, "other": None}}


def _flow(edges: list[dict[str, Any]], n_tokens: int, n_layers: int) -> dict[str, Any]:
    names = ("in_positive", "in_negative", "out_positive", "out_negative")
    flow = {name: [[0.0] * n_tokens for _ in range(n_layers)] for name in names}
    for edge in edges:
        sign = "positive" if edge["weight"] > 0 else "negative"
        flow[f"in_{sign}"][edge["layer"]][edge["dst"]] += edge["weight"]
        flow[f"out_{sign}"][edge["layer"]][edge["src"]] += edge["weight"]
    return flow


def _grouping(
    name: str,
    group_of: list[int],
    everything: list[dict[str, Any]],
    texts: list[str],
    n_layers: int,
    n_edges: int,
) -> dict[str, Any]:
    """All edges of the run summed over groups, one by one."""
    sums: dict[tuple[int, int, int], list[float]] = {}
    within = [0.0, 0.0]
    for edge in everything:
        src, dst = group_of[edge["src"]], group_of[edge["dst"]]
        side = 0 if edge["weight"] > 0 else 1
        where = within if src == dst else sums.setdefault((edge["layer"], src, dst), [0.0, 0.0])
        where[side] += edge["weight"]
    listed = [
        {"layer": layer, "src": src, "dst": dst, "positive": plus, "negative": minus}
        for (layer, src, dst), (plus, minus) in sums.items()
    ]
    listed.sort(key=lambda edge: -abs(edge["positive"] + edge["negative"]))
    sizes = [abs(edge["positive"] + edge["negative"]) for edge in listed]
    n_groups, ends = group_of[-1] + 1, [0]
    for text in texts:
        ends.append(ends[-1] + len(text))
    spans = [
        (ends[group_of.index(group)], ends[len(group_of) - group_of[::-1].index(group)])
        for group in range(n_groups)
    ]
    signed = [
        {"layer": edge["layer"], "src": edge["src"], "dst": edge["dst"], "weight": edge[sign]}
        for edge in listed
        for sign in ("positive", "negative")
    ]
    return {
        "name": name,
        "group_of": group_of,
        "spans": [{"start": low, "end": high} for low, high in spans],
        "names": [None] * n_groups,
        "edges": listed[:n_edges],
        "coverage": {
            "edges": min(n_edges, len(listed)),
            "of": len(listed),
            "share": sum(sizes[:n_edges]) / sum(sizes) if sizes else 0.0,
            "total": sum(sizes),
        },
        "between_positive": sum(edge["positive"] for edge in listed),
        "between_negative": sum(edge["negative"] for edge in listed),
        "within_positive": within[0],
        "within_negative": within[1],
        "flow": _flow(signed, n_groups, n_layers),
    }


def in_groups(n_tokens: int, size: int) -> list[int]:
    """The group of each token: the first one alone, then so many at a time."""
    return [0] + [1 + (at - 1) // size for at in range(1, n_tokens)]
