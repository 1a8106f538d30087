"""Every file that a page of the docs names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("", "src/worldline", "web", "web/src", "tests", "docs")
PLACES = tuple(ROOT / folder for folder in FOLDERS)
PAGES = sorted([ROOT / "README.md", *ROOT.joinpath("docs").rglob("*.md")])
NAMED = re.compile(r"`([\w./-]*[\w-]+\.(?:py|ts|tsx|css|md|toml|mjs)|[\w-]+/(?:[\w-]+/)*)`")
OF_USERS = re.compile(r"^(\.|/|~|my-|path/)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page):
    named = {name for name in NAMED.findall(page.read_text()) if not OF_USERS.match(name)}
    missing = [name for name in named if not any((place / name).exists() for place in PLACES)]
    assert missing == []
