"""Text to tokens with exact spans, tokens to text, and the id of a token named by its text."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError
from worldline.steps import with_steps
from worldline.tokens.alignment import (
    SPELLINGS,
    Alignment,
    IncrementalDecoder,
    Span,
    Spelling,
    from_decoding,
    from_offsets,
    from_own_bytes,
    group_of,
    spell_bytes,
    walk,
)
from worldline.tokens.token_ids import ids_of
from worldline.tokens.tokenizer import Tokenizer, encode, special_ids

__all__ = ["Tokenizer", "Tokens", "decode", "extend_tokens", "names_of", "single_token", "tokenize"]


@dataclass(frozen=True)
class Tokens:
    """A text and its tokens.

    Spans are half-open, never run backwards, and are empty for a token that stands for no text (a
    BOS that was added).

    Attributes:
        text: The text.
        ids: The ids of the tokens.
        pieces: The text of each token.
        char_spans: The characters that each token has a share in.
        byte_spans: The UTF-8 bytes of each token alone.
        groups: A number for each token: those that make up one character together have the same
            one, and overlapping character spans, but disjoint byte spans.
        specials: Whether each token is a special one.
        exact_offsets: Whether byte spans are exact.

    **Exactness**: with ``exact_offsets`` byte spans are exact. Without it the text was changed by
    the tokenizer: byte spans are those of the characters, or empty where nothing is known.

    >>> tokens = Tokens("Hi", (5,), ("Hi",), ((0, 2),), ((0, 2),), (0,), (False,), True)
    >>> len(tokens), tokens.group_texts
    (1, ('Hi',))
    """

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    char_spans: tuple[Span, ...]
    byte_spans: tuple[Span, ...]
    groups: tuple[int, ...]
    specials: tuple[bool, ...]
    exact_offsets: bool

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def group_texts(self) -> tuple[str, ...]:
        """Text of each character group, in order; empty for tokens that stand for no text."""
        spans: dict[int, Span] = {}
        for group, (start, end) in zip(self.groups, self.char_spans, strict=True):
            first, last = spans.get(group, (start, end))
            spans[group] = (min(first, start), max(last, end))
        return tuple(self.text[start:end] for start, end in spans.values())

    def first(self, n: int) -> Tokens:
        """The first `n` tokens, as tokens of the text up to their end.

        Raises: InputError if there are fewer, or n is below 1.
        """
        if not 1 <= n <= len(self):
            raise InputError(f"first {n} tokens: accepted are 1 to {len(self)}")
        end = max(end for _, end in self.char_spans[:n])
        per_token = (name for name in Tokens.__dataclass_fields__)
        first_values = {
            name: value[:n] for name in per_token if isinstance(value := getattr(self, name), tuple)
        }
        return replace(self, text=self.text[:end], **first_values)


@with_checked_arguments
def tokenize(
    tokenizer: Tokenizer,
    text: str | Sequence[int] | Mapping[str, Any],
    *,
    add_special_tokens: bool | None = None,
) -> Tokens:
    """Tokens of a text with their character and byte spans; also of the ids of one.

    Args:
        tokenizer: A tokenizer of transformers, or anything that encodes and decodes as one.
        text: The text, its ids, or what a tokenizer returned for one.
        add_special_tokens: Whether to add a BOS and the like; None leaves it to the tokenizer. Give
            False for a text that has them written out, such as a rendered chat.

    Returns:
        The tokens, with half-open spans of characters and of UTF-8 bytes.

    Raises:
        InputError: the text is not valid Unicode (a lone surrogate), or none at all.

    Exactness: see `Tokens`; spans are proven by the tokens' own bytes where these make up the
    text, else taken from a fast tokenizer's offsets, else from decoding token by token.
    """
    if not callable(tokenizer):
        kind = type(tokenizer).__name__
        raise InputError(f"tokenize: tokenizer is of type {kind}; accepted is model.tokenizer")
    if not isinstance(text, str):
        return tokens_of_ids(tokenizer, text)
    _refuse_surrogates(text)
    ids, offsets, absent = encode(tokenizer, text, add_special_tokens)
    return _place_tokens(tokenizer, text, ids, offsets, absent)


def tokens_of_ids(tokenizer: Tokenizer, value: Any) -> Tokens:
    """Exactly these ids as tokens, of the text that they decode to.

    `value`: ids in a list, an array or a tensor, [pos] or [1, pos], or what a tokenizer returned.

    **Exactness**: of the ids; of spans as `Tokens` says.

    Raises: InputError for anything else, several texts, padding, an id that the tokenizer lacks.
    """
    ids = ids_of(value)
    size = len(tokenizer)
    for pos, token in enumerate(ids):
        if not 0 <= token < size:
            raise InputError(f"id {token} at position {pos}: accepted are 0 to {size - 1}")
    return tokens_of_run(tokenizer, ids)


def tokens_of_run(tokenizer: Tokenizer, ids: Sequence[int]) -> Tokens:
    """Exactly these ids as tokens, of the text that they decode to.

    **Exactness**: as `tokenize`, where the text gives these ids again; else spans are proven by the
    tokens' own bytes, or from decoding token by token.
    """
    text = decode(tokenizer, ids)
    encoded_ids, offsets, absent = encode(tokenizer, text, False)
    if encoded_ids != list(ids):
        offsets, absent = None, [False] * len(ids)
    return _place_tokens(tokenizer, text, list(ids), offsets, absent)


def _place_tokens(
    tokenizer: Tokenizer,
    text: str,
    ids: list[int],
    offsets: list[Span] | None,
    absent: list[bool],
) -> Tokens:
    """Ids with their places in a text."""
    raw_pieces: list[str | bytes] = list(tokenizer.convert_ids_to_tokens(ids))
    added_ids = set(tokenizer.get_added_vocab().values())
    plain = [token in added_ids for token in ids]
    alignment = Alignment(text)
    spans = from_own_bytes(alignment, raw_pieces, absent, plain)
    exact = True
    if spans is not None:
        chars = [alignment.to_chars(span) for span in spans]
    elif offsets is not None:
        spans, chars, exact = from_offsets(alignment, offsets, raw_pieces, absent, plain)
    else:
        spans, chars, exact = from_decoding(
            alignment, ids, absent, lambda seen: decode(tokenizer, seen)
        )
    groups = group_of(chars)
    special = special_ids(tokenizer)
    return Tokens(
        text=text,
        ids=tuple(ids),
        pieces=_display_pieces(alignment, raw_pieces, spans, groups, exact),
        char_spans=tuple(chars),
        byte_spans=tuple(spans),
        groups=tuple(groups),
        specials=tuple(token in special for token in ids),
        exact_offsets=exact,
    )


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Text of ids, special tokens written out, nothing cleaned up."""
    return str(
        tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    )


