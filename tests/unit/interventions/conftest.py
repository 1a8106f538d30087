"""One cache for all tests of a module of this folder."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="module")
def own_cache(cache):
    return cache
