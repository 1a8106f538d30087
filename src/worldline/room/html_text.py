"""Text as HTML shows it."""

from __future__ import annotations

import html

from worldline.tokens.sanitize import visible


def escape(text: str) -> str:
    r"""Text with nothing in it that is markup, and what is not seen as its number.

    >>> escape("<b>\u202e")
    '&lt;b&gt;‹202E›'
    """
    return html.escape(visible(text.replace("\r\n", "\n")))
