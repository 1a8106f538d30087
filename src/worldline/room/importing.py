"""Rooms from elsewhere: our own JSON, and transcripts that other programs printed."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from worldline.errors import InputError
from worldline.room.claims import claims
from worldline.room.commands import Parsed, parse
from worldline.room.events import Body, Event, Joined, Message, Notice, from_plain
from worldline.room.exporting import FORMAT
from worldline.room.log import Log
from worldline.room.mending import Mended, mend
from worldline.room.naming import borrowed, without_own_label

_SIGN = r"(?:[^\w\s\[]\S*\s+)"
_WHO = r"AI-(?P<seat>\d+)(?: \((?P<name>[^()\n]+)\))?"
_HEADER = re.compile(r"AI-(?P<seat>\d+) \((?P<name>[^()\n]+)\)\s*")
_ROWS = {
    "images asked": re.compile(rf"{_SIGN}\[{_WHO}\]: !image .*\(generating\.\.\.\)\s*"),
    "images made": re.compile(rf"{_SIGN}{_WHO} created an image\W*"),
    "add_ai": re.compile(rf"{_SIGN}\[{_WHO}\]: !add_ai .*"),
    "add_ai refused": re.compile(r"Maximum of \d+ AIs already reached\s*"),
    "temperature": re.compile(rf"{_SIGN}\[{_WHO}\]: !temperature .*"),
    "search": re.compile(rf"{_SIGN}\[{_WHO}\]: !search .*\(found \d+ results?\)\s*"),
}
_ASIDES = (
    re.compile(rf"\[{_WHO} adjusted their temperature\]\s*"),
    re.compile(rf"{_SIGN}\[{_WHO}\]: !search (?!.*\(found \d+ results?\)).*"),
)
_REPEATED = re.compile(rf"\[{_WHO}\]: !image .*")
_OPENING = re.compile(r"(?P<name>[^\s:\[\]()][^:\n\[\]()]{0,40}): \S")


@dataclass(frozen=True, slots=True)
class Columns:
    """Two accounts of one transcript: what the program printed, and what the messages hold.

    `logged` counts the program's own lines (a refused `!add_ai` is one of the `!add_ai`).
    `commands` are those meant and well formed, `repeats` given again in one message,
    `imitations` by whose name (or code, quote, ...), `near` by what is wrong, `claims` by their
    kind, `borrowed` by speaker.
    """

    logged: dict[str, int]
    commands: dict[str, int]
    repeats: dict[str, int]
    imitations: dict[str, int]
    near: dict[str, int]
    claims: dict[str, int]
    borrowed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Imported:
    """A transcript as events to append, its two columns, and what its encoding had suffered."""

    bodies: tuple[Body, ...]
    columns: Columns
    mended: Mended


@dataclass(slots=True)
class _Reading:
    """A transcript half read: the message that is open, and everything before it."""

    entries: list[tuple[str, str]] = field(default_factory=list)  # (speaker or "", text)
    logged: Counter[str] = field(default_factory=Counter)
    ais: set[str] = field(default_factory=set)
    speaker: str = ""
    lines: list[str] = field(default_factory=list)

    def open(self, speaker: str) -> None:
        """End what is being read and begin another message; "" for the program's own."""
        text = "\n".join(self.lines).strip()
        if text:
            self.entries.append((self.speaker, text))
        self.speaker, self.lines = speaker, []


