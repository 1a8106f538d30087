"""Names that look alike: how a name looks, whatever its letters are."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache

_SMALL_CAPITAL = "LATIN LETTER SMALL CAPITAL "
# Letters of phonetics and of some languages, each a plain one with a hook, a tail or a long leg.
_PHONETIC = re.compile("[\u0180-\u02af\u1d00-\u1dbf\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f]")
_NAMED = re.compile(r"LATIN (SMALL|CAPITAL) LETTER (?:[A-Z-]+ )?([A-Z])(?: WITH .*)?")
_KEPT = 1 << 14  # names; a room of many is compared with each of them again and again


@lru_cache(_KEPT)
def plain_name(name: str) -> str:
    """A name as it is compared: letters and digits only, case aside.

    >>> plain_name("Claude-3 Opus") == plain_name("claude 3 opus")
    True
    """
    return "".join(char for char in name.casefold() if char.isalnum())


@lru_cache(_KEPT)
def looks_of(name: str) -> frozenset[str]:
    r"""How a name looks: as it is written, and in small letters; what shares one looks alike.

    Letters that are drawn alike count as one (Unicode's table of confusables), whatever their
    width, style or script.

    >>> bool(looks_of("Ada") & looks_of("\u0410d\u0430")), bool(looks_of("Ada") & looks_of("Eva"))
    (True, False)
    """
    nfkc_name = unicodedata.normalize("NFKC", name)
    drawing = _drawing_of(nfkc_name)
    small = drawing.casefold()
    return frozenset({drawing, small, _drawing_of(small), _drawing_of(nfkc_name.casefold())})


def look_alike(name: str, other_name: str) -> bool:
    """Whether two names are one to the eye, or one but for case, spaces and signs."""
    return plain_name(name) == plain_name(other_name) or bool(looks_of(name) & looks_of(other_name))


class UsedNames:
    """Names in use, and others for whoever cannot have one of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._looks = {look for name in names for look in looks_of(name)}
        self._tried: Counter[str] = Counter()  # by look: a crowd of one look is numbered once

    def another(self, name: str, longest: int | None = None) -> str:
        """The name with a word behind it, cut in front of that to fit; it looks like none in use.

        >>> UsedNames(["Bob", "bob, another"]).another("Bob")
        'Bob, another 2'
        """
        n = max(self._tried[look] for look in looks_of(name))
        while True:
            n += 1
            ending = ", another" if n == 1 else f", another {n}"
            begins = name if longest is None else name[: longest - len(ending)]
            looks = looks_of(begins + ending)
            if self._looks.isdisjoint(looks):
                break
        self._looks |= looks
        self._tried |= Counter(dict.fromkeys(looks_of(name), n))
        return begins + ending


def told_apart(names: Iterable[str], reserved_name: str) -> dict[str, str]:
    r"""Each name, and what it is called where everybody is to be told apart.

    Who looks like somebody before, but is written in other letters, or like the one who has
    `reserved_name` that name, gets a word behind it, and a name that looks like nobody's.

    >>> told_apart(["Bob", "\u0412ob", "room"], "room")
    {'Bob': 'Bob', '\u0412ob': '\u0412ob, another', 'room': 'room, another'}
    """
    originals = list(dict.fromkeys(names))
    used = UsedNames([reserved_name, *originals])
    distinct_names: dict[str, str] = {}
    name_by_look = dict.fromkeys(looks_of(reserved_name), reserved_name)
    for name in originals:
        looks = looks_of(name)
        alike = {name_by_look[look] for look in looks if look in name_by_look}
        is_ambiguous = any(
            alike_name == reserved_name or plain_name(alike_name) != plain_name(name)
            for alike_name in alike
        )
        distinct_names[name] = used.another(name) if is_ambiguous else name
        for look in looks if not is_ambiguous else ():
            name_by_look.setdefault(look, name)
    return distinct_names


def _drawing_of(text: str) -> str:
    drawings = _drawings()
    letters = map(_large, unicodedata.normalize("NFC", text))
    drawn_text = "".join(drawings.get(letter, letter) for letter in letters)
    return "".join(char for char in drawn_text if char.isalnum() or unicodedata.combining(char))


def _large(char: str) -> str:
    """The letter itself of a small capital, or of one with a hook; anything else as it is."""
    if char.isascii():
        return char
    name = unicodedata.name(char, "")
    small = name.removeprefix(_SMALL_CAPITAL)
    if len(small) == 1:
        return small.casefold()
    plain = _NAMED.fullmatch(name) if _PHONETIC.match(char) else None
    if plain is None or unicodedata.decomposition(char):
        return char
    return plain[2] if plain[1] == "CAPITAL" else plain[2].casefold()


@cache
def _drawings() -> dict[str, str]:
    """What each character is drawn like: the one of its group that stands for all of them."""
    from confusable_homoglyphs.confusables import confusables_data

    drawings: dict[str, str] = {}
    for char, confusables in confusables_data.items():
        names = [confusable["c"].strip("\u200e") for confusable in confusables]
        if len(char) != 1 or len(names) != 1 or not names[0]:
            continue  # more than one: it stands for a group itself
        prototype = names[0]
        stands = len(confusables_data.get(prototype, ())) > 1 or len(prototype) > 1
        if stands or (not prototype.isascii(), ord(prototype)) < (not char.isascii(), ord(char)):
            drawings[char] = prototype
    return drawings
