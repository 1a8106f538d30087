"""What the weights of a module are: a hash that names them, and whether all are finite."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from worldline.errors import InputError

if TYPE_CHECKING:
    import torch

_CHUNK_BYTES = 16 << 20
_SAMPLES = 16  # attribution asks for the hash: more samples would cost more than the recording
_WHOLE = 1 << 19  # numbers of a model that is looked at whole each time
_known: WeakKeyDictionary[Any, WeightsState] = WeakKeyDictionary()


def weights_hash(module: torch.nn.Module) -> str:
    """Hash of a module's weights, computed again only when they changed.

    Whether they changed is told by each tensor's address, version, type, shape and 16 of its
    values spread evenly; of a model of up to half a million numbers, by all of them. In-place
    operations, loading, moving and casting are always seen, and so are edits behind autograd's
    back (through ``.data`` or NumPy) of any 1/16 of a tensor in one piece. A smaller edit of that
    kind in a larger model is not.
    """
    return weights_state(module).hash


def weights_state(module: torch.nn.Module) -> WeightsState:
    """Hash and digests of a module's weights, the same object while none changed."""
    cached_state = _known.get(module)
    state = _state_of(module, cached_state)
    if cached_state is None or (cached_state.places, cached_state.samples) != (
        state.places,
        state.samples,
    ):
        state.hash, state.digests = _hash_and_digests(module)
        _known[module] = cached_state = state
    return cached_state


class WeightsAsLoaded:
    """The weights of a module as they are now; tells later whether they are the same ones still.

    By the same marks as `weights_hash`, and as exact: a new address, version, type, shape or
    sample is a change, and so are tensors that came or went. No hash is taken.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        state = _state_of(module, None)
        self._places, self._samples = state.places, state.samples

    def are_those_of(self, module: torch.nn.Module) -> bool:
        """Whether the module has these weights, unchanged."""
        state = _state_of(module, None)
        return (state.places, state.samples) == (self._places, self._samples)


def _hash_and_digests(module: torch.nn.Module) -> tuple[str, dict[str, str]]:
    """(64 hex digits of the state dict, a digest of each of its tensors).

    Over the sorted (name, dtype, shape, bytes). The bytes of each tensor are hashed in pieces of
    16 MiB with BLAKE2b (256 bits), in threads; SHA-256 over names, types, shapes and the pieces'
    digests makes the result. Equal hashes mean equal weights as surely as for these functions
    themselves; device, strides and sharing of memory do not matter, dtype does.
    """
    total = hashlib.sha256(b"worldline weights 1\n")
    pieces: list[tuple[Any, int, int]] = []
    heads: list[tuple[str, slice]] = []
    slice_by_place: dict[object, slice] = {}
    for name, tensor in _tensors(module):
        place = _place(tensor)
        if place not in slice_by_place:
            first = len(pieces)
            size = tensor.numel() * tensor.element_size()
            pieces += [(tensor, at, size) for at in range(0, size, _CHUNK_BYTES)]
            slice_by_place[place] = slice(first, len(pieces))
        head = f"{name}\t{tensor.dtype}\t{list(tensor.shape)}\n"
        heads.append((head, slice_by_place[place]))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        digests = list(pool.map(_digest, pieces))
    single: dict[str, str] = {}
    for head, part in heads:
        total.update(head.encode())
        tensor_hash = hashlib.sha256(head.encode())
        for digest in digests[part]:
            total.update(digest)
            tensor_hash.update(digest)
        single[head.partition("\t")[0]] = tensor_hash.hexdigest()[:12]
    return total.hexdigest(), single


def refuse_nonfinite(module: torch.nn.Module, name: str) -> None:
    """Raise InputError naming the first tensor of the state dict that holds NaN or infinity."""
    import torch

    for key, tensor in _tensors(module):
        if not tensor.dtype.is_floating_point or tensor.numel() == 0:
            continue
        wide = tensor if tensor.element_size() > 1 else tensor.to(torch.float32)
        low, high = torch.aminmax(wide.detach())
        if not bool(torch.isfinite(low) & torch.isfinite(high)):
            kind = "NaN" if bool(torch.isnan(low) | torch.isnan(high)) else "infinity"
            raise InputError(
                f'model "{name}": the weights are damaged: {key} '
                f"{list(tensor.shape)} ({str(tensor.dtype).removeprefix('torch.')}) holds {kind}"
            )


def _tensors(module: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    for name, tensor in sorted(module.state_dict().items()):
        if isinstance(tensor, torch.Tensor):
            if tensor.is_meta:
                raise InputError(f"the weights are not loaded: {name} is on the meta device")
            yield name, tensor


def _place(tensor: torch.Tensor) -> object:
    return (
        tensor.device,
        tensor.data_ptr(),
        tensor.dtype,
        tuple(tensor.shape),
        tuple(tensor.stride()),
    )


def _digest(piece: tuple[Any, int, int]) -> bytes:
    """Digest of one piece; hashing releases the GIL, so pieces go in parallel."""
    import torch

    tensor, at, size = piece
    width = tensor.element_size()
    flat = tensor.detach().reshape(-1)
    part = flat[at // width : min(size, at + _CHUNK_BYTES) // width]
    raw = part.cpu().contiguous().view(torch.uint8).numpy()
    return hashlib.blake2b(memoryview(raw), digest_size=32).digest()


@dataclass(eq=False)
class WeightsState:
    """A module's weights as they were: where each tensor lies, and samples of their values.

    `views` look at the weights themselves, so `samples` can be taken again; `digests` are those
    of the tensors of the state dict, by name.
    """

    places: list[object]
    views: list[list[torch.Tensor]]
    samples: list[bytes]
    hash: str = ""
    digests: dict[str, str] = field(default_factory=dict)


def _state_of(module: torch.nn.Module, before: WeightsState | None) -> WeightsState:
    tensors = [
        tensor
        for part in module.modules()
        for name, tensor in (*part._parameters.items(), *part._buffers.items())
        if tensor is not None and name not in part._non_persistent_buffers_set  # not hashed either
    ]
    places: list[object] = [
        (t.data_ptr(), -1 if t.is_inference() else t._version, t.shape, t.dtype, t.device)
        for t in tensors
    ]
    places += [tuple(part._modules) for part in module.modules()]  # the same one once more
    views = before.views if before is not None and before.places == places else _views(tensors)
    return WeightsState(places, views, [_bytes(part) for part in views])


def _views(tensors: list[torch.Tensor]) -> list[list[torch.Tensor]]:
    """A few values of each tensor, those of one type and device together."""
    views_by_kind: dict[tuple[object, object], list[torch.Tensor]] = {}
    small = sum(tensor.numel() for tensor in tensors) <= _WHOLE
    for tensor in tensors:
        flat = tensor.detach().reshape(-1)
        every = 1 if small else max(1, flat.numel() // _SAMPLES)
        views_by_kind.setdefault((tensor.dtype, tensor.device), []).append(flat[::every])
    return list(views_by_kind.values())


def _bytes(samples: list[torch.Tensor]) -> bytes:
    import torch

    return torch.cat(samples).cpu().view(torch.uint8).numpy().tobytes()
