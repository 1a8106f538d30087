"""What the numbers of a Scene mean, and how to make each again.

The page looks a number's name up here; tests hold that every name it uses is known, and that every
command line can be read.
"""

from __future__ import annotations

from worldline.views.metric_docs import MEANINGS
from worldline.views.reproduce import reproduce_number
from worldline.views.schema.parts import SceneMeaning
from worldline.views.schema.scene import Scene


def meanings_of(scene: Scene) -> dict[str, SceneMeaning]:
    """What the numbers that this Scene's parts need mean, by the name the page gives each."""
    available_parts, words = _parts(scene), _words(scene)
    meanings = {}
    for name, meaning in MEANINGS.items():
        if meaning.needs not in available_parts:
            continue
        reproduce_lines = reproduce_number(scene, meaning.kind, meaning.of)
        meanings[name] = SceneMeaning(
            title=meaning.title,
            formula=_fill_template(meaning.formula, words),
            unit=_fill_template(meaning.unit, words),
            exactness=_fill_template(meaning.exactness, words),
            source=meaning.source,
            cli=reproduce_lines.cli,
            python=reproduce_lines.python,
            note=reproduce_lines.note,
        )
    return meanings


def with_meanings(scene: Scene) -> Scene:
    """The same Scene, with what its numbers mean."""
    return scene.model_copy(update={"meanings": meanings_of(scene)})


def _parts(scene: Scene) -> set[str]:
    nodes, altered_part = scene.nodes, scene.altered
    part_flags = {
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
        part_flags[name] = altered_part is not None and getattr(altered_part, name) is not None
    return {name for name, is_there in part_flags.items() if is_there}


def _words(scene: Scene) -> dict[str, str]:
    """What differs from Scene to Scene."""
    attribution, paths = scene.attribution, scene.paths
    frozen = paths is not None and paths.by == "frozen"
    return {
        "weight_formula": attribution.formula,
        "weight_unit": attribution.unit,
        "weight_exactness": attribution.exactness,
        "tolerance": f"{scene.closure_error.tolerance:.0e}",
        "dtype": scene.model.dtype,
        "paths_unit": "logits" if frozen else "product of shares",
        "paths_listed": paths.found_as if paths is not None else "",
    }


def _fill_template(template: str, words: dict[str, str]) -> str:
    """The template with its names replaced; a word may hold braces itself."""
    for name, word in words.items():
        template = template.replace(f"{{{name}}}", word)
    return template
