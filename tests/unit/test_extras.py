"""Without the extras every command and function says in one line what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from worldline.extras import MissingPackageError, extra_of, naming_extra

BARE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "safetensors", "jaxtyping"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""
SAID = 'torch is not installed; pip install "worldline[models]" brings it'


def bare(code: str) -> subprocess.CompletedProcess[str]:
    """Python without the packages of the extra "models"."""
    return subprocess.run(
        [sys.executable, "-c", BARE + code], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ["trace", "hi"],
        ["cut", "hi", "--from", "0", "--to", "-1", "--how", "mask"],
        ["faithfulness", "--n", "2"],
        ["claims", "run", "two-highways", "--quick"],
        ["models"],
    ],
)
def test_a_command_names_the_extra(command):
    code = f"sys.argv = ['worldline', *{command!r}]\nfrom worldline.apps.cli import main\nmain()"
    ended = bare(code)
    assert ended.returncode == 2
    assert ended.stderr == f"worldline: {SAID}\n"


def test_every_public_name_is_there_or_names_the_extra():
    ended = bare(
        "import worldline as wl\n"
        "missing = []\n"
        "for name in wl.__all__:\n"
        "    try:\n"
        "        getattr(wl, name)\n"
        "    except wl.InputError as error:\n"
        f"        assert str(error) == {SAID!r}, error\n"
        "        missing.append(name)\n"
        "assert 'record' in missing and 'EdgeCut' not in missing\n"
        "try:\n"
        "    wl.load_model()\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert (ended.stdout, ended.stderr) == (f"{SAID}\n", "")


def test_extras_are_those_of_the_distribution():
    assert [extra_of(name) for name in ("transformers", "fastapi", "textual", "networkx")] == [
        "models", "serve", "room", "graphs",
    ]  # fmt: skip
    assert extra_of("numpy") is None


def test_what_no_extra_brings_stays_what_it_is():
    with pytest.raises(ModuleNotFoundError) as error, naming_extra():
        import no_such_package  # noqa: F401
    assert not isinstance(error.value, MissingPackageError)
