"""What is given for a model, a text or a trace: used where it is clear, else refused in a line."""

from __future__ import annotations

from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from transformers import BatchEncoding

import worldline as wl
from every_call import model
from tiny_runs import NamesIds, tokens_of
from worldline.errors import InputError
from worldline.model.tiny import tiny_model

IDS = [40, 41, 42, 43]
EDIT = [wl.EdgeCut("mask", src=(1,))]
OF_A_TEXT = {
    "record": lambda *given: wl.record(*given),
    "cut": lambda *given: wl.cut(*given, EDIT),
    "interaction": lambda *given: wl.interaction(*given, EDIT, [wl.EdgeCut("drop", src=(2,))]),
    "hop_curve": lambda *given: wl.hop_curve(*given),
    "light_cone": lambda *given: wl.light_cone(*given, at=wl.Node(layer=1, pos=1)),
    "run_orders": lambda *given: wl.run_orders(*given),
}
OF_A_MODEL = OF_A_TEXT | {
    "execute": lambda model, _text: wl.execute(model, wl.Plan(tuple(IDS))),
    "execute_many": lambda model, _text: wl.execute_many(model, [wl.Plan(tuple(IDS))]),
    "check_model": lambda model, _text: wl.check_model(model),
}
OF_A_TRACE = {
    "weigh": wl.weigh, "hop_spectrum": wl.hop_spectrum, "find_paths": wl.find_paths,
    "path_grid": wl.path_grid, "sample_flow": wl.sample_flow, "logit_lens": wl.logit_lens,
    "measure": wl.edge_measures()["ALTI"],
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def refusal(call, *given) -> str:
    """The one line with which a call refuses."""
    with pytest.raises(InputError) as told:
        call(*given)
    line = str(told.value)
    assert line
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "ids",
    [
        tuple(IDS),
        torch.tensor(IDS),
        torch.tensor([IDS]),
        np.array(IDS),
        [IDS],
        BatchEncoding({"input_ids": [IDS], "attention_mask": [[1, 1, 1, 1]]}),
        BatchEncoding({"input_ids": torch.tensor([IDS])}),
        {"input_ids": IDS},
    ],
)
def test_ids_of_one_text_stand_for_it(ids):
    assert wl.record(model(), ids).tokens == wl.record(model(), IDS).tokens
    assert wl.record(model(), ids).tokens.ids == tuple(IDS)


@pytest.mark.parametrize("name", OF_A_TEXT)
def test_every_function_takes_ids(name):
    """And what it says of them is what it says of the text that they are."""
    by_ids, by_text = (OF_A_TEXT[name](model(), given) for given in (IDS, "t40 t41 t42 t43 "))
    assert getattr(by_ids, "tokens", None) == getattr(by_text, "tokens", None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "of type NoneType"),
        (b"t40", "of type bytes"),
        (Path("text.txt"), "of type "),
        ({"text": "t40"}, "of type dict"),
        (7, "of type int"),
        (["t40", "t41"], "a list of str"),
        ([True, False], "a list of bool"),
        (torch.tensor([0.5, 1.0]), "a Tensor of float"),
        ([IDS, IDS], "ids of 2 texts"),
        ([], "empty"),
        ([40, 5000], "id 5000 at position 1: accepted are 0 to "),
        ([-1, 40], "id -1 at position 0"),
        ({"input_ids": [IDS], "attention_mask": [[0, 1, 1, 1]]}, "padding"),
    ],
)
def test_what_is_no_text_is_refused_in_a_line(given, said):
    for call in OF_A_TEXT.values():
        assert said in refusal(call, model(), given)
    assert said in refusal(wl.observe, given, model())


@pytest.mark.parametrize("name", OF_A_TEXT)
def test_model_and_text_the_other_way_round_are_told(name):
    assert refusal(OF_A_TEXT[name], "t40 ", model()).endswith(
        "the other way round; it takes (model, text)"
    )


