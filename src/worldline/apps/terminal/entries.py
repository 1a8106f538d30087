"""Events as blocks of coloured text; nothing that was written by others is read as markup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from textual.content import Content

from worldline.room import (
    BADGES,
    Command,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    Span,
    command_text,
    event_line,
    strip,
)
from worldline.tokens import cover_unseen

COLOURS = ("#5fafff", "#ffaf5f", "#87d787", "#d787d7", "#ffd75f", "#5fd7d7", "#ff8787")
PERSON = "#d0d0d0"
QUIET = "#8a8a8a"
WARNING = "#ffaf00"
ENDS = {"done": "#87d787", "refused": WARNING, "failed": "#ff5f5f", "expired": QUIET}
LOUD = frozenset({"no_reply", "ended", "broken", "borrowed", "near_miss", "imitation", "context"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A block of the conversation: its text, and the colour of the bar beside it ("" for none).

    `number` is the event that it stands for; a later one of the same number takes its place.
    """

    number: int
    text: Content
    colour: str = ""


@dataclass(slots=True)
class Telling:
    """Turns events into entries; knows who has which colour and which command is meant."""

    colours: dict[str, str] = field(default_factory=dict)
    commands: dict[int, Command] = field(default_factory=dict)
    speakers: dict[int, str] = field(default_factory=dict)

    def colour(self, speaker: str, person: bool = False) -> str:
        """Somebody's colour, the same from the first word on."""
        if person:
            return self.colours.setdefault(speaker, PERSON)
        if speaker not in self.colours:
            n_assigned = sum(used_colour != PERSON for used_colour in self.colours.values())
            self.colours[speaker] = COLOURS[n_assigned % len(COLOURS)]
        return self.colours[speaker]

    def entry(self, event: Event) -> Entry | None:
        """The block of an event; None for what nobody has to be told."""
        match event.body:
            case Message() as body:
                return self._message(event.number, body)
            case Command() as body:
                self.commands[event.number] = body
                text = f"{body.who}'s {command_text(body)}: it is being done"
                return Entry(event.number, Content.styled(cover_unseen(text), QUIET))
            case Outcome(command=number, end=end):
                return Entry(number, self._outcome(event, ENDS[end]))
            case FlowRecord() as body:
                return self._flow_entry(event.number, body)
            case Notice(code=code) if code in LOUD:
                return Entry(event.number, _event_content(event, self.commands, WARNING))
        return Entry(event.number, _event_content(event, self.commands, QUIET))

    def writing(self, speaker: str, text: str) -> Content:
        """A reply on its way: not in the log, and it may never be."""
        head = (cover_unseen(speaker), f"bold {self.colour(speaker)}")
        return Content.assemble(
            head, (" writes …\n", QUIET), (cover_unseen(text), "italic #b2b2b2")
        )

    def _message(self, number: int, body: Message) -> Entry:
        self.speakers[number] = body.who
        colour = self.colour(body.who, person=not body.model)
        marks = f"  #{number}"
        if body.model:
            marks += " scripted" if body.scripted else f" {cover_unseen(body.model)}"
        if body.ending not in ("stop", ""):
            by = "" if body.ending == "broken off" else "ended by "
            marks += f", {by}{cover_unseen(body.ending)}"
        marked_text = _mark_spans(cover_unseen(body.shown), body.borrowed, body.claims)
        head = (cover_unseen(body.who), f"bold {colour}"), (f"{marks}\n", QUIET)
        badges = [
            (f"\n! {BADGES.get(claim.name, cover_unseen(claim.name))}", WARNING)
            for claim in body.claims
        ]
        return Entry(number, Content.assemble(*head, marked_text, *badges), colour)

    def _outcome(self, event: Event, colour: str) -> Content:
        text = _event_content(event, self.commands, colour)
        body = event.body
        if isinstance(body, Outcome) and "picture" in body.result:
            more = "the picture is in the log; /save FILE.html shows it"
            return Content.assemble(text, (f"\n{more}", QUIET))
        return text

    def _flow_entry(self, number: int, body: FlowRecord) -> Entry:
        if not body.flow:
            return Entry(number, Content.styled(cover_unseen(body.reason), QUIET))
        line = cover_unseen(strip(body.flow, self.speakers.get(body.message, "")))
        return Entry(number, self._cells(line))

    def _cells(self, line: str) -> Content:
        """A strip with its cells in the colours of whose words they stand for."""
        text = Content.styled(line, QUIET)
        first, last = line.find("["), line.find("]")
        letters: dict[str, str | None] = {}
        for name, colour in self.colours.items():
            letter = cover_unseen(name[:1])
            letters[letter] = None if letter in letters else colour  # two of a letter: no colour
        for at in range(first + 1, last):
            if colour := letters.get(line[at]):
                text = text.stylize(colour, at, at + 1)
        return text


def _event_content(event: Event, commands: Mapping[int, Command], style: str) -> Content:
    return Content.styled(cover_unseen(event_line(event, commands)), style)


def _mark_spans(text: str, borrowed_spans: tuple[Span, ...], claims: tuple[Span, ...]) -> Content:
    """A message's words; passages in another's name, and claims that nothing backs, stand out."""
    content = Content(text)
    for span in borrowed_spans:
        content = content.stylize("italic dim", span.start, span.end)
    for span in claims:
        content = content.stylize(f"underline {WARNING}", span.start, span.end)
    return content
