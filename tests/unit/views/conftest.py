"""The synthetic scenes, loaded by path: with import-mode importlib no folder is on sys.path."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    path = Path(__file__).with_name("scenes.py")
    spec = importlib.util.spec_from_file_location("worldline_test_scenes", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
