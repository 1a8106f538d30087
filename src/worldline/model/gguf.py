"""Reads a GGUF file with transformers' loader, and puts right what that leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.model.quiet import Progress, say

if TYPE_CHECKING:
    import torch

# Families that split off every digit before the words, as their original tokenizers do. The
# loader reads them with the word pattern alone: "\n\n2" and "  2" then come out differently.
_DIGITS_APART = frozenset(
    {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
)
_PLAIN_WORDS = frozenset({"default", "gpt-2", "mpt", "olmo", "jais", "phi-2"})


def read_gguf(
    file: Path, dtype: torch.dtype, *, progress: Progress | None = None, **options: Any
) -> tuple[Any, Any, dict[str, Any]]:
    """Model, tokenizer and loading report of a GGUF file, weights made dense in ``dtype``.

    Raises: whatever transformers raises for a file it cannot read.
    """
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    with _tamed_loader():
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **place)
        split_digits(tokenizer, file, progress)
        module, report = auto.from_pretrained(
            file.parent, **place, dtype=dtype, output_loading_info=True, **options
        )
    return module, tokenizer, report


def split_digits(tokenizer: Any, file: Path, progress: Progress | None = None) -> None:
    """Make a byte-level tokenizer read from GGUF split digits where its family does.

    Says so if the file names a way to split words that is known neither here nor to transformers:
    the tokens may then differ from the original tokenizer's.
    """
    from tokenizers import pre_tokenizers
    from transformers.integrations.gguf.reader import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(file))
    if metadata.get("tokenizer.ggml.model") != "gpt2":
        return
    family = metadata.get("tokenizer.ggml.pre", "default")
    if family in _DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    elif family not in _PLAIN_WORDS and family not in _known_to_transformers():
        say(
            progress,
            f'{file.name} splits words the way of "{family}", which is not known here: '
            "tokens may differ from the original tokenizer's",
        )


@contextmanager
def _tamed_loader() -> Iterator[None]:
    """Let the loader do once what it does many times, and hide a bar it has of its own.

    It parses the file three times (some 4 s each for a vocabulary of 50,000) and builds its table
    of tensor names for every module (397 times for 30 layers): two thirds of its time.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils

    package: Any = gguf
    loader: Any = modeling_gguf_pytorch_utils
    reader, names, bar = package.GGUFReader, package.get_tensor_name_map, loader.tqdm
    package.GGUFReader, package.get_tensor_name_map = cache(reader), cache(names)
    loader.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        package.GGUFReader, package.get_tensor_name_map, loader.tqdm = reader, names, bar


def _known_to_transformers() -> frozenset[str]:
    from transformers.integrations.gguf import gguf_tokenizer_mapping

    return frozenset(getattr(gguf_tokenizer_mapping, "GGUF_PRE_TOKENIZER_SPLITS", ()))
