"""Saves a trace as safetensors with a JSON header, and loads it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.atomic_file import path_for
from worldline.errors import InputError
from worldline.steps import step
from worldline.text.tokens import Tokens
from worldline.trace.trace import Closure, Identity, Inert, Prediction, Trace

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.model.load import LoadedModel

SCHEMA = "worldline.trace/1"


def save_trace(trace: Trace, path: str | Path) -> Path:
    """Write a trace to `path`, whole or not at all; the path.

    Exactness: loading gives every array back bitwise.

    Raises:
        InputError: the path cannot be written, or the disk is full.
    """
    from safetensors.torch import save_file

    place = Path(path).expanduser()
    step()  # what follows is written in one go
    tensors, header = _tensors(trace), json.dumps(_header(trace))
    with path_for(place) as part:
        try:
            save_file(tensors, part, metadata={"worldline": header})
        except Exception as error:  # safetensors raises its own kind for a full disk
            size = trace.nbytes()
            raise InputError(
                f"{place}: cannot be written ({error}); {size:,} bytes are needed"
            ) from None
    return place


def load_trace(path: str | Path) -> Trace:
    """Read a trace that `save_trace` wrote. To weigh it, give weigh() the model.

    Raises:
        InputError: no such file, or not a whole trace of a known schema.
    """
    from safetensors import safe_open

    place = Path(path).expanduser()
    if not place.is_file():
        raise InputError(f"{place}: no such file; a trace is what --save or save_trace wrote")
    try:
        with safe_open(place, framework="pt") as file:
            metadata = file.metadata() or {}
            header = json.loads(metadata.get("worldline", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise InputError(f"{place}: not a whole safetensors file ({error})") from None
    named = header.get("schema") if isinstance(header, dict) else None
    if named != SCHEMA:
        found = named or "a file without a worldline header"
        raise InputError(f"{place}: {found}; this version reads {SCHEMA}")
    try:
        return _from(header, tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{place}: its header or its arrays are damaged ({error})") from None


def refuse_other_model(trace: Trace, model: LoadedModel) -> None:
    """Raise InputError unless `model` has the weights that made the trace."""
    if model.weights_hash != trace.identity.weights_hash:
        raise InputError(
            f"the trace was made by {trace.identity.name} "
            f"(weights {trace.identity.weights_hash[:12]}), not by {model.name} "
            f"({model.weights_hash[:12]})"
        )


def _tensors(trace: Trace) -> dict[str, Tensor]:
    found = {f"resid.{row}": tensor for row, tensor in enumerate(trace.resid)}
    for name, blocks in trace.arrays.items():
        found |= {f"{name}.{at}": t for at, t in enumerate(blocks) if t is not None}
    return {name: tensor.detach().clone().contiguous().cpu() for name, tensor in found.items()}


def _header(trace: Trace) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "tokens": asdict(trace.tokens),
        "identity": asdict(trace.identity) | {"config": _plain(trace.identity.config)},
        "arrays": {name: len(blocks) for name, blocks in trace.arrays.items()},
        "predictions": [asdict(p) for p in trace.predictions],
        "closure": asdict(trace.closure),
        "inert": asdict(trace.inert),
        "versions": trace.versions,
        "seed": trace.seed,
        "opaque_layers": list(trace.opaque_layers),
        "plan": trace.plan,
        "extra": _plain(trace.extra),
    }


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _from(header: dict[str, Any], tensors: dict[str, Tensor]) -> Trace:
    n_layers = int(header["identity"]["n_layers"])
    resid = [tensors[f"resid.{row}"] for row in range(n_layers + 1)]
    arrays = {
        name: [tensors.get(f"{name}.{at}") for at in range(n)]
        for name, n in header["arrays"].items()
    }
    return Trace(
        tokens=_tokens(header["tokens"]),
        identity=Identity(**header["identity"]),
        resid=resid,
        arrays=arrays,
        predictions=[Prediction(**p) for p in header["predictions"]],
        closure=Closure(**header["closure"]),
        inert=Inert(**header["inert"]),
        versions=header["versions"],
        seed=header["seed"],
        opaque_layers=tuple(header["opaque_layers"]),
        plan=header.get("plan"),
        extra=header["extra"],
    )


def _tokens(fields: dict[str, Any]) -> Tokens:
    def tuples(value: Any) -> Any:
        return tuple(tuples(v) for v in value) if isinstance(value, list) else value

    return Tokens(**{name: tuples(value) for name, value in fields.items()})