def extend_tokens(tokenizer: Tokenizer, tokens: Tokens, ids: Sequence[int]) -> Tokens:
    """The tokens with more `ids` after them, exactly these, and the text that they decode to.

    A text that is tokenized anew may be cut up in other ways than a model wrote it.

    **Exactness**: spans of the new tokens are from decoding: of bytes that make up a character
    together only the last reaches to its end.
    """
    special, size = special_ids(tokenizer), len(tokens.text.encode())
    new_text, start, pieces = decode(tokenizer, ids), 0, list(tokens.pieces)
    at = len(tokens.text)
    chars, spans, groups = list(tokens.char_spans), list(tokens.byte_spans), list(tokens.groups)
    for token, end in zip(ids, _ends(tokenizer, ids, len(new_text)), strict=True):
        new = new_text[start:end]
        pieces.append(new or str(tokenizer.convert_ids_to_tokens([token])[0]))
        chars.append((at + start, at + end))
        spans.append((size, size := size + len(new.encode())))
        groups.append(groups[-1] + 1 if groups else 0)
        start = end
    return Tokens(
        text=tokens.text + new_text,
        ids=(*tokens.ids, *ids),
        pieces=tuple(pieces),
        char_spans=tuple(chars),
        byte_spans=tuple(spans),
        groups=tuple(groups),
        specials=(*tokens.specials, *(token in special for token in ids)),
        exact_offsets=False,
    )


