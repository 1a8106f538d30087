"""Seeds that a text fixes."""

from __future__ import annotations

import hashlib


def drawn_number(text: str) -> int:
    """A seed below 2^31 that `text` fixes."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
