"""The recipes of what is run, made from the values that ran, and that of each number in a Scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from worldline.graph.edits import Intervention, PatchSource
from worldline.number_spans import number_span
from worldline.requests import ConeRequest, CutRequest, HopsRequest, OrdersRequest, Request
from worldline.tokens.input_text import WrittenText
from worldline.views.schema.recipe import Recipe, RecipeText, SceneReproduce, option
from worldline.views.schema.scene import Scene

JSON = ("--json", "-")
SCENE = ("--export", "flow.scene.json")
NOT_SAID = "How this was run was not handed over with it, so no line makes it again."
SHORT_RUN = 3  # places that are written one by one


def recipe_of(
    run: Recipe,
    request: Request,
    *,
    edits: Sequence[Intervention] = (),
    n_tokens: int = 0,
    n_layers: int = 0,
    sinks: Sequence[str] = (),
    patch: WrittenText | None = None,
    slices: str | None = None,
) -> Recipe:
    """The recipe of a request that ran.

    Args:
        run: The model and the text that it ran on.
        request: What was asked, with what was filled in for it.
        edits: Of a cut: what its words became.
        n_tokens: Of a cut of each token: the length of the text.
        n_layers: Of hop curves: that of the model, for layers that are named by -1.
        sinks: Of hop curves: the conventions that ran.
        patch: Of a patch: how the text that was patched in was read.
        slices: Of orders: the file of one that was given.

    Returns:
        The command line and the Python call, which `Recipe` prints.
    """
    arguments, each = _keyword_arguments(request), ""
    other = None
    if isinstance(request, CutRequest):
        text = patch or request.patch_from
        other = None if text is None else RecipeText.of(text)
        if request.each:
            each, cuts = (
                f"pos in range({n_tokens - 1})",
                [f"wl.EdgeCut({request.how!r}, src=(pos,))"],
            )
        else:
            cuts = [_edit(edit, other) for edit in edits]
        arguments = [f"[{', '.join(cuts)}]", *_keyword_arguments(request, "target", "versus")]
    elif isinstance(request, HopsRequest):
        each = f"sink in {tuple(sinks)!r}" if len(sinks) > 1 else ""
        arguments = _keyword_arguments(request, "max_hops", "longest")
        arguments.insert(1, "sink=sink" if each else f"sink={sinks[0]!r}")
        if request.layers is not None:
            layers = number_span(request.layers, n_layers, "--layers")
            arguments.insert(2, f"layers={_places(layers)}")
    elif isinstance(request, ConeRequest):
        layer, pos = request.layer_and_position
        node = f"at=wl.Node(layer={layer}, pos={number_span(pos, n_tokens, '--at')[0]})"
        arguments = [node, *_keyword_arguments(request, "directions", "step", "seed")]
        arguments += [f"through=({request.through!r},)"] if request.through else []
    elif isinstance(request, OrdersRequest):
        names = [*map(repr, request.orders), *([] if slices is None else [_slices_code(slices)])]
        arguments = [f"[{', '.join(names)}]"] if names else []
    words = [*request_words(request), *([] if slices is None else option("slices", slices))]
    return run.model_copy(
        update={
            "command": request.command,
            "call": request.call,
            "words": tuple(words),
            "arguments": tuple(arguments),
            "each": each,
            "patch": other,
        }
    )


def request_words(request: Request) -> list[str]:
    """The options of a request as a command line has them; the texts are the recipe's own.

    >>> request_words(HopsRequest(max_hops=3, sink="both"))
    ['--max', '3', '--sink', 'both']
    """
    words: list[str] = []
    for name, flag, value in request.said():
        if name == "patch_from":
            continue
        if isinstance(value, bool):
            words += [flag.name] if value else [flag.off] if flag.off else []
        else:
            entries = value if isinstance(value, tuple) else (value,)
            words += [word for entry in entries for word in option(flag.name[2:], entry)]
    return words


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


def _keyword_arguments(request: Request, *names: str) -> list[str]:
    """What the call is given as in `request`, of all fields or of these."""
    return [f"{name}={value!r}" for name, _, value in request.said() if not names or name in names]


def _slices_code(slices: str) -> str:
    home = ".expanduser()" if slices.startswith("~") else ""
    content = f"__import__('pathlib').Path({slices!r}){home}.read_bytes()"
    return f"wl.Order.given(__import__('json').loads({content}))"


def _edit(part: Intervention | PatchSource, patch: RecipeText | None) -> str:
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
