"""Shows, counts, weighs and cuts the flow of information in transformers.

>>> import worldline as wl
>>> wl.observe("The capital of France is").show()  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldline.contrast.cone import light_cone as light_cone
    from worldline.contrast.curve import hop_curve as hop_curve
    from worldline.contrast.cutting import cut as cut
    from worldline.contrast.cutting import interaction as interaction
    from worldline.contrast.ordering import run_orders as run_orders
    from worldline.errors import InputError as InputError
    from worldline.errors import RefusedError as RefusedError
    from worldline.flow.flow import Flow as Flow
    from worldline.flow.lens import logit_lens as logit_lens
    from worldline.flow.measures import edge_measures as edge_measures
    from worldline.flow.routes import find_paths as find_paths
    from worldline.flow.routes import path_grid as path_grid
    from worldline.flow.sampling import sample_flow as sample_flow
    from worldline.flow.weighing import hop_spectrum as hop_spectrum
    from worldline.flow.weighing import weigh as weigh
    from worldline.grid.cuts import Donor as Donor
    from worldline.grid.cuts import EdgeCut as EdgeCut
    from worldline.grid.cuts import NodeCut as NodeCut
    from worldline.grid.node import Node as Node
    from worldline.model.check import check_model as check_model
    from worldline.model.circuits import known_circuits as known_circuits
    from worldline.model.load import LoadedModel as LoadedModel
    from worldline.model.load import load_model as load_model
    from worldline.paths.agreement import interference as interference
    from worldline.paths.best import effective_paths as effective_paths
    from worldline.paths.best import top_paths as top_paths
    from worldline.paths.counts import count_paths as count_paths
    from worldline.paths.orders import count_orders as count_orders
    from worldline.paths.weighted import WeightedGrid as WeightedGrid
    from worldline.paths.weighted import sum_paths as sum_paths
    from worldline.run.executing import execute as execute
    from worldline.run.executing import execute_many as execute_many
    from worldline.run.plan import Plan as Plan
    from worldline.session import observe as observe
    from worldline.text.tokens import Tokens as Tokens
    from worldline.text.tokens import tokenize as tokenize
    from worldline.trace.recording import record as record
    from worldline.trace.store import load_trace as load_trace
    from worldline.trace.store import save_trace as save_trace
    from worldline.trace.trace import Trace as Trace

_HOMES = {
    "Donor": "grid.cuts",
    "EdgeCut": "grid.cuts",
    "Flow": "flow.flow",
    "InputError": "errors",
    "LoadedModel": "model.load",
    "Node": "grid.node",
    "NodeCut": "grid.cuts",
    "Plan": "run.plan",
    "RefusedError": "errors",
    "Tokens": "text.tokens",
    "Trace": "trace.trace",
    "WeightedGrid": "paths.weighted",
    "check_model": "model.check",
    "count_orders": "paths.orders",
    "count_paths": "paths.counts",
    "cut": "contrast.cutting",
    "edge_measures": "flow.measures",
    "effective_paths": "paths.best",
    "execute": "run.executing",
    "execute_many": "run.executing",
    "find_paths": "flow.routes",
    "hop_curve": "contrast.curve",
    "hop_spectrum": "flow.weighing",
    "interaction": "contrast.cutting",
    "interference": "paths.agreement",
    "known_circuits": "model.circuits",
    "light_cone": "contrast.cone",
    "load_model": "model.load",
    "load_trace": "trace.store",
    "logit_lens": "flow.lens",
    "observe": "session",
    "path_grid": "flow.routes",
    "record": "trace.recording",
    "run_orders": "contrast.ordering",
    "sample_flow": "flow.sampling",
    "save_trace": "trace.store",
    "sum_paths": "paths.weighted",
    "tokenize": "text.tokens",
    "top_paths": "paths.best",
    "weigh": "flow.weighing",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'worldline' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"worldline.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
