"""Scenes of real runs of tiny random models, made once."""

from __future__ import annotations

import functools

from tiny_runs import loaded
from worldline.session import observe
from worldline.views.schema.scene import Scene

TEXT = "t3 t14 t15 t92 t65 t35"


@functools.cache
def tiny_scene(by: str, top: int = 2000) -> Scene:
    """One text through a tiny llama, attributed; with paths."""
    target = None if by == "contribution" else 20
    return observe(TEXT, loaded("llama"), by=by, target=target, top=top).scene
