"""Shows, counts, weighs and cuts the flow of information in transformers.

>>> import worldline as wl
>>> wl.observe("The capital of France is").show()  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldline.errors import InputError as InputError
    from worldline.errors import RefusedError as RefusedError
    from worldline.flow.flow import Edge as Edge
    from worldline.flow.flow import Flow as Flow
    from worldline.flow.lens import logit_lens as logit_lens
    from worldline.flow.weighing import hop_spectrum as hop_spectrum
    from worldline.flow.weighing import weigh as weigh
    from worldline.grid.node import Node as Node
    from worldline.model.check import check_model as check_model
    from worldline.model.load import LoadedModel as LoadedModel
    from worldline.model.load import load_model as load_model
    from worldline.paths.counts import count_paths as count_paths
    from worldline.paths.orders import count_orders as count_orders
    from worldline.run.executing import execute as execute
    from worldline.run.plan import Plan as Plan
    from worldline.session import Observation as Observation
    from worldline.session import observe as observe
    from worldline.text.tokens import Tokens as Tokens
    from worldline.text.tokens import tokenize as tokenize
    from worldline.trace.recording import record as record
    from worldline.trace.store import load_trace as load_trace
    from worldline.trace.store import save_trace as save_trace
    from worldline.trace.trace import Trace as Trace
    from worldline.views.scene import Scene as Scene

_HOMES = {
    "Edge": "flow.flow",
    "Flow": "flow.flow",
    "InputError": "errors",
    "LoadedModel": "model.load",
    "Node": "grid.node",
    "Observation": "session",
    "Plan": "run.plan",
    "RefusedError": "errors",
    "Scene": "views.scene",
    "Tokens": "text.tokens",
    "Trace": "trace.trace",
    "check_model": "model.check",
    "count_orders": "paths.orders",
    "count_paths": "paths.counts",
    "execute": "run.executing",
    "hop_spectrum": "flow.weighing",
    "load_model": "model.load",
    "load_trace": "trace.store",
    "logit_lens": "flow.lens",
    "observe": "session",
    "record": "trace.recording",
    "save_trace": "trace.store",
    "tokenize": "text.tokens",
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
