"""torch as it is where a program starts, whatever modes surround a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from worldline.errors import InputError
from worldline.extras import naming_extra


@contextmanager
def usual_modes() -> Iterator[None]:
    """Gradients possible, no inference mode, new tensors on the CPU; also to be used as decorator.

    So that a notebook's `torch.set_grad_enabled(False)` or default device changes no number.
    """
    with ExitStack() as stack:
        stack.enter_context(naming_extra())
        import torch

        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def refuse_other_arithmetic() -> None:
    """Raise InputError under autocast or another default dtype: the model computes otherwise then.

    Neither can be undone for a call: the one is what the user asked for, the other belongs to all
    threads.
    """
    import torch

    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    for kind in ("cpu", *(() if accelerator is None else (accelerator.type,))):
        if torch.is_autocast_enabled(kind):
            raise InputError(
                f"torch.autocast({kind!r}) is on around this call, so that the model would compute "
                "in another dtype than its own: call outside of it, or load the model in that dtype"
            )
    if torch.get_default_dtype() != torch.float32:
        raise InputError(
            f"torch's default dtype is {torch.get_default_dtype()}, which changes what a model "
            "computes: accepted is torch.float32; load_model(dtype=...) sets the model's own"
        )
