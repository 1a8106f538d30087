"""Nodes: the residual stream at one layer and one position."""

from __future__ import annotations

from dataclasses import dataclass

from worldline.arguments import whole_number
from worldline.errors import InputError


@dataclass(frozen=True, order=True, kw_only=True)
class Node:
    """The residual stream entering a block at a position.

    Attributes:
        layer: The block; `n_layers` is the row that enters the final norm.
        pos: The position.

    >>> Node(layer=2, pos=5)
    Node(layer=2, pos=5)
    """

    layer: int
    pos: int

    def __post_init__(self) -> None:
        for name in ("layer", "pos"):
            number = whole_number(f"Node: {name}", getattr(self, name), least=None)
            object.__setattr__(self, name, number)
        if self.layer < 0 or self.pos < 0:
            raise InputError(f"{self}: layer and pos start at 0")

    def sees(self, other: Node) -> bool:
        """Whether `other` lies in this node's past cone (itself included).

        >>> Node(layer=2, pos=5).sees(Node(layer=0, pos=3))
        True
        """
        return (
            other.layer <= self.layer
            and other.pos <= self.pos
            and (other.layer < self.layer or other.pos == self.pos)
        )
