"""Claims made by hand, with every word, mark and figure there is, for what shows them."""

from __future__ import annotations

from typing import Any

from worldline.views.schema.claims import ClaimsPicture

TEXT = "The capital of France is"
NASTY = "</script><b>bold</b>"
CLAIMS = {
    "two-highways": "Between columns information moves by the K/V stream only",
    "block-order": "In a block attention feeds the MLP",
    "keys-face-future": "A key already says which later positions will look at it",
    "queries-choose": "The query decides where to look",
    "values-wide": "Values pass the past state on without strong reduction",
    "width-bottleneck": "The residual stream's width limits both highways",
    "path-count": "The ways from A to B number C(m+n, n)",
    "beyond-atoms": "The count soon exceeds 10^80",
    "skips-not-counted": "Counting residual, MLP and heads apart gives far more",
    "few-paths-carry": "Of the many paths few matter",
    "redundancy": "Removing some routes hurts little",
    "interference": "Contributions of different routes add and cancel",
    "deltas": "The mix encodes differences between past states",
    "foliations": "The order of execution is a choice",
    "cache-is-memory": "Cached keys and values make the state last",
    "mlp-lossy": "Part of what the MLP computes is not recoverable afterwards",
    "depth-bound": "No longer route in sequence, only many in parallel",
    "introspection-permitted": "Later computation reads past inner states",
    "introspection-used": "How much this model uses them",
    "introspection-reported": "Whether this model can report them",
    "continuity": "Memory is experienced as continuous",
}
IDEAS = {
    "residual-stream": ("concept", "Residual stream"),
    "kv-stream": ("concept", "K/V stream"),
    "causal-graph": ("framework", "Causal graphs and foliations"),
    "path-counting": ("method", "Counting lattice paths"),
    "logit-lens": ("method", "Logit lens"),
    "can-it-look-back": ("question", "Can it look back at what it did?"),
    "memory-like-ours": ("question", "Is its memory like ours?"),
}
SOURCES = {
    "janus": ("thinker", "janus"),
    "thread": ("artifact", "How information flows through transformers"),
    "circuits": ("paper", "A mathematical framework for transformer circuits"),
    "semirings": ("paper", "First- and second-order expectation semirings"),
    "latent": ("paper", "Latent introspection"),
}
TYPES = {"supported": "supports", "refuted": "opposes", "qualified": "qualifies"}


def _series(name: str, x: list[Any], y: list[Any], reach: float | None = None) -> dict[str, Any]:
    ends = (None, None) if reach is None else ([v - reach for v in y], [v + reach for v in y])
    return {"name": name, "x": x, "y": y, "low": ends[0], "high": ends[1]}


FIGURES: list[dict[str, Any]] = [
    {
        "title": "Loss by contribution of edges cut", "mark": "line", "x": "share of edges cut",
        "y": "loss, nats per token", "rule": 3.1, "rule_name": "all cut",
        "series": [
            _series("cut at random", [0.0, 0.25, 0.5, 0.75, 0.9], [2.1, 2.12, 2.2, 2.4, 2.9], 0.05),
            _series("strongest first", [0.0, 0.25, 0.5, 0.75, 0.9], [2.1, 2.7, 2.9, 3.0, 3.1]),
        ],
    },
    {
        "title": "Share of variance recovered, by reader", "mark": "bar", "x": "what is read",
        "y": "share of variance", "rule": 0.9, "rule_name": "supported from here",
        "series": [_series("held out", ["V", "K and V", "V of all layers", "shuffled V"],
                           [0.62, 0.7, 0.93, -0.02], 0.03)],
    },
    {
        "title": "Effect of a change, by part", "mark": "point", "x": "part", "y": "KL, nats",
        "rule": None, "rule_name": None,
        "series": [
            _series("patched", ["K only", "V only", "both", "identity"], [0.4, 2.1, 3.7, 2e-6]),
            _series("random", ["K only", "V only", "both", "identity"], [0.9, 3.3, 6.4, 2e-6]),
        ],
    },
]  # fmt: skip


def _verdict(claim: str, word: str, **changes: Any) -> dict[str, Any]:
    base = {
        "claim": claim, "verdict": word, "quick": False, "stale": None,
        "metric": "share of the standardised state's variance that a held-out reader recovers",
        "unit": "share of variance", "value": 0.93, "low": 0.91, "high": 0.95,
        "support": ">= 0.9", "refute": "< 0.9", "n": 640, "counts": "positions of 40 texts",
        "reason": "The whole interval satisfies >= 0.9.",
        "says": ["A reader recovers 0.93 of the variance.", "A shuffled one recovers -0.02."],
        "figures": [], "picture": None, "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "weights_hash": "b179c952", "seed": 0, "run": f"run-{claim}",
        "date": "2026-01-02T03:04:05+00:00", "command": f"worldline claims run {claim} --seed 0",
    }  # fmt: skip
    return base | changes


