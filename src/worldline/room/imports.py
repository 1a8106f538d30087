"""Rooms from elsewhere: our own JSON, messages of other programs, and printed transcripts."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from worldline.errors import InputError
from worldline.foreign_json import read_json
from worldline.room.action_claims import claims
from worldline.room.events import ROOM, Arrival, Body, Event, Message, Notice
from worldline.room.export_files import FORMAT
from worldline.room.inert_regions import begins_inside
from worldline.room.log import Log
from worldline.room.log_checks import event_of
from worldline.room.look_alikes import told_apart
from worldline.room.mojibake import RepairedText, mend
from worldline.room.other_formats import Entry, conversation_of
from worldline.room.reply_commands import ParsedReply, parse
from worldline.room.speaker_labels import Names, borrowed_passages
from worldline.room.speech import speech_of
from worldline.tokens.sanitize import one_line

LONGEST_HEADER = 400  # characters
MOST_SPEAKERS = 5000
_SIGN = r"(?:[^\w\s\[]\S*\s+)"
_NAME = r"(?P<name>(?:[^()\n]|\([^()\n]*\))+)"  # Name, or Name (High)
_WHO = rf"AI-(?P<seat>\d+)(?: \({_NAME}\))?"
_HEADER = re.compile(rf"AI-(?P<seat>\d+) \({_NAME}\)")
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

    `program_counts` counts the program's own lines (a refused `!add_ai` is one of the `!add_ai`).
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
class ImportedConversation:
    """A conversation as events to append, its two columns, and what its encoding had suffered.

    `left_out` counts what of the file is in no event, by kind.
    """

    bodies: tuple[Body, ...]
    columns: Columns
    repaired_text: RepairedText
    left_out: Mapping[str, int] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """What was counted, as plain JSON values."""
        mended = {name: getattr(self.repaired_text, name) for name in ("mended", "guessed", "gone")}
        return {
            "columns": {name: getattr(self.columns, name) for name in Columns.__slots__},
            "mended": mended,
            "left_out": dict(self.left_out),
        }


@dataclass(slots=True)
class _Reading:
    """A transcript half read: the message that is open, and everything before it."""

    entries: list[tuple[str, str]] = field(default_factory=list)  # (speaker or "", text)
    program_counts: Counter[str] = field(default_factory=Counter)
    ais: set[str] = field(default_factory=set)
    speaker: str = ""
    lines: list[str] = field(default_factory=list)

    def open(self, speaker: str) -> None:
        """End what is being read and begin another message; "" for the program's own."""
        text = "\n".join(self.lines).strip()
        if text:
            self.entries.append((self.speaker, text))
        self.speaker, self.lines = speaker, []


def imported_log(text: str) -> tuple[bytes, ImportedConversation | None]:
    """(The file of a new log, the conversation in it; None for a room's own JSON).

    Raises: InputError, in a line, where the text is neither.
    """
    log = Log()
    conversation = None
    try:
        if is_room(text):
            from_json(text, log)
        else:
            conversation = from_elsewhere(text)
            log.append(conversation.bodies)
        return log.content_of_file(), conversation
    finally:
        log.close()


