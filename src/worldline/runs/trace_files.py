"""Saves a trace as safetensors with a JSON header, and loads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from worldline.arguments import with_checked_arguments
from worldline.atomic_file import path_for
from worldline.errors import InputError
from worldline.foreign_json import read_json
from worldline.models.identity import Identity
from worldline.places import expand_path, is_file
from worldline.runs.trace import Closure, Inert, Prediction, Trace
from worldline.runs.trace_checks import refuse_unsound
from worldline.steps import step
from worldline.tokens.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = "worldline.runs/1"


@with_checked_arguments
def save_trace(trace: Trace, path: str | Path) -> Path:
    """Write a trace as safetensors, whole or not at all.

    Args:
        trace: A recorded run.
        path: The file.

    Returns:
        The path that was written.

    Raises:
        InputError: the path cannot be written, or the disk is full.

    Exactness: loading gives every array back bitwise.
    """
    from safetensors.torch import save_file

    place = expand_path(path)
    step()  # what follows is written in one go
    tensors, header = _tensors(trace), json.dumps(_header(trace))
    file_metadata = {"worldline": header, "sha256": _digest(header, tensors)}
    with path_for(place) as part:
        try:
            save_file(tensors, part, metadata=file_metadata)
        except Exception as error:  # safetensors raises its own kind for a full disk
            size = trace.nbytes()  # of the arrays alone: the header comes to it
            raise InputError(
                f"{place}: cannot be written ({error}); over {size:,} bytes are needed"
            ) from None
    return place


@with_checked_arguments
def load_trace(path: str | Path) -> Trace:
    """Read a trace that `save_trace` wrote. For attribution give attribute() the model.

    Args:
        path: The file.

    Returns:
        The trace, without a model and without what attribution needs of its blocks.

    Raises:
        InputError: no such file, not a whole trace of a known schema, or not as it was written.

    Exactness: every array is bitwise what was saved.
    """
    from safetensors import safe_open

    place = expand_path(path)
    if not is_file(place):
        raise InputError(f"{place}: no such file; a trace is what --save or save_trace wrote")
    try:
        with safe_open(place, framework="pt") as file:
            metadata = file.metadata() or {}
            header_text = metadata.get("worldline", "{}")
            header = read_json(header_text, "its header", finite=False)  # a config may be infinite
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise InputError(f"{place}: not a whole safetensors file ({error})") from None
    schema_name = header.get("schema") if isinstance(header, dict) else None
    if schema_name != SCHEMA:
        found_schema = schema_name or "a file without a worldline header"
        raise InputError(f"{place}: {found_schema}; this version reads {SCHEMA}")
    try:
        trace = _from(header, tensors)
        refuse_unsound(trace)
        if metadata.get("sha256") != _digest(header_text, tensors):
            raise ValueError("they are not what was written")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = _line(error)
        raise InputError(f"{place}: its header or its arrays are damaged ({reason})") from None
    return trace


def _tensors(trace: Trace) -> dict[str, Tensor]:
    tensor_by_name = {f"resid.{row}": tensor for row, tensor in enumerate(trace.resid)}
    for name, blocks in trace.arrays.items():
        tensor_by_name |= {f"{name}.{at}": t for at, t in enumerate(blocks) if t is not None}
    return {
        name: tensor.detach().clone().contiguous().cpu() for name, tensor in tensor_by_name.items()
    }


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


def _digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that a trace's file says."""
    import torch

    hasher = hashlib.sha256(header.encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        hasher.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def _line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:200]
    return " ".join(str(error).split())[:200]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _from(header: dict[str, Any], tensors: dict[str, Tensor]) -> Trace:
    identity = _parse_as(Identity, header["identity"])
    n_layers = identity.n_layers
    if not 0 <= n_layers < len(tensors):  # before anything is counted up to it
        raise ValueError(f"{n_layers} layers in {len(tensors)} arrays")
    resid = [tensors[f"resid.{row}"] for row in range(n_layers + 1)]
    for name, n in header["arrays"].items():
        if n != n_layers:
            raise ValueError(f"array {name[:40]!r} of {n} layers, where there are {n_layers}")
    arrays = {
        name: [tensors.get(f"{name}.{at}") for at in range(n_layers)] for name in header["arrays"]
    }
    n_named = len(resid) + sum(t is not None for blocks in arrays.values() for t in blocks)
    if n_named != len(tensors):
        raise ValueError(f"{len(tensors)} arrays, of which its header names {n_named}")
    return Trace(
        tokens=_parse_as(Tokens, header["tokens"]),
        identity=identity,
        resid=resid,
        arrays=arrays,
        predictions=_parse_as(list[Prediction], header["predictions"]),
        closure=_parse_as(Closure, header["closure"]),
        inert=_parse_as(Inert, header["inert"]),
        versions=_parse_as(dict[str, str], header["versions"]),
        seed=_parse_as(int | None, header["seed"]),
        opaque_layers=_parse_as(tuple[int, ...], header["opaque_layers"]),
        plan=_parse_as(dict[str, Any] | None, header.get("plan")),
        extra=_parse_as(dict[str, Any], header["extra"]),
    )


def _parse_as(kind: Any, value: Any) -> Any:
    """The value, read as what it is to be.

    Raises:
        ValueError: it is nothing of the kind; says where.
    """
    return TypeAdapter(kind).validate_python(value)
