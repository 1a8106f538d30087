"""What is asked of a tokenizer, and one call that encodes with any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from worldline.errors import InputError
from worldline.tokens.alignment import Span


@runtime_checkable
class Tokenizer(Protocol):
    """What is asked of a tokenizer; those of transformers, fast and slow, fit."""

    all_special_ids: Any
    is_fast: Any
    chat_template: Any

    def __call__(self, text: str, **options: Any) -> Mapping[str, Any]:
        """Encode."""
        ...

    def __len__(self) -> int:
        """Size of the vocabulary with the added tokens."""
        ...

    def convert_ids_to_tokens(self, ids: list[int]) -> Any:
        """Vocabulary pieces of ids."""
        ...

    def get_added_vocab(self) -> dict[str, int]:
        """Tokens that were added to the model's vocabulary: piece -> id."""
        ...

    def decode(self, ids: list[int], **options: Any) -> Any:
        """Text of ids."""
        ...

    def apply_chat_template(self, conversation: list[dict[str, Any]], **options: Any) -> Any:
        """Text of a conversation."""
        ...


_ASKED = ("convert_ids_to_tokens", "decode", "get_added_vocab", "all_special_ids", "is_fast")


def tokenizer_in(candidate: Any) -> Any:
    """The tokenizer itself, where a processor of text and pictures was given that holds one.

    Raises: InputError for what is no tokenizer of transformers' kind.
    """
    inner = getattr(candidate, "tokenizer", None)
    if inner is not None and not hasattr(candidate, "convert_ids_to_tokens"):
        candidate = inner
    missing = [name for name in _ASKED if not hasattr(candidate, name)]
    if missing or not callable(candidate):
        raise InputError(
            f"tokenizer {type(candidate).__name__}: it has no .{(missing or ['__call__'])[0]}; "
            "accepted are tokenizers and processors of transformers"
        )
    return candidate


def encode(
    tokenizer: Tokenizer, text: str, add_special_tokens: bool | None
) -> tuple[list[int], list[Span] | None, list[bool]]:
    """Ids, offsets if the tokenizer has them, and which tokens were added around the text."""
    options: dict[str, Any] = {"verbose": False}
    if add_special_tokens is not None:
        options["add_special_tokens"] = add_special_tokens
    encoding = tokenizer(text, return_offsets_mapping=True, **options) if tokenizer.is_fast else {}
    if "offset_mapping" not in encoding:
        ids = list(tokenizer(text, **options)["input_ids"])
        bare = list(tokenizer(text, **options | {"add_special_tokens": False})["input_ids"])
        return ids, None, _around(ids, bare)
    ids = list(encoding["input_ids"])
    offsets = [(int(start), int(end)) for start, end in encoding["offset_mapping"]]
    special = special_ids(tokenizer)
    absent = [
        start == end and token in special for token, (start, end) in zip(ids, offsets, strict=True)
    ]
    return ids, offsets, absent


def _around(ids: list[int], bare: list[int]) -> list[bool]:
    for first in range(len(ids) - len(bare) + 1):
        if ids[first : first + len(bare)] == bare:
            return [not first <= index < first + len(bare) for index in range(len(ids))]
    return [False] * len(ids)


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids of special tokens, those of the added vocabulary included."""
    added_tokens = getattr(tokenizer, "added_tokens_decoder", {})
    return set(tokenizer.all_special_ids) | {
        token for token, entry in added_tokens.items() if entry.special
    }


def settings_of(tokenizer: Any) -> tuple[Any, ...]:
    """Which tokenizer this is and how it is set: added tokens, template, steps before and after.

    The vocabulary counts by its size: it is not changed in place.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    steps = [
        step.__getstate__()
        for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")
        if (step := getattr(backend, name, None)) is not None
    ]
    added_vocab = sorted(tokenizer.get_added_vocab().items())
    # a name such as "slow" is a setting; counts and tables are filled by use
    plain = [(k, v) for k, v in sorted(vars(tokenizer).items()) if isinstance(v, (bool, str))]
    template = str(getattr(tokenizer, "chat_template", None))
    specials = str(getattr(tokenizer, "special_tokens_map", None))
    return id(tokenizer), len(tokenizer), added_vocab, steps, plain, template, specials
