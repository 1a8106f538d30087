"""``worldline cache``: lists, clears, and touches nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from worldline.apps.cli.cache import app
from worldline.errors import InputError
from worldline.model.cache import cache_root, list_cache, models_folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def filled(place):
    folder = models_folder() / "tiny-1"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"0" * 1998)
    (models_folder() / ".making-nowhere-1-ab").mkdir()
    os.utime(models_folder() / ".making-nowhere-1-ab", (0, 0))
    (place / "cache" / "notes.txt").write_text("the user's own")
    return folder


def run(*words, **options):
    return CliRunner().invoke(app, [*words], catch_exceptions=False, **options)


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.setenv("WORLDLINE_CACHE", "~/somewhere")
    assert cache_root().is_absolute()
    monkeypatch.delenv("WORLDLINE_CACHE")
    assert cache_root().name == "worldline"


def test_empty(place):
    assert list_cache() == []
    assert run().output.startswith("nothing in ")
    assert run("clear").output.startswith("nothing in ")


def test_lists_name_bytes_path(filled):
    lines = run().output.replace("\n/", "/").splitlines()
    assert lines[1] == f"tiny-1  2,000 bytes  {filled}"
    assert lines[0].endswith("(unfinished)")


def test_clear_asks(filled):
    with pytest.raises(InputError, match="2,000 bytes are in the cache; add --yes"):
        run("clear")
    assert filled.is_dir()


def test_clear(filled, place):
    busy = models_folder() / f".making-{socket.gethostname()}-{os.getpid()}-ab"
    busy.mkdir()
    result = run("clear", "--yes")
    assert result.exit_code == 0
    assert "removed  tiny-1" in result.output
    assert [entry.path for entry in list_cache()] == [busy]
    assert (place / "cache" / "notes.txt").is_file()


def test_needs_neither_torch_nor_transformers():
    code = (
        "import sys, worldline.apps.cli.cache, worldline.text.tokens, worldline.text.chat;"
        "import worldline.model.load, worldline.apps.cli.progress;"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
