"""What the numbers of a Scene mean, and how to make each again.

The page looks a number's name up here; tests hold that every name it uses is known, and that every
command line can be read.
"""

from __future__ import annotations

from worldline.views.again import again
from worldline.views.named_numbers import MEANINGS
from worldline.views.parts import SceneMeaning
from worldline.views.scene import Scene


def meanings_of(scene: Scene) -> dict[str, SceneMeaning]:
    """What the numbers that this Scene's parts need mean, by the name the page gives each."""
    there, words = _parts(scene), _words(scene)
    found = {}
    for name, one in MEANINGS.items():
        if one.needs not in there:
            continue
        made = again(scene, one.kind, one.of)
        found[name] = SceneMeaning(
            title=one.title,
            formula=_filled(one.formula, words),
            unit=_filled(one.unit, words),
            exactness=_filled(one.exactness, words),
            source=one.source,
            cli=made.cli,
            python=made.python,
            note=made.note,
        )
    return found


def explained(scene: Scene) -> Scene:
    """The same Scene, with what its numbers mean."""
    return scene.model_copy(update={"meanings": meanings_of(scene)})


def _parts(scene: Scene) -> set[str]:
    nodes, altered = scene.nodes, scene.altered
    there = {
        "edges": True,
        "predictions": bool(scene.predictions),
        "nodes": nodes is not None,
        "lens": nodes is not None and nodes.lens is not None,
        "shares": nodes is not None and nodes.shares is not None,
        "agree": nodes is not None and nodes.writes_agree is not None,
        "flow": scene.flow is not None,
        "paths": scene.paths is not None,
        "groups": bool(scene.groupings),
    }
    for name in ("hops", "cut", "cone", "orders", "sources"):
        there[name] = altered is not None and getattr(altered, name) is not None
    return {name for name, is_there in there.items() if is_there}


def _words(scene: Scene) -> dict[str, str]:
    """What differs from Scene to Scene."""
    weighing, paths = scene.weighing, scene.paths
    frozen = paths is not None and paths.by == "frozen"
    return {
        "weight_formula": weighing.formula,
        "weight_unit": weighing.unit,
        "weight_exactness": weighing.exactness,
        "tolerance": f"{scene.closure_error.tolerance:.0e}",
        "dtype": scene.model.dtype,
        "paths_unit": "logits" if frozen else "product of shares",
        "paths_listed": paths.found_as if paths is not None else "",
    }


def _filled(template: str, words: dict[str, str]) -> str:
    """The template with its names replaced; a word may hold braces itself."""
    for name, word in words.items():
        template = template.replace(f"{{{name}}}", word)
    return template
