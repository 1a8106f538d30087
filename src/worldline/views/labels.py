"""Words and numbers as a person reads them: token texts made visible, weights, shares.

The front end has twins of ``visible_text`` and ``token_name`` (``web/src/format.ts``); tables of
examples (``tests/unit/views/visible.json``, ``names.json``) test both.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rich.cells import cell_len, set_cell_size

from worldline.tokens.sanitize import code_of
from worldline.tokens.tokens import Tokens
from worldline.views.schema.scene import Scene, SceneToken

_NAMED = {" ": "·", "\n": "⏎", "\t": "⇥"}
_BLANKS = {" ": ("␣", "space"), "\n": ("⏎", "newline"), "\t": ("⇥", "tab")}
_JOINERS = "\u200c\u200d"
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def visible_text(text: str) -> str:
    r"""Show every character of a token: nothing in the result moves a cursor or reorders a line.

    A space becomes a middle dot, a newline ``⏎``, a tab ``⇥``; other controls and whatever is
    invisible, their code in angle quotes. Joiners stay where they join something.

    >>> visible_text(" cat\n\x1b[31m")
    '·cat⏎‹1B›[31m'
    """
    if not text:
        return "∅"
    visible_chars: list[str] = []
    for at, char in enumerate(text):
        category = unicodedata.category(char)
        if char in _NAMED:
            visible_chars.append(_NAMED[char])
        elif char in _JOINERS and 0 < at < len(text) - 1:
            visible_chars.append(char)
        elif category in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            visible_chars.append(code_of(char))
        elif category == "Zs":
            visible_chars.append("␣")
        elif category in ("Mn", "Mc", "Me") and at == 0:
            visible_chars.append(f"◌{char}")
        else:
            visible_chars.append(char)
    return "".join(visible_chars)


def token_name(text: str) -> str:
    r"""Show a token that stands alone, such as a prediction; one of blanks alone in words too.

    >>> token_name("\n\n"), token_name(" "), token_name(" Paris")
    ('⏎⏎ 2 newlines', '␣ space', '·Paris')
    """
    if not text or text.strip(" \n\t"):
        return visible_text(text)
    run_names = []
    for char, run in groupby(text):
        (sign, word), n = _BLANKS[char], len(list(run))
        run_names.append(f"{sign} {word}" if n == 1 else f"{sign * min(3, n)} {n} {word}s")
    return ", ".join(run_names)


def readable_text(text: str) -> str:
    """As ``visible_text``, for whole sentences: spaces stay spaces."""
    return visible_text(text).replace("·", " ") if text else ""


def clip_cells(text: str, cells: int) -> str:
    """Cut ``text`` to at most ``cells`` terminal cells, with an ellipsis where something went."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(0, cells - 1)).rstrip(" ") + "…"[: max(0, cells)]


def pad_cells(text: str, cells: int) -> str:
    """Cut or fill ``text`` to exactly ``cells`` terminal cells."""
    short = clip_cells(text, cells)
    return short + " " * (cells - cell_len(short))


def fold_cells(text: str, width: int) -> list[str]:
    """Break a sentence between words into lines of at most ``width`` cells; a long word is cut.

    >>> fold_cells("to be or not to be", 8)
    ['to be or', 'not to', 'be']
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and cell_len(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [clip_cells(line, width) for line in lines]


def token_label(scene: Scene, token: SceneToken) -> str:
    """Show a token by its text; one that is a piece of a character by that character, numbered."""
    pieces = [scene_token.pos for scene_token in scene.tokens if scene_token.group == token.group]
    characters = scene.text[token.char_start : token.char_end]
    return _label(token.text, characters, pieces.index(token.pos), len(pieces))


def token_labels(tokens: Tokens) -> list[str]:
    """As ``token_label``, for all tokens of a text."""
    sizes, before = Counter(tokens.groups), Counter()
    labels = []
    for piece, (start, end), group in zip(
        tokens.pieces, tokens.char_spans, tokens.groups, strict=True
    ):
        labels.append(_label(piece, tokens.text[start:end], before[group], sizes[group]))
        before[group] += 1
    return labels


def _label(piece: str, characters: str, number: int, of: int) -> str:
    if of == 1:
        return visible_text(piece)
    return visible_text(characters or piece) + str(number + 1).translate(_SUPERSCRIPT)


def split_note(groups: Sequence[int]) -> list[str]:
    """The line that says what the small numbers of ``token_label`` are, where there are any."""
    if len(set(groups)) == len(groups):
        return []
    return ["¹ ² …: pieces of one character, which is several tokens"]


def signed_text(weight: float) -> str:
    """Write a weight with its sign and three significant digits.

    >>> signed_text(0.41234), signed_text(-0.00001234), signed_text(0.0)
    ('+0.412', '-1.23e-05', '0')
    """
    size = abs(weight)
    if size == 0:
        return "0"
    if 1e-3 <= size < 1e4:
        return f"{weight:+.{max(0, 2 - math.floor(math.log10(size)))}f}"
    return f"{weight:+.2e}"


def percent(part: float) -> str:
    """Write a share of one as a percentage that never rounds up to all or down to nothing.

    >>> percent(0.8149), percent(0.0423), percent(0.9996), percent(0.00001)
    ('81 %', '4.2 %', '>99.9 %', '<0.1 %')
    """
    size = abs(part)
    if size == 0 or math.isclose(size, 1, abs_tol=1e-9):
        return f"{part * 100:.0f} %"
    if size < 0.001:
        return "<0.1 %"
    if 0.999 < size < 1:
        return ">99.9 %"
    if size < 0.1 or 0.99 <= size < 1:
        return f"{part * 100:.1f} %"
    return f"{part * 100:.0f} %"
