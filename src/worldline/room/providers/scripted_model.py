"""A model whose lines were written beforehand: for tests, replays and the headless tour."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worldline.room.providers.chat_model import ChatMessage, Delta, ReplyError, Settings, Usage

_PIECE = re.compile(r"\s*\S+\s*")


@dataclass(frozen=True, slots=True)
class ScriptedModel:
    """Says `lines` one after another; starts over after the last where `loops`.

    Which line comes next is `settings.turn`: the model remembers nothing.

    >>> model = ScriptedModel("parrot", ("hello there", "bye"))
    >>> "".join(d.text for d in model.reply((), Settings(turn=1)) if isinstance(d, Delta))
    'bye'
    """

    name: str
    lines: tuple[str, ...]
    loops: bool = False
    alternates: bool = False
    context_tokens: int | None = None
    scripted: bool = True

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """Words, since a script has no tokens."""
        return sum(len(message.text.split()) for message in messages)

    def reply(self, messages: Sequence[ChatMessage], settings: Settings) -> Iterator[Delta | Usage]:
        """The line numbered `settings.turn`, word by word, then its usage in words."""
        line = self._line(settings.turn)
        pieces = _PIECE.findall(line) or [line]
        for piece in pieces:
            yield Delta(piece)
        yield Usage(
            tokens_in=self.count_tokens(messages),
            tokens_out=len(pieces),
            price=0.0,
            model=self.name,
        )

    def _line(self, turn: int) -> str:
        if self.loops and self.lines:
            return self.lines[turn % len(self.lines)]
        if turn >= len(self.lines):
            raise ReplyError(f"the script has {len(self.lines)} lines and all were said")
        return self.lines[turn]
