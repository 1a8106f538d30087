"""Commands in a reply: which are meant and well formed, which almost are, which only look so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from worldline.room.action_claims import claims
from worldline.room.command_arguments import SPACE, Fault, past_quotes, read_arguments
from worldline.room.events import Span
from worldline.room.inert_regions import BREAKS, Cover, line_end, regions
from worldline.room.look_alikes import plain_name

FORMS = {
    "image": '!image "what to draw"',
    "add_ai": '!add_ai "Model" "greeting"',
    "temperature": "!temperature 0.8",
    "search": '!search "what to look for"',
    "prompt": '!prompt "what to add to your own instructions"',
    "mute_self": "!mute_self",
    "leave": "!leave",
    "list_models": "!list_models",
}
ANYWHERE = frozenset({"image", "search"})  # they ask for something and move nobody
N_ARGUMENTS = {"image": 1, "add_ai": 2, "search": 1, "prompt": 1, "temperature": 1}
_QUOTES = "\"'`“”„‘’«»"
_FREE = re.compile(rf"(?<![\w!?/\\.#$@&=<{_QUOTES}¡！？])|(?<=_)")
_SIGN = re.compile(
    r"(?P<sign>[!?/\\.#$@¡！？])(?P<gap>[ \t]?)(?P<name>[A-Za-z](?:[\w-]{0,60}[A-Za-z0-9])?)"
    r"(?![^\W_])"
)
_AFTER = re.compile(rf"[ \t\xa0]{{0,40}}[:=(]?[ \t\xa0]{{0,40}}[{_QUOTES}]")
_NUMBER_AFTER = re.compile(rf"{SPACE}{{1,40}}[\d.]+")
_LOUD = frozenset("!?/¡！？\\")  # signs that give themselves away without an argument
_EMPHASIS = re.compile(r"[*_]{0,3}")
_WORD = re.compile(r"[^\W_]")
SAME_NAME = 0.75
LONGEST_READ = 200_000  # characters of a reply in which commands are looked for
MOST_FOUND = 64  # of commands, near misses and imitations of one reply
_CLOSE = 8  # characters between two commands that are written without a space
_EXCERPT = 400  # characters of what is not meant, read to tell what it imitates


@dataclass(frozen=True, slots=True)
class ParsedCommand:
    """A command as it was given: it will run, unless the room has a reason against it."""

    name: str
    arguments: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Almost a command: it never runs, and its author is told what would have."""

    code: str
    hint: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What a text holds: commands in order, near misses, and what only looks like either.

    `repeats` are commands given before in the same text. `imitations` stand where nothing is
    meant; their names say where: code, quote, reasoning, quotation, or whose name.
    """

    commands: tuple[ParsedCommand, ...] = ()
    near: tuple[NearMiss, ...] = ()
    repeats: tuple[ParsedCommand, ...] = ()
    imitations: tuple[Span, ...] = ()
    claims: tuple[Span, ...] = field(default=())


def parse(
    text: str, borrowed_spans: Sequence[Span] = (), models: Iterable[str] | None = None
) -> ParsedReply:
    """Read the commands of a reply; `borrowed_spans` are its passages in another's name.

    `!image` and `!search` run anywhere in a line. What acts on its author or brings somebody in
    runs where nothing else stands on its line, and is a near miss where something does.
    With `models` an `!add_ai` of an unknown model is a near miss with the closest names.

    **Exactness**: total (any text), linear in the text, and the same text always reads the same.

    >>> parse('look: !image "a cat"').commands[0].arguments
    ('a cat',)
    >>> parse("please do not !leave").near[0].code
    'passing'
    """
    model_names = None if models is None else tuple(models)
    head = text[:LONGEST_READ]
    candidates = list(_candidates(head, Cover(regions(head)), Cover(borrowed_spans), model_names))
    if len(candidates) > MOST_FOUND or len(head) < len(text):
        end = candidates[MOST_FOUND].start if len(candidates) > MOST_FOUND else len(head)
        hint = f"only the first {MOST_FOUND} commands, or {LONGEST_READ:,} characters, are read"
        candidates = [
            *candidates[:MOST_FOUND],
            NearMiss("many", hint, end, min(len(text), end + 80)),
        ]
    commands: list[ParsedCommand] = []
    repeats: list[ParsedCommand] = []
    near: list[NearMiss] = []
    for attempt in _demote_passing(
        head, [candidate for candidate in candidates if not isinstance(candidate, Span)]
    ):
        if isinstance(attempt, NearMiss):
            near.append(attempt)
        elif any(
            (attempt.name, attempt.arguments) == (old.name, old.arguments) for old in commands
        ):
            repeats.append(attempt)
        else:
            commands.append(attempt)
    imitations = tuple(span for span in candidates if isinstance(span, Span))
    return ParsedReply(tuple(commands), tuple(near), tuple(repeats), imitations, claims(head))


def closest(name: str, names: Iterable[str], n: int = 3) -> list[str]:
    """The known names that resemble `name`, the nearest first."""
    plain = {plain_name(known_name): known_name for known_name in names}
    query = plain_name(name[:200])
    part = [
        plain[plain_form]
        for plain_form in plain
        if query and (query in plain_form or plain_form in query)
    ]
    near = [
        plain[near_form] for near_form in difflib.get_close_matches(query, plain, n=n, cutoff=0.5)
    ]
    return list(dict.fromkeys([*near, *part]))[:n]


def find_model(name: str, names: Iterable[str]) -> str | None:
    """The known model of this name, case, spaces and signs aside."""
    return next(
        (candidate for candidate in names if plain_name(candidate) == plain_name(name)), None
    )


def _candidates(
    text: str, quiet: Cover, borrowed_cover: Cover, model_names: Sequence[str] | None
) -> Iterator[ParsedCommand | NearMiss | Span]:
    """Whatever looks like a command, in order, one more than there may be at most."""
    line = _Line(text)
    at = after = n = 0  # `after`: the end of a command, behind which another needs no space
    while n <= MOST_FOUND and (sign := _SIGN.search(text, at)) is not None:
        start, at = sign.start(), sign.start() + 1
        free = _FREE.match(text, start) or _next_to(text, after, start) or line.is_quote_end(start)
        if not free and not _is_glued(text, sign):
            continue
        at = sign.end()
        where = quiet.at(start) or borrowed_cover.at(start)
        reason = where.name if where else "quotation" if line.quoting(start) else ""
        candidate = (
            _excerpt(text, sign, model_names) if reason else _read_attempt(text, sign, model_names)
        )
        if candidate is None:
            continue
        n += 1
        if reason:
            yield Span(candidate.start, candidate.end, reason)
            continue
        if not free:
            hint = f"a space belongs before the !; write {FORMS[sign['name']]}"
            candidate = NearMiss("space", hint, start - 1, candidate.end)
        at = after = max(candidate.end, at)
        line.take(start, after)
        yield candidate


def _excerpt(text: str, sign: re.Match[str], model_names: Sequence[str] | None) -> Span | None:
    """Where what is not meant stands; its arguments are read no further than it is shown."""
    start = sign.start()
    excerpt = text[start : start + _EXCERPT]
    excerpt_sign = _SIGN.match(excerpt)
    candidate = _read_attempt(excerpt, excerpt_sign, model_names) if excerpt_sign else None
    return None if candidate is None else Span(start, start + candidate.end, "")


def _next_to(text: str, after: int, start: int) -> bool:
    """Whether nothing but a few signs stands between a command and the one before it."""
    between = text[after:start] if after and start - after <= _CLOSE else "a"
    return not _WORD.search(between) and not any(line_break in between for line_break in BREAKS)


def _is_glued(text: str, sign: re.Match[str]) -> bool:
    """Whether a known command stands right behind a word, where it can be nothing else."""
    if sign["sign"] != "!" or sign["name"] not in FORMS or not sign.start():
        return False
    before = text[sign.start() - 1]
    if before.isalnum() and not before.isascii():
        return True  # where words are written without spaces
    return (before.isalnum() or before in "!.?") and bool(_AFTER.match(text, sign.end()))


class _Line:
    """The line that is being read, as far as it has been, commands that were taken left out."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._straight = self._curly = 0

    def quoting(self, start: int) -> bool:
        """Whether a quotation is open at `start`."""
        self._read_to(start)
        return bool(self._straight % 2) or self._curly > 0

    def is_quote_end(self, start: int) -> bool:
        """Whether a quotation ends right before `start`."""
        return start > 0 and self._text[start - 1] in '"”»' and not self.quoting(start)

    def take(self, start: int, end: int) -> None:
        """Leave out what is no part of what is said."""
        self._read_to(start)
        self._at = end

    def _read_to(self, start: int) -> None:
        line_start = max(self._text.rfind(line_break, self._at, start) for line_break in BREAKS) + 1
        if line_start:
            self._straight = self._curly = 0
        piece = self._text[max(line_start, self._at) : start]
        self._straight += piece.count('"')
        self._curly += piece.count("“") - piece.count("”")
        self._at = max(self._at, start)


