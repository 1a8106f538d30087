"""What was measured, one file a part: written whole or not at all, read from a folder or a zip."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import worldline as wl
from worldline.atomic_file import path_for, stream_to

MANTISSA_BITS = 10  # of float32's 23 that are kept: 3 significant figures
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
        self.path = path.expanduser()
        self.packed = self.path.suffix == ".zip"
        if self.packed and not self.path.is_file():
            raise wl.InputError(f"--raw {path}: there is no such file")
        if not self.packed:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise wl.InputError(f"--raw {path}: {error.strerror or error}") from None

    def names(self) -> set[str]:
        """The parts that are whole."""
        if self.packed:
            with zipfile.ZipFile(self.path) as packed:
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
        try:
            if self.packed:
                with zipfile.ZipFile(self.path) as packed:
                    content = packed.read(f"{name}.npz")
            else:
                content = (self.path / f"{name}.npz").read_bytes()
            with np.load(io.BytesIO(content), allow_pickle=False) as found:
                arrays = {key: found[key] for key in found.files}
            return json.loads(arrays.pop("said").tobytes()), arrays
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise wl.InputError(f"--raw {self.path}: part {name} is damaged ({error})") from None

    def pack(self, place: Path) -> None:
        """Copy all parts into one zip file."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with path_for(place) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as packed:
            for name in sorted(self.names()):
                packed.writestr(
                    zipfile.ZipInfo(f"{name}.npz"), (self.path / f"{name}.npz").read_bytes()
                )
