"""Options and values under the names they had before this release: accepted until the next one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

OPTIONS = {"--splice-from": "--patch-from", "--splice-file": "--patch-file"}
VALUES = {
    "--by": {"share": "contribution"},
    "--how": {"drop": "zero", "splice": "patch"},
    "--node-how": {"splice": "patch"},
}


def rename_options(words: Sequence[str]) -> list[str]:
    """The words of a command line under today's names; each old one is a line on standard error.

    >>> rename_options(["cut", "--from", "1", "--how", "mask"])
    ['cut', '--from', '1', '--how', 'mask']
    """
    renamed_words: list[str] = []
    option = ""  # the one whose value comes next
    for n, word in enumerate(words):
        if word == "--":
            return [*renamed_words, *words[n:]]
        name, equals, value = word.partition("=")
        if equals and (name in OPTIONS or name in VALUES):
            renamed_words.append(f"{_option(name)}={_value(name, value)}")
            option = ""
        elif option:
            renamed_words.append(_value(option, word))
            option = ""
        else:
            renamed_words.append(_option(word))
            option = word if word in VALUES else ""
    return renamed_words


def _option(name: str) -> str:
    return _renamed(name, OPTIONS.get(name, name))


def _value(option: str, value: str) -> str:
    new_value = VALUES.get(option, {}).get(value, value)
    if new_value != value:
        _renamed(f"{option} {value}", f"{option} {new_value}")
    return new_value


def _renamed(old: str, new: str) -> str:
    if new != old:
        sys.stderr.write(
            f"worldline: {old} is now {new}; the old name goes with the next release\n"
        )
    return new
