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
from worldline.places import expand_path, is_file

MANTISSA_BITS = 10  # of float32's 23 that are kept: 3 significant figures
MOST_BYTES = 1 << 28  # of one part, unpacked: a hundred times the largest
SCHEMA = "worldline.faithfulness.raw/2"


def round_mantissa(values: np.ndarray) -> np.ndarray:
    """float32 rounded to a relative 2^-11, so that it packs; zeros and signs stay."""
    floats = np.ascontiguousarray(values, dtype=np.float32)
    drop = 23 - MANTISSA_BITS
    bits = floats.view(np.uint32) + np.uint32(1 << (drop - 1))
    return (bits & ~np.uint32((1 << drop) - 1)).view(np.float32).reshape(floats.shape)


class Store:
    """Parts by name, in a folder, or in a zip file that is only read."""

    def __init__(self, path: Path):
        self.path = expand_path(path)
        self.is_zip = self.path.suffix == ".zip"
        if self.is_zip and not is_file(self.path):
            raise wl.InputError(f"--raw {path}: there is no such file")
        if not self.is_zip:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise wl.InputError(f"--raw {path}: {error.strerror or error}") from None

    def names(self) -> set[str]:
        """The parts that are whole."""
        if self.is_zip:
            with self._words("it"), zipfile.ZipFile(self.path) as archive:
                file_names = archive.namelist()
        else:
            file_names = [file.name for file in self.path.iterdir()]
        return {name.removesuffix(".npz") for name in file_names if name.endswith(".npz")}

    def write(self, name: str, metadata: Mapping[str, Any], **arrays: np.ndarray) -> None:
        """Write a part: plain words and numbers, and arrays (floats rounded)."""
        if self.is_zip:
            raise wl.InputError(f"--raw {self.path}: {name} is not in it, and a zip is only read")
        stored_arrays = {
            key: round_mantissa(value) if value.dtype.kind == "f" else value.astype(np.int16)
            for key, value in arrays.items()
        }
        text = np.frombuffer(json.dumps(dict(metadata)).encode(), dtype=np.uint8)
        with stream_to(self.path / f"{name}.npz") as file:
            np.savez_compressed(file, said=text, **stored_arrays)  # pyright: ignore[reportArgumentType]

    def read(self, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(Words and numbers, arrays) of a part."""
        with self._words(f"part {name}"):
            if self.is_zip:
                with zipfile.ZipFile(self.path) as archive:
                    content = _member(archive, f"{name}.npz")
            else:
                content = (self.path / f"{name}.npz").read_bytes()
            with zipfile.ZipFile(io.BytesIO(content)) as part:
                if sum(member.file_size for member in part.infolist()) > MOST_BYTES:
                    raise ValueError(f"over {MOST_BYTES:,} bytes")
                member_arrays = {
                    member: _array(_member(part, member)) for member in part.namelist()
                }
            arrays = {key.removesuffix(".npy"): array for key, array in member_arrays.items()}
            metadata = read_json(arrays.pop("said").tobytes(), "its words", finite=False)
            if not isinstance(metadata, dict):
                raise ValueError("its words are no object")
            return metadata, arrays

    @contextmanager
    def _words(self, part: str) -> Iterator[None]:
        """Whatever a damaged zip or array raises (a dozen kinds) is one line."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise wl.InputError(f"--raw {self.path}: {part} is damaged ({reason})") from None

    def pack(self, place: Path) -> None:
        """Copy all parts into one zip file."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with path_for(place) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(self.names()):
                archive.writestr(
                    zipfile.ZipInfo(f"{name}.npz"), (self.path / f"{name}.npz").read_bytes()
                )


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One file of a zip; no more of it is unpacked than a part may have."""
    with archive.open(name) as file:
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
    buffer = bytearray(content[file.tell() :])
    if dtype.hasobject or len(buffer) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of {shape} {dtype} in {len(buffer)} bytes")
    return np.ndarray(shape, dtype, buffer=buffer, order="F" if by_columns else "C")
