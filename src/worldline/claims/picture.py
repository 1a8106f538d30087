"""The picture of the graph with the verdicts on one model: what the page and the exports show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from worldline.claims.claim import Claim
from worldline.claims.graph import NODE_TYPES, Graph
from worldline.claims.json_numbers import finite
from worldline.claims.records import load_graph
from worldline.claims.run_database import Store
from worldline.claims.shipped_verdicts import shipped_verdicts, with_shipped
from worldline.claims.verdict import CurrentVerdict, Verdict, pick, stale_reason
from worldline.experiments import registry
from worldline.experiments.experiment import Figure, Picture
from worldline.views.schema.claims import (
    ClaimsEdge,
    ClaimsFigure,
    ClaimsNode,
    ClaimsPicture,
    ClaimsSeries,
    ClaimsShown,
    ClaimsVerdict,
    EdgeType,
)
from worldline.views.schema.recipe import BUNDLED_DTYPE, option
from worldline.views.shell_words import shell_join

BUNDLED = "smollm2-135m-instruct"
_EDGE_OF: dict[str, EdgeType] = {
    "supported": "supports",
    "refuted": "opposes",
    "qualified": "qualifies",
}
"""What a verdict does to its claim; the other words do nothing to it."""


def claims_picture(
    graph: Graph, store: Store, model_name: str, weights_hash: str | None = None
) -> ClaimsPicture:
    """The whole graph, with the verdict shown on each claim and a quick one beside it.

    Verdicts are those of one model, by its weights where their hash is given and else by its
    name: the user's own, and the shipped ones. Their runs are nodes too. What nothing can test
    has its word without any run.
    """
    verdicts_by_claim = model_verdicts(graph, store, model_name, weights_hash)
    order = in_order(graph)
    shown_verdicts = [
        current_verdict
        for claim in order
        for current_verdict in pick(verdicts_by_claim.get(claim, ()))
    ]
    full_graph = with_runs(graph, shown_verdicts)
    place = {claim: at for at, claim in enumerate(order)}
    nodes = sorted(
        full_graph.nodes.values(),
        key=lambda node: (NODE_TYPES.index(node.type), place.get(node.id, 0), node.id),
    )
    return ClaimsPicture(
        model=model_name,
        nodes=tuple(nodes),
        edges=full_graph.edges,
        verdicts=(
            *(verdict_part(graph, current_verdict) for current_verdict in shown_verdicts),
            *(
                _untestable_verdict(claim_record, model_name)
                for claim_record in graph.claims.values()
                if claim_record.why is not None
            ),
        ),
    )


def current_picture(model_name: str, weights_hash: str | None = None) -> ClaimsPicture:
    """The picture as the records and the user's store are now, from whichever thread asks."""
    store = Store()
    try:
        return claims_picture(load_graph(), store, model_name, weights_hash)
    finally:
        store.close()


def model_verdicts(
    graph: Graph, store: Store, model_name: str, weights_hash: str | None = None
) -> dict[str, list[CurrentVerdict]]:
    """Every verdict on one model, by claim, in the order of the experiments; the latest last.

    Of a name that was given to several models, without a hash, only the weights last run count.
    """
    all_verdicts = known_verdicts(graph, store)
    if weights_hash is None:
        named_verdicts = [verdict for verdict in all_verdicts if verdict.run.model == model_name]
        last = max(named_verdicts, key=lambda verdict: verdict.date, default=None)
        weights_hash = None if last is None else last.run.key.weights_hash
    runs = [verdict for verdict in all_verdicts if verdict.run.key.weights_hash == weights_hash]
    verdicts_by_claim: dict[str, list[CurrentVerdict]] = {}
    for claim in in_order(graph):
        stood = [
            CurrentVerdict(verdict, _stale(graph, verdict))
            for verdict in runs
            if verdict.run.claim == claim
        ]
        if stood:
            verdicts_by_claim[claim] = stood
    return verdicts_by_claim


def known_verdicts(graph: Graph, store: Store) -> list[Verdict]:
    """The user's verdicts and the shipped ones, on claims that have a record."""
    own_verdicts = [verdict for verdict in store.verdicts() if verdict.run.claim in graph.claims]
    return with_shipped(own_verdicts, shipped_verdicts(graph.claims))


def weights_of(graph: Graph, store: Store, model_name: str) -> set[str]:
    """The hashes of all weights that were run under one name."""
    runs = known_verdicts(graph, store)
    return {verdict.run.key.weights_hash for verdict in runs if verdict.run.model == model_name}


def known_models(graph: Graph, store: Store) -> list[str]:
    """The models that have verdicts, the bundled one first."""
    names = {verdict.run.model for verdict in known_verdicts(graph, store)}
    return sorted(names, key=lambda name: (name != BUNDLED, name))


def in_order(graph: Graph) -> list[str]:
    """All claims: in the order in which their experiments are run, then the others by id."""
    order = {claim: at for at, claim in enumerate(registry.experiment_ids())}
    return sorted(graph.claims, key=lambda claim: (order.get(claim, len(order)), claim))


def with_runs(graph: Graph, shown_verdicts: Sequence[CurrentVerdict]) -> Graph:
    """The graph with the runs and verdicts that are shown as nodes of their own."""
    nodes: list[ClaimsNode] = []
    edges: list[ClaimsEdge] = []
    tests = {edge.target: edge.source for edge in graph.edges if edge.type == "tests"}
    for current_verdict in shown_verdicts:
        verdict, run = current_verdict.verdict, current_verdict.verdict.run
        nodes += _run_nodes(graph, current_verdict)
        names = f"run-{run.id}", f"verdict-{run.id}"
        edges.append(ClaimsEdge(source=names[0], type="tests", target=run.claim))
        edges.append(ClaimsEdge(source=names[0], type="generated", target=names[1]))
        if run.claim in tests:
            edges.append(ClaimsEdge(source=tests[run.claim], type="generated", target=names[0]))
        if verdict.word in _EDGE_OF:
            kind = _EDGE_OF[verdict.word]
            edges.append(ClaimsEdge(source=names[1], type=kind, target=run.claim))
    return graph.with_additions(nodes, edges)


