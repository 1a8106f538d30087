"""Chat turns to text by the model's own template, with the place of each turn's content."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from worldline.errors import InputError
from worldline.tokens.tokens import Tokenizer, Tokens, tokenize

STRIPPED = "Blanks at the ends of the text: the model's chat template strips them."


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation: who speaks ("system", "user", "assistant") and what is said."""

    role: str
    content: str


@dataclass(frozen=True)
class NamedSpan:
    """The characters of one turn's content in a rendered chat; ``name`` as in "user 0"."""

    name: str
    start: int
    end: int


def render_chat(
    tokenizer: Tokenizer, turns: Sequence[Turn], *, add_generation_prompt: bool = True
) -> tuple[str, tuple[NamedSpan, ...]]:
    """Text of a conversation, up to where the model would answer, and where each content stands.

    Spans are named by role and place in the conversation: "user 0", "assistant 1". The text has
    its special tokens written out, so tokenize it with ``add_special_tokens=False``.

    A template that reads contents as lists of parts gets them so. One that knows no generation
    prompt is followed by what it would write in front of an answer.

    **Exactness**: a span is given only where the place is certain: the template's own words are
    told apart from the contents by rendering it with marks in their stead. A content that the
    template rewrites, and that does not stand in the text exactly once, has no span.

    Raises: InputError if the tokenizer has no chat template, there are no turns, or the template
    refuses them, leaves out or changes the words of one.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise InputError("this model has no chat template; leave out --chat to give it plain text")
    if not turns:
        raise InputError("a chat needs at least one turn")
    refusal: InputError | None = None
    for form in _FORMS:
        try:
            return _render_turns(_Template(tokenizer, form, add_generation_prompt), turns)
        except InputError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def tokens_of(tokenizer: Tokenizer, text: str, chat: bool = False) -> Tokens:
    """The tokens of a text, or of it as a user's turn up to where the model would answer.

    Raises: InputError as `render_chat` and `tokenize`.
    """
    if not chat:
        return tokenize(tokenizer, text)
    chat_text, _ = render_chat(tokenizer, [Turn("user", text)])
    return tokenize(tokenizer, chat_text, add_special_tokens=False)


def turns_of(
    tokenizer: Tokenizer, text: str, chat: bool = False, chat_text: str | None = None
) -> tuple[NamedSpan, ...]:
    """Where the turns of such a chat stand in its text; none where it is no chat.

    `chat_text` is the text that was read, where it was made earlier: a template with a clock makes
    another one now.
    """
    if not chat:
        return ()
    new_text, spans = render_chat(tokenizer, [Turn("user", text)])
    if chat_text is None or new_text == chat_text:
        return spans
    place = _only_place(chat_text, text)
    return () if place is None else (NamedSpan("user 0", *place),)


def ends_left_out(text: str, chat_text: str, turns: Sequence[NamedSpan]) -> str:
    """What is said where a chat's template took blanks off the ends of a user's text, else "".

    >>> ends_left_out("hi ", "User: hi.", [NamedSpan("user 0", 6, 8)])
    "Blanks at the ends of the text: the model's chat template strips them."
    """
    if not turns:
        return "" if text in chat_text else STRIPPED
    words = chat_text[turns[0].start : turns[0].end]
    return "" if chat_text.startswith(text, turns[0].start - text.find(words)) else STRIPPED


def unsteady(tokenizer: Tokenizer) -> str:
    """What in a tokenizer's chat template makes another text another time; empty if nothing does.

    **Exactness**: by the words of the template, whether or not it comes to them.
    """
    words = str(getattr(tokenizer, "chat_template", None) or "")
    if "strftime_now" in words:
        return "writes the date or the time"
    return "draws at random" if re.search(r"\|\s*random\b|\blipsum\b", words) else ""


def _as_words(turn: Turn) -> Any:
    return turn.content


def _as_parts(turn: Turn) -> Any:
    return [{"type": "text", "text": turn.content}]


def _as_parts_but_system(turn: Turn) -> Any:
    return turn.content if turn.role == "system" else _as_parts(turn)


_FORMS: tuple[Callable[[Turn], Any], ...] = (_as_words, _as_parts, _as_parts_but_system)


@dataclass(frozen=True)
class _Template:
    """A tokenizer's chat template, with the form in which it is given contents."""

    tokenizer: Tokenizer
    form: Callable[[Turn], Any]
    prompts: bool

    def text(self, turns: Sequence[Turn]) -> str:
        """The conversation, with what opens an answer where one is asked for."""
        text = self._plain(turns, self.prompts)
        if not self.prompts or turns[-1].role == "assistant":
            return text
        return text + self._missing_prompt(text, turns)

    def _missing_prompt(self, text: str, turns: Sequence[Turn]) -> str:
        """What stands in front of an answer, if the template leaves it out when asked for it."""
        if self._plain(turns, False) != text:
            return ""
        (mark,) = _unused_marks(text, 1)
        try:
            answered_text = self._plain([*turns, Turn("assistant", mark)], False)
        except InputError:
            return ""
        opening = (
            answered_text[len(text) :].partition(mark)[0] if answered_text.startswith(text) else ""
        )
        return opening if opening.strip() and mark in answered_text else ""

    def _plain(self, turns: Sequence[Turn], prompt: bool) -> str:
        conversation = [{"role": turn.role, "content": self.form(turn)} for turn in turns]
        try:
            text = self.tokenizer.apply_chat_template(
                conversation,
                tokenize=False,
                add_generation_prompt=prompt,
                chat_template=_listed_template(self.tokenizer),
            )
        except InputError:
            raise
        except Exception as error:  # a template may raise whatever its author chose
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(f"the model's chat template refused these turns: {reason}") from error
        return str(text)


