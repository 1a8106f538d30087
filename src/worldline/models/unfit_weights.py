"""Modules whose weights or forward cannot be recorded, told before anything runs: one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from worldline.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


PLAIN = (torch.nn.Parameter, torch.Tensor)


def refuse_unfit(module: torch.nn.Module) -> None:
    """Raise InputError for a compiled module, and for weights that are no plain tensors.

    Those are: of inference mode, without values, split over processes, or packed by quantization.
    """
    name = type(module).__name__
    for part in module.modules():
        if _is_compiled(part):
            raise InputError(
                f"model {name}: {type(part).__name__} is compiled, and what runs inside cannot be "
                "seen; give the model from before torch.compile (model._orig_mod is that)"
            )
        for weight in part._parameters.values():
            if weight is not None and (why := _unfit(weight)):
                path = next(
                    path for path, parameter in module.named_parameters() if parameter is weight
                )
                raise InputError(f"model {name}: its weight {path} {why}")


def _is_compiled(part: torch.nn.Module) -> bool:
    attributes = vars(part)
    return (
        "_orig_mod" in attributes.get("_modules", {})
        or attributes.get("_compiled_call_impl") is not None
        or hasattr(attributes.get("forward"), "_torchdynamo_orig_callable")
    )


def _unfit(weight: Tensor) -> str:
    """Why a weight cannot be used; "" where it can."""
    if weight.is_inference():
        return (
            "was made under torch.inference_mode(), so that no gradient goes through it: make or "
            "load the model outside of it (wl.load_model does)"
        )
    if weight.is_meta:
        return "has no values in memory (device meta): load the model without offloading"
    if type(weight) in PLAIN:
        return ""
    if _is_split(weight):
        return (
            "is split over several processes (a DTensor): each sees only its own heads; load the "
            "model without tp_plan or sharding"
        )
    if is_traceable_wrapper_subclass(weight):
        return (
            f"is no plain tensor but a {type(weight).__name__}, as quantization packs them: load "
            "the model in float32, bfloat16 or float16"
        )
    return ""


def _is_split(weight: Tensor) -> bool:
    return type(weight).__name__ == "DTensor" or hasattr(weight, "_local_tensor")
