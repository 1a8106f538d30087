"""Commands in a reply: which are meant and well formed, which almost are, which only look so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from worldline.room.arguments import SPACE, Fault, past_quotes, read_arguments
from worldline.room.claims import claims
from worldline.room.events import Span
from worldline.room.look_alikes import plain_name
from worldline.room.regions import BREAKS, Cover, line_end, regions

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
_SHAPES = {"image": 1, "add_ai": 2, "search": 1, "prompt": 1}
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
class Given:
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
class Parsed:
    """What a text holds: commands in order, near misses, and what only looks like either.

    `repeats` are commands given before in the same text. `imitations` stand where nothing is
    meant; their names say where: code, quote, reasoning, quotation, or whose name.
    """

    commands: tuple[Given, ...] = ()
    near: tuple[NearMiss, ...] = ()
    repeats: tuple[Given, ...] = ()
    imitations: tuple[Span, ...] = ()
    claims: tuple[Span, ...] = field(default=())


def parse(text: str, borrowed: Sequence[Span] = (), models: Iterable[str] | None = None) -> Parsed:
    """Read the commands of a reply; `borrowed` are its passages in another's name.

    `!image` and `!search` run anywhere in a line. What acts on its author or brings somebody in
    runs where nothing else stands on its line, and is a near miss where something does.
    With `models` an `!add_ai` of an unknown model is a near miss with the closest names.

    **Exactness**: total (any text), linear in the text, and the same text always reads the same.

    >>> parse('look: !image "a cat"').commands[0].arguments
    ('a cat',)
    >>> parse("please do not !leave").near[0].code
    'passing'
    """
    known = None if models is None else tuple(models)
    head = text[:LONGEST_READ]
    found = list(_found(head, Cover(regions(head)), Cover(borrowed), known))
    if len(found) > MOST_FOUND or len(head) < len(text):
        end = found[MOST_FOUND].start if len(found) > MOST_FOUND else len(head)
        hint = f"only the first {MOST_FOUND} commands, or {LONGEST_READ:,} characters, are read"
        found = [*found[:MOST_FOUND], NearMiss("many", hint, end, min(len(text), end + 80))]
    given: list[Given] = []
    repeats: list[Given] = []
    near: list[NearMiss] = []
    for one in _meant(head, [one for one in found if not isinstance(one, Span)]):
        if isinstance(one, NearMiss):
            near.append(one)
        elif any((one.name, one.arguments) == (old.name, old.arguments) for old in given):
            repeats.append(one)
        else:
            given.append(one)
    imitations = tuple(one for one in found if isinstance(one, Span))
    return Parsed(tuple(given), tuple(near), tuple(repeats), imitations, claims(head))


def closest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names that resemble `name`, the nearest first."""
    plain = {plain_name(one): one for one in known}
    wanted = plain_name(name[:200])
    part = [plain[one] for one in plain if wanted and (wanted in one or one in wanted)]
    near = [plain[one] for one in difflib.get_close_matches(wanted, plain, n=n, cutoff=0.5)]
    return list(dict.fromkeys([*near, *part]))[:n]


def find_model(name: str, known: Iterable[str]) -> str | None:
    """The known model of this name, case, spaces and signs aside."""
    return next((one for one in known if plain_name(one) == plain_name(name)), None)


def _found(
    text: str, quiet: Cover, borrowed: Cover, known: Sequence[str] | None
) -> Iterator[Given | NearMiss | Span]:
    """Whatever looks like a command, in order, one more than there may be at most."""
    line = _Line(text)
    at = after = n = 0  # `after`: the end of a command, behind which another needs no space
    while n <= MOST_FOUND and (sign := _SIGN.search(text, at)) is not None:
        start, at = sign.start(), sign.start() + 1
        free = _FREE.match(text, start) or _next_to(text, after, start) or line.closed(start)
        if not free and not _glued(text, sign):
            continue
        at = sign.end()
        where = quiet.at(start) or borrowed.at(start)
        reason = where.name if where else "quotation" if line.quoting(start) else ""
        one = _excerpt(text, sign, known) if reason else _read(text, sign, known)
        if one is None:
            continue
        n += 1
        if reason:
            yield Span(one.start, one.end, reason)
            continue
        if not free:
            hint = f"a space belongs before the !; write {FORMS[sign['name']]}"
            one = NearMiss("space", hint, start - 1, one.end)
        at = after = max(one.end, at)
        line.take(start, after)
        yield one


def _excerpt(text: str, sign: re.Match[str], known: Sequence[str] | None) -> Span | None:
    """Where what is not meant stands; its arguments are read no further than it is shown."""
    start = sign.start()
    excerpt = text[start : start + _EXCERPT]
    again = _SIGN.match(excerpt)
    one = _read(excerpt, again, known) if again else None
    return None if one is None else Span(start, start + one.end, "")


