"""The Scene as a live picture in a cell; what is chosen in it can be read from Python.

Needs anywidget (the extra ``notebook``); ``notebook.py`` imports this file only where it is there.
"""

from __future__ import annotations

from typing import Any

import anywidget
import traitlets
from pydantic import ValidationError

from worldline.attribution.flow import Edge
from worldline.field_errors import fault_line, field_of
from worldline.graph.node import Node
from worldline.views.html import scene_json, static_text
from worldline.views.schema.parts import SceneNode
from worldline.views.schema.scene import Scene
from worldline.views.schema.selection import Selection


class Picture(anywidget.AnyWidget):
    """One Scene in a cell. Setting ``scene`` redraws it and forgets what was chosen.

    ``selection`` is a dictionary with the fields of ``Selection``; a front end writes it, and what
    Python writes the picture shows. The Scene goes one way only, shortened as in the HTML file.

    Raises: TraitError for what is no Scene, or a selection that this Scene does not hold.
    """

    _esm = static_text("worldline.js")
    _css = static_text("worldline.css")

    scene = traitlets.Instance(Scene).tag(
        sync=True,
        to_json=lambda scene, _picture: scene_json(scene),
        from_json=lambda _sent, picture: picture.scene,
    )
    selection = traitlets.Dict(Selection().model_dump()).tag(
        sync=True, from_json=lambda sent, picture: picture._accept_selection(sent)
    )

    def __init__(self, scene: Scene, **options: Any):
        super().__init__(scene=scene, **options)

    @property
    def node(self) -> Node | None:
        """The fixed node, or None; setting it fixes it in the picture."""
        node = self._current_selection.node
        return None if node is None else Node(layer=node.layer, pos=node.pos)

    @node.setter
    def node(self, node: Node | None) -> None:
        wire = None if node is None else SceneNode(layer=node.layer, pos=node.pos).model_dump()
        self.selection = self.selection | {"node": wire}

    @property
    def edges(self) -> list[Edge]:
        """The edges in the light, strongest first, among those that the Scene holds.

        With a fixed node all into and out of it; else those drawn, and of a chosen layer only.
        """
        return self._current_selection.edges(self.scene)

    @property
    def _current_selection(self) -> Selection:
        return Selection.model_validate(self.selection)

    @traitlets.validate("selection")
    def _fitting(self, proposal: Any) -> dict[str, Any]:
        try:
            new_selection = Selection.model_validate(proposal["value"])
        except ValidationError as error:
            fault = error.errors()[0]
            field_names = ", ".join(Selection.model_fields)
            raise traitlets.TraitError(
                f"selection: {fault_line(fault, field_of(fault) or 'it')}; its fields are "
                f"{field_names}"
            ) from None
        if not new_selection.fits(self.scene):
            raise traitlets.TraitError(
                f"selection {proposal['value']!r} lies outside {self.scene.model.n_layers} layers "
                f"x {len(self.scene.tokens)} tokens"
            )
        return new_selection.model_dump()

    @traitlets.observe("scene")
    def _forget(self, change: Any) -> None:
        if isinstance(change["old"], Scene):
            self.selection = Selection().model_dump()

    def _accept_selection(self, wire_value: Any) -> Any:
        """What a front end chose, unless it speaks of a Scene that is gone."""
        try:
            fits = Selection.model_validate(wire_value).fits(self.scene)
        except ValidationError:
            fits = False
        return wire_value if fits else self.selection
