"""Run-time checks of types and shapes: functions of a module and methods, not the closures in them.

jaxtyping's import hook wraps every function, and one inside a function anew each time the outer one
is called: half of what the tests took. Here a closure is left alone, and shapes are only looked for
where an annotation names one; every other function is checked by beartype alone.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any, get_type_hints

import beartype as _beartype
from jaxtyping import _import_hook, config, install_import_hook

# Called by torch for every operation under a mode, with arguments of any type.
_PER_OPERATION = {"__torch_function__", "__torch_dispatch__"}


class _Outermost(_import_hook.JaxtypingTransformer):
    def visit_Module(self, node: ast.Module) -> ast.Module:
        module = super().visit_Module(node)
        for i, child in enumerate(module.body):
            if _imports_jaxtyping(child):
                module.body.insert(i, ast.Import([ast.alias("checked_types")]))
                break
        return module

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        nested = any(isinstance(parent, ast.FunctionDef) for parent in self._parents)
        if nested or node.name in _PER_OPERATION:
            return node
        if _names_a_shape(node):
            return super().visit_FunctionDef(node)
        if not any(map(_import_hook._is_no_type_check, node.decorator_list)):
            decorator = ast.parse("checked_types.beartype", mode="eval").body
            node.decorator_list.append(ast.copy_location(decorator, node))
        return node


def _imports_jaxtyping(node: ast.AST) -> bool:
    return isinstance(node, ast.Import) and node.names[0].name == "jaxtyping"


def _names_a_shape(function: ast.FunctionDef) -> bool:
    """Whether an annotation has a text in brackets, as in ``Float[Tensor, "pos d_model"]``."""
    given = [*ast.walk(function.args), *(ast.walk(function.returns) if function.returns else ())]
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str)
        for node in given
        if isinstance(node, ast.Subscript)
        for part in ast.walk(node.slice)
    )


def beartype(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check by every annotation that can be read now, unless jaxtyping's checks are turned off."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(beartype(function.__func__))
    written = getattr(function, "__annotations__", None)
    if not written or isinstance(function, type):
        return function
    function.__annotations__ = {name: _read(hint, function) for name, hint in written.items()}
    checked = _beartype.beartype(function)
    function.__annotations__ = written

    @functools.wraps(function)
    def checked_unless_disabled(*args: Any, **kwargs: Any) -> Any:
        return (function if config.jaxtyping_disable else checked)(*args, **kwargs)

    return checked_unless_disabled


def _read(hint: Any, function: Callable[..., Any]) -> Any:
    """The type that an annotation names; one that cannot be read yet is anything."""

    def annotated() -> None: ...

    annotated.__annotations__ = {"value": hint}
    try:
        return get_type_hints(annotated, function.__globals__, include_extras=True)["value"]
    except (NameError, TypeError, AttributeError):
        return Any


def check_types(modules: list[str]) -> None:
    """Check every call of these modules; compiled files are kept apart by the checker's name."""
    _import_hook.JaxtypingTransformer = _Outermost
    install_import_hook(modules, "checked_types.beartype")