def _next_to(text: str, after: int, start: int) -> bool:
    """Whether nothing but a few signs stands between a command and the one before it."""
    between = text[after:start] if after and start - after <= _CLOSE else "a"
    return not _WORD.search(between) and not any(one in between for one in BREAKS)


def _glued(text: str, sign: re.Match[str]) -> bool:
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

    def closed(self, start: int) -> bool:
        """Whether a quotation ends right before `start`."""
        return start > 0 and self._text[start - 1] in '"”»' and not self.quoting(start)

    def take(self, start: int, end: int) -> None:
        """Leave out what is no part of what is said."""
        self._read_to(start)
        self._at = end

    def _read_to(self, start: int) -> None:
        begun = max(self._text.rfind(one, self._at, start) for one in BREAKS) + 1
        if begun:
            self._straight = self._curly = 0
        piece = self._text[max(begun, self._at) : start]
        self._straight += piece.count('"')
        self._curly += piece.count("“") - piece.count("”")
        self._at = max(self._at, start)


def _meant(text: str, found: Sequence[Given | NearMiss]) -> Iterator[Given | NearMiss]:
    """The same, but commands that are only said in passing as near misses."""
    for one in found:
        if isinstance(one, NearMiss) or one.name in ANYWHERE or _is_alone(text, one):
            yield one
        else:
            yield _in_passing(one)


def _is_alone(text: str, one: Given) -> bool:
    """Whether nothing but blanks, and marks of emphasis around it, stands on a command's line."""
    begin = max(text.rfind(sign, 0, one.start) for sign in BREAKS) + 1
    before = text[begin : one.start].lstrip()
    behind = text[one.end : line_end(text, one.end)].rstrip()
    return _EMPHASIS.fullmatch(before) is not None and behind == before[::-1]


def _in_passing(one: Given) -> NearMiss:
    how = f"said in passing, it does nothing; write {FORMS[one.name]} alone on a line"
    return NearMiss("passing", how, one.start, one.end)


def _read(text: str, found: re.Match[str], known: Sequence[str] | None) -> Given | NearMiss | None:
    """What stands at a sign and a word: a command, almost one, or nothing of the kind."""
    sign, name, start = found["sign"], found["name"], found.start()
    if name not in FORMS:
        return _unknown(text, found)
    if sign != "!" or found["gap"]:
        return _misspelt(text, found, name)
    read = read_arguments(text, found.end(), _SHAPES.get(name, 0), name == "temperature")
    if isinstance(read, Fault):
        hint = f"{read.hint}; write {FORMS[name]}"
        return NearMiss(read.code, hint, start, read.end)
    if name == "add_ai" and known is not None and find_model(read.arguments[0], known) is None:
        return NearMiss("unknown_model", _no_model(read.arguments[0], known), start, read.end)
    return Given(name, read.arguments, start, read.end)


def _no_model(name: str, known: Sequence[str]) -> str:
    near = closest(name, known)
    shown = ", ".join(near) if near else "none comes near; !list_models names them"
    return f"no model {name!r} here; close to it: {shown}"


def _misspelt(text: str, found: re.Match[str], name: str) -> NearMiss | None:
    """A known name behind the wrong sign, or behind a gap."""
    argument = _AFTER.match(text, found.end())
    number = name == "temperature" and _NUMBER_AFTER.match(text, found.end())
    if found["gap"] or found["sign"] not in _LOUD:
        if not argument and not number:
            return None
    elif found["sign"] != "!" and found.end() < len(text) and text[found.end()] in "/\\.":
        return None  # a path goes on
    end = _whole(text, found.end(), bool(argument), bool(number))
    return NearMiss("sign", f"a command begins with !; write {FORMS[name]}", found.start(), end)


def _unknown(text: str, found: re.Match[str]) -> NearMiss | None:
    """A word after ! that is no command, where it resembles one or has an argument."""
    if found["sign"] != "!" or found["gap"]:
        return None
    name = found["name"].replace("-", "_")
    near = _similar(name.casefold())
    argument = _AFTER.match(text, found.end())
    if not near and not argument:
        return None
    forms = FORMS[near] if near else ", ".join(f"!{one}" for one in FORMS)
    hint = f"no command !{found['name'][:40]}; {'perhaps' if near else 'there are'} {forms}"
    end = _whole(text, found.end(), bool(argument), False)
    return NearMiss("unknown", hint, found.start(), end)


@lru_cache(1024)
def _similar(name: str) -> str:
    """The command that a word resembles; "" for none."""
    near = difflib.get_close_matches(name, FORMS, n=1, cutoff=SAME_NAME)
    return near[0] if near else ""


def _whole(text: str, at: int, quoted: bool, number: bool) -> int:
    """Where a near miss ends: with its quoted arguments, so that nothing inside them runs."""
    if number:
        found = _NUMBER_AFTER.match(text, at)
        return found.end() if found else at
    if not quoted:
        return at
    opener = _AFTER.match(text, at)
    return past_quotes(text, opener.end() - 1) if opener else at
