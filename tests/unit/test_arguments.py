"""What is given for a model, a text or a trace: used where it is clear, else refused in a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from transformers import BatchEncoding

import tiny_runs
import worldline as wl
from every_call import model
from tiny_runs import NamesIds, tokens_of
from worldline.errors import InputError
from worldline.models.tiny_models import tiny_model

IDS = [40, 41, 42, 43]
NODE = wl.Node(layer=1, pos=1)
EDIT = [wl.EdgeCut("mask", src=(1,))]
OF_A_TEXT = {
    "record": lambda *given: wl.record(*given),
    "cut": lambda *given: wl.cut(*given, EDIT),
    "interaction": lambda *given: wl.interaction(*given, EDIT, [wl.EdgeCut("zero", src=(2,))]),
    "hop_curve": lambda *given: wl.hop_curve(*given),
    "light_cone": lambda *given: wl.light_cone(*given, at=NODE),
    "run_orders": lambda *given: wl.run_orders(*given),
}
OF_A_MODEL = OF_A_TEXT | {
    "execute": lambda model, _text: wl.execute(model, wl.Plan(tuple(IDS))),
    "execute_many": lambda model, _text: wl.execute_many(model, [wl.Plan(tuple(IDS))]),
    "check_model": lambda model, _text: wl.check_model(model),
}
OF_A_TRACE = {
    "attribute": wl.attribute, "hop_spectrum": wl.hop_spectrum, "find_paths": wl.find_paths,
    "path_grid": wl.path_grid, "sample_flow": wl.sample_flow, "logit_lens": wl.logit_lens,
    "measure": wl.edge_measures()["ALTI"],
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("cache")


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
    seen = wl.observe(IDS, model(), by="contribution")
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
        lambda: wl.attribute(trace, "gradient", model=model())
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
    "attribute": lambda **asked: wl.attribute(wl.record(model(), IDS), "gradient", **asked),
    "frozen": lambda **asked: wl.attribute(wl.record(model(), IDS), "frozen", **asked),
    "hop_spectrum": lambda **asked: wl.hop_spectrum(wl.record(model(), IDS), **asked),
    "find_paths": lambda **asked: wl.find_paths(wl.record(model(), IDS), **asked),
    "sample_flow": lambda **asked: wl.sample_flow(wl.record(model(), IDS), n=5, **asked),
    "cut": lambda **asked: wl.cut(model(), IDS, EDIT, **asked),
    "interaction": lambda **asked: wl.interaction(
        model(), IDS, EDIT, [wl.EdgeCut("zero", src=(2,))], **asked
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
    other = wl.EdgeCut("zero", src=(2,))
    assert wl.interaction(model(), IDS, edit, other) == wl.interaction(model(), IDS, EDIT, [other])


@pytest.mark.usefixtures("as_people_call")
@pytest.mark.parametrize("edits", [None, 3, "0.0:1>2", ["0.0:1>2"], [EDIT], {"src": 1}, [None]])
@pytest.mark.parametrize(
    "call",
    [
        lambda edits: wl.cut(model(), IDS, edits),
        lambda edits: wl.interaction(model(), IDS, EDIT, edits),
        lambda edits: wl.Plan(tuple(IDS), edits),
        lambda edits: wl.PatchSource(tuple(IDS), tuple(range(4)), edits),
    ],
)
def test_what_is_no_cut_is_refused_in_a_line(call, edits):
    assert "accepted are EdgeCut and NodeCut values" in refusal(call, edits)


# --- numbers, words and keywords ----------------------------------------------------------------


REFUSED = {
    'wl.EdgeCut("mask", src=(0.7,), dst=(3.9,))': "src=0.7: accepted are whole",
    'wl.EdgeCut("mask", layers=("2",))': "layers='2': accepted are whole",
    'wl.EdgeCut("mask", heads=(True,))': "heads=True: accepted are whole",
    'wl.EdgeCut("mask", src="12")': "src='12': accepted are whole",
    'wl.EdgeCut("zero", src={1: 2})': "src of type dict",
    'wl.NodeCut("zero", rows=(1.5,))': "rows=1.5: accepted are whole",
    'wl.NodeCut("perturb", rows=1, vector="12")': "vector of type str",
    'wl.NodeCut("perturb", rows=1, vector=3)': "vector of type int",
    "wl.Node(layer=0.5, pos=1)": "Node: layer=0.5: accepted are whole",
    'wl.Node(layer=1, pos="3")': "Node: pos='3': accepted are whole",
    "wl.Plan((1.9, 2))": "ids=1.9: accepted are whole",
    'wl.Plan("12")': "ids='12': accepted are whole",
    "wl.PatchSource((1.5,), (0,))": "ids=1.5: accepted are whole",
    "wl.PatchSource((1,), (0.5,))": "at=0.5: accepted are whole",
    "wl.HopBudget(1.0)": "hops=1.0: accepted are whole",
    "wl.HopBudget(1, layers=(0.5,))": "layers=0.5: accepted are whole",
    "wl.Order.given([[[0.5, 1]]])": "slices: accepted is a list of lists",
    'wl.hop_curve(model(), IDS, max_hops="3")': "hop_curve: max_hops='3'",
    'wl.hop_curve(model(), IDS, stop_within_nats="1")': "stop_within_nats='1'",
    'wl.hop_curve(model(), IDS, layers="0")': "layers='0'",
    "wl.hop_curve(model(), IDS, progress=3)": "progress=3: accepted is a function",
    'wl.attribute(recorded(), top="5")': "attribute: top='5'",
    "wl.attribute(recorded(), by=3)": "attribute: by=3: accepted is a text",
    "wl.hop_spectrum(recorded(), max_hops=1.5)": "hop_spectrum: max_hops=1.5",
    'wl.find_paths(recorded(), k="3")': "find_paths: k='3'",
    "wl.sample_flow(recorded(), n=True)": "sample_flow: n=True",
    'wl.record(model(), IDS, seed="1")': "record: seed='1'",
    'wl.record(model(), IDS, verify="no")': "verify='no': accepted is True or False",
    "wl.execute(model(), IDS)": "execute: plan of type list: accepted is a Plan",
    'wl.light_cone(model(), IDS, at=wl.Node(layer=0, pos=0), step="1")': "light_cone: step='1'",
    'wl.observe("t40 ", model(), top=1.5)': "observe: top=1.5",
    'wl.count_paths(n_layers="3")': "count_paths: n_layers='3'",
    "wl.count_orders(3, 2.0)": "count_orders: n_pos=2.0",
    "wl.top_paths([[1]], target=wl.Node(layer=1, pos=0))": "a WeightedGrid",
    "wl.load_model(3)": "load_model: model of type int",
    "wl.load_model(model().module)": "accepted are a name",
    "wl.load_trace(3)": "load_trace: path=3: accepted is a text or a Path",
    # and what is clear is taken for what it is
    'wl.EdgeCut("zero", src=3, dst=np.int64(4), layers=torch.tensor([0, 1]), heads=range(2))'
    ' == wl.EdgeCut("zero", src=(3,), dst=(4,), layers=(0, 1), heads=(0, 1))': "True",
    'wl.NodeCut("zero", rows=2).rows': "(2,)",
    "wl.Plan(torch.tensor(IDS)).ids": "(40, 41, 42, 43)",
    "wl.Node(layer=np.int64(1), pos=torch.tensor(2))": "Node(layer=1, pos=2)",
}
PLAIN = """
import json
import numpy as np
import torch
import worldline as wl
from worldline.errors import InputError
from tiny_runs import NamesIds
from worldline.models.tiny_models import tiny_model

