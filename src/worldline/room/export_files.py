"""A room's log as Markdown, as JSON, and as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from worldline.errors import InputError
from worldline.room.action_claims import BADGES
from worldline.room.event_format import event_line
from worldline.room.events import Body, Command, Event, Message, Outcome, Span, plain_event
from worldline.room.html_text import escape
from worldline.room.log import Log, Reading, line_of
from worldline.room.state import state_of
from worldline.room.strands import STYLE, beside, hues_of, strands, table
from worldline.tokens.sanitize import visible

FORMAT = "worldline-room-1"
LOST_PICTURE = "the picture is lost: the room's log does not hold it"
Content = Callable[[str], tuple[str, bytes]]


def log_text(log: Reading | Log, form: str, tip: int | None = None, title: str = "") -> str:
    """A log's branch as Markdown ("md") or "html", or the whole log as "json".

    `tip` is the branch's last event (else the newest), `title` the page's (else the topic, or the
    name of the log's file).

    Raises: InputError where there is no such event.
    """
    events = log.events()
    if form == "json":
        return as_json(events, log.content)
    line = line_of(events, tip)
    if form == "md":
        return as_markdown(line, log.content)
    title = title or str(state_of(line).settings["topic"]) or Path(log.path).stem
    return as_html(line, log.content, title)


def as_json(events: Sequence[Event], content: Content | None = None) -> str:
    """Every event of every branch, and the pictures (base64), where `content` is given.

    In place of a picture that is lost stands that.

    **Exactness**: `importing.from_json` gives the same events back, bit for bit.
    """
    contents: dict[str, Any] = {}
    for name in _pictures(events) if content else ():
        if (picture := _content_of(name, content)) is None:
            contents[name] = {"lost": LOST_PICTURE}
        else:
            type, data = picture
            contents[name] = {"type": type, "base64": base64.b64encode(data).decode("ascii")}
    plain = [plain_event(event) for event in events]
    document = {"format": FORMAT, "events": plain, "contents": contents}
    return visible(json.dumps(document, ensure_ascii=False, indent=1), show=_in_json)


def as_markdown(line: Sequence[Event], content: Content | None = None) -> str:
    """A branch to read: messages under their speakers' names, the room's lines in italics.

    It holds no pictures; with `content` it says which of them are lost.

    What was said stands in fences that nothing in it can close, so that headings and lines of the
    room are the room's alone, and no picture, link or markup of a message is one.
    """
    commands = _commands(line)
    parts: list[str] = []
    for event in line:
        body = event.body
        if isinstance(body, Message):
            parts.append(f"### **{_plain(body.who)}**{_plain(_aside(body))}")
            parts.append(_code_fence(body.shown) if body.shown else "*says nothing*")
            parts += [f"*{_plain(BADGES.get(claim.name, claim.name))}*" for claim in body.claims]
        elif text := event_line(event, commands):
            if content is not None and _lost_picture(body, content):
                text += f"\n{LOST_PICTURE}"
            lines = (_plain(text_line.strip()) for text_line in visible(text).splitlines())
            parts.append("\n".join(f"*{plain_line}*" for plain_line in lines if plain_line))
    return "\n\n".join(parts) + "\n"


def as_html(
    line: Sequence[Event],
    content: Content | None = None,
    title: str = "A room",
    about: str = "",
) -> str:
    """A branch as one page: everything escaped, no script, pictures inside the file.

    With the flow between speakers, where the log has it: strands between messages, who reads
    whom, and under each reply what it drew on. `about` is a line below the title.
    """
    commands, flow = _commands(line), beside(line)
    hues = hues_of(line)
    rows = [_row(event, commands, content, flow, hues) for event in line]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}{STYLE}</style>"
    )
    above = f'<p class="room">{escape(about)}</p>' if about else ""
    above += f"<p>{escape(scripted_words(line))}</p>{strands(line)}{table(line)}"
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html><html lang="en"><head><meta http-equiv="Content-Security-Policy" '
        f'content="{policy}">{head}</head><body><h1>{escape(title)}</h1>{above}<main>\n'
        + "\n".join(html_row for html_row in rows if html_row)
        + "\n</main></body></html>\n"
    )


def scripted_words(line: Sequence[Event]) -> str:
    """Which of the replies were written beforehand, in a sentence."""
    replies = [event.body for event in line if isinstance(event.body, Message) and event.body.model]
    scripted_replies = [reply for reply in replies if reply.scripted]
    if not scripted_replies:
        return f"{len(replies)} replies, none of them scripted."
    names = ", ".join(dict.fromkeys(scripted_reply.who for scripted_reply in scripted_replies))
    return (
        f"{len(replies)} replies. Written beforehand, by a script: {len(scripted_replies)}, "
        f"those of "
        f"{names}. The others are by models."
    )


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c1c28;background:#fff}article{border-left:3px solid #8a7fd0;padding:.1rem 1rem;"
    "margin:1rem 0}header{font-weight:600}header small{font-weight:400;color:#5a5a6e}"
    "pre{white-space:pre-wrap;font:inherit;margin:.3rem 0;overflow-wrap:anywhere}"
    ".room{color:#5a5a6e;white-space:pre-wrap;margin:.4rem 1rem}.badge{color:#8a4b00;"
    "font-size:.85em}mark{background:#fff0c9;color:inherit}img{max-width:100%}"
    "@media(prefers-color-scheme:dark){body{background:#14141c;color:#e8e8f0}"
    "header small,.room{color:#a6a6ba}mark{background:#4a3c14}.badge{color:#f0b35c}}"
)


def _row(
    event: Event,
    commands: dict[int, Command],
    content: Content | None,
    beside: Callable[[Event], str],
    hues: Mapping[str, str],
) -> str:
    body = event.body
    if isinstance(body, Message):
        badges = "".join(
            f'<p class="badge">{escape(BADGES.get(claim.name, claim.name))}</p>'
            for claim in body.claims
        )
        hue = hues.get(body.who, "#888")
        return (
            f'<article id="e{event.number}" style="border-color:{hue}"><header>{escape(body.who)}'
            f"<small>{escape(_aside(body))}</small></header>"
            f"<pre>{_marked_html(body.shown, body.borrowed)}</pre>{badges}{beside(event)}</article>"
        )
    text = event_line(event, commands)
    if not text:
        return ""
    picture = _picture(body, content) if isinstance(body, Outcome) else ""
    return f'<div class="room" id="e{event.number}">{escape(text)}{picture}</div>'


def _marked_html(text: str, spans: Sequence[Span]) -> str:
    """The text, escaped, with the passages in another's name marked."""
    parts: list[str] = []
    at = 0
    for span in spans:
        parts.append(escape(text[at : span.start]))
        title = escape(f"written in the name of {span.name}")
        parts.append(f'<mark title="{title}">{escape(text[span.start : span.end])}</mark>')
        at = span.end
    return "".join([*parts, escape(text[at:])])


def _picture(outcome: Outcome, content: Content | None) -> str:
    name = outcome.result.get("picture")
    if not name or content is None:
        return ""
    if (picture := _content_of(name, content)) is None:
        return f"<br>({escape(LOST_PICTURE)})"
    type, data = picture
    if not type.startswith("image/"):
        return ""
    about = escape(outcome.result.get("about", ""))
    source = f"data:{escape(type)};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<br><img alt="{about}" src="{source}">'


def _pictures(events: Sequence[Event]) -> list[str]:
    outcomes = [event.body for event in events if isinstance(event.body, Outcome)]
    names = [outcome.result.get("picture", "") for outcome in outcomes]
    return [name for name in dict.fromkeys(names) if name]


def _content_of(name: str, content: Content | None) -> tuple[str, bytes] | None:
    """The type and bytes of a picture; None where it is lost."""
    try:
        return None if content is None else content(name)
    except InputError:
        return None


def _lost_picture(body: Body, content: Content) -> bool:
    """Whether an event brought a picture that is lost."""
    name = body.result.get("picture") if isinstance(body, Outcome) else None
    return bool(name) and _content_of(name, content) is None


def _aside(body: Message) -> str:
    if not body.model:
        return ""
    warmth = "" if body.temperature is None else f", temperature {body.temperature:g}"
    return f" ({body.model}{warmth}{', scripted' if body.scripted else ''})"


def _commands(line: Sequence[Event]) -> dict[int, Command]:
    return {event.number: event.body for event in line if isinstance(event.body, Command)}


def _in_json(char: str) -> str:
    """A character as JSON may write it: as one or two numbers."""
    return json.dumps(char)[1:-1]


def _code_fence(text: str) -> str:
    """Text in a fence of code, longer than any run of ticks in it."""
    visible_text = visible(text.replace("\r\n", "\n"))
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`{3,}", visible_text))])
    return f"{fence}\n{visible_text}\n{fence}"


def _plain(text: str) -> str:
    """Text in a line of Markdown that is nothing but text there."""
    return _ACTIVE.sub(r"\\\g<0>", visible(text, ""))


# Signs that Markdown reads, and those that make a link of an address.
_ACTIVE = re.compile(
    r"[\\`*_{}\[\]<>#|~&!@$^]|(?<=www)\.|(?:(?<=http)|(?<=https)|(?<=ftp)|(?<=mailto)|(?<=xmpp)):",
    re.IGNORECASE,
)