def verdicts() -> list[dict[str, Any]]:
    """One for most claims; two for one, none for one."""
    picture = {
        "text": TEXT, "says": "Without the reads of “France” the answer is lost.",
        "target": " Paris", "versus": None, "cuts": ["*.*:3>*"], "how": "mask",
    }  # fmt: skip
    words = {
        "two-highways": _verdict(
            "two-highways", "supported", metric="largest change that no highway explains",
            unit="of the largest logit", value=2.1e-6, low=2.1e-6, high=2.1e-6,
            support="<= 1e-4", refute="> 1e-4", picture=picture, n=96, counts="columns",
            reason="The whole interval satisfies <= 1e-4.",
        ),
        "values-wide": _verdict(
            "values-wide", "refuted", value=0.62, low=0.59, high=0.65, figures=[FIGURES[1]],
            reason="The whole interval satisfies < 0.9.",
        ),
        "redundancy": _verdict(
            "redundancy", "qualified", unit="of the loss when all are cut", value=0.06, low=0.05,
            high=0.08, support="< 0.1", refute=">= 0.1", figures=[FIGURES[0]],
            reason="It would be supported; it holds for random cuts, not for the strongest edges.",
        ),
        "introspection-permitted": _verdict(
            "introspection-permitted", "supported", unit="log10 of a ratio of KL", value=6.2,
            low=5.9, high=6.4, support=">= 2", refute="< 2", figures=[FIGURES[2]], picture=picture,
        ),
        "introspection-used": _verdict(
            "introspection-used", "measured", unit="nats per token", value=0.41, low=0.33,
            high=0.49, support=None, refute=None, reason="A measurement decides nothing.",
        ),
        "introspection-reported": _verdict(
            "introspection-reported", "inconclusive", unit="above chance", value=0.02, low=-0.03,
            high=0.07, support="> 0", refute="<= 0", quick=True, n=40,
            reason="The interval reaches neither level.",
        ),
        "width-bottleneck": _verdict(
            "width-bottleneck", "measured", unit="of d_model", value=0.31, low=None, high=None,
            support=None, refute=None, stale="the experiment's sources have changed",
        ),
        "continuity": _verdict(
            "continuity", "not testable here", value=None, low=None, high=None, support=None,
            refute=None, n=0, reason="Nothing that is measured says what is experienced.",
        ),
    }  # fmt: skip
    found = [words.get(claim) or _verdict(claim, "supported") for claim in CLAIMS]
    quick = _verdict("redundancy", "inconclusive", quick=True, n=20, value=0.09, low=0.02, high=0.2)
    return [one for one in found if one["claim"] != "deltas"] + [quick]


def claims_picture() -> ClaimsPicture:
    """A graph of every type of record, and verdicts of every word."""
    nodes = [_node(key, kind, title) for key, (kind, title) in (SOURCES | IDEAS).items()] + [
        _node(key, "claim", title) for key, title in CLAIMS.items()
    ]
    nodes[0]["text"], nodes[0]["url"] = NASTY, "https://example.org/janus"
    nodes[1]["url"] = "javascript:alert(1)"
    edges = [{"source": "janus", "type": "authored", "target": "thread"}]
    edges += [{"source": "thread", "type": "introduces", "target": key} for key in IDEAS]
    edges += [{"source": "thread", "type": "states", "target": key} for key in CLAIMS]
    for at, claim in enumerate(CLAIMS):
        idea = list(IDEAS)[at % len(IDEAS)]
        edges.append({"source": claim, "type": "uses", "target": idea})
        if at % 5 == 0:
            edges.append({"source": claim, "type": "cites", "target": "circuits"})
    edges.append({"source": "path-count", "type": "cites", "target": "semirings"})
    edges.append({"source": "introspection-reported", "type": "cites", "target": "latent"})
    for one in verdicts():
        claim, word = one["claim"], one["verdict"]
        if one["quick"] and claim == "redundancy":
            continue
        run, verdict, experiment = f"run-{claim}", f"verdict-{claim}", f"experiment-{claim}"
        nodes += [
            _node(experiment, "experiment", f"Experiment on {claim}"),
            _node(run, "run", f"Run of {claim}"),
            _node(verdict, "verdict", f"{word}: {claim}"),
        ]
        edges += [
            {"source": experiment, "type": "tests", "target": claim},
            {"source": experiment, "type": "generated", "target": run},
            {"source": run, "type": "generated", "target": verdict},
            {"source": verdict, "type": TYPES.get(word, "answers"), "target": claim},
        ]
    wire = {"model": "HuggingFaceTB/SmolLM2-135M-Instruct", "nodes": nodes, "edges": edges,
            "verdicts": verdicts()}  # fmt: skip
    return ClaimsPicture.model_validate(wire)


def _node(key: str, kind: str, title: str) -> dict[str, Any]:
    text = f"{title}, in a wording that can be tested: what is measured, on which texts, how."
    return {"id": key, "type": kind, "title": title, "text": text, "source": "thread of 2025",
            "url": None}  # fmt: skip
