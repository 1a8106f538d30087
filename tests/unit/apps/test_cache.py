"""``worldline cache``: lists, clears, and touches nothing else."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from worldline.apps.cli.cache import app
from worldline.errors import InputError
from worldline.models.cache_folder import cache_root, list_cache, models_folder, sweep, workplace
from worldline.models.conversion import write_manifest


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def filled(place):
    folder = models_folder() / "tiny-1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"0" * 1998)
    write_manifest(folder, "tiny", 1)
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
    assert lines[1] == f"tiny-1  {size_of(filled):,} bytes  {filled}"
    assert lines[0].endswith("(unfinished)")


def test_clear_asks(filled):
    with pytest.raises(InputError, match=f"{size_of(filled):,} bytes are in the cache; add --yes"):
        run("clear")
    assert filled.is_dir()


def test_clear(filled, place):
    busy = models_folder() / f".making-{socket.gethostname()}-{os.getpid()}-ab"
    busy.mkdir()
    result = run("clear", "--yes")
    assert result.exit_code == 0
    assert "removed  tiny-1" in result.output
    assert [entry.path for entry in list_cache()] == [busy]
    assert f"stays    {busy.name}  0 bytes  {busy}  (unfinished): a conversion is running" in (
        result.output.replace("\n", "")
    )
    assert (place / "cache" / "notes.txt").is_file()


def size_of(folder):
    return sum(file.stat().st_size for file in folder.iterdir())


USERS = {
    "my-web-app": '{"name": "app", "files": ["a"], "schema": 2}',
    "no-object": "[]",
    "broken": "{",
    "app-b179c952-1": None,
    "backup-20251130-1": None,
    "model-08ad672bad1c3814-1-5.24.0": None,
    ".making-my-web-app-2024-february": None,
}


@pytest.mark.parametrize("name", USERS)
def test_folders_of_the_users_own_stay(name, filled):
    """WORLDLINE_CACHE may name a folder in which people keep things too."""
    mine = models_folder() / name
    mine.mkdir()
    (mine / "precious.txt").write_text("mine")
    if USERS[name] is not None:
        (mine / "manifest.json").write_text(USERS[name])
    os.utime(mine, (0, 0))
    sweep(models_folder())
    assert name not in run().output
    run("clear", "--yes")
    assert not filled.exists()
    assert (mine / "precious.txt").read_text() == "mine"


def test_what_was_put_into_a_model_s_folder_stays(filled):
    (filled / "notes.txt").write_text("mine")
    result = run("clear", "--yes")
    assert [file.name for file in filled.iterdir()] == ["notes.txt"]
    assert "removed  tiny-1" in result.output
    assert "the folder stays: other files are in it" in result.output


def test_a_manifest_that_names_files_elsewhere_removes_none_there(filled, place):
    manifest = json.loads((filled / "manifest.json").read_text())
    outside = place / "outside.txt"
    outside.write_text("mine")
    manifest["files"] |= {"../../../outside.txt": 4, str(outside): 4}
    (filled / "manifest.json").write_text(json.dumps(manifest))
    run("clear", "--yes")
    assert outside.read_text() == "mine"
    assert not filled.exists()


@pytest.mark.parametrize("process", ["999999999", "9" * 30])  # no process has the second
def test_what_a_killed_conversion_left_is_removed(place, process):
    models_folder().mkdir(parents=True)
    dead = models_folder() / f".making-{socket.gethostname()}-{process}-abcd0123"
    with workplace(models_folder()) as alive:
        shutil.copytree(alive, dead)
        (dead / "half.safetensors").write_bytes(b"0")
        sweep(models_folder())
        assert not dead.exists()
        assert alive.is_dir()


def test_needs_neither_torch_nor_transformers():
    code = (
        "import sys, worldline.apps.cli.cache, worldline.tokens.tokens;"
        "import worldline.tokens.chat_templates;"
        "import worldline.models.loader, worldline.apps.cli.progress;"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_cannot_be_removed_stays_and_is_said(filled):
    manifest = json.loads((filled / "manifest.json").read_text())
    manifest["files"]["notes"] = 4
    (filled / "manifest.json").write_text(json.dumps(manifest))
    (filled / "notes").mkdir()
    result = run("clear", "--yes")
    assert "removed  tiny-1" not in result.output
    assert "stays    tiny-1" in result.output
    assert "a file in it cannot be removed (Is a directory)" in result.output
    assert [entry.path for entry in list_cache()] == [filled]