def test_observe_has_them_the_other_way_round():
    assert refusal(wl.observe, model(), "t40 ").endswith("it takes (text, model)")


def test_observe_takes_ids_that_their_text_gives_again():
    seen = wl.observe(IDS, model(), by="share")
    assert seen.trace.tokens.ids == tuple(IDS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "give wl.load_model(), which loads it"),
        ("gpt2", "give wl.load_model('gpt2'), which loads it"),
        (NamesIds(), "model is a tokenizer"),
        (3, "model is of type int"),
        ((1, 2), "a pair in memory is (torch module, tokenizer)"),
    ],
)
def test_what_is_no_model_is_refused_in_a_line(given, said):
    for call in OF_A_MODEL.values():
        assert said in refusal(call, given, IDS)


def test_a_bare_module_is_told_how_it_becomes_a_model():
    for name, call in OF_A_MODEL.items():
        if name != "check_model":
            assert "wl.load_model((model, tokenizer))" in refusal(call, model().module, IDS)


def test_a_pair_stands_for_the_model_that_it_is():
    pair = model().module, NamesIds()
    trace = wl.record(pair, IDS)
    assert torch.equal(trace.resid[-1], wl.record(model(), IDS).resid[-1])
    assert trace.model.module is pair[0]


def test_check_model_takes_a_loaded_model_or_its_module():
    reports = [wl.check_model(given).as_dict() for given in (model(), model().module)]
    assert reports[0] == reports[1]
    assert reports[0]["status"] == "exact"


@pytest.mark.parametrize("name", OF_A_TRACE)
def test_what_is_no_trace_is_refused_in_a_line(name):
    for given in (model(), "t40 ", None):
        assert "trace is of type" in refusal(OF_A_TRACE[name], given)


def test_ids_that_the_embedding_lacks_are_refused_where_they_are_run():
    size = model().module.get_input_embeddings().weight.shape[0]
    said = refusal(wl.execute, model(), wl.Plan((40, size)))
    assert f"token id {size} at position 1: accepted are 0 to {size - 1}" in said
    trace = wl.record(model(), IDS)
    trace.tokens, trace.live = tokens_of([40, size, 42, 43]), None  # a file with wrong ids
    assert f"has the id {size}, but the ids" in refusal(
        lambda: wl.weigh(trace, "gradient", model=model())
    )


# --- modules and weights that cannot be recorded -----------------------------------------------


def compiled_whole(module):
    return torch.compile(module, backend="eager")


def compiled_in_place(module):
    module.compile(backend="eager")
    return module


def compiled_part(module):
    module.model = torch.compile(module.model, backend="eager")
    return module


def compiled_forward(module):
    module.forward = torch.compile(module.forward, backend="eager")
    return module


@pytest.mark.parametrize(
    "compiled", [compiled_whole, compiled_in_place, compiled_part, compiled_forward]
)
def test_a_compiled_model_is_refused_before_it_runs(compiled):
    module = tiny_model("llama")
    module.register_forward_pre_hook(lambda *_: pytest.fail("it ran"))
    given = compiled(module)
    assert "is compiled" in refusal(wl.load_model, (given, NamesIds()))
    assert "is compiled" in refusal(wl.check_model, given)


def test_a_model_that_is_compiled_after_it_was_loaded_is_refused():
    fresh = wl.load_model((tiny_model("llama"), NamesIds()))
    fresh.module.compile(backend="eager")
    assert "is compiled" in refusal(wl.record, fresh, IDS)


class Packed(torch.Tensor):
    """A weight as quantization packs it: numbers and a scale, no storage of its own."""

    @staticmethod
    def __new__(cls, whole):
        return torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=whole.dtype)

    def __init__(self, whole):
        self.codes, self.scale = whole.round().to(torch.int8), whole.abs().max()

    def __tensor_flatten__(self):
        return ["codes", "scale"], None

    @staticmethod
    def __tensor_unflatten__(parts, _meta, _size, _stride):
        return Packed(parts["codes"].float())

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.detach.default:
            return args[0]
        raise AssertionError(f"{func} was called on packed weights")