IDS, loaded = [40, 41, 42, 43], wl.load_model((tiny_model("llama"), NamesIds()))
model, recorded = lambda: loaded, lambda: wl.record(loaded, IDS)
said = {}
for made in json.loads(input()):
    try:
        said[made] = str(eval(made))
    except InputError as error:
        said[made] = str(error)
print(json.dumps(said))
"""


def test_numbers_are_never_rounded_and_kinds_never_guessed():
    """In a process of its own: under pytest a type checker would be there first."""
    path = os.pathsep.join([str(Path(tiny_runs.__file__).parent), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", PLAIN], input=json.dumps(list(REFUSED)), capture_output=True,
        text=True, check=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    told = json.loads(run.stdout)
    assert {made for made, words in REFUSED.items() if words not in told.get(made, "")} == set()
    assert not any("\n" in line for line in told.values())


def recorded() -> wl.Trace:
    return wl.record(model(), IDS)


def test_a_mistyped_keyword_names_the_function():
    for call, words in (
        (lambda: wl.cut(model(), IDS, EDIT, targt=3), r"cut\(\) got an unexpected"),
        (lambda: wl.attribute(recorded(), tpo=3), r"attribute\(\) got an unexpected"),
        (lambda: wl.observe("t40 ", model(), tpo=3), r"observe\(\) got an unexpected"),
        (lambda: wl.cut(model(), IDS), r"cut\(\) missing a required"),
    ):
        with pytest.raises(TypeError, match=words):
            call()


def loaded_pair(_text, model, **more):
    return wl.load_model((model.module, model.tokenizer), **more)


@pytest.mark.parametrize("call", [wl.observe, loaded_pair])
def test_a_model_in_memory_has_one_dtype_and_one_device(call):
    """Naming another is refused; naming its own, in words or as torch has it, is not."""
    for given, said in (
        ({"dtype": "bfloat16"}, "dtype bfloat16: a model in memory is used as it is, and this one"),
        ({"dtype": torch.float16}, "dtype float16: a model in memory"),
        ({"device": "cuda"}, "device cuda: a model in memory is used where it is"),
        ({"device": torch.device("meta")}, "device meta: a model in memory"),
        ({"dtype": "tpu"}, 'dtype "tpu" is not one of'),
    ):
        assert said in refusal(lambda given=given: call("t40 t41 ", model(), **given))
    call("t40 t41 ", model(), dtype=torch.float32, device=torch.device("cpu"))
    call("t40 t41 ", model(), dtype="float32", device="cpu")


def test_dtypes_of_torch_are_taken_where_a_model_is_loaded(tmp_path):
    loaded = wl.load_model("tiny:llama", dtype=torch.bfloat16, device=torch.device("cpu"))
    assert loaded.dtype == "bfloat16"
    assert next(loaded.module.parameters()).dtype == torch.bfloat16
    said = refusal(lambda: wl.load_model("tiny:llama", dtype=torch.int8))
    assert 'dtype "int8" is not one of' in said
    assert "no such folder" in refusal(wl.load_model, tmp_path / "none")


def test_attribution_takes_the_gradient_where_a_target_is_named():
    trace = recorded()
    assert wl.attribute(trace).meaning.by == "contribution"
    named = wl.attribute(trace, target=5)
    assert named.meaning.by == "gradient"
    assert named.edges == wl.attribute(trace, "gradient", target=5).edges
    assert wl.attribute(trace, versus=5).meaning.by == "gradient"
    assert "asks about no target" in refusal(lambda: wl.attribute(trace, "contribution", target=5))
    assert "contribution" in refusal(lambda: wl.attribute(trace, how="mask"))
    assert "metric" in refusal(lambda: wl.attribute(trace, target=5, metric="variance"))


@pytest.mark.parametrize(
    "name", ["attribute", "hop_spectrum", "find_paths", "sample_flow", "path_grid"]
)
def test_a_loaded_trace_asks_for_its_model_in_the_name_of_the_function(name, tmp_path):
    call, trace = getattr(wl, name), recorded()
    again = wl.load_trace(wl.save_trace(trace, tmp_path / "run.safetensors"))
    assert f"{name}(trace, model=...)" in refusal(call, again)
    call(again, model=model())


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda _trace: wl.record(model(), IDS, seed=-1), "seed"),
        (lambda _trace: wl.record(model(), IDS, seed=2**64), "seed"),
        (lambda trace: wl.sample_flow(trace, seed=-5), "seed"),
        (lambda _trace: wl.light_cone(model(), IDS, at=NODE, seed=2**70), "seed"),
        (lambda trace: wl.attribute(trace, top=-1), "top"),
        (lambda _trace: wl.observe(IDS, model(), top=-1), "top"),
        (lambda _trace: wl.hop_curve(model(), IDS, longest=-1), "longest"),
        (lambda _trace: wl.hop_curve(model(), IDS, at_once=0), "at_once"),
        (lambda _trace: wl.hop_curve(model(), IDS, stop_within_nats=float("nan")), "stop_within"),
        (lambda _trace: wl.light_cone(model(), IDS, at=NODE, step=float("nan")), "step"),
        (lambda _trace: wl.light_cone(model(), IDS, at=NODE, step=1e-30), "step"),
        (lambda _trace: wl.record(model(), IDS, keep=None), "keep"),
        (lambda _trace: wl.record(model(), IDS, keep="kv"), "keep"),
        (lambda _trace: wl.run_orders(model(), IDS, ()), "orders"),
        (lambda _trace: wl.run_orders(model(), IDS, "decode"), "orders"),
        (lambda trace: wl.logit_lens(trace, rows=[99]), "row"),
        (lambda trace: wl.logit_lens(trace, rows=[-1]), "row"),
    ],
)
def test_numbers_that_nothing_can_be_asked_with(call, name):
    """What a number of a name accepts, it accepts in every function."""
    assert name in refusal(call, wl.record(model(), IDS)).partition("accepted")[0]
