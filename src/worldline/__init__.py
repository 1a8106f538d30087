"""Shows, counts, weighs and cuts the flow of information in transformers.

>>> import worldline as wl
>>> wl.observe("The capital of France is").show()  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from worldline.extras import naming_extra

if TYPE_CHECKING:
    from worldline.contrast.cone import LightCone as LightCone
    from worldline.contrast.cone import light_cone as light_cone
    from worldline.contrast.curve import HopCurve as HopCurve
    from worldline.contrast.curve import hop_curve as hop_curve
    from worldline.contrast.cutting import CutSeen as CutSeen
    from worldline.contrast.cutting import Interaction as Interaction
    from worldline.contrast.cutting import cut as cut
    from worldline.contrast.cutting import interaction as interaction
    from worldline.contrast.ordering import OrderSeen as OrderSeen
    from worldline.contrast.ordering import OrdersSeen as OrdersSeen
    from worldline.contrast.ordering import run_orders as run_orders
    from worldline.errors import InputError as InputError
    from worldline.errors import RefusedError as RefusedError
    from worldline.flow.flow import Conserved as Conserved
    from worldline.flow.flow import Edge as Edge
    from worldline.flow.flow import Flow as Flow
    from worldline.flow.flow import Kept as Kept
    from worldline.flow.flow import Meaning as Meaning
    from worldline.flow.flow import Target as Target
    from worldline.flow.flow import Totals as Totals
    from worldline.flow.frozen import HopSpectrum as HopSpectrum
    from worldline.flow.groups import GroupEdge as GroupEdge
    from worldline.flow.groups import GroupFlow as GroupFlow
    from worldline.flow.joint import JointReads as JointReads
    from worldline.flow.lens import logit_lens as logit_lens
    from worldline.flow.measures import edge_measures as edge_measures
    from worldline.flow.peers.vectors import Measure as Measure
    from worldline.flow.peers.vectors import Question as Question
    from worldline.flow.routes import FoundPaths as FoundPaths
    from worldline.flow.routes import find_paths as find_paths
    from worldline.flow.routes import path_grid as path_grid
    from worldline.flow.sampling import FlowSample as FlowSample
    from worldline.flow.sampling import sample_flow as sample_flow
    from worldline.flow.summary import PathsSeen as PathsSeen
    from worldline.flow.summary import see_paths as see_paths
    from worldline.flow.ways import FrozenPath as FrozenPath
    from worldline.flow.ways import Hop as Hop
    from worldline.flow.weighing import hop_spectrum as hop_spectrum
    from worldline.flow.weighing import weigh as weigh
    from worldline.grid.cuts import Donor as Donor
    from worldline.grid.cuts import EdgeCut as EdgeCut
    from worldline.grid.cuts import HopBudget as HopBudget
    from worldline.grid.cuts import NodeCut as NodeCut
    from worldline.grid.node import Node as Node
    from worldline.grid.order import Order as Order
    from worldline.grid.order import Slice as Slice
    from worldline.model.attention import AttentionCall as AttentionCall
    from worldline.model.check import Report as Report
    from worldline.model.check import check_model as check_model
    from worldline.model.circuits import Circuit as Circuit
    from worldline.model.circuits import CircuitEdge as CircuitEdge
    from worldline.model.circuits import NamesIds as NamesIds
    from worldline.model.circuits import known_circuits as known_circuits
    from worldline.model.gradients import Rerun as Rerun
    from worldline.model.load import LoadedModel as LoadedModel
    from worldline.model.load import load_model as load_model
    from worldline.model.source import Source as Source
    from worldline.model.terms import Term as Term
    from worldline.model.watch import BlockEvent as BlockEvent
    from worldline.model.watch import Watched as Watched
    from worldline.observation import Observation as Observation
    from worldline.paths.agreement import Interference as Interference
    from worldline.paths.agreement import interference as interference
    from worldline.paths.best import EffectivePaths as EffectivePaths
    from worldline.paths.best import TopPaths as TopPaths
    from worldline.paths.best import effective_paths as effective_paths
    from worldline.paths.best import top_paths as top_paths
    from worldline.paths.counts import PathCount as PathCount
    from worldline.paths.counts import count_paths as count_paths
    from worldline.paths.orders import count_orders as count_orders
    from worldline.paths.search import Path as Path
    from worldline.paths.weighted import PathSum as PathSum
    from worldline.paths.weighted import Span as Span
    from worldline.paths.weighted import WeightedGrid as WeightedGrid
    from worldline.paths.weighted import sum_paths as sum_paths
    from worldline.resolution import Precision as Precision
    from worldline.run.executing import execute as execute
    from worldline.run.executing import execute_many as execute_many
    from worldline.run.plan import Plan as Plan
    from worldline.session import observe as observe
    from worldline.text.grouping import Grouping as Grouping
    from worldline.text.tokenizer import Tokenizer as Tokenizer
    from worldline.text.tokens import Tokens as Tokens
    from worldline.text.tokens import tokenize as tokenize
    from worldline.trace.recording import record as record
    from worldline.trace.store import load_trace as load_trace
    from worldline.trace.store import save_trace as save_trace
    from worldline.trace.trace import Closure as Closure
    from worldline.trace.trace import Identity as Identity
    from worldline.trace.trace import Inert as Inert
    from worldline.trace.trace import LiveBlock as LiveBlock
    from worldline.trace.trace import Prediction as Prediction
    from worldline.trace.trace import Trace as Trace
    from worldline.views.scene import Scene as Scene

_HOMES = {
    "AttentionCall": "model.attention",
    "BlockEvent": "model.watch",
    "Circuit": "model.circuits",
    "CircuitEdge": "model.circuits",
    "Closure": "trace.trace",
    "Conserved": "flow.flow",
    "CutSeen": "contrast.cutting",
    "Donor": "grid.cuts",
    "Edge": "flow.flow",
    "EdgeCut": "grid.cuts",
    "EffectivePaths": "paths.best",
    "Flow": "flow.flow",
    "FlowSample": "flow.sampling",
    "FoundPaths": "flow.routes",
    "FrozenPath": "flow.ways",
    "GroupEdge": "flow.groups",
    "GroupFlow": "flow.groups",
    "Grouping": "text.grouping",
    "Hop": "flow.ways",
    "HopBudget": "grid.cuts",
    "HopCurve": "contrast.curve",
    "HopSpectrum": "flow.frozen",
    "Identity": "trace.trace",
    "Inert": "trace.trace",
    "InputError": "errors",
    "Interaction": "contrast.cutting",
    "Interference": "paths.agreement",
    "JointReads": "flow.joint",
    "Kept": "flow.flow",
    "LightCone": "contrast.cone",
    "LiveBlock": "trace.trace",
    "LoadedModel": "model.load",
    "Meaning": "flow.flow",
    "Measure": "flow.peers.vectors",
    "NamesIds": "model.circuits",
    "Node": "grid.node",
    "NodeCut": "grid.cuts",
    "Observation": "observation",
    "Order": "grid.order",
    "OrderSeen": "contrast.ordering",
    "OrdersSeen": "contrast.ordering",
    "Path": "paths.search",
    "PathCount": "paths.counts",
    "PathSum": "paths.weighted",
    "PathsSeen": "flow.summary",
    "Plan": "run.plan",
    "Precision": "resolution",
    "Prediction": "trace.trace",
    "Question": "flow.peers.vectors",
    "RefusedError": "errors",
    "Report": "model.check",
    "Rerun": "model.gradients",
    "Scene": "views.scene",
    "Slice": "grid.order",
    "Source": "model.source",
    "Span": "paths.weighted",
    "Target": "flow.flow",
    "Term": "model.terms",
    "Tokenizer": "text.tokenizer",
    "Tokens": "text.tokens",
    "TopPaths": "paths.best",
    "Totals": "flow.flow",
    "Trace": "trace.trace",
    "Watched": "model.watch",
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
    "see_paths": "flow.summary",
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
    with naming_extra():
        value = getattr(importlib.import_module(f"worldline.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