def _ends(tokenizer: Tokenizer, ids: Sequence[int], length: int) -> list[int]:
    """How far each of the ids reaches into their text: no further where it ends in a character."""
    decoder = IncrementalDecoder(lambda seen: decode(tokenizer, seen))
    ends: list[int] = []
    for token in with_steps(ids):
        _, partial = decoder.add(token)
        before = ends[-1] if ends else 0
        ends.append(before if partial else min(length, max(before, decoder.n_chars)))
    return [*ends[:-1], length] if ends else []


def single_token(
    tokenizer: Tokenizer, text: str, n_rows: int | None = None, name: str = "target"
) -> int:
    """Id of the one token whose text is exactly ``text``; ``id:1234`` names it by number.

    ``n_rows`` is how many tokens the model knows, where those are more than the tokenizer's: the
    rest has numbers only. ``name`` is that of the field, for what is refused.

    A leading space counts: " Paris" and "Paris" are two tokens.

    Raises: InputError, which says how the text splits, if it is not exactly one token.
    """
    if number := re.fullmatch(r"id:\s*([+-]?[0-9]+)\s*|<id ([0-9]+)>", text):
        digits = number[1] or number[2]
        return _by_number(tokenizer, digits, n_rows, name)
    if not text:
        raise InputError(f'{name} "" is empty; give the text of one token, or id:NUMBER')
    _refuse_surrogates(text)
    token = whole_token(tokenizer, text)
    if token is None:
        raise InputError(_split_message(tokenizer, text, name))
    return token


def token_id(
    tokenizer: Tokenizer, token: str | int, n_rows: int | None = None, name: str = "target"
) -> int:
    """Id of a token that is given as text, as "id:NUMBER" or as its id; `n_rows` as single_token.

    Raises: InputError, naming what was given, if it is not one token that the model knows.
    """
    if isinstance(token, str):
        number = single_token(tokenizer, token, n_rows, name)
    elif isinstance(token, int) and not isinstance(token, bool):
        number = token
    else:  # True is 1 to Python, and no id to anybody
        raise InputError(
            f"{name} of type {type(token).__name__}: accepted are the text of one token, "
            '"id:NUMBER", or its id as an int'
        )
    if number < 0 or (n_rows is not None and number >= n_rows):
        id_range = "0 and more" if n_rows is None else f"0 to {n_rows - 1}"
        raise InputError(f"{name} id {number}: accepted are {id_range}")
    return number


def _by_number(tokenizer: Tokenizer, digits: str, n_rows: int | None, name: str) -> int:
    rows = max(len(tokenizer), n_rows or 0)
    size = len(digits.lstrip("+-0"))  # int() refuses thousands of digits in words of its own
    number = int(digits) if size < 20 else -1
    if not 0 <= number < rows:
        short_digits = digits if len(digits) <= 40 else f"{digits[:40]}…"
        raise InputError(
            f'{name} "id:{short_digits}": there is no such token; the ids go from 0 to {rows - 1}'
        )
    return number


