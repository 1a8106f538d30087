"""The tokens that are asked about: which is meant, and what else could have been."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from worldline.errors import InputError
from worldline.tokens.tokens import decode, quoted_text, token_id, whole_token

if TYPE_CHECKING:
    from worldline.tokens.tokens import Tokenizer


def refuse_targets(
    tokenizer: Tokenizer,
    target: str | int | None,
    versus: str | int | None = None,
    *,
    n_rows: int | None = None,
) -> None:
    """Raise InputError, before anything is run, for what cannot be asked about.

    That is what is no single token, and a token held against itself.
    """
    asked = None if target is None else token_id(tokenizer, target, n_rows, "target")
    other = None if versus is None else token_id(tokenizer, versus, n_rows, "versus")
    if asked is not None:
        refuse_itself(tokenizer, asked, other)


def token_text(token: str | int | None) -> str | None:
    """A token as every surface takes it: an id is no text.

    >>> token_text(" Paris"), token_text(7042)
    (' Paris', 'id:7042')
    """
    return f"id:{token}" if isinstance(token, int) else token


def refuse_itself(tokenizer: Tokenizer, target: int, versus: int | None) -> None:
    """Raise InputError where a token is held against itself: the difference is always 0."""
    if target == versus:
        word = quoted_text(decode(tokenizer, [target]))
        raise InputError(
            f"target and versus are both {word}: the difference is 0 whatever happens; accepted "
            "are two different tokens"
        )


def likelier_twin(
    tokenizer: Tokenizer, logprob: Callable[[int], float | None], *typed_tokens: str | int | None
) -> str | None:
    """What should be known of tokens as they were typed: that the other spelling is likelier.

    "Paris" and " Paris" are two tokens, and at most places only one of them can be meant.
    `logprob` gives that of an id in nats, None where all that is known is that it is small.
    """
    notes = [
        _note(tokenizer, logprob, typed_token)
        for typed_token in typed_tokens
        if isinstance(typed_token, str)
    ]
    return "; ".join(note for note in notes if note is not None) or None


def _note(
    tokenizer: Tokenizer, logprob: Callable[[int], float | None], typed_token: str
) -> str | None:
    if typed_token.startswith("id:"):
        return None
    other_spelling = (
        typed_token.removeprefix(" ") if typed_token.startswith(" ") else f" {typed_token}"
    )
    typed_id, twin = (
        whole_token(tokenizer, typed_token),
        whole_token(tokenizer, other_spelling) if other_spelling else None,
    )
    if typed_id is None or twin is None or typed_id == twin:
        return None
    chance = logprob(twin)
    if chance is None or chance <= _or_small(logprob(typed_id)):
        return None
    how = "with a space" if typed_token.startswith(" ") else "no space"
    return (
        f"{quoted_text(typed_token)} ({how}) is another token than {quoted_text(other_spelling)}, "
        f"which is {_percent(math.exp(chance))} here"
    )


def _or_small(logprob: float | None) -> float:
    return -math.inf if logprob is None else logprob


def _percent(part: float) -> str:
    size = 100 * part
    return f"{size:.0f} %" if size >= 1 else f"{size:.1g} %"
