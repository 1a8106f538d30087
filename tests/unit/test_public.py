"""The public names: all there, few, said what they are, and no folder's name."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import worldline

PACKAGE = Path(worldline.__file__).parent
DOORWAYS = sorted(
    path.parent.name for path in PACKAGE.glob("*/__init__.py") if "doorway(" in path.read_text()
)
ERRORS = ("InputError", "RefusedError")
# What gives numbers must say how exact they are, what refuses must say when.
NUMBERS = (
    "Trace", "Tokens", "count_orders", "count_paths", "cut", "edge_measures",
    "effective_paths", "execute", "execute_many",
    "find_paths", "hop_curve", "hop_spectrum", "interaction", "interference", "light_cone",
    "logit_lens", "path_grid", "record", "run_orders", "sample_flow",
    "save_trace", "sum_paths", "tokenize", "top_paths", "attribute",
)  # fmt: skip
RAISES = (
    "count_orders", "count_paths", "cut", "find_paths", "hop_curve", "hop_spectrum", "interaction",
    "light_cone", "load_model", "load_trace", "observe", "path_grid", "record", "run_orders",
    "sample_flow", "save_trace", "tokenize", "attribute",
)  # fmt: skip


@pytest.mark.parametrize("name", worldline.__all__)
def test_every_name_resolves_and_says_what_it_is(name):
    value = getattr(worldline, name)
    if isinstance(value, types.UnionType):  # a name for several classes, each public
        assert {kind.__name__ for kind in value.__args__} < set(worldline.__all__)
        return
    assert value.__name__ == name
    words = inspect.getdoc(value)
    assert words
    assert value.__doc__, f"{name} has only inherited words"
    if name in NUMBERS:
        assert "xactness" in words
    if name in RAISES:
        assert "Raises:" in words


def described(words):
    """The names that the sections Args and Attributes of a docstring explain."""
    sections = re.findall(r"^(?:Args|Attributes):\n((?: {4}.*\n|\n)+)", f"{words}\n", re.MULTILINE)
    return {name for part in sections for name in re.findall(r"^ {4}(\w+): \S", part, re.MULTILINE)}


@pytest.mark.parametrize("name", [name for name in worldline.__all__ if name.islower()])
def test_every_argument_and_what_comes_back_is_described(name):
    words = inspect.getdoc(getattr(worldline, name))
    parameters = inspect.signature(inspect.unwrap(getattr(worldline, name))).parameters
    assert set(parameters) == described(words)
    assert not parameters or "\nRaises:\n" in words
    assert re.search(r"^Returns:\n {4}\S", words, re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in worldline.__all__ if not name.islower()])
def test_every_field_is_described(name):
    """But for those of a Scene, which its JSON Schema describes."""
    value = getattr(worldline, name)
    if isinstance(value, types.UnionType):
        return
    fields = getattr(value, "_fields", ())
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
    assert described(inspect.getdoc(value)) == {each for each in fields if each[0] != "_"}


def test_functions_are_few_and_all_is_listed():
    functions = [name for name in worldline.__all__ if name.islower()]
    assert len(functions) <= 30
    assert len(set(worldline.__all__)) == len(worldline.__all__)
    assert dir(worldline) == sorted(worldline.__all__)


def test_none_is_the_name_of_a_module_or_folder_beside_it():
    beside = {path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__"}
    assert {"runs", "attribution", "session"} <= beside  # the walk sees something
    assert not set(worldline.__all__) & beside


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        worldline.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import worldline",
        "import worldline; worldline.__all__; dir(worldline)",
        "import worldline; worldline.Node, worldline.Plan, worldline.Tokens, worldline.InputError",
        "import worldline.apps.cli",
    ],
)
def test_importing_loads_neither_torch_nor_transformers(code):
    code += "; import sys; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout in ("[]\n", "['numpy']\n")


@pytest.mark.parametrize("folder", DOORWAYS)
def test_a_doorway_opens_on_what_the_apps_use_and_no_module_has_such_a_name(folder):
    package = importlib.import_module(f"worldline.{folder}")
    beside = {path.stem for path in (PACKAGE / folder).iterdir()} - {"__init__", "__pycache__"}
    assert not set(package.__all__) & beside
    for name in package.__all__:
        assert getattr(package, name) is not None
    imported = {
        alias.name
        for path in (PACKAGE / "apps").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == f"worldline.{folder}"
        for alias in node.names
    }
    assert imported == set(package.__all__)


def test_a_name_is_looked_up_where_it_is_defined_each_time(monkeypatch):
    monkeypatch.setattr("worldline.models.loader.load_model", "another")
    assert worldline.load_model == "another"
