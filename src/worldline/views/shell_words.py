"""Words as every POSIX shell takes them (sh, dash, bash), whatever is in them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from worldline.tokens.sanitize import visible

_KEPT = "\n\t\u200c\u200d"  # line breaks and tabs stand in quotes; joiners belong to the letters

# A line break cannot end what a command prints: `pasteable` sets the variable.
_NAMED = {"\n": "${wl_nl%.}", "\t": r"$(printf '\t')"}


def shell_join(words: Iterable[str]) -> str:
    r"""Words as one command line. Characters that a terminal obeys are printed by their codes.

    >>> print(shell_join(["a b", "it's", "\x1b[31m"]))
    'a b' 'it'"'"'s' ''"$(printf '\033')"'[31m'
    """
    return " ".join(_escape_line(shlex.quote(word), _KEPT) for word in words)


def pasteable(line: str) -> str:
    r"""A line of `shell_join` without line breaks and tabs, which a screen does not give back.

    >>> print(pasteable("'a\tb'"))
    'a'"$(printf '\t')"'b'
    >>> print(pasteable("'a\nb'"))
    wl_nl="$(printf '\n.')"; 'a'"${wl_nl%.}"'b'
    """
    escaped_line = _escape_line(line, "\u200c\u200d")
    return f"""wl_nl="$(printf '\\n.')"; {escaped_line}""" if "\n" in line else escaped_line


def as_output(text: str) -> str:
    r"""A command that writes the text, also one that no argument can hold.

    >>> print(as_output("a\0b"))
    printf %b 'a\0000b'
    """
    if "\0" not in text:
        return f"printf %s {shell_join([text])}"
    printf_text = text.replace("\\", "\\\\").replace("\0", "\\0000")
    return f"printf %b {shell_join([printf_text])}"


def _escape_line(line: str, plain_chars: str) -> str:
    """Every character to hide stands in single quotes: `shlex.quote` puts it there."""
    return visible(line, plain_chars, lambda char: f"'\"{_char_expansion(char)}\"'")


def _char_expansion(char: str) -> str:
    """What a shell expands to a character; one that is no character, to its own bytes."""
    if char in _NAMED:
        return _NAMED[char]
    raw = "surrogateescape" if "\udc80" <= char <= "\udcff" else "surrogatepass"
    return "$(printf '" + "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", raw)) + "')"
