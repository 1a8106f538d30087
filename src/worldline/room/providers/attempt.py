"""What came of one attempt at a reply: its words so far, how it ended, what it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from worldline.room.providers.chat_model import Delta, Ending, Usage
from worldline.room.providers.chunks import Chunk
from worldline.room.providers.failures import CutOffError, EmptyError, RefusedReplyError
from worldline.room.providers.hidden_keys import hide
from worldline.room.providers.transport import plain

LARGEST_REPLY = 200_000  # characters
LONGEST_NAME = 200
Price: TypeAlias = Callable[[int | None, int | None, float | None], float | None]


@dataclass(eq=False)
class TextBuffer:
    """Text put together from pieces that may end in half a character (a surrogate).

    Where one of `secrets` stands in it, whoever it was told has said it: it is hidden.
    """

    secrets: tuple[str, ...] = field(default=(), repr=False)
    parts: list[str] = field(default_factory=list)
    size: int = 0
    _pending: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        """All of it so far."""
        return "".join(self.parts)

    def add(self, piece: str, last: bool = False) -> str:
        r"""What can be shown now; a half that stays alone becomes a question mark.

        >>> whole = TextBuffer()
        >>> whole.add("ok \ud83d"), whole.add("\ude00!")
        ('ok ', '😀!')
        """
        piece, self._pending = self._pending + piece, ""
        piece, n_held = hide(piece, self.secrets)
        n_held = n_held or int("\ud800" <= piece[-1:] <= "\udbff")  # half a character
        if not last and n_held:
            piece, self._pending = piece[:-n_held], piece[-n_held:]
        if not piece.isascii():
            piece = piece.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            piece = piece.encode("utf-8", "replace").decode()
        if piece:
            self.parts.append(piece)
            self.size += len(piece)
        return piece


@dataclass(eq=False)
class ReplyAttempt:
    """One attempt; `price` makes dollars of tokens and of what the endpoint says."""

    name: str
    price: Price
    words: TextBuffer = field(default_factory=TextBuffer)
    thoughts: TextBuffer = field(default_factory=TextBuffer)
    left_out: tuple[str, ...] = ()
    model: str = ""
    has_ended: bool = False
    refusal: bool = False
    reason: str | None = None
    _counts: Chunk = field(default_factory=Chunk)

    def deltas(self, chunk: Chunk) -> Iterator[Delta]:
        """What a chunk adds to the reply."""
        self.model = chunk.model[:LONGEST_NAME].encode("utf-8", "replace").decode() or self.model
        self.reason = chunk.reason or self.reason
        self.has_ended = self.has_ended or chunk.done or chunk.reason is not None
        self.refusal = self.refusal or bool(chunk.refusal)
        for name in ("tokens_in", "tokens_out", "price"):
            if (value := getattr(chunk, name)) is not None:
                self._counts = replace(self._counts, **{name: value})
        is_repeat = chunk.is_whole and bool(self.words.size)  # the whole once more, at the end
        if not is_repeat and (reasoning := self.thoughts.add(chunk.reasoning)):
            yield Delta(reasoning, reasoning=True)
        for piece in () if is_repeat else (chunk.text, chunk.refusal):
            if text := self.words.add(piece):
                yield Delta(text)
        if self.words.size + self.thoughts.size > LARGEST_REPLY:
            raise CutOffError(f"a reply of over {LARGEST_REPLY:,} characters", self.words.text)

    def flush(self) -> Iterator[Delta]:
        """What was held back."""
        if reasoning := self.thoughts.add("", last=True):
            yield Delta(reasoning, reasoning=True)
        if text := self.words.add("", last=True):
            yield Delta(text)

    def usage(self) -> Usage:
        """How it ended, or why it did not. Raises: EmptyError, RefusedReplyError."""
        is_declined = self.refusal or self.reason == "content_filter"
        if not self.words.text.strip():
            if is_declined:
                error = RefusedReplyError(f"{self.name} declined to answer")
            else:
                error = EmptyError(f"{self.name} said nothing{self._why()}")
            error.usage = self.usage_so_far("refused" if is_declined else "stop")
            raise error
        ending: Ending = "refused" if is_declined else "stop"
        if self.reason == "length" and not is_declined:
            ending = "length"
        return self.usage_so_far(ending)

    def usage_so_far(self, ending: Ending) -> Usage:
        """What it took so far, as far as the endpoint said."""
        tokens_in, tokens_out = self._counts.tokens_in, self._counts.tokens_out
        price = self.price(tokens_in, tokens_out, self._counts.price)
        return Usage(tokens_in, tokens_out, price, ending, self.model, self.left_out)

    def _why(self) -> str:
        if self.thoughts.size:
            return f": it only thought, {self.thoughts.size} characters"
        return f" ({plain(self.reason)})" if self.reason and self.reason != "stop" else ""
