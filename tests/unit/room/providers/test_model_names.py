"""Models by the names that users give them."""

from __future__ import annotations

import pytest

from worldline.errors import InputError
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.local_model import Local
from worldline.room.providers.model_names import model_named, with_name


def test_an_address_makes_an_endpoint():
    name, make = model_named("qwen3:8b@http://localhost:11434", {"qwen3:8b": (1.0, 2.0)})
    model = make()
    assert isinstance(model, Endpoint)
    assert (name, model.model, model.url) == ("qwen3:8b", "qwen3:8b", "http://localhost:11434/v1")
    assert model.prices == {"qwen3:8b": (1.0, 2.0)}


def test_anything_else_is_loaded_when_it_is_needed_and_once():
    name, make = model_named("tiny:llama")
    one, two = make(), make()
    assert isinstance(one, Local)
    assert (name, one.name) == ("tiny:llama", "tiny:llama")
    assert one.model is two.model


@pytest.mark.parametrize("wrong", ["", "  ", "@https://x", "m@http://user:pass@x"])
def test_what_is_no_model_is_refused(wrong):
    with pytest.raises(InputError) as caught:
        model_named(wrong)
    if "pass" in wrong:
        assert "pass@" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "model", "name"),
    [
        ("bundled:Ada", "bundled", "Ada"),
        ("bundled", "bundled", ""),
        ("bundled:", "bundled:", ""),
        ("tiny:llama", "tiny:llama", ""),
        ("tiny:llama:Ada", "tiny:llama", "Ada"),
        ("m@https://x.org/api/v1:Ada Lovelace", "m@https://x.org/api/v1", "Ada Lovelace"),
        ("m@http://localhost:8080", "m@http://localhost:8080", ""),
        ("m@http://localhost", "m@http://localhost", ""),
    ],
)
def test_a_name_after_the_model(given, model, name):
    assert with_name(given) == (model, name)
