"""What every public function does before it runs a model: its arguments, its turn, torch's modes.

`on_model` is put on functions whose first argument is a model, `model_call` around the body of
those that know their model from elsewhere.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ParamSpec, TypeVar

import torch

from worldline.arguments import bound_to, refuse_other_kinds
from worldline.errors import InputError
from worldline.models.call_identity import unchanged
from worldline.models.exclusive_use import exclusive
from worldline.models.loader import LoadedModel, load_model
from worldline.models.torch_modes import refuse_other_arithmetic, usual_modes
from worldline.models.unfit_weights import refuse_unfit
from worldline.tokens.token_ids import ids_of
from worldline.tokens.tokens import Tokens, tokenize, tokens_of_ids

P = ParamSpec("P")
R = TypeVar("R")


def on_model(function: Callable[P, R]) -> Callable[P, R]:
    """A function of `model`, and mostly `text`: both as it wants them, alone with the model.

    A model may be a LoadedModel or a (module, tokenizer) pair, a text also the ids of one. Raises
    InputError for anything else, where the two are given the other way round, and for other
    arguments that are not of the kind their annotations name.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound_arguments = bound_to(function, signature, args, kwargs)
        values = bound_arguments.arguments
        if "text" in values and is_text(values["model"]) and is_model(values["text"]):
            raise InputError(
                f"{function.__name__}: text and model are given the other way round; it takes "
                f"({', '.join(list(signature.parameters)[:2])})"
            )
        model = values["model"] = model_of(values["model"], function.__name__)
        if "text" in values:
            values["text"] = text_of(values["text"], model)
        refuse_other_kinds(function, values)
        with model_call(model.module):
            return function(*bound_arguments.args, **bound_arguments.kwargs)

    return wrapper


def text_first(function: Callable[P, R]) -> Callable[P, R]:
    """A function of `text`, then `model` or the name of one: both of a kind that it can use.

    Raises InputError for anything else, and where the two are given the other way round.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound_arguments = bound_to(function, signature, args, kwargs)
        text, model = bound_arguments.arguments["text"], bound_arguments.arguments.get("model")
        if is_model(text) and not is_model(model):
            raise InputError(
                f"{function.__name__}: text and model are given the other way round; it takes "
                f"({', '.join(list(signature.parameters)[:2])})"
            )
        if not isinstance(model, LoadedModel):
            refuse_no_name(model, function.__name__)
        if not is_text(text):
            bound_arguments.arguments["text"] = ids_of(text)
        refuse_other_kinds(function, bound_arguments.arguments)
        return function(*bound_arguments.args, **bound_arguments.kwargs)

    return wrapper


@contextmanager
def model_call(
    module: torch.nn.Module | None, waits: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Alone with a model, in torch's usual modes whatever surrounds the call.

    `waits` is called if another thread has the model.

    Raises:
        InputError: a module or weights as `refuse_unfit` names them; autocast around the call.
        RefusedError: the model was changed while the call ran.
    """
    with ExitStack() as stack:
        stack.enter_context(usual_modes())
        if module is not None:
            refuse_unfit(module)
            stack.enter_context(exclusive(module, waits=waits))
            stack.enter_context(unchanged(module))
        refuse_other_arithmetic()  # not before: while a model loads another dtype is the default
        yield


def is_text(value: object) -> bool:
    """Whether a value is a text, in letters or tokens."""
    return isinstance(value, (str, Tokens))


def is_model(value: object) -> bool:
    """Whether a value is a model, loaded or bare."""
    return isinstance(value, (LoadedModel, torch.nn.Module))


def model_of(value: Any, caller: str) -> LoadedModel:
    """A model as an argument gives it.

    Raises:
        InputError: it is none: what it is, and how it becomes one.
    """
    if isinstance(value, LoadedModel):
        return value
    if isinstance(value, tuple):
        return load_model(value)
    if value is None or isinstance(value, str):
        name = "" if value is None else repr(value)
        raise InputError(f"{caller}: model={value!r}; give wl.load_model({name}), which loads it")
    refuse_no_name(value, caller)
    raise AssertionError  # all else was refused


def refuse_no_name(value: Any, caller: str) -> None:
    """Raise InputError for what can be neither a model nor the name of one, with what it is."""
    if value is None or isinstance(value, (str, tuple)):
        return
    kind = type(value).__name__
    if isinstance(value, torch.nn.Module):
        raise InputError(
            f"{caller}: model is a bare {kind}; give wl.load_model((model, tokenizer)), which "
            "leaves it as it is"
        )
    description = "a tokenizer" if hasattr(value, "convert_ids_to_tokens") else f"of type {kind}"
    raise InputError(
        f"{caller}: model is {description}; accepted is what wl.load_model() returns, or a "
        "(model, tokenizer) pair"
    )


def text_of(value: Any, model: LoadedModel) -> str | Tokens:
    """A text as an argument gives it: itself, or the tokens of its ids.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, (str, Tokens)):
        return value
    if is_model(value):
        raise InputError("text is a model; accepted are a text, Tokens, or the ids of one text")
    return tokens_of_ids(model.tokenizer, value)


def words_of(value: Any, model: LoadedModel) -> str:
    """A text in letters, where these stand for it.

    Raises:
        InputError: it is none, or ids that its letters do not give again.
    """
    text = text_of(value, model)
    if isinstance(text, str):
        return text
    if tokenize(model.tokenizer, text.text).ids != text.ids:
        raise InputError(
            "text: these ids are not those that the tokenizer gives for their text, which is what "
            "a picture shows; accepted are such, and with record() and attribute() any ids"
        )
    return text.text


def module_of(value: Any, caller: str) -> torch.nn.Module:
    """The torch module of a loaded model, or a module itself.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, torch.nn.Module):
        return value
    return model_of(value, caller).module


def refuse_unknown_ids(module: torch.nn.Module, ids: Sequence[int]) -> None:
    """Raise InputError for what is no token id of the model: its embedding has no such row."""
    size = embedding_rows(module)
    for pos, token in enumerate(ids):
        if not isinstance(token, int) or not 0 <= token < size:
            raise InputError(
                f"token id {token!r} at position {pos}: accepted are 0 to {size - 1}, the rows of "
                f"the embedding of {type(module).__name__}"
            )


def embedding_rows(model: torch.nn.Module) -> int:
    """The number of token ids that the model takes; of several tables, the smallest."""
    table: Any = model.get_input_embeddings()  # type: ignore[operator]
    tables: list[Any] = list(table) if isinstance(table, torch.nn.ModuleList) else [table]
    return min(int(table.weight.shape[0]) for table in tables)