def test_packed_weights_are_refused_before_anything_reads_them():
    module = tiny_model("llama")
    module.lm_head.weight = torch.nn.Parameter(Packed(module.lm_head.weight.detach()), False)
    said = refusal(wl.load_model, (module, NamesIds()))
    assert "its weight lm_head.weight is no plain tensor but a Packed" in said


def test_weights_without_values_are_refused():
    said = refusal(wl.load_model, (tiny_model("llama").to("meta"), NamesIds()))
    assert "has no values in memory" in said


def test_weights_split_over_processes_are_refused(tmp_path):
    from torch import distributed
    from torch.distributed.tensor import Replicate, distribute_tensor, init_device_mesh

    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    try:
        module, mesh = tiny_model("llama"), init_device_mesh("cpu", (1,))
        split = distribute_tensor(module.lm_head.weight.detach(), mesh, [Replicate()])
        module.lm_head.weight = torch.nn.Parameter(split)
        said = refusal(wl.load_model, (module, NamesIds()))
        assert "its weight lm_head.weight is split over several processes" in said
    finally:
        distributed.destroy_process_group()


@pytest.fixture
def as_people_call():
    """Without the checks of types that tests add: nobody else's calls have them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


WITH_TARGET = {
    "weigh": lambda **asked: wl.weigh(wl.record(model(), IDS), "gradient", **asked),
    "frozen": lambda **asked: wl.weigh(wl.record(model(), IDS), "frozen", **asked),
    "hop_spectrum": lambda **asked: wl.hop_spectrum(wl.record(model(), IDS), **asked),
    "find_paths": lambda **asked: wl.find_paths(wl.record(model(), IDS), **asked),
    "sample_flow": lambda **asked: wl.sample_flow(wl.record(model(), IDS), n=5, **asked),
    "cut": lambda **asked: wl.cut(model(), IDS, EDIT, **asked),
    "interaction": lambda **asked: wl.interaction(
        model(), IDS, EDIT, [wl.EdgeCut("drop", src=(2,))], **asked
    ),
    "observe": lambda **asked: wl.observe("t40 t41 t42", model(), paths=False, **asked),
}


@pytest.mark.usefixtures("as_people_call")
@pytest.mark.parametrize("token", [True, 3.0, b"t41", ["t41"], np.int64(3)])
@pytest.mark.parametrize("name", WITH_TARGET)
def test_what_is_no_token_is_refused_in_a_line(name, token):
    for asked in ("target", "versus"):
        said = refusal(lambda asked=asked: WITH_TARGET[name](**{"target": 40} | {asked: token}))
        assert f"of type {type(token).__name__}: accepted are the text of one token" in said


@pytest.mark.usefixtures("as_people_call")
def test_a_single_cut_stands_for_a_list_of_it():
    (edit,) = EDIT
    assert wl.cut(model(), IDS, edit).json() == wl.cut(model(), IDS, EDIT).json()
    assert wl.Plan(tuple(IDS), edit) == wl.Plan(tuple(IDS), frozenset(EDIT))
    other = wl.EdgeCut("drop", src=(2,))
    assert wl.interaction(model(), IDS, edit, other) == wl.interaction(model(), IDS, EDIT, [other])


@pytest.mark.usefixtures("as_people_call")
@pytest.mark.parametrize("edits", [None, 3, "0.0:1>2", ["0.0:1>2"], [EDIT], {"src": 1}, [None]])
@pytest.mark.parametrize(
    "call",
    [
        lambda edits: wl.cut(model(), IDS, edits),
        lambda edits: wl.interaction(model(), IDS, EDIT, edits),
        lambda edits: wl.Plan(tuple(IDS), edits),
        lambda edits: wl.Donor(tuple(IDS), tuple(range(4)), edits),
    ],
)
def test_what_is_no_cut_is_refused_in_a_line(call, edits):
    assert "accepted are EdgeCut and NodeCut values" in refusal(call, edits)