def _run_nodes(graph: Graph, current_verdict: CurrentVerdict) -> list[ClaimsNode]:
    verdict, run = current_verdict.verdict, current_verdict.verdict.run
    title = graph.claims[run.claim].title
    versions = ", ".join(f"{name} {version}" for name, version in sorted(run.versions.items()))
    size = "quick" if run.quick else "full"
    return [
        ClaimsNode(
            id=f"run-{run.id}", type="run", title=f"{title}: {size} run on {run.model}",
            text=f"{run.key.n} asked for ({run.counts}), seed {run.key.seed}, begun {run.started}.",
            source=versions, url=None,
        ),
        ClaimsNode(
            id=f"verdict-{run.id}", type="verdict", title=f"{title}: {verdict.word}",
            text=verdict.reason
            if current_verdict.stale is None
            else f"{current_verdict.stale}. {verdict.reason}",
            source=f"run {run.id}", url=None,
        ),
    ]  # fmt: skip


def verdict_part(graph: Graph, current_verdict: CurrentVerdict) -> ClaimsVerdict:
    """One verdict as the page is told of it."""
    verdict, run, finding = (
        current_verdict.verdict,
        current_verdict.verdict.run,
        current_verdict.verdict.finding,
    )
    claim = graph.claims[run.claim]
    return ClaimsVerdict(
        claim=claim.id,
        verdict=verdict.word,
        quick=run.quick,
        stale=current_verdict.stale,
        metric=claim.metric or "",
        unit=claim.unit or "",
        value=finite(finding.value),
        low=finite(finding.low),
        high=finite(finding.high),
        support=claim.support,
        refute=claim.refute,
        n=finding.n,
        counts=run.counts,
        reason=verdict.reason,
        says=finding.says,
        figures=tuple(_figure(figure) for figure in finding.figures),
        picture=None if finding.picture is None else _picture_part(finding.picture),
        model=run.model,
        weights_hash=run.key.weights_hash,
        seed=run.key.seed,
        run=run.id,
        date=verdict.date,
        command=command(verdict),
    )


def _untestable_verdict(claim: Claim, model_name: str) -> ClaimsVerdict:
    return ClaimsVerdict(
        claim=claim.id, verdict="not testable here", quick=False, stale=None, metric="", unit="",
        value=None, low=None, high=None, support=None, refute=None, n=0, counts="",
        reason=claim.why or "", says=(), figures=(), picture=None, model=model_name,
        weights_hash="", seed=0, run="", date="", command=f"worldline claims show {claim.id}",
    )  # fmt: skip


def command(verdict: Verdict) -> str:
    """The command line that makes the run again, or why there is none.

    A run keeps no folders of the machine it was made on: a model out of one has its bare name.
    """
    run = verdict.run
    if run.model.endswith(" in memory"):
        return f"no command line loads {run.model} (weights {run.key.weights_hash[:12]})"
    words = option("n", run.key.n) + option("seed", run.key.seed)
    dtype = run.versions.get("dtype")
    if run.model != BUNDLED:
        words = option("model", run.model) + words
    if dtype is not None and (run.model, dtype) != (BUNDLED, BUNDLED_DTYPE):
        words += option("dtype", dtype)
    return shell_join(["worldline", "claims", "run", run.claim, *words])


def shown_words(verdicts: dict[str, list[CurrentVerdict]]) -> dict[str, str]:
    """The word beside each claim, with what it must not be read without."""
    return {
        claim: word_of(pick(current_verdicts)[0]) for claim, current_verdicts in verdicts.items()
    }


def word_of(current_verdict: CurrentVerdict) -> str:
    """The word, and whether it is quick or stale."""
    marks = [
        name
        for name, on in (
            ("quick", current_verdict.verdict.run.quick),
            ("stale", current_verdict.stale),
        )
        if on
    ]
    return (
        f"{current_verdict.verdict.word} ({', '.join(marks)})"
        if marks
        else current_verdict.verdict.word
    )


def _stale(graph: Graph, verdict: Verdict) -> str | None:
    claim = graph.claims[verdict.run.claim]
    return stale_reason(verdict.run.key, registry.code_hash(claim.id), claim.decision_hash())


def _figure(figure: Figure) -> ClaimsFigure:
    return ClaimsFigure(
        title=figure.title,
        mark=figure.mark,
        x=figure.x,
        y=figure.y,
        series=tuple(
            ClaimsSeries(
                name=line.name,
                x=tuple(_place(x) for x in line.x),
                y=_numbers(line.y) or (),
                low=_numbers(line.low),
                high=_numbers(line.high),
            )
            for line in figure.series
        ),
        rule=finite(figure.rule),
        rule_name=figure.rule_name,
    )


def _place(x: float | str) -> float | str:
    """A place on the axis; one that is no number is named."""
    return x if isinstance(x, str) or finite(float(x)) is not None else str(x)


def _numbers(values: Iterable[float] | None) -> tuple[float | None, ...] | None:
    return None if values is None else tuple(finite(float(value)) for value in values)


def _picture_part(picture: Picture) -> ClaimsShown:
    return ClaimsShown(
        text=picture.text,
        says=picture.says,
        target=picture.target,
        versus=picture.versus,
        cuts=picture.cuts,
        how=picture.how,
    )
