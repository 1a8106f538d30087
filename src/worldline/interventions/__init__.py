"""Compares altered runs with the one that happened: cuts, hop budgets, perturbations, orders.

Knows nothing of weights of edges and of drawing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.interventions.cut import SourceEffects as SourceEffects
    from worldline.interventions.cut import cut_scene as cut_scene
    from worldline.interventions.cut import cut_sources as cut_sources
    from worldline.interventions.cut_grammar import refuse_unreadable as refuse_unreadable
    from worldline.interventions.cut_grammar import refuse_unsaid as refuse_unsaid
    from worldline.interventions.cut_grammar import refuse_unused as refuse_unused
    from worldline.interventions.cut_grammar import written_cuts as written_cuts
    from worldline.interventions.hop_curve import curves_scene as curves_scene
    from worldline.interventions.hop_curve import hop_curves as hop_curves
    from worldline.interventions.run_orders import ORDERS as ORDERS
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
