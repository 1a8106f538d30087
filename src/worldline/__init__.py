"""Shows, counts, measures and cuts the flow of information in transformers.

>>> import worldline as wl
>>> wl.observe("The capital of France is").show()  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.attribution.attribute import attribute as attribute
    from worldline.attribution.attribute import hop_spectrum as hop_spectrum
    from worldline.attribution.flow import Coverage as Coverage
    from worldline.attribution.flow import Edge as Edge
    from worldline.attribution.flow import Flow as Flow
    from worldline.attribution.flow import Meaning as Meaning
    from worldline.attribution.flow import NodeFlow as NodeFlow
    from worldline.attribution.flow import Target as Target
    from worldline.attribution.flow import Totals as Totals
    from worldline.attribution.frozen import HopSpectrum as HopSpectrum
    from worldline.attribution.frozen_paths import FoundPaths as FoundPaths
    from worldline.attribution.frozen_paths import find_paths as find_paths
    from worldline.attribution.frozen_paths import path_grid as path_grid
    from worldline.attribution.group_flow import GroupEdge as GroupEdge
    from worldline.attribution.group_flow import GroupFlow as GroupFlow
    from worldline.attribution.joint_reads import JointReads as JointReads
    from worldline.attribution.logit_lens import logit_lens as logit_lens
    from worldline.attribution.measures import edge_measures as edge_measures
    from worldline.attribution.path_samples import FlowSample as FlowSample
    from worldline.attribution.path_samples import sample_flow as sample_flow
    from worldline.attribution.path_steps import FrozenPath as FrozenPath
    from worldline.attribution.path_steps import Hop as Hop
    from worldline.attribution.path_summary import PathSummary as PathSummary
    from worldline.attribution.path_summary import summarize_paths as summarize_paths
    from worldline.attribution.peers.edge_vectors import Measure as Measure
    from worldline.attribution.peers.edge_vectors import Question as Question
    from worldline.errors import InputError as InputError
    from worldline.errors import RefusedError as RefusedError
    from worldline.graph.edits import EdgeCut as EdgeCut
    from worldline.graph.edits import GraphSize as GraphSize
    from worldline.graph.edits import HopBudget as HopBudget
    from worldline.graph.edits import Intervention as Intervention
    from worldline.graph.edits import NodeCut as NodeCut
    from worldline.graph.edits import PatchSource as PatchSource
    from worldline.graph.interference import Interference as Interference
    from worldline.graph.interference import interference as interference
    from worldline.graph.node import Node as Node
    from worldline.graph.order import Order as Order
    from worldline.graph.order import Slice as Slice
    from worldline.graph.order_counts import count_orders as count_orders
    from worldline.graph.path_counts import PathCount as PathCount
    from worldline.graph.path_counts import count_paths as count_paths
    from worldline.graph.path_search import Path as Path
    from worldline.graph.strongest_paths import EffectivePaths as EffectivePaths
    from worldline.graph.strongest_paths import TopPaths as TopPaths
    from worldline.graph.strongest_paths import effective_paths as effective_paths
    from worldline.graph.strongest_paths import top_paths as top_paths
    from worldline.graph.weighted_grid import PathSum as PathSum
    from worldline.graph.weighted_grid import Span as Span
    from worldline.graph.weighted_grid import WeightedGrid as WeightedGrid
    from worldline.graph.weighted_grid import sum_paths as sum_paths
    from worldline.interventions.cut import CutResult as CutResult
    from worldline.interventions.cut import Interaction as Interaction
    from worldline.interventions.cut import cut as cut
    from worldline.interventions.cut import interaction as interaction
    from worldline.interventions.hop_curve import HopCurve as HopCurve
    from worldline.interventions.hop_curve import hop_curve as hop_curve
    from worldline.interventions.light_cone import LightCone as LightCone
    from worldline.interventions.light_cone import light_cone as light_cone
    from worldline.interventions.run_orders import OrderComparison as OrderComparison
    from worldline.interventions.run_orders import OrderResult as OrderResult
    from worldline.interventions.run_orders import run_orders as run_orders
    from worldline.models.attention import AttentionCall as AttentionCall
    from worldline.models.gradients import Rerun as Rerun
    from worldline.models.known_circuits import Circuit as Circuit
    from worldline.models.known_circuits import CircuitEdge as CircuitEdge
    from worldline.models.known_circuits import NamesIds as NamesIds
    from worldline.models.known_circuits import known_circuits as known_circuits
    from worldline.models.laws import Report as Report
    from worldline.models.laws import check_model as check_model
    from worldline.models.loader import LoadedModel as LoadedModel
    from worldline.models.loader import load_model as load_model
    from worldline.models.source import Source as Source
    from worldline.models.terms import Term as Term
    from worldline.models.tracer import BlockEvent as BlockEvent
    from worldline.models.tracer import Watched as Watched
    from worldline.observation import Observation as Observation
    from worldline.resolution import Precision as Precision
    from worldline.runs.execution import execute as execute
    from worldline.runs.execution import execute_many as execute_many
    from worldline.runs.plan import Plan as Plan
    from worldline.runs.recorder import record as record
    from worldline.runs.trace import Closure as Closure
    from worldline.runs.trace import Identity as Identity
    from worldline.runs.trace import Inert as Inert
    from worldline.runs.trace import LiveBlock as LiveBlock
    from worldline.runs.trace import Prediction as Prediction
    from worldline.runs.trace import Trace as Trace
    from worldline.runs.trace_files import load_trace as load_trace
    from worldline.runs.trace_files import save_trace as save_trace
    from worldline.session import observe as observe
    from worldline.tokens.tokenizer import Tokenizer as Tokenizer
    from worldline.tokens.tokens import Tokens as Tokens
    from worldline.tokens.tokens import tokenize as tokenize
    from worldline.tokens.units import Grouping as Grouping
    from worldline.views.schema.scene import Scene as Scene
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
