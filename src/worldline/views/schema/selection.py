"""What a person chose in a picture, as it travels between the front end and Python."""

from __future__ import annotations

from pydantic import NonNegativeInt

from worldline.attribution.flow import Edge
from worldline.views.schema.parts import Part, SceneNode
from worldline.views.schema.scene import Scene


class Selection(Part):
    """The choices of one picture; the defaults are those of a picture nobody has touched.

    ``n`` is the number of edges asked for (null: the first picture's), ``n_drawn`` the number that
    the front end drew (null: none has answered yet), ``sink`` whether reads of column 0 count.
    """

    node: SceneNode | None = None
    layer: NonNegativeInt | None = None
    n: NonNegativeInt | None = None
    sink: bool = True
    n_drawn: NonNegativeInt | None = None

    def fits(self, scene: Scene) -> bool:
        """Whether the chosen node and layer are places of this Scene."""
        n_layers, n_tokens = scene.model.n_layers, len(scene.tokens)
        node = self.node
        return (self.layer is None or self.layer < n_layers) and (
            node is None or (node.layer <= n_layers and node.pos < n_tokens)
        )

    def edges(self, scene: Scene) -> list[Edge]:
        """List the Scene's edges that this picture puts in the light, strongest first.

        With a fixed node: all into and out of it, drawn or not, as its panel lists them. Without:
        those drawn, and of a chosen layer only. Until a front end has answered nothing is left
        out for want of room.
        """
        edges = [Edge(e.layer, e.head, e.src, e.dst, e.weight, e.attention) for e in scene.edges]
        if self.node is not None:
            at = self.node.layer, self.node.pos
            return [e for e in edges if at in ((e.layer, e.src), (e.layer + 1, e.dst))]
        drawn_edges = [e for e in edges if self.sink or e.src != 0]
        return [
            e for e in drawn_edges[: self.n_drawn] if self.layer is None or e.layer == self.layer
        ]
