"""Words as a shell takes them (sh, bash), whatever is in them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from worldline.text.foreign import visible

_KEPT = "\n\t\u200c\u200d"  # line breaks and tabs stand in quotes; joiners belong to the letters
_NAMED = {"\n": "\\n", "\t": "\\t"}


def shell_join(words: Iterable[str]) -> str:
    r"""Words as one command line. Characters that a terminal obeys are written as `$'\ooo'`.

    >>> print(shell_join(["a b", "it's", "\x1b[31m"]))
    'a b' 'it'"'"'s' ''$'\033''[31m'
    """
    return " ".join(_escaped(shlex.quote(word), _KEPT) for word in words)


def pasteable(line: str) -> str:
    r"""A line of `shell_join` without line breaks and tabs, which a screen does not give back.

    >>> print(pasteable("'a\tb'"))
    'a'$'\t''b'
    """
    return _escaped(line, "\u200c\u200d")


def as_output(text: str) -> str:
    r"""A command that writes the text, also one that no argument can hold.

    >>> print(as_output("a\0b"))
    printf %b 'a\0000b'
    """
    if "\0" not in text:
        return f"printf %s {shell_join([text])}"
    escaped = text.replace("\\", "\\\\").replace("\0", "\\0000")
    return f"printf %b {shell_join([escaped])}"


def _escaped(line: str, kept: str) -> str:
    """Every character to hide stands in single quotes: `shlex.quote` puts it there."""
    return visible(line, kept, lambda char: f"'$'{_codes(char)}''")


def _codes(char: str) -> str:
    """A character as the bytes that it is on a command line; one that is no character, its own."""
    raw = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return _NAMED.get(char) or "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", raw))