def _demote_passing(
    text: str, attempts: Sequence[ParsedCommand | NearMiss]
) -> Iterator[ParsedCommand | NearMiss]:
    """The same, but commands that are only said in passing as near misses."""
    for attempt in attempts:
        if isinstance(attempt, NearMiss) or attempt.name in ANYWHERE or _is_alone(text, attempt):
            yield attempt
        else:
            yield _in_passing(attempt)


def _is_alone(text: str, command: ParsedCommand) -> bool:
    """Whether nothing but blanks, and marks of emphasis around it, stands on a command's line."""
    begin = max(text.rfind(sign, 0, command.start) for sign in BREAKS) + 1
    before = text[begin : command.start].lstrip()
    behind = text[command.end : line_end(text, command.end)].rstrip()
    return _EMPHASIS.fullmatch(before) is not None and behind == before[::-1]


def _in_passing(command: ParsedCommand) -> NearMiss:
    how = f"said in passing, it does nothing; write {FORMS[command.name]} alone on a line"
    return NearMiss("passing", how, command.start, command.end)


def _read_attempt(
    text: str, sign_match: re.Match[str], model_names: Sequence[str] | None
) -> ParsedCommand | NearMiss | None:
    """What stands at a sign and a word: a command, almost one, or nothing of the kind."""
    sign, name, start = sign_match["sign"], sign_match["name"], sign_match.start()
    if name not in FORMS:
        return _unknown(text, sign_match)
    if sign != "!" or sign_match["gap"]:
        return _misspelt(text, sign_match, name)
    n_arguments = N_ARGUMENTS.get(name, 0)
    reading = read_arguments(text, sign_match.end(), n_arguments, name == "temperature")
    if isinstance(reading, Fault):
        hint = f"{reading.hint}; write {FORMS[name]}"
        return NearMiss(reading.code, hint, start, reading.end)
    if (
        name == "add_ai"
        and model_names is not None
        and find_model(reading.arguments[0], model_names) is None
    ):
        return NearMiss(
            "unknown_model", _no_model(reading.arguments[0], model_names), start, reading.end
        )
    return ParsedCommand(name, reading.arguments, start, reading.end)


