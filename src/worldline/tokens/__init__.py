"""Text to tokens with character and byte offsets, and back.

Knows no models: a tokenizer is anything that encodes and decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.tokens.chat_templates import STRIPPED as STRIPPED
    from worldline.tokens.input_text import BOM as BOM
    from worldline.tokens.input_text import WrittenText as WrittenText
    from worldline.tokens.sanitize import GONE as GONE
    from worldline.tokens.sanitize import cover_unseen as cover_unseen
    from worldline.tokens.sanitize import visible as visible
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