def from_json(text: str, log: Log) -> list[Event]:
    """Put a room that `exporting.as_json` wrote into an empty log: every branch, every picture.

    Times are kept. Raises: InputError if the text is nothing of the kind, or the log has events.
    """
    if log.last:
        raise InputError(f"{log.path}: has {log.last} events; accepted is a new log")
    try:
        whole = json.loads(text)
        plain, contents = whole["events"], whole.get("contents", {})
        if whole["format"] != FORMAT:
            raise InputError(f"format {whole['format']!r}: accepted is {FORMAT!r}")
        events = [
            Event(one["number"], one["parent"], float(one["time"]), from_plain(one["body"]))
            for one in plain
        ]
        kept = [(base64.b64decode(one["base64"]), str(one["type"])) for one in contents.values()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{text[:40]!r}: not a room; accepted is the JSON of one") from None
    for place, event in enumerate(events, 1):
        if (event.number, type(event.parent)) != (place, int) or not 0 <= event.parent < place:
            raise InputError(f"event {event.number}: out of order; accepted are 1, 2, 3 and so on")
    for content, kind in kept:
        log.keep(content, kind)
    log.restore(events)
    return events


def from_transcript(text: str) -> Imported:
    """Read a printed transcript: "AI-1 (Name)" above each message, the program's lines between.

    A first message in the manner of "name: text" is a person's.

    Raises: InputError if no message is found.
    """
    mended = mend(text)
    reading = _read(mended.text.splitlines())
    if not reading.ais:
        raise InputError(f"{text[:40]!r}: no message; accepted are lines 'AI-1 (Name)' above them")
    names = list(dict.fromkeys(who for who, _ in reading.entries if who))
    bodies: list[Body] = []
    tallies = {name: Counter[str]() for name in Columns.__slots__ if name != "logged"}
    joined: set[str] = set()
    for who, said in reading.entries:
        if not who:
            bodies.append(Notice("logged", said))
            continue
        is_ai = who in reading.ais
        if is_ai and who not in joined:
            joined.add(who)
            bodies.append(Joined(who, who))
        message = _message(who, said, names, who if is_ai else "")
        bodies.append(message)
        if is_ai:
            _count(tallies, message, parse(message.shown, message.borrowed))
    logged = {name: reading.logged[name] for name in _ROWS}
    columns = Columns(logged, **{name: dict(one) for name, one in tallies.items()})
    return Imported(tuple(bodies), columns, mended)


def _read(lines: Sequence[str]) -> _Reading:
    reading = _Reading()
    opening = _OPENING.match(lines[0]) if lines else None
    if opening and not _program_row(lines[0]):
        reading.open(opening["name"])
        lines = [lines[0][opening.end() - 1 :], *lines[1:]]
    for line in lines:
        header = _HEADER.fullmatch(line)
        row = _program_row(line)
        if header:
            reading.open(header["name"])
            reading.ais.add(header["name"])
        elif row or _repeats_a_picture(reading, line):
            reading.open("")
            reading.lines.append(line)
            reading.logged[row] += bool(row)
            reading.logged["add_ai"] += row == "add_ai refused"
        else:
            reading.lines.append(line)
    reading.open("")
    return reading


def _program_row(line: str) -> str:
    """Which of the program's own lines this is; "" for none, "aside" for one that counts not."""
    if any(one.fullmatch(line) for one in _ASIDES):
        return "aside"
    return next((name for name, one in _ROWS.items() if one.fullmatch(line)), "")


def _repeats_a_picture(reading: _Reading, line: str) -> bool:
    """The command that the program prints again below a picture that it made."""
    under = len(reading.lines) == 1 and not reading.speaker
    return under and "created an image" in reading.lines[0] and bool(_REPEATED.fullmatch(line))


def _message(who: str, text: str, names: Iterable[str], model: str) -> Message:
    shown = without_own_label(text, who) if model else text
    spans = borrowed(shown, who, names) if model else ()
    return Message(who, text, shown, spans, claims(shown) if model else (), model=model)


def _count(tallies: dict[str, Counter[str]], message: Message, parsed: Parsed) -> None:
    tallies["commands"].update(one.name for one in parsed.commands)
    tallies["repeats"].update(one.name for one in parsed.repeats)
    tallies["imitations"].update(one.name for one in parsed.imitations)
    tallies["near"].update(one.code for one in parsed.near)
    tallies["claims"].update(one.name for one in parsed.claims)
    if message.borrowed:
        tallies["borrowed"][message.who] += len(message.borrowed)