def names_of(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """What each id is called where it stands alone, distinct ids by distinct names.

    Its text, with its own leading space; bytes that are a part of a character as ``<0xE4>``; and
    ``<id 391>`` for a row that models have and their tokenizers have not. Two ids of one text are
    told apart by their numbers.
    """
    spelling = _spelling(tokenizer)
    added_ids = set(tokenizer.get_added_vocab().values())
    names = [_name_of(tokenizer, token, spelling, token in added_ids) for token in ids]
    times = Counter(dict(zip(ids, names, strict=True)).values())
    return [
        name if times[name] == 1 else f"{name}<id {token}>"
        for name, token in zip(names, ids, strict=True)
    ]


def _name_of(tokenizer: Tokenizer, token: int, spelling: Spelling | None, is_added: bool) -> str:
    piece = piece_of(tokenizer, token)
    if piece is None:
        return f"<id {token}>"
    if is_added:
        return _piece_text(piece) or f"<id {token}>"
    own_bytes = None if spelling is None else spelling(piece)
    name = decode(tokenizer, [token]) if own_bytes is None else _readable(own_bytes)
    if "\ufffd" in name or not name:
        name = _piece_text(piece)
    return name or f"<id {token}>"


def piece_of(tokenizer: Tokenizer, token: int) -> str | bytes | None:
    """Vocabulary piece of an id; None where the tokenizer has no such id."""
    try:
        return tokenizer.convert_ids_to_tokens([token])[0]
    except (IndexError, KeyError, ValueError, OverflowError):
        return None


def whole_token(tokenizer: Tokenizer, text: str) -> int | None:
    """Id of the token that is the whole text, its own leading space included."""
    ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    spelling = _spelling(tokenizer)
    if len(ids) == 1 and (
        spelling is None
        or ids[0] in tokenizer.get_added_vocab().values()
        or spelling(tokenizer.convert_ids_to_tokens(ids)[0]) == text.encode()
    ):
        return ids[0]
    if spelling is None or spelling is spell_bytes:
        return None
    piece = text.replace(" ", "▁")
    number = getattr(tokenizer, "get_vocab", dict)().get(piece)
    return None if number is None else int(number)


def _spelling(tokenizer: Tokenizer) -> Spelling | None:
    """How the vocabulary is spelled, told by which spelling reproduces a probe text."""
    probe = "a é"
    try:
        ids = list(tokenizer(probe, add_special_tokens=False)["input_ids"])
    except Exception:  # a vocabulary of whole words may refuse others, each in its own way
        return None
    pieces = list(tokenizer.convert_ids_to_tokens(ids))
    nowhere = [False] * len(ids)
    for spelling in SPELLINGS:
        if walk(pieces, nowhere, nowhere, probe.encode(), spelling) is not None:
            return spelling
    return None


def _split_message(tokenizer: Tokenizer, text: str, name: str) -> str:
    tokens = tokenize(tokenizer, text, add_special_tokens=False)
    shared = {group for group, after in pairwise(tokens.groups) if group == after}
    piece_words = [
        f"{quoted_text(tokens.pieces[n])}"
        + (f" (id:{tokens.ids[n]})" if tokens.groups[n] in shared else "")
        for n in range(min(8, len(tokens)))
    ]
    parts = " + ".join(piece_words) + (" + …" if len(tokens) > 8 else "")
    message = (
        f"{name} {quoted_text(text if len(text) < 80 else text[:79] + '…')} is "
        f"{len(tokens)} token{'s' * (len(tokens) != 1)}: {parts}; "
        "give one of these, or id:NUMBER"
    )
    other_spelling = text.removeprefix(" ") if text.startswith(" ") else f" {text}"
    if other_spelling and whole_token(tokenizer, other_spelling) is not None:
        how = "without" if text.startswith(" ") else "with"
        message += f"; {how} the leading space, {quoted_text(other_spelling)} is one token"
    return message


def _display_pieces(
    alignment: Alignment,
    raw_pieces: Sequence[str | bytes],
    spans: Sequence[Span],
    groups: Sequence[int],
    exact: bool,
) -> tuple[str, ...]:
    """What to show for each token: its text; bytes of a split character as ``<0xE6>``."""
    shared = {group for group, after in pairwise(groups) if group == after}
    return tuple(
        _readable(alignment.raw[start:end])
        if start < end and (exact or group not in shared)
        else _piece_text(piece)
        for piece, (start, end), group in zip(raw_pieces, spans, groups, strict=True)
    )


def _piece_text(piece: str | bytes) -> str:
    return _readable(piece) if isinstance(piece, bytes) else piece


def _readable(raw: bytes) -> str:
    text = ""
    while raw:
        try:
            return text + raw.decode()
        except UnicodeDecodeError as error:
            text += raw[: error.start].decode()
            text += "".join(f"<0x{byte:02X}>" for byte in raw[error.start : error.end])
            raw = raw[error.end :]
    return text


def quoted_text(text: str) -> str:
    """A text in quotes, on one line."""
    return json.dumps(text, ensure_ascii=False)


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"character {error.start} of the text is a lone surrogate "
            f"(U+{ord(text[error.start]):04X}), which is not valid Unicode"
        ) from None
