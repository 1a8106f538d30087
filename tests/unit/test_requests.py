"""One request, all its forms: options of the command line, a body of HTTP, words of a recipe."""

from __future__ import annotations

import json
import shlex

import pytest
import typer
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from typer.testing import CliRunner

from worldline.apps.cli.request_options import with_request_options
from worldline.errors import InputError
from worldline.requests import (
    ConeRequest,
    CutRequest,
    HopsRequest,
    OrdersRequest,
    PathsRequest,
    Request,
    TraceRequest,
)
from worldline.service.questions import Question
from worldline.views.reproduce import request_words

QUESTIONS = TypeAdapter(Question)
TOKENS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9)
SPANS = st.sampled_from(["0", "2-5", "0,3", "-1"])
PLACES = st.sampled_from(["0.0:1>5", "20-29.*:1>13", "*.*:0-3>*", "1.0,2:-2>-1"])
NODES = st.sampled_from(["0,3", "12,2-5", "1,*"])


def optional(strategy):
    return st.none() | strategy


def of_kind(kind: type[Request], **fields):
    """A kind with values for its fields, which it may refuse together."""
    return st.tuples(st.just(kind), st.fixed_dictionaries(fields))


def made(kind: type[Request], values: dict) -> Request:
    """The request, made outside the strategies, for what checks its types draws numbers too."""
    try:
        return kind(**{name: value for name, value in values.items() if value is not None})
    except ValueError:
        reject()


REQUESTS = st.one_of(
    of_kind(
        TraceRequest, by=optional(st.sampled_from(["gradient", "frozen", "contribution"])),
        how=optional(st.sampled_from(["zero", "mask"])), target=optional(TOKENS),
        versus=optional(TOKENS), top=st.integers(0, 10**6), chat=st.booleans(),
        verify=st.booleans(), paths=optional(st.booleans()), seed=optional(st.integers(0, 99)),
    ),
    of_kind(
        PathsRequest, by=st.sampled_from(["frozen", "contribution"]), target=optional(TOKENS),
        k=st.integers(1, 99), n_drawn=optional(st.integers(0, 99)),
    ),
    of_kind(
        CutRequest, edges=st.lists(PLACES, max_size=2).map(tuple), from_=optional(TOKENS),
        nodes=st.lists(NODES, max_size=2).map(tuple), to=optional(SPANS), layers=optional(SPANS),
        how=optional(st.sampled_from(["mask", "zero"])), own=st.booleans(),
        node_how=optional(st.sampled_from(["zero", "mean"])), target=optional(TOKENS),
    ),
    of_kind(CutRequest, each=st.just(True), how=st.sampled_from(["mask", "zero"])),
    of_kind(
        HopsRequest, max_hops=st.integers(0, 99), layers=optional(SPANS),
        sink=optional(st.sampled_from(["counted", "free", "both"])),
        longest=optional(st.integers(0, 9)),
    ),
    of_kind(
        ConeRequest, at=st.sampled_from(["1,2", "0,-1"]), directions=st.integers(1, 9),
        step=st.floats(1e-6, 9), seed=st.integers(0, 99),
        through=optional(st.sampled_from(["residual", "kv", "both"])),
    ),
    of_kind(OrdersRequest, orders=st.lists(st.sampled_from(["prefill", "cone(1,2)"])).map(tuple)),
)  # fmt: skip


def parsed(kind: type[Request], words: list[str]) -> Request:
    """The request that the command line makes of these words."""
    requests_made = []

    def command(request):
        requests_made.append(request)

    command.__annotations__ = {"request": kind}
    app = typer.Typer()
    app.command()(with_request_options(command))
    ran = CliRunner().invoke(app, words, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return requests_made[0]


@given(REQUESTS)
@settings(max_examples=40, deadline=None)
def test_the_words_of_a_recipe_are_read_as_the_request_that_ran(kind_and_values):
    request = made(*kind_and_values)
    words = shlex.split(shlex.join(request_words(request)))
    assert parsed(type(request), words) == request


@given(REQUESTS.filter(lambda drawn: drawn[0] is not PathsRequest))
@settings(max_examples=40, deadline=None)
def test_a_body_of_http_is_the_same_request(kind_and_values):
    request = made(*kind_and_values)
    kind, wire = type(request), json.loads(request.model_dump_json(by_alias=True))
    if kind is TraceRequest:
        wire |= {"verify": False, "seed": None, "top": min(request.top, 20_000)}
        request = request.model_copy(update={"verify": False, "seed": None, "top": wire["top"]})
    question = QUESTIONS.validate_python({"ask": kind.command, "text": "a"} | wire)
    assert isinstance(question, kind)
    assert {name: getattr(question, name) for name in kind.model_fields} == request.model_dump()


def test_every_field_has_an_option_and_a_help():
    kinds = [TraceRequest, PathsRequest, CutRequest, HopsRequest, ConeRequest, OrdersRequest]
    for kind in kinds:
        assert kind.flags().keys() == kind.model_fields.keys()
        assert all(field.description for field in kind.model_fields.values())
        assert callable(getattr(__import__("worldline"), kind.call))
        assert kind.__doc__


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"how": "snip", "from_": "1"}, "--how snip: accepted are mask, zero, patch"),
        ({"from_": "1", "how": "mask", "parts": "k"}, "--parts k: only a patch tells K, V and Q"),
        ({"nodes": ["1,1"], "node_how": "patch"}, "--node-how patch: needs --patch-from"),
        ({"edges": ["0-999999999999.0:0>1"], "how": "mask", "layers": "1"}, "--layers: goes with"),
        ({"edges": ["0.0:3-1>5"], "how": "mask"}, "position 3-1: it runs backwards"),
        ({"target": "", "from_": "1", "how": "mask"}, '--target "": accepted are at least 1 char'),
    ],
)
def test_what_no_request_is_is_refused_under_the_options_name(values, said):
    with pytest.raises(InputError) as caught:
        CutRequest.of_options(**values)
    assert said in str(caught.value)


def test_a_span_of_any_length_is_read_at_once():
    CutRequest(edges=("0-99999999999.0:0>1",), how="mask")
    HopsRequest(layers="0-99999999999")
