"""The command line and the Python call that make a number of a Scene again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worldline.errors import InputError
from worldline.text.spans import number_span
from worldline.views.altered_parts import SceneAltered, SceneCut
from worldline.views.scene import Scene

OTHER_TEXT = "the text that was spliced from"
_EDGES = re.compile(
    r"(?P<how>mask|drop|splice)(?: (?P<parts>K|V|Q) only)?: layers (?P<layers>[\d,-]+|all), "
    r"heads (?P<heads>[\d,-]+|all), from (?P<src>[\d,-]+|all), to (?P<dst>[\d,-]+|all)"
    r"(?P<own>, self-attention too)?"
)
_NODES = re.compile(
    r"(?P<how>zero|mean|splice)(?: so far)?(?P<other> of another text)?: "
    r"rows (?P<rows>[\d,-]+), positions (?P<positions>[\d,-]+|all)"
)
_MANY = 10**9
Call = tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """The text and the model that a Scene's own command line names."""

    text: str
    model: str | None

    def line(self, command: str, *options: str) -> str:
        """A command line on this text; one that begins with a dash stands after the options."""
        more = [] if self.model is None else ["--model", self.model]
        given = [*map(shlex.quote, (*options, *more))]
        text = shlex.quote(self.text)
        words = [*given, "--", text] if self.text.startswith("-") else [text, *given]
        return " ".join(["worldline", command, *words])

    def call(self, name: str, *arguments: str) -> str:
        """A Python call on this text."""
        model = "" if self.model is None else repr(self.model)
        return f"wl.{name}({', '.join([f'wl.load_model({model})', repr(self.text), *arguments])})"


def asked_of(scene: Scene) -> Asked:
    """What a Scene's command line names; without one, the Scene's own text."""
    try:
        words = shlex.split(scene.reproduce.cli)
    except ValueError:
        words = []
    if words[:2] != ["worldline", "trace"] or len(words) < 3:
        return Asked(scene.text, None)
    model = words[words.index("--model") + 1] if "--model" in words[3:-1] else None
    return Asked(words[2], model)


def observed(scene: Scene, option: str, part: str) -> Call:
    """The Scene's own command with `option` that writes the number, and where Python has it."""
    asked, known = asked_of(scene), scene.reproduce
    cli = known.cli or asked.line("trace")
    python = known.python or f"wl.observe({asked.text!r})"
    return f"{cli} {option}", f"{python}.scene.{part}"


def hops_again(scene: Scene, part: str) -> Call:
    """The hop curve, as it was asked for."""
    asked, hops = asked_of(scene), _altered(scene).hops
    assert hops is not None
    sinks = [curve.sink for curve in hops.curves]
    most = max(budget for curve in hops.curves for budget in curve.budgets)
    options = ["--max", str(most), "--sink", sinks[0] if len(sinks) == 1 else "both"]
    words = [f"max_hops={most}", f"sink={sinks[0]!r}"]
    if hops.layers != "all":
        options += ["--layers", hops.layers]
        words.append(f"layers={_places(hops.layers)}")
    if hops.longest is not None:
        options += ["--longest", str(hops.longest)]
        words.append(f"longest={hops.longest}")
    return asked.line("hops", *options), f"{asked.call('hop_curve', *words)}.{part}"


def cone_again(scene: Scene, part: str) -> Call:
    """The push, as it was made."""
    asked, cone = asked_of(scene), _altered(scene).cone
    assert cone is not None
    at, step = f"{cone.layer},{cone.pos}", f"{cone.step:g}"
    options = ["--at", at, "--directions", str(cone.n_directions), "--step", step]
    words = [
        f"at=wl.Node(layer={cone.layer}, pos={cone.pos})",
        f"directions={cone.n_directions}",
        f"step={step}",
    ]
    return asked.line("cone", *options), f"{asked.call('light_cone', *words)}.{part}"


def orders_again(scene: Scene, part: str) -> Call:
    """The orders by name; one that was given as slices has no name to give."""
    asked, orders = asked_of(scene), _altered(scene).orders
    assert orders is not None
    names = [one.name for one in orders.orders if re.match(r"[a-z]+(\(|$)", one.name)]
    options = [word for name in names if name != "given" for word in ("--order", name)]
    python = f"{asked.call('run_orders', repr([n for n in names if n != 'given']))}.{part}"
    return asked.line("orders", *options), python


