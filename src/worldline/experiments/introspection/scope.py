"""How wide a run is, told from its number of concepts: what is injected where, how strongly."""

from __future__ import annotations

from dataclasses import dataclass

from worldline.experiments.stimuli.introspection.texts import concepts, draw_distinct

WIDE = 40  # concepts from which a run takes the larger grid
CHOICES = 9  # the concepts at the head of the list are those of the multiple choice
MOST_CHOOSING = 12
N_SENTENCES = 10  # sentences among which the perturbed one is to be found


@dataclass(frozen=True)
class Scope:
    """What a run of `n` concepts with a seed does; items carry the two numbers only.

    `depths` are parts of the number of layers; `strengths` are in units of the stream's mean norm
    at that row; `places` is how many of the ten sentences are perturbed for each cell of the grid.
    """

    n: int
    seed: int

    @property
    def wide(self) -> bool:
        """Whether the larger grid, and more prompts, are used."""
        return self.n >= WIDE

    @property
    def concepts(self) -> list[str]:
        """The concepts that are injected, in the order of the seed."""
        return draw_distinct(concepts(), self.n, self.seed)

    @property
    def choosing(self) -> list[str]:
        """The half on which layer and strength are chosen: its first twelve.

        Few, as a run that goes on where it was stopped has to measure them once more.
        """
        return self.concepts[0::2][:MOST_CHOOSING]

    @property
    def reported_concepts(self) -> list[str]:
        """The half that is reported."""
        return self.concepts[1::2]

    @property
    def vector_concepts(self) -> list[str]:
        """All concepts that get a vector: the injected, those that can be chosen, forty or more."""
        order = draw_distinct(concepts(), len(concepts()), self.seed)
        first = [*order[: self.n], *concepts()[:CHOICES]]
        return list(dict.fromkeys([*first, *order]))[: max(len(set(first)), WIDE)]

    @property
    def n_openings(self) -> int:
        """Prompts for each concept's vector."""
        return 5 if self.wide else 2

    @property
    def depths(self) -> tuple[float, ...]:
        """Where perturbations may enter, of the number of layers."""
        return (0.3, 0.5, 0.7) if self.wide else (0.4, 0.65)

    @property
    def strengths(self) -> tuple[float, ...]:
        """Of the stream's mean norm at that row."""
        return (0.5, 1.0, 2.0) if self.wide else (0.5, 1.5)

    @property
    def places(self) -> int:
        """Sentences perturbed for each cell and concept of the choosing half."""
        return 5

    def rows(self, n_layers: int) -> tuple[int, ...]:
        """The rows of the grid, between the first and the last block of a model.

        >>> Scope(10, 0).rows(30)
        (12, 20)
        """
        rows = {min(max(1, round(depth * n_layers)), n_layers - 1) for depth in self.depths}
        return tuple(sorted(rows))
