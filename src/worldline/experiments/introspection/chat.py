"""Conversations as tokens: where each turn stands, and by which tokens it can be answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import worldline as wl

PLAIN = {"system": "System", "user": "User", "assistant": "Assistant"}
_LIMITS = ("max_position_embeddings", "n_positions", "n_ctx")


@dataclass(frozen=True)
class Message:
    """One turn: who speaks ("system", "user", "assistant") and what is said."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatPrompt:
    """A conversation up to its answer, in tokens, and one token for each answer.

    `turns[n]` are the characters of the content of message n in the text. The tokens end where the
    answers begin to differ, so the logits of the last position choose between `answers`.
    """

    tokens: wl.Tokens
    turns: tuple[tuple[int, int], ...]
    answers: tuple[int, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of its tokens."""
        return self.tokens.ids

    def positions(self, start: int, end: int) -> tuple[int, ...]:
        """Tokens that share characters with [start, end), column 0 left out.

        Raises:
            InputError: there are none.
        """
        token_positions = tuple(
            pos
            for pos, (first, last) in enumerate(self.tokens.char_spans)
            if pos > 0 and first < end and last > start and first < last
        )
        if not token_positions:
            raise wl.InputError(f'"{self.tokens.text[start:end]}": no token beyond column 0 has it')
        return token_positions

    def turn(self, number: int) -> tuple[int, ...]:
        """The tokens of one message's content."""
        return self.positions(*self.turns[number])

    def words(self, number: int, words: str) -> tuple[int, ...]:
        """The tokens of the first place of these words in message `number`."""
        start = self.tokens.text.index(words, self.turns[number][0])
        return self.positions(start, start + len(words))


def has_template(model: wl.LoadedModel) -> bool:
    """Whether the model's tokenizer comes with a chat template."""
    return bool(getattr(model.tokenizer, "chat_template", None))


def ask(
    model: wl.LoadedModel, messages: Sequence[Message], prefill: str, answers: Sequence[str] = ()
) -> ChatPrompt:
    """A conversation, the beginning of the answer, and the ways in which it can go on.

    Without a chat template it is written as "User: ... Assistant: ...". A template that refuses a
    system message gets the others.

    Raises:
        InputError: two answers begin with the same token, the text is longer than the model's
            context, or a template changes what is said.
    """
    text = _render_chat(model, messages) + prefill
    add = False if has_template(model) else None
    every = [
        wl.tokenize(model.tokenizer, text + answer, add_special_tokens=add)
        for answer in answers or ("",)
    ]
    n_pos = _common([tokens.ids for tokens in every])
    following = tuple(tokens.ids[n_pos] if n_pos < len(tokens.ids) else -1 for tokens in every)
    following = following if answers else ()
    if len(set(following)) < len(following) or -1 in following:
        raise wl.InputError(
            f"answers {', '.join(map(repr, answers))}: accepted are those that this model's "
            "tokens tell apart by the first one"
        )
    limit = _limit(model)
    if limit is not None and n_pos > limit:
        raise wl.InputError(f"a conversation of {n_pos} tokens: this model takes {limit}")
    return ChatPrompt(every[0].first(n_pos), _places(text, messages), following)


def _render_chat(model: wl.LoadedModel, messages: Sequence[Message]) -> str:
    """Text up to where the assistant begins to answer."""
    if not has_template(model):
        lines = [
            f"{PLAIN[message.role]}: {message.content}\n" for message in messages if message.content
        ]
        return "".join(lines) + PLAIN["assistant"] + ": "
    chat_messages = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return _apply_template(model, chat_messages)
    except Exception:  # a template may raise whatever its author chose; most refuse the system
        without_system = [one for one in chat_messages if one["role"] != "system"]
        try:
            return _apply_template(model, without_system)
        except Exception as error:
            raise wl.InputError(f"the model's chat template refused a conversation: {error}") from (
                error
            )


def _apply_template(model: wl.LoadedModel, chat_messages: list[dict[str, str]]) -> str:
    text = model.tokenizer.apply_chat_template(
        chat_messages, tokenize=False, add_generation_prompt=True
    )
    return str(text)


def _places(text: str, messages: Sequence[Message]) -> tuple[tuple[int, int], ...]:
    """Characters of each message's content, one after the other; templates may strip blanks."""
    places, at = [], 0
    for message in messages:
        content = message.content.strip()
        start = text.find(content, at)
        if start < 0 and message.role != "system":
            raise wl.InputError(f'"{content[:40]}": the chat template changes what is said')
        if start >= 0:
            at = start + len(content)
        places.append((max(start, 0), max(start, 0) + len(content)) if start >= 0 else (0, 0))
    return tuple(places)


def _common(every: Sequence[tuple[int, ...]]) -> int:
    """How many ids at the beginning are the same in all."""
    n = 0
    while all(n < len(ids) for ids in every) and len({ids[n] for ids in every}) == 1:
        n += 1
    return n


def _limit(model: wl.LoadedModel) -> int | None:
    parts = [model.config, model.config.get("text_config") or {}]
    limits = [part[name] for part in parts for name in _LIMITS if isinstance(part.get(name), int)]
    return min((limit for limit in limits if limit > 0), default=None)
