"""Text by strangers made safe to look at: what acts without being seen is shown as its number.

One table for every surface: terminal, exported files, errors, what models read of each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_BLANKS = (  # take no ink: fillers, joiners of graphemes, selectors, signs of direction
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2060-\u206f\u2800\u3164\ufe00-"
    "\ufe0d\ufeff\uffa0"
)
_CONTROLS = "\x00-\x1f\x7f-\x9f\xad\u061c\u2028-\u202e\ufff0-\ufffb\U0001bca0-\U0001bca3"
_TAGS = "\U0001d159\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
_NO_CHARACTERS = "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
_PRIVATE = "\ue000-\uf8ff\U000f0000-\U0010ffff"
_UNSEEN = f"{_BLANKS}{_CONTROLS}{_TAGS}{_NO_CHARACTERS}{_PRIVATE}"
_JOINERS = r"(?<!\S)[\u200c\u200d]|[\u200c\u200d](?!\S)"  # elsewhere they join what is seen
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # one may follow a character; more hide words
_ACTING = re.compile(rf"[{_UNSEEN}]|{_JOINERS}|(?<=[{_SELECTORS}])[{_SELECTORS}]")
_IN_NAMES = re.compile(rf"[{_UNSEEN}\u200c\u200d{_SELECTORS}]")
_HALVES = re.compile("[\ud800-\udfff]")
GONE = "\ufffd"


def code_of(char: str) -> str:
    r"""How an unseen character is shown.

    >>> code_of("\x1b")
    '‹1B›'
    """
    return f"‹{ord(char):02X}›"


def visible(text: str, keep: str = "\n\t", show: Callable[[str], str] = code_of) -> str:
    r"""The text with every character that acts but is not seen `show` in its place.

    These are controls (escape sequences of terminals among them), signs of direction, blanks
    without a width, tags, private characters and halves of characters. Those `keep` stay; so do
    joiners between two characters.

    Exactness: what holds none of these comes back as it is.

    >>> visible("a\u202eb\n\x1b[2J")
    'a‹202E›b\n‹1B›[2J'
    """
    return _ACTING.sub(lambda found: found[0] if found[0] in keep else show(found[0]), text)


def cover_unseen(text: str) -> str:
    r"""As `visible`, each such character as U+FFFD: as long as before, so that spans stay valid.

    >>> cover_unseen("a\x1b[2J")
    'a�[2J'
    """
    return visible(text, show=lambda _: GONE)


def one_line(text: str, longest: int) -> str:
    r"""As `visible`, on one line and capped.

    >>> one_line("a\u202eb\nc", 40)
    'a‹202E›b c'
    """
    visible_text = visible(" ".join(text[: 4 * longest + 64].split()), "")
    return visible_text if len(visible_text) <= longest else visible_text[: longest - 1] + "…"


def unseen_in(name: str) -> str:
    """The first character of a name that is not seen; "" where all are."""
    match = _IN_NAMES.search(name)
    return match[0] if match else ""


def whole_characters(text: str) -> str:
    r"""The text as every file can hold it: halves of characters joined, or else U+FFFD.

    >>> whole_characters("\ud83d\ude00 \ud83d")
    '😀 �'
    """
    if not _HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
