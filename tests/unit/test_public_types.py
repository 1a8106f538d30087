"""Every type that a public function takes or returns can be imported, and what it holds as well."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import sys
import types
from typing import get_args

import pytest

import worldline

WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


@functools.cache
def imported(module):
    """Where each name that a module imports is from, those for type checkers alone included."""
    tree = ast.parse(inspect.getsource(module))
    return {
        name.asname or name.name: (node.module, name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in node.names
    }


def types_in(annotation, module):
    """The classes of worldline in an annotation; aliases stand for what they are made of."""
    if not isinstance(annotation, str):
        annotation = getattr(annotation, "__name__", str(annotation))
    for word in WORD.findall(re.sub(r'"[^"]*"', "", annotation)):
        value = vars(module).get(word)
        if value is None and word in imported(module):
            home, name = imported(module)[word]
            if home.startswith("worldline"):
                value = getattr(importlib.import_module(home), name)
        for part in (value, *get_args(value)):
            if inspect.isclass(part) and part.__module__.startswith("worldline"):
                yield part


def annotations_of(value):
    """Those of a function, or of what a class holds and does that has a public name."""
    if isinstance(value, types.UnionType):
        return
    if not inspect.isclass(value):
        yield from inspect.unwrap(value).__annotations__.values()
        return
    for name, annotation in vars(value).get("__annotations__", {}).items():
        if not name.startswith("_"):
            yield annotation
    for name, member in vars(value).items():
        function = member.fget if isinstance(member, property) else member
        function = getattr(function, "__func__", function)
        if not name.startswith("_") and isinstance(function, types.FunctionType):
            yield from inspect.unwrap(function).__annotations__.values()


def reached(value):
    """The types in the signatures of a function or class; a Scene is data down to its leaves."""
    if value is worldline.Scene:
        return set()
    module = sys.modules[inspect.unwrap(value).__module__]
    return {found for each in annotations_of(value) for found in types_in(each, module)}


@pytest.mark.parametrize("name", worldline.__all__)
def test_the_types_that_it_takes_and_returns_are_public(name):
    hidden = {
        found.__name__
        for found in reached(getattr(worldline, name))
        if getattr(worldline, found.__name__, None) is not found
    }
    assert not hidden, f"{name} takes or returns what cannot be imported from worldline"