def _listed_template(tokenizer: Tokenizer) -> str | None:
    """The template called default of a list of named ones, as older files hold them."""
    templates: Any = getattr(tokenizer, "chat_template", None)
    if not isinstance(templates, list):
        return None  # what the tokenizer itself knows to choose from
    template_by_name = {
        entry.get("name"): entry.get("template") for entry in templates if isinstance(entry, dict)
    }
    if not isinstance(template_by_name.get("default"), str):
        raise InputError(
            "the model has a list of chat templates, and accepted is the one called default; "
            f"there are {', '.join(map(str, template_by_name)) or 'none with a name'}"
        )
    return template_by_name["default"]


def _render_turns(template: _Template, turns: Sequence[Turn]) -> tuple[str, tuple[NamedSpan, ...]]:
    """The text, in which the words of every turn stand, and their places."""
    text = template.text(turns)
    marks = _unused_marks(text, len(turns))
    marked_turns = [Turn(turn.role, mark) for turn, mark in zip(turns, marks, strict=True)]
    try:
        marked_text = template.text(marked_turns)
    except InputError:
        marked_text = None
    if template.form is not _as_words and re.search(
        r"""['"]type['"]: ?['"]text""", marked_text or ""
    ):
        raise InputError("the model's chat template writes lists of parts out as they are")
    _refuse_lost_words(text, turns, marked_text, marks)
    frame = None if marked_text is None else _frame(marked_text, marks)
    places = None if frame is None else _fill(text, frame, turns)
    if places is None:
        places = [_only_place(text, turn.content) for turn in turns]
    names = [f"{turn.role} {index}" for index, turn in enumerate(turns)]
    return text, tuple(
        NamedSpan(name, *place)
        for name, place in zip(names, places, strict=True)
        if place is not None
    )


def _refuse_lost_words(
    text: str, turns: Sequence[Turn], marked_text: str | None, marks: Sequence[str]
) -> None:
    """Raise InputError if a turn's words do not come out as they went in, and in their order.

    Blanks at the ends may go, those inside may not change. What an assistant thought, up to a
    ``</think>``, may be left out: so templates of reasoning models treat answers that were given.
    """
    at = 0
    for index, (turn, mark) in enumerate(zip(turns, marks, strict=True)):
        words = turn.content.strip()
        answer = words.rpartition("</think>")[2].strip() if turn.role == "assistant" else words
        where = text.find(words, at)
        where, words = (where, words) if where >= 0 else (text.find(answer, at), answer)
        times = 0 if marked_text is None else marked_text.count(mark)
        if where < 0 or (words and marked_text is not None and mark not in marked_text):
            has_similar = _alike(words, text) if marked_text is None else _alike(mark, marked_text)
            how = "changes" if has_similar else "leaves out"
            if " ".join(words.split()) in " ".join(text.split()) and times:
                how = "changes the blanks in"
            raise InputError(
                f"the model's chat template {how} the words of the {turn.role} (turn {index}); "
                "the model would not read them"
            )
        if times > 1:
            raise InputError(
                f"the model's chat template writes the words of the {turn.role} (turn {index}) "
                f"{times} times; the model would not read them as they are"
            )
        at = where + len(words)


def _alike(words: str, text: str) -> bool:
    """Whether words stand in a text, be it in other letters and with other blanks."""
    folded_words, folded_text = (" ".join(string.lower().split()) for string in (words, text))
    return folded_words in folded_text


def _unused_marks(text: str, n_marks: int) -> list[str]:
    """One word per turn that is nowhere in the text."""
    words = (f"mark{number}mark" for number in count(1000))
    return list(islice((word for word in words if word not in text), n_marks))


def _frame(text: str, marks: Sequence[str]) -> list[str] | None:
    """The template's own words before, between and after the contents."""
    parts: list[str] = []
    for mark in marks:
        before, separator, text = text.partition(mark)
        if not separator or mark in text:
            return None
        parts.append(before)
    return [*parts, text]


def _fill(
    text: str, frame: Sequence[str], turns: Sequence[Turn]
) -> list[tuple[int, int] | None] | None:
    """Where the contents stand between the template's words; None if the text is not made so."""
    spans: list[tuple[int, int] | None] = []
    at = 0
    for before, after, turn in zip(frame, frame[1:], turns, strict=False):
        if not text.startswith(before, at):
            return None
        at += len(before)
        for content in _forms(turn.content):
            if text.startswith(content + after, at):
                spans.append((at, at + len(content)))
                at += len(content)
                break
        else:
            return None
    return spans if text[at:] == frame[-1] else None


def _forms(content: str) -> list[str]:
    """A content as it is, and with the blanks removed that templates like to strip."""
    return [content, content.strip(), content.lstrip(), content.rstrip()]


def _only_place(text: str, content: str) -> tuple[int, int] | None:
    content = content.strip()
    if not content or text.count(content) != 1:
        return None
    start = text.index(content)
    return start, start + len(content)
