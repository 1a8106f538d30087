"""What was measured, one file a part: written whole or not at all, read from a folder or a zip."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import worldline as wl
from worldline.atomic_file import path_for, stream_to
from worldline.foreign_json import read_json
from worldline.places import expanded, is_file

MANTISSA_BITS = 10  # of float32's 23 that are kept: 3 significant figures
MOST_BYTES = 1 << 28  # of one part, unpacked: a hundred times the largest
SCHEMA = "worldline.faithfulness.raw/1"


def rounded(values: np.ndarray) -> np.ndarray:
    """float32 rounded to a relative 2^-11, so that it packs; zeros and signs stay."""
    whole = np.ascontiguousarray(values, dtype=np.float32)
    drop = 23 - MANTISSA_BITS
    bits = whole.view(np.uint32) + np.uint32(1 << (drop - 1))
    return (bits & ~np.uint32((1 << drop) - 1)).view(np.float32).reshape(whole.shape)


class Store:
    """Parts by name, in a folder, or in a zip file that is only read."""

    def __init__(self, path: Path):
        self.path = expanded(path)
        self.packed = self.path.suffix == ".zip"
        if self.packed and not is_file(self.path):
            raise wl.InputError(f"--raw {path}: there is no such file")
        if not self.packed:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise wl.InputError(f"--raw {path}: {error.strerror or error}") from None

    def names(self) -> set[str]:
        """The parts that are whole."""
        if self.packed:
            with self._words("it"), zipfile.ZipFile(self.path) as packed:
                found = packed.namelist()
        else:
            found = [one.name for one in self.path.iterdir()]
        return {name.removesuffix(".npz") for name in found if name.endswith(".npz")}

    def write(self, name: str, said: Mapping[str, Any], **arrays: np.ndarray) -> None:
        """Write a part: plain words and numbers, and arrays (floats rounded)."""
        if self.packed:
            raise wl.InputError(f"--raw {self.path}: {name} is not in it, and a zip is only read")
        packed = {
            key: rounded(value) if value.dtype.kind == "f" else value.astype(np.int16)
            for key, value in arrays.items()
        }
        text = np.frombuffer(json.dumps(dict(said)).encode(), dtype=np.uint8)
        with stream_to(self.path / f"{name}.npz") as file:
            np.savez_compressed(file, said=text, **packed)  # pyright: ignore[reportArgumentType]

    def read(self, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(Words and numbers, arrays) of a part."""
        with self._words(f"part {name}"):
            if self.packed:
                with zipfile.ZipFile(self.path) as packed:
                    content = _member(packed, f"{name}.npz")
            else:
                content = (self.path / f"{name}.npz").read_bytes()
            with zipfile.ZipFile(io.BytesIO(content)) as part:
                if sum(one.file_size for one in part.infolist()) > MOST_BYTES:
                    raise ValueError(f"over {MOST_BYTES:,} bytes")
                found = {one: _array(_member(part, one)) for one in part.namelist()}
            arrays = {key.removesuffix(".npy"): array for key, array in found.items()}
            said = read_json(arrays.pop("said").tobytes(), "its words", finite=False)
            if not isinstance(said, dict):
                raise ValueError("its words are no object")
            return said, arrays

    @contextmanager
    def _words(self, part: str) -> Iterator[None]:
        """Whatever a damaged zip or array raises (a dozen kinds) is one line."""
        try:
            yield
        except Exception as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise wl.InputError(f"--raw {self.path}: {part} is damaged ({said})") from None

    def pack(self, place: Path) -> None:
        """Copy all parts into one zip file."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with path_for(place) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as packed:
            for name in sorted(self.names()):
                packed.writestr(
                    zipfile.ZipInfo(f"{name}.npz"), (self.path / f"{name}.npz").read_bytes()
                )


def _member(packed: zipfile.ZipFile, name: str) -> bytes:
    """One file of a zip; no more of it is unpacked than a part may have."""
    with packed.open(name) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"over {MOST_BYTES:,} bytes")
    return content


def _array(content: bytes) -> np.ndarray:
    """An array in NumPy's own form; room is made for what is there, not for what its head says."""
    file = io.BytesIO(content)
    major, _ = np.lib.format.read_magic(file)
    forms = np.lib.format
    head = forms.read_array_header_1_0 if major == 1 else forms.read_array_header_2_0
    shape, by_columns, dtype = head(file)
    rest = bytearray(content[file.tell() :])
    if dtype.hasobject or len(rest) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {shape} {dtype} in {len(rest)} bytes")
    return np.ndarray(shape, dtype, buffer=rest, order="F" if by_columns else "C")
