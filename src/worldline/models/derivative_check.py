"""Whether a model's backward pass is the derivative of its forward pass: seen by finite steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from worldline.errors import RefusedError
from worldline.models.gradients import whole_gradients
from worldline.models.randomness import hooks_of
from worldline.models.tracer import BlockEvent, watched_forward
from worldline.steps import StoppedError

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.architecture import Anatomy
    from worldline.models.attention import AttentionCall

STEPS = (1e-2, 5e-3, 2.5e-3)  # of what attention returned: kinks and curvature differ among them
DIRECTIONS = range(1, 7)  # seeds: along some a step leads past a kink, and nothing is seen
MISSES = 2  # directions that must speak against it, and none for it
DECIDES = 0.1  # of the slope: where more is allowed, a direction says nothing
MARGIN = 8.0  # times what the steps differ by among themselves
ROUNDINGS = 16.0  # of the logits, between two runs
LEAST = 1e-3  # of the slope


def not_the_derivative(
    model: torch.nn.Module, anatomy: Anatomy, inputs: dict[str, Any], events: Sequence[BlockEvent]
) -> str:
    """Why a gradient at attention's returns is not what finite steps there give; "" where it is.

    Along random directions, all reads at once. Only what exceeds the rounding of the model's dtype,
    and what steps of different sizes differ by, counts: where a model jumps or rounds coarsely,
    nothing is found.
    """
    misses: list[str] = []
    for seed in DIRECTIONS:
        try:
            words = _apart(model, anatomy, inputs, events, seed)
        except StoppedError:
            raise
        except RefusedError as error:
            return str(error)
        except Exception:  # what has no gradient at all says so where one is asked for
            return ""
        if words == "":
            return ""
        misses += [words] if words else []
        if len(misses) == MISSES:
            break
    else:
        return ""
    hooks = hooks_of(model)
    return f"{misses[0]}{f'; what does so may be {hooks}' if hooks else ''}"


def _apart(
    model: torch.nn.Module,
    anatomy: Anatomy,
    inputs: dict[str, Any],
    events: Sequence[BlockEvent],
    seed: int,
) -> str | None:
    """How both are apart along one direction; "" where they are not, None where it cannot tell."""
    draw = torch.Generator().manual_seed(seed)
    pushes: dict[tuple[int, int], Tensor] = {}
    for event in events:
        for call in event.calls:
            unit = torch.randn(call.z.shape, generator=draw, dtype=torch.float64)
            size = float(call.z.detach().double().square().mean().sqrt())
            pushes[call.layer, call.index] = (unit * size).to(call.z.device)
    weights: list[Tensor] = []

    def measure(logits: Tensor) -> Tensor:
        if not weights:
            unit = torch.randn(logits.shape, generator=draw, dtype=torch.float64)
            weights.append((unit / unit.norm()).to(logits.device))
        finite = torch.isfinite(logits)
        return (torch.where(finite, logits, 0.0).double() * weights[0]).sum()

    _, gradients = whole_gradients(model, anatomy, inputs, measure)
    slope = 0.0
    for event, found in zip(events, gradients, strict=True):
        for call, u in zip(event.calls, found, strict=True):
            push = pushes[call.layer, call.index]
            slope += float((call.to_heads(u).double() * push).sum())

    def value(step: float) -> tuple[float, float]:
        def moved(call: AttentionCall) -> Tensor:
            return (call.z.double() + step * pushes[call.layer, call.index]).to(call.z.dtype)

        logits = watched_forward(model, inputs, anatomy, terms=False, rewrite=moved).logits[0, -1]
        size = torch.where(torch.isfinite(logits), logits, 0.0).abs().max()
        return float(measure(logits)), float(size) * torch.finfo(logits.dtype).eps

    slopes, rounding = [], 0.0
    for step in STEPS:
        (up, off), (down, _) = value(step), value(-step)
        slopes.append((up - down) / (2 * step))
        rounding = ROUNDINGS * off / step
    spread = max(slopes) - min(slopes)
    allowed = MARGIN * spread + rounding + LEAST * max(map(abs, slopes))
    if not allowed <= DECIDES * abs(slopes[-1]):
        return None
    if abs(slope - slopes[-1]) <= allowed:
        return ""
    return (
        "its backward pass is not the derivative of its forward pass: along one direction it gives "
        f"{slope:.3e}, finite steps {slopes[-1]:.3e}, apart by more than {allowed:.0e}"
    )
