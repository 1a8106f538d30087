"""If these fail, the run-time checks of shapes are off and say nothing anywhere."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from beartype.roar import BeartypeCallHintViolation
from jaxtyping import TypeCheckError

from worldline.models.attention import AttentionCall, causal_allowed
from worldline.models.terms import Term

WRONG = (TypeCheckError, BeartypeCallHintViolation)


def call():
    q, k = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8)
    z = torch.randn(1, 4, 5, 8)
    return AttentionCall(0, 0, "", q, k, k, z, Term(z), "head_first", 1.0)


def test_a_right_shape_passes():
    assert call().products(torch.randn(4, 3, 8), torch.randn(2, 5, 8)).shape == (4, 3, 5)
    assert causal_allowed(3, torch.device("cpu")).sum() == 6


def test_a_wrong_shape_raises():
    with pytest.raises(WRONG):
        call().products(torch.randn(4, 3, 8), torch.randn(2, 5, 9))
    with pytest.raises(WRONG):
        call().products(torch.randn(4, 8), torch.randn(2, 5, 8))


def test_a_wrong_type_raises():
    with pytest.raises(WRONG):
        call().products(torch.ones(4, 3, 8, dtype=torch.long), torch.randn(2, 5, 8))
    with pytest.raises(WRONG):
        call().from_heads("z")
