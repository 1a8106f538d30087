"""Reads a GGUF file with transformers' loader, and puts right what that leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.models.config_sizes import refuse_absurd_head, refuse_oversized
from worldline.models.gguf_keys import GgufHead, refuse_lists, refuse_unfit_numbers, settle
from worldline.models.gguf_rope import FACTORS, refuse_other_rope, settle_rope
from worldline.models.load_errors import refuse_other_kinds
from worldline.models.quiet_logging import Progress, say

if TYPE_CHECKING:
    import torch

# Families that split off every digit before the words, as their original tokenizers do. The
# loader reads them with the word pattern alone: "\n\n2" and "  2" then come out differently.
_DIGITS_APART = frozenset(
    {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}
)
_NO_WEIGHTS = (".attn_rot_embd", ".attn.masked_bias", ".attn.bias")  # constants that are made anew
_PLAIN_WORDS = frozenset({"default", "gpt-2", "mpt", "olmo", "jais", "phi-2"})


def read_gguf(
    file: Path, dtype: torch.dtype, *, progress: Progress | None = None, **options: Any
) -> tuple[Any, Any, dict[str, Any]]:
    """Model, tokenizer and loading report of a GGUF file, weights made dense in ``dtype``.

    **Exactness**: every key and tensor of the file is taken up, is known to change no number, or
    is refused; weights are those of transformers' reader to the bit.

    Raises: InputError naming a key or tensor that cannot be taken up; else whatever transformers
    raises for a file it cannot read.
    """
    import transformers

    auto: Any = transformers.AutoModelForCausalLM
    place: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    with _tamed_loader() as placed_names:
        head = read_head(file)
        shapes = _shapes(file)
        refuse_absurd_head(str(file), head.own_keys, shapes)
        refuse_lists(head)
        refuse_unfit_numbers(head)
        config = transformers.AutoConfig.from_pretrained(file.parent, **place)
        refuse_other_kinds(str(file), config, remote_code=False)
        unknown_keys = settle(config, head)
        settle_rope(config, head)
        refuse_oversized(str(file), auto, config, sum(map(prod, shapes)))
        tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent, **place)
        split_digits(tokenizer, file, progress)
        module, report = auto.from_pretrained(
            file.parent, **place, config=config, dtype=dtype, output_loading_info=True, **options
        )
    if unknown_keys:
        say(
            progress,
            f"{file.name} has keys that no reader knows: {', '.join(sorted(unknown_keys)[:5])}",
        )
    _refuse_left_tensors(head, placed_names, report)
    refuse_other_rope(module, head)
    return module, tokenizer, report


def read_head(file: Path) -> GgufHead:
    """Metadata of a GGUF file, the names of its tensors and the factors of its positions."""
    import gguf
    from transformers.integrations.gguf.reader import read_gguf_metadata

    metadata, names = read_gguf_metadata(str(file))
    factors: dict[str, list[float]] = {}
    if set(FACTORS) & set(names):
        for tensor in gguf.GGUFReader(str(file)).tensors:
            if tensor.name in FACTORS:
                values = gguf.dequantize(tensor.data, tensor.tensor_type)
                factors[tensor.name] = values.reshape(-1).tolist()
    return GgufHead(str(file), metadata, names, factors)


def dense_bytes(file: Path) -> int:
    """Bytes of a GGUF file's tensors as float32, from its head alone."""
    return 4 * sum(map(prod, _shapes(file)))


def _shapes(file: Path) -> list[tuple[int, ...]]:
    from transformers.integrations.gguf.reader import GgufHeader

    return [tensor.shape for tensor in GgufHeader.from_file(str(file)).tensors]


def _refuse_left_tensors(head: GgufHead, placed_names: set[str], report: Mapping[str, Any]) -> None:
    """Raise InputError for a tensor that went nowhere: the numbers would be another model's."""
    leftover_names = sorted(map(str, report.get("unexpected_keys") or ()))
    if placed_names:  # by the older of transformers' two readers, which reports none
        leftover_names = [
            name for name in head.tensors if not {name, name.removesuffix(".weight")} & placed_names
        ]
    leftover_names = [
        name for name in leftover_names if name not in FACTORS and not name.endswith(_NO_WEIGHTS)
    ]
    if leftover_names:
        raise head.refusal(
            leftover_names[0],
            f"one of {len(leftover_names)} that went nowhere" * (len(leftover_names) > 1),
        )


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
def _tamed_loader() -> Iterator[set[str]]:
    """Let the loader do once what it does many times, and hide a bar it has of its own.

    Yields a set that fills with the names of the tensors that it finds a place for.

    It parses the file three times (some 4 s each for a vocabulary of 50,000) and builds its table
    of tensor names for every module (397 times for 30 layers): two thirds of its time.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils

    package: Any = gguf
    loader: Any = modeling_gguf_pytorch_utils
    reader, names, bar = package.GGUFReader, package.get_tensor_name_map, loader.tqdm
    places = loader.get_gguf_hf_weights_map
    placed_names: set[str] = set()

    def noting_weights_map(
        module: Any, processor: Any, kind: str | None = None, *more_args: Any, **more: Any
    ) -> Any:
        if kind is None and module.config.model_type == "mistral":
            kind = "llama"  # the reader gives it a name of its own, and no table
        weights_map = places(module, processor, kind, *more_args, **more)
        placed_names.update(weights_map)
        return weights_map

    package.GGUFReader, package.get_tensor_name_map = cache(reader), cache(names)
    loader.tqdm, loader.get_gguf_hf_weights_map = partial(bar, disable=True), noting_weights_map
    try:
        yield placed_names
    finally:
        package.GGUFReader, package.get_tensor_name_map, loader.tqdm = reader, names, bar
        loader.get_gguf_hf_weights_map = places


def _known_to_transformers() -> frozenset[str]:
    from transformers.integrations.gguf import gguf_tokenizer_mapping

    return frozenset(getattr(gguf_tokenizer_mapping, "GGUF_PRE_TOKENIZER_SPLITS", ()))