def cut_again(scene: Scene, part: str) -> Call:
    """The cut. One that a command line cannot say in one go is given in Python only."""
    asked, cut = asked_of(scene), _altered(scene).cut
    assert cut is not None
    edges = [found for words in cut.words if (found := _EDGES.fullmatch(words))]
    nodes = [found for words in cut.words if (found := _NODES.fullmatch(words))]
    if len(edges) + len(nodes) < len(cut.words):  # a push, say: its vector is not in the words
        return "", asked.call("cut", "edits", f"target={cut.target!r}") + f".{part}"
    edits = ", ".join([*map(_edge_edit, edges), *map(_node_edit, nodes)])
    donor = "donor=donor" in edits
    python = asked.call("cut", f"[{edits}]", f"target={cut.target!r}") + f".{part}"
    options = _cut_options(edges, nodes)
    if options is None:
        return "", python
    options += ["--splice-from", OTHER_TEXT] if donor else []
    return asked.line("cut", *options, *_target(cut)), python


def sources_again(scene: Scene, part: str) -> Call:
    """All reads of each token, cut in turn."""
    asked, sources = asked_of(scene), _altered(scene).sources
    assert sources is not None
    how, last = sources.how, len(sources.change_nats) - 1
    edits = f"[wl.EdgeCut({how!r}, src=(pos,))]"
    one = f"{asked.call('cut', edits, f'target={sources.target!r}')}.{part or 'change_nats'}"
    return asked.line("cut", "--each", "--how", how), f"[{one} for pos in range({last})]"


def _altered(scene: Scene) -> SceneAltered:
    assert scene.altered is not None
    return scene.altered


def _target(cut: SceneCut) -> list[str]:
    return ["--target", cut.target] if cut.target and not cut.target.startswith("-") else []


def _places(said: str) -> str:
    """The numbers that `said` in words names, as Python writes them."""
    try:
        return repr(number_span(said, _MANY, "places"))
    except InputError:
        return "None"


def _edge_edit(found: re.Match[str]) -> str:
    words = [repr(found["how"])]
    words += [
        f"{name}={_places(found[name])}"
        for name in ("src", "dst", "layers", "heads")
        if found[name] != "all"
    ]
    words += [f"parts={found['parts'].lower()!r}"] if found["parts"] else []
    words += ["own=True"] if found["own"] else []
    words += ["donor=donor"] if found["how"] == "splice" else []
    return f"wl.EdgeCut({', '.join(words)})"


def _node_edit(found: re.Match[str]) -> str:
    words = [repr(found["how"]), f"rows={_places(found['rows'])}"]
    if found["positions"] != "all":
        words.append(f"positions={_places(found['positions'])}")
    words += ["donor=donor"] if found["how"] == "splice" or found["other"] else []
    return f"wl.NodeCut({', '.join(words)})"


def _cut_options(edges: list[re.Match[str]], nodes: list[re.Match[str]]) -> list[str] | None:
    hows = {found["how"] for found in edges}
    node_hows = {found["how"] for found in nodes}
    if (not edges and not nodes) or max(len(hows), len(node_hows)) > 1:
        return None
    options: list[str] = []
    if len(edges) == 1:
        options += _span_options(edges[0])
    for found in edges if len(edges) > 1 else ():
        places = [found[name] for name in ("layers", "heads", "src", "dst")]
        if found["parts"] or found["own"] or not all(place.isdecimal() for place in places):
            return None
        options += ["--edge", "{}.{}:{}>{}".format(*places)]
    options += ["--how", *hows] if hows else []
    for found in nodes:
        if not (found["rows"].isdecimal() and found["positions"].isdecimal()):
            return None
        options += ["--node", f"{found['rows']},{found['positions']}"]
    return options + (["--node-how", *node_hows] if node_hows else [])


def _span_options(found: re.Match[str]) -> list[str]:
    options = ["--from", found["src"], "--to", found["dst"]]
    for name in ("layers", "heads"):
        options += [f"--{name}", found[name]] if found[name] != "all" else []
    options += ["--parts", found["parts"].lower()] if found["parts"] else []
    return options + (["--own"] if found["own"] else [])


AGAIN: dict[str, Callable[[Scene, str], Call]] = {
    "json": lambda scene, part: observed(scene, "--json -", part),
    "page": lambda scene, part: observed(scene, "--out flow.html", part),
    "hops": hops_again,
    "cut": cut_again,
    "cone": cone_again,
    "orders": orders_again,
    "sources": sources_again,
}
"""How each kind of number is made again."""


def again(scene: Scene, kind: str, part: str) -> Call:
    """(command line, Python call) for the number `part` of a kind in ``AGAIN``."""
    is_part = scene.altered is not None and kind in SceneAltered.model_fields
    own = getattr(scene.altered, kind) if is_part else None
    if own is not None and own.reproduce is not None:  # as it was asked for, nothing left out
        python = own.reproduce.python
        return own.reproduce.cli, f"{python}.{part}" if part else python
    call: Any = AGAIN[kind]
    return call(scene, part)
