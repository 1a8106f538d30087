"""A trace that is copied is the same run of the same model."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

import worldline as wl
from tiny_runs import NamesIds, loaded, some_tokens
from worldline.errors import InputError, RefusedError
from worldline.models.gradients import ROW
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model

pytestmark = pytest.mark.usefixtures("cache")
METHODS = ("contribution", "gradient", "frozen")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_gives_the_numbers_of_the_trace(copied):
    trace = wl.record(loaded("llama"), some_tokens(8))
    twin = copied(trace)
    assert twin is not trace
    assert (twin.resid[0] is trace.resid[0]) == (copied is copy.copy)
    for by in METHODS:
        assert wl.attribute(twin, by).edges == wl.attribute(trace, by).edges
    assert wl.logit_lens(twin) == wl.logit_lens(trace)
    assert copied(ROW) is ROW


def test_a_copy_is_refused_as_the_trace_is_once_the_model_changed():
    module = tiny_model("llama")
    trace = wl.record(load_model((module, NamesIds())), some_tokens(8))
    twin = copy.deepcopy(trace)
    with torch.no_grad():
        module.model.layers[1].self_attn.o_proj.weight.mul_(2)
    for by in METHODS:
        with pytest.raises(RefusedError, match="changed since the trace was recorded"):
            wl.attribute(twin, by)


def test_pickling_a_trace_names_what_writes_it():
    trace = wl.record(loaded("llama"), some_tokens(4))
    with pytest.raises(InputError, match=r"^a trace cannot be pickled: wl\.save_trace\("):
        pickle.dumps(trace)