def from_json(text: str, log: Log) -> list[Event]:
    """Put a room that `exporting.as_json` wrote into an empty log: every branch, every picture.

    Times are kept. Raises: InputError if the text is nothing of the kind, or the log has events.
    """
    if log.last:
        raise InputError(f"{log.path}: has {log.last} events; accepted is a new log")
    document = read_json(text, repr(one_line(text, 40)))
    try:
        plain, contents = document["events"], document.get("contents", {})
        if document["format"] != FORMAT:
            raise InputError(f"format {document['format']!r}: accepted is {FORMAT!r}")
        events = [
            event_of(
                (
                    plain_event["number"],
                    plain_event["parent"],
                    plain_event["time"],
                    json.dumps(plain_event["body"]),
                ),
                place,
            )
            for place, plain_event in enumerate(plain, 1)
        ]
        pictures = [
            (base64.b64decode(picture["base64"]), str(picture["type"]))
            for picture in contents.values()
            if "lost" not in picture
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{text[:40]!r}: not a room; accepted is the JSON of one") from None
    for content, kind in pictures:
        log.keep(content, kind)
    log.restore(events)
    return events


def is_room(text: str) -> bool:
    """Whether a text is our own JSON, or would be if it were whole."""
    head = text.lstrip()[:LONGEST_HEADER]
    return head[:1] == "{" and ('"worldline-room' in head or '"events"' in head)


def from_elsewhere(text: str) -> ImportedConversation:
    """Read a conversation of another program: messages as JSON, or a printed transcript.

    Raises: InputError, in a line, if no message is found.
    """
    text = text.removeprefix("\ufeff")
    return from_messages(text) if text.lstrip()[:1] in ("{", "[") else from_transcript(text)


def from_messages(text: str) -> ImportedConversation:
    """Read messages as JSON; see `foreign_messages` for the forms.

    Raises: InputError, in a line, if no message is found.
    """
    conversation = conversation_of(text)
    telling = _Telling(conversation.entries)
    columns = Columns({}, **{name: dict(tally) for name, tally in telling.tallies.items()})
    left_out = {name: n for name, n in conversation.left_out.items() if n}
    return ImportedConversation(tuple(telling.bodies), columns, RepairedText(text), left_out)


def from_transcript(text: str) -> ImportedConversation:
    """Read a printed transcript: "AI-1 (Name)" above each message, the program's lines between.

    A first message in the manner of "name: text" is a person's.

    Raises: InputError if no message is found.
    """
    repaired_text = mend(text)
    reading = _read_lines(repaired_text.text.splitlines())
    if not reading.ais:
        raise InputError(
            f"{text[:40]!r}: no message; accepted are a room's own JSON (its Markdown and its page "
            "are not read back), messages as JSON, or lines 'AI-1 (Name)' above messages"
        )
    entries = [Entry(speaker, words, speaker in reading.ais) for speaker, words in reading.entries]
    telling = _Telling(entries)
    program_counts = {name: reading.program_counts[name] for name in _ROWS}
    columns = Columns(
        program_counts, **{name: dict(tally) for name, tally in telling.tallies.items()}
    )
    return ImportedConversation(tuple(telling.bodies), columns, repaired_text)


def _read_lines(lines: Sequence[str]) -> _Reading:
    reading = _Reading()
    opening = _OPENING.match(lines[0]) if lines else None
    if opening and not _program_row(lines[0]):
        reading.open(opening["name"])
        lines = [lines[0][opening.end() - 1 :], *lines[1:]]
    for line in lines:
        header = _HEADER.fullmatch(line.rstrip()) if len(line) <= LONGEST_HEADER else None
        row = _program_row(line)
        if header:
            reading.open(header["name"])
            reading.ais.add(header["name"])
        elif row or _repeats_a_picture(reading, line):
            reading.open("")
            reading.lines.append(line)
            reading.program_counts[row] += bool(row)
            reading.program_counts["add_ai"] += row == "add_ai refused"
        else:
            reading.lines.append(line)
    reading.open("")
    return reading


def _program_row(line: str) -> str:
    """Which of the program's own lines this is; "" for none, "aside" for one that counts not."""
    if any(pattern.fullmatch(line) for pattern in _ASIDES):
        return "aside"
    return next((name for name, row_pattern in _ROWS.items() if row_pattern.fullmatch(line)), "")


def _repeats_a_picture(reading: _Reading, line: str) -> bool:
    """The command that the program prints again below a picture that it made."""
    under = len(reading.lines) == 1 and not reading.speaker
    return under and "created an image" in reading.lines[0] and bool(_REPEATED.fullmatch(line))


class _Telling:
    """The events of what was said, and what is counted of them.

    Raises: InputError for more speakers than a room can tell apart.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        named = (entry.who or entry.doer for entry in entries)
        speakers = list(dict.fromkeys(filter(None, named)))
        if len(speakers) > MOST_SPEAKERS:
            raise InputError(f"{len(speakers):,} speakers; accepted are up to {MOST_SPEAKERS:,}")
        name_by_speaker = told_apart(speakers, ROOM)
        self._names = Names(list(name_by_speaker.values()))
        name_by_speaker[""] = ""
        entries = [
            replace(entry, who=name_by_speaker[entry.who], doer=name_by_speaker[entry.doer])
            for entry in entries
        ]
        self.bodies: list[Body] = []
        self.tallies = {name: Counter[str]() for name in Columns.__slots__ if name != "logged"}
        self._joined_names: set[str] = set()
        for entry, begins in zip(entries, _beginnings(entries), strict=True):
            if not entry.who:
                told = f"{entry.doer} {entry.text}" if entry.doer else entry.text
                self.bodies.append(Notice("logged", told))
            elif entry.ai:
                self._say(entry, begins)
            else:
                self.bodies.append(Message(entry.who, entry.text, entry.text))

    def _say(self, entry: Entry, begins: bool) -> None:
        """One more message, of a participant who joins with its first."""
        speaker = entry.who
        if speaker not in self._joined_names:
            self._joined_names.add(speaker)
            self.bodies.append(Arrival(speaker, speaker))
        speech = speech_of(entry.text, begins, own_name=speaker)
        spans = borrowed_passages(speech.shown_text, speaker, self._names)
        thoughts = "\n".join(part for part in (entry.reasoning, speech.reasoning) if part)
        marks = claims(speech.shown_text)
        message = Message(
            speaker, entry.text, speech.shown_text, spans, marks, thoughts, model=speaker
        )
        self.bodies.append(message)
        self._count(message, parse(speech.shown_text, spans))
        if entry.text.strip() and not speech.shown_text:
            text = f"{speaker} only thought; nobody reads what it thought"
            self.bodies.append(Notice("only_reasoning", text, 0, speaker))

    def _count(self, message: Message, parsed_reply: ParsedReply) -> None:
        tallies = self.tallies
        tallies["commands"].update(command.name for command in parsed_reply.commands)
        tallies["repeats"].update(claim.name for claim in parsed_reply.repeats)
        tallies["imitations"].update(near_miss.name for near_miss in parsed_reply.imitations)
        tallies["near"].update(imitation.code for imitation in parsed_reply.near)
        tallies["claims"].update(repeat.name for repeat in parsed_reply.claims)
        if message.borrowed:
            tallies["borrowed"][message.who] += len(message.borrowed)


def _beginnings(entries: Sequence[Entry]) -> list[bool]:
    """Whether each entry begins inside reasoning: by its marks, else as its speaker's before it.

    Where there is none before it the first one behind it tells.
    """
    marked_beginnings = [begins_inside(entry.text) if entry.ai else None for entry in entries]
    begins_by_speaker: dict[str, bool] = {}
    for entry, begins in zip(reversed(entries), reversed(marked_beginnings), strict=True):
        if begins is not None:
            begins_by_speaker[entry.who] = begins
    beginnings: list[bool] = []
    for entry, begins in zip(entries, marked_beginnings, strict=True):
        if begins is not None:
            begins_by_speaker[entry.who] = begins
        beginnings.append(begins_by_speaker.get(entry.who, False) and not entry.reasoning)
    return beginnings