def _no_model(name: str, model_names: Sequence[str]) -> str:
    near = closest(name, model_names)
    suggestion = ", ".join(near) if near else "none comes near; !list_models names them"
    return f"no model {name!r} here; close to it: {suggestion}"


def _misspelt(text: str, sign_match: re.Match[str], name: str) -> NearMiss | None:
    """A known name behind the wrong sign, or behind a gap."""
    argument = _AFTER.match(text, sign_match.end())
    number = name == "temperature" and _NUMBER_AFTER.match(text, sign_match.end())
    if sign_match["gap"] or sign_match["sign"] not in _LOUD:
        if not argument and not number:
            return None
    elif (
        sign_match["sign"] != "!"
        and sign_match.end() < len(text)
        and text[sign_match.end()] in "/\\."
    ):
        return None  # a path goes on
    end = _near_miss_end(text, sign_match.end(), bool(argument), bool(number))
    return NearMiss(
        "sign", f"a command begins with !; write {FORMS[name]}", sign_match.start(), end
    )


def _unknown(text: str, sign_match: re.Match[str]) -> NearMiss | None:
    """A word after ! that is no command, where it resembles one or has an argument."""
    if sign_match["sign"] != "!" or sign_match["gap"]:
        return None
    name = sign_match["name"].replace("-", "_")
    near = _similar(name.casefold())
    argument = _AFTER.match(text, sign_match.end())
    if not near and not argument:
        return None
    forms = FORMS[near] if near else ", ".join(f"!{command_name}" for command_name in FORMS)
    hint = f"no command !{sign_match['name'][:40]}; {'perhaps' if near else 'there are'} {forms}"
    end = _near_miss_end(text, sign_match.end(), bool(argument), False)
    return NearMiss("unknown", hint, sign_match.start(), end)


@lru_cache(1024)
def _similar(name: str) -> str:
    """The command that a word resembles; "" for none."""
    near = difflib.get_close_matches(name, FORMS, n=1, cutoff=SAME_NAME)
    return near[0] if near else ""


def _near_miss_end(text: str, at: int, has_quotes: bool, number: bool) -> int:
    """Where a near miss ends: with its quoted arguments, so that nothing inside them runs."""
    if number:
        number_match = _NUMBER_AFTER.match(text, at)
        return number_match.end() if number_match else at
    if not has_quotes:
        return at
    opener = _AFTER.match(text, at)
    return past_quotes(text, opener.end() - 1) if opener else at
