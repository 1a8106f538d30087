"""Commands in a reply: which are meant and well formed, which almost are, which only look so."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from worldline.room.arguments import SPACE, Fault, past_quotes, read_arguments
from worldline.room.claims import claims
from worldline.room.events import Span
from worldline.room.naming import plain_name
from worldline.room.regions import BREAKS, inside, regions

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
_SHAPES = {"image": 1, "add_ai": 2, "search": 1, "prompt": 1}
_QUOTES = "\"'`“”„‘’«»"
_FREE = re.compile(rf"(?<![\w!?/\\.#$@&=<{_QUOTES}¡！？])|(?<=_)")
_SIGN = re.compile(
    r"(?P<sign>[!?/\\.#$@¡！？])(?P<gap>[ \t]?)(?P<name>[A-Za-z](?:[\w-]*[A-Za-z0-9])?)(?![^\W_])"
)
_AFTER = re.compile(rf"[ \t\xa0]*[:=(]?[ \t\xa0]*[{_QUOTES}]")
_LOUD = frozenset("!?/¡！？\\")  # signs that give themselves away without an argument
SAME_NAME = 0.75


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

    With `models` an `!add_ai` of an unknown model is a near miss with the closest names.

    **Exactness**: total (any text), and the same text always reads the same.

    >>> parse('look: !image "a cat"').commands[0].arguments
    ('a cat',)
    """
    known = None if models is None else tuple(models)
    quiet = (*regions(text), *borrowed)
    given: list[Given] = []
    repeats: list[Given] = []
    near: list[NearMiss] = []
    imitations: list[Span] = []
    taken: list[tuple[int, int]] = []
    at = 0
    while (found := _next(text, at)) is not None:
        one = _read(text, found, known)
        at = found.end() if one is None else max(one.end, found.end())
        if one is None:
            continue
        where = _unmeant(text, one.start, quiet, taken)
        if where:
            imitations.append(Span(one.start, one.end, where))
            at = found.end()
            continue
        taken.append((one.start, one.end))
        if isinstance(one, NearMiss):
            near.append(one)
        elif any((one.name, one.arguments) == (old.name, old.arguments) for old in given):
            repeats.append(one)
        else:
            given.append(one)
    return Parsed(tuple(given), tuple(near), tuple(repeats), tuple(imitations), claims(text))


def closest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The known names that resemble `name`, the nearest first."""
    plain = {plain_name(one): one for one in known}
    wanted = plain_name(name)
    part = [plain[one] for one in plain if wanted and (wanted in one or one in wanted)]
    near = [plain[one] for one in difflib.get_close_matches(wanted, plain, n=n, cutoff=0.5)]
    return list(dict.fromkeys([*near, *part]))[:n]


def find_model(name: str, known: Iterable[str]) -> str | None:
    """The known model of this name, case, spaces and signs aside."""
    return next((one for one in known if plain_name(one) == plain_name(name)), None)


def _next(text: str, at: int) -> re.Match[str] | None:
    while found := _SIGN.search(text, at):
        if _FREE.match(text, found.start()):
            return found
        at = found.start() + 1
    return None


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
    number = name == "temperature" and re.match(rf"{SPACE}+[\d.]", text[found.end() :])
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
    near = difflib.get_close_matches(name.casefold(), FORMS, n=1, cutoff=SAME_NAME)
    argument = _AFTER.match(text, found.end())
    if not near and not argument:
        return None
    forms = FORMS[near[0]] if near else ", ".join(f"!{one}" for one in FORMS)
    hint = f"no command !{found['name'][:40]}; {'perhaps' if near else 'there are'} {forms}"
    end = _whole(text, found.end(), bool(argument), False)
    return NearMiss("unknown", hint, found.start(), end)


def _whole(text: str, at: int, quoted: bool, number: bool) -> int:
    """Where a near miss ends: with its quoted arguments, so that nothing inside them runs."""
    if number:
        found = re.compile(rf"{SPACE}+[\d.]+").match(text, at)
        return found.end() if found else at
    if not quoted:
        return at
    opener = _AFTER.match(text, at)
    return past_quotes(text, opener.end() - 1) if opener else at


def _unmeant(text: str, start: int, quiet: Sequence[Span], taken: Sequence[tuple[int, int]]) -> str:
    """Why what stands at `start` is not meant: code, a quotation, whose name; "" if it is."""
    region = inside(quiet, start)
    if region is not None:
        return region.name
    begin = max((text.rfind(one, 0, start) for one in BREAKS), default=-1) + 1
    before = "".join(
        one
        for place, one in enumerate(text[begin:start], begin)
        if not any(first <= place < last for first, last in taken)
    )
    odd = before.count('"') % 2 or before.count("“") > before.count("”")
    return "quotation" if odd else ""
