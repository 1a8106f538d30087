"""The loss of every token of a text, from a run's logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


def token_losses(
    logits: Float[np.ndarray, "pos d_vocab"], ids: Sequence[int]
) -> Float[np.ndarray, " token"]:
    """-log p of each token but the first, in nats: entry k is that of token k + 1.

    >>> token_losses(np.zeros((2, 4)), [0, 3]).round(3).tolist()
    [1.386]
    """
    shifted_logits = logits[: len(ids) - 1] - logits[: len(ids) - 1].max(-1, keepdims=True)
    target_logits = shifted_logits[np.arange(len(shifted_logits)), np.asarray(ids[1:])]
    return np.log(np.exp(shifted_logits).sum(-1)) - target_logits
