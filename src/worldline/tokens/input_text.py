"""A text with the file that it stands in, or has to be written into to be read again."""

from __future__ import annotations

from dataclasses import dataclass

BOM = "\ufeff"


@dataclass(frozen=True)
class WrittenText:
    """A text; `file` is where it was read from, None if it came another way.

    `before` and `after` stand around it in its file and are no part of it: a byte order mark, and
    the newline at the end.
    """

    text: str
    file: str | None = None
    before: str = ""
    after: str = ""

    @classmethod
    def of_no_file(cls, text: str, *, keep_newline: bool = False) -> WrittenText:
        r"""A text as a file has to hold it, for a command to read this very text there.

        >>> WrittenText.of_no_file("a\n").after, WrittenText.of_no_file("a").after
        ('\n', '')
        """
        before = BOM if text.startswith(BOM) else ""
        after = "\n" if text.endswith("\n") and not keep_newline else ""
        return cls(text, None, before, after)
