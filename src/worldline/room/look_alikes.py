"""Names that look alike: how a name looks, whatever its letters are."""

from __future__ import annotations

import unicodedata
from functools import cache

_SMALL_CAPITAL = "LATIN LETTER SMALL CAPITAL "


def plain_name(name: str) -> str:
    """A name as it is compared: letters and digits only, case aside.

    >>> plain_name("Claude-3 Opus") == plain_name("claude 3 opus")
    True
    """
    return "".join(one for one in name.casefold() if one.isalnum())


def looks_of(name: str) -> frozenset[str]:
    r"""How a name looks: as it is written, and in small letters; what shares one looks alike.

    Letters that are drawn alike count as one (Unicode's table of confusables), whatever their
    width, style or script.

    >>> bool(looks_of("Ada") & looks_of("\u0410d\u0430")), bool(looks_of("Ada") & looks_of("Eva"))
    (True, False)
    """
    whole = unicodedata.normalize("NFKC", name)
    drawn = _drawn(whole)
    small = drawn.casefold()
    return frozenset({drawn, small, _drawn(small), _drawn(whole.casefold())})


def look_alike(name: str, other: str) -> bool:
    """Whether two names are one to the eye, or one but for case, spaces and signs."""
    return plain_name(name) == plain_name(other) or bool(looks_of(name) & looks_of(other))


def _drawn(text: str) -> str:
    drawn = _drawings()
    letters = map(_large, unicodedata.normalize("NFC", text))
    whole = "".join(drawn.get(one, one) for one in letters)
    return "".join(one for one in whole if one.isalnum() or unicodedata.combining(one))


def _large(char: str) -> str:
    """The letter itself of a small capital; anything else as it is."""
    if char.isascii():
        return char
    name = unicodedata.name(char, "").removeprefix(_SMALL_CAPITAL)
    return name.casefold() if len(name) == 1 else char


@cache
def _drawings() -> dict[str, str]:
    """What each character is drawn like: the one of its group that stands for all of them."""
    from confusable_homoglyphs.confusables import confusables_data

    found: dict[str, str] = {}
    for char, others in confusables_data.items():
        names = [one["c"].strip("\u200e") for one in others]
        if len(char) != 1 or len(names) != 1 or not names[0]:
            continue  # more than one: it stands for a group itself
        other = names[0]
        stands = len(confusables_data.get(other, ())) > 1 or len(other) > 1
        if stands or (not other.isascii(), ord(other)) < (not char.isascii(), ord(char)):
            found[char] = other
    return found
