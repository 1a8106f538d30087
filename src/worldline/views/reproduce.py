"""The recipes of what is run, made from the values that ran, and that of each number in a Scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from worldline.graph.edits import EdgeCut, NodeCut, PatchSource
from worldline.tokens.input_text import WrittenText
from worldline.views.schema.recipe import Recipe, RecipeText, SceneReproduce, option, options
from worldline.views.schema.scene import Scene

TOP = 2000  # edges that a Scene lists, where nothing else was asked for
JSON = ("--json", "-")
SCENE = ("--export", "flow.scene.json")
NOT_SAID = "How this was run was not handed over with it, so no line makes it again."
SHORT_RUN = 3  # places that are written one by one
WRITTEN = ("layers", "heads", "how", "parts", "align", "node_how")
Target = str | int | None


def trace_recipe(
    run: Recipe,
    *,
    by: str,
    how: str | None,
    target: Target = None,
    versus: Target = None,
    chat: bool = False,
    verify: bool = False,
    seed: int | None = None,
    top: int = TOP,
    paths: bool | None = None,
) -> Recipe:
    """The recipe of `observe`, of `worldline trace`."""
    words = options(
        [
            ("by", by),
            ("target", _token(target)),
            ("versus", _token(versus)),
            ("how", how),
            ("seed", seed),
            ("edges", None if top == TOP else top),
        ]
    )
    words += [f"--{name}" for name, on in (("chat", chat), ("verify", verify)) if on]
    words += [] if paths is None else ["--paths" if paths else "--no-paths"]
    arguments = {
        "by": by,
        "target": target,
        "versus": versus,
        "how": how,
        "chat": chat or None,
        "verify": verify or None,
        "seed": seed,
        "top": None if top == TOP else top,
        "paths": paths,
    }
    return _make_recipe(run, "trace", "observe", words, _keyword_arguments(arguments))


def cut_recipe(
    run: Recipe,
    edits: Sequence[EdgeCut | NodeCut],
    *,
    cut_fields: dict[str, Any],
    target: Target = None,
    versus: Target = None,
    patch: WrittenText | None = None,
) -> Recipe:
    """The recipe of a cut: `edits` are what ran, `cut_fields` what `written_cuts` made them of.

    `patch` says how the text that was patched in was read.
    """
    text = patch or cut_fields.get("patch_from")
    other = None if text is None else RecipeText.of(text)
    words = [w for edge_text in cut_fields.get("edges") or () for w in option("edge", edge_text)]
    words += [w for node_text in cut_fields.get("nodes") or () for w in option("node", node_text)]
    words += options([("from", cut_fields.get("from_")), ("to", cut_fields.get("to"))])
    words += options(
        (name.replace("_", "-"), value)
        for name in WRITTEN
        if (value := cut_fields.get(name)) is not None and (name, value) != ("parts", "kv")
    )
    words += ["--own"] if cut_fields.get("own") else []
    words += options([("target", _token(target)), ("versus", _token(versus))])
    python = [f"[{', '.join(_edit(edit, other) for edit in edits)}]"]
    python += _keyword_arguments({"target": target, "versus": versus})
    return _make_recipe(run, "cut", "cut", words, python, patch=other)


def paths_recipe(
    run: Recipe, *, by: str, target: Target, versus: Target, k: int, n_drawn: int
) -> Recipe:
    """The recipe of all paths summed, of `worldline paths`."""
    words = options(
        [("by", by), ("target", _token(target)), ("versus", _token(versus)), ("top", k)]
    )
    words += option("draws", n_drawn) if by != "contribution" else []
    call_arguments = {"by": by, "target": target, "versus": versus, "k": k, "n_drawn": n_drawn}
    return _make_recipe(run, "paths", "summarize_paths", words, _keyword_arguments(call_arguments))


def sources_recipe(run: Recipe, how: str, target: Target, n_tokens: int) -> Recipe:
    """The recipe of all reads of each token cut in turn; in Python a cut for every token."""
    words = ["--each", *options([("how", how), ("target", _token(target))])]
    python = [f"[wl.EdgeCut({how!r}, src=(pos,))]", *_keyword_arguments({"target": target})]
    return _make_recipe(run, "cut", "cut", words, python, each=f"pos in range({n_tokens - 1})")


def hops_recipe(
    run: Recipe,
    sinks: Sequence[str],
    *,
    max_hops: int,
    layers: Sequence[int] | None = None,
    longest: int | None = None,
) -> Recipe:
    """The recipe of hop curves; `sinks` are the conventions that ran."""
    layers_text = None if layers is None else ",".join(map(str, layers))
    sink = sinks[0] if len(sinks) == 1 else "both"
    words = options(
        [("max", max_hops), ("sink", sink), ("layers", layers_text), ("longest", longest)]
    )
    python = [f"max_hops={max_hops}", "sink=sink" if len(sinks) > 1 else f"sink={sink!r}"]
    python += [] if layers is None else [f"layers={_places(layers)}"]
    python += _keyword_arguments({"longest": longest})
    sink_loop = f"sink in {tuple(sinks)!r}" if len(sinks) > 1 else ""
    return _make_recipe(run, "hops", "hop_curve", words, python, each=sink_loop)


def cone_recipe(
    run: Recipe,
    layer: int,
    pos: int,
    *,
    directions: int,
    seed: int,
    step: float | None = None,
    through: str | None = None,
) -> Recipe:
    """The recipe of a perturbation; `step` and `through` where they are not as ever."""
    words = options(
        [
            ("at", f"{layer},{pos}"),
            ("directions", directions),
            ("step", step),
            ("seed", seed),
            ("through", through),
        ]
    )
    python = [f"at=wl.Node(layer={layer}, pos={pos})", f"directions={directions}"]
    python += _keyword_arguments({"step": step, "seed": seed})
    python += [] if through is None else [f"through=({through!r},)"]
    return _make_recipe(run, "cone", "light_cone", words, python)


def orders_recipe(run: Recipe, names: Sequence[str], slices: str | None = None) -> Recipe:
    """The recipe of orders by name; `slices` is the file of one that was given."""
    words = [w for name in names for w in option("order", name)]
    words += [] if slices is None else option("slices", slices)
    order_arguments = [repr(name) for name in names]
    if slices is not None:
        home = ".expanduser()" if slices.startswith("~") else ""
        slices_code = f"__import__('pathlib').Path({slices!r}){home}.read_bytes()"
        order_arguments.append(f"wl.Order.given(__import__('json').loads({slices_code}))")
    return _make_recipe(
        run,
        "orders",
        "run_orders",
        words,
        [f"[{', '.join(order_arguments)}]"] if order_arguments else [],
    )


def reproduce_number(scene: Scene, kind: str, part: str) -> SceneReproduce:
    """How the number `part` is made again; `kind` says what made it, or "json" and "scene"."""
    if kind in ("json", "scene"):
        reproduction = scene.reproduce
        if part.startswith("paths.") and scene.paths is not None and scene.paths.reproduce:
            reproduction = scene.paths.reproduce
        more, part = (JSON if kind == "json" else SCENE), f"scene.{part}"
    else:
        reproduction, more = getattr(scene.altered, kind).reproduce, ()
    if reproduction is None:
        return SceneReproduce(cli="", python="", note=NOT_SAID)
    if reproduction.recipe is None:  # an older file: the whole of it
        return reproduction
    recipe = reproduction.recipe
    return SceneReproduce(cli=recipe.line(*more), python=recipe.python(part), note=recipe.note)


def _make_recipe(
    run: Recipe,
    command: str,
    call: str,
    words: Sequence[str],
    arguments: Sequence[str],
    **more: Any,
) -> Recipe:
    recipe_fields = {
        "command": command,
        "call": call,
        "words": tuple(words),
        "arguments": tuple(arguments),
    }
    return run.model_copy(update=recipe_fields | more)


def _token(value: Target) -> str | None:
    """A token as the command line takes it: an id is no text."""
    return f"id:{value}" if isinstance(value, int) else value


def _keyword_arguments(arguments: dict[str, Any]) -> list[str]:
    return [f"{name}={value!r}" for name, value in arguments.items() if value is not None]


def _edit(part: EdgeCut | NodeCut | PatchSource, patch: RecipeText | None) -> str:
    """An edit as the Python call that makes it, defaults left out."""
    words = []
    for field in fields(part):
        value = getattr(part, field.name)
        if value == field.default or (field.name == "edits" and not value):
            continue
        if isinstance(value, PatchSource):
            value_code = _edit(value, patch)
        elif isinstance(part, PatchSource) and field.name == "ids" and patch is not None:
            value_code = f"wl.tokenize(model.tokenizer, {patch.python}).ids"
        elif field.name == "edits":
            edit_codes = [_edit(edit, patch) for edit in sorted(value, key=repr)]
            value_code = f"frozenset([{', '.join(edit_codes)}])"
        elif isinstance(value, tuple) and field.name != "vector":
            value_code = _places(value)
        else:
            value_code = repr(value)
        words.append(f"{field.name}={value_code}")
    return f"wl.{type(part).__name__}({', '.join(words)})"


def _places(places: Sequence[int | None]) -> str:
    """Places as Python writes them, long runs as ranges.

    >>> _places((1,)), _places((0, 1, 2, 3, 4, None))
    ('(1,)', '(*range(0, 5), None)')
    """
    runs: list[list[int | None]] = []
    for place in places:
        last = runs[-1][-1] if runs else None
        if last is not None and place == last + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    run_texts = [_run(run) for run in runs]
    return f"({', '.join(run_texts)}{',' if len(run_texts) == 1 else ''})"


def _run(places: Sequence[int | None]) -> str:
    if len(places) <= SHORT_RUN:
        return ", ".join(map(repr, places))
    return f"*range({places[0]}, {len(places) + (places[0] or 0)})"
