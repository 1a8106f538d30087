"""The one identity of a run: what it holds, how it is worded, and what is not of the model."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import re
import subprocess
import sys
import types
from collections import deque
from weakref import WeakKeyDictionary

import peft
import pytest
import torch
from transformers.models.bloom import modeling_bloom

import worldline as wl
from changes import AROUND_A_CLASS, CHANGES, prepare
from looks import counted_looks
from tiny_runs import NamesIds, some_tokens
from worldline.attribution import gradient
from worldline.claims import claim_runs as running
from worldline.errors import InputError, RefusedError
from worldline.models import validation as guard
from worldline.models.fingerprint import Describer
from worldline.models.identity import differences, identify, in_one_line, settings_now
from worldline.models.laws import check_model
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.models.validation import checked_report
from worldline.runs.trace_match import has_changed
from worldline.service.answers import Answering
from worldline.service.questions import TraceQuestion

# What PEFT asks of transformers.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))


def tiny(model_type="llama"):
    return load_model((tiny_model(model_type), NamesIds()))


def adapted():
    """A tiny model with a LoRA of PEFT that does something, and PEFT's own model around it."""
    module = peft.get_peft_model(
        tiny_model("llama"), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    ).eval()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=draw)
    return load_model((module, NamesIds())), module


def scale(wrapper):
    for part in wrapper.modules():
        if isinstance(getattr(part, "scaling", None), dict):
            part.scaling["default"] = 8.0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lambda wrapper: wrapper.base_model.disable_adapter_layers(),
            'adapter "default" is switched o',
        ),
        (scale, r"v_proj\.scaling\.default|q_proj\.scaling\.default 4\.0 → 8\.0"),
        (lambda wrapper: wrapper.merge_adapter(), r"weights of .*base_layer\.weight"),
        (lambda wrapper: wrapper.train(), "train mode"),
    ],
)
def test_an_adapter_that_changed_is_named_for_a_trace_in_memory_and_from_a_file(
    tmp_path, change, named
):
    model, wrapper = adapted()
    trace = wl.record(model, some_tokens(6))
    stored = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    assert (
        wl.attribute(stored, "gradient", model=model).edges == wl.attribute(trace, "gradient").edges
    )
    change(wrapper)
    with pytest.raises(RefusedError, match=named):
        wl.attribute(trace, "gradient")
    with pytest.raises(InputError, match=named):
        wl.attribute(stored, "gradient", model=model)


def test_an_adapter_switched_off_for_a_while_leaves_the_trace_as_good_as_before():
    model, wrapper = adapted()
    trace = wl.record(model, some_tokens(6))
    before = wl.attribute(trace, "gradient").edges
    with (
        wrapper.disable_adapter(),
        pytest.raises(RefusedError, match='adapter "default" is switched off'),
    ):
        wl.attribute(trace, "gradient")
    assert wl.attribute(trace, "gradient").edges == before


def test_three_steps_between_recording_and_attribution_are_refused():
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    steps, ids = torch.optim.SGD(model.module.parameters(), 0.1), torch.arange(20, 30)[None]
    for _ in range(3):
        model.module(input_ids=ids, labels=ids).loss.backward()
        steps.step()
    for ask in (wl.attribute, wl.hop_spectrum, wl.find_paths, wl.logit_lens):
        with pytest.raises(RefusedError, match="the model changed since the trace was recorded: w"):
            ask(trace)


def test_a_page_whose_model_changed_records_the_text_again(tmp_path):
    model = tiny()
    answers = Answering(model, tmp_path)
    question = TraceQuestion(text="t20 t21 t22")
    answers(question, lambda _line: None)
    (old,) = answers.traces.values()
    with torch.no_grad():
        model.module.lm_head.weight.mul_(2)
    answers(question, lambda _line: None)
    (new,) = answers.traces.values()
    with torch.no_grad():
        logits = model.module(input_ids=torch.tensor([new.tokens.ids]), use_cache=False).logits
    largest = float(logits[0, -1].double().log_softmax(-1).max())
    assert new.predictions[0].logprob == largest
    assert abs(old.predictions[0].logprob - largest) > 1e-3


def test_stored_rows_that_the_model_does_not_compute_are_refused(tmp_path):
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    trace.resid[1] = trace.resid[1] * (1 + 1e-6)
    stored = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    with pytest.raises(RefusedError, match=r"recorded anew, row 1 at position \d is .* away"):
        wl.attribute(stored, model=model)
    elsewhere = dataclasses.replace(  # another machine rounds in another way
        stored.identity, settings=stored.identity.settings | {"machine": "of another kind"}
    )
    wl.attribute(dataclasses.replace(stored, identity=elsewhere), model=model)
    stored.resid[1] *= 1.1
    with pytest.raises(InputError, match="machine of another kind →"):
        wl.attribute(dataclasses.replace(stored, identity=elsewhere), model=model)


def test_stored_predictions_are_compared_too(tmp_path):
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    best = trace.predictions[0]
    trace.predictions[0] = dataclasses.replace(best, logprob=best.logprob + 0.01)
    stored = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    with pytest.raises(RefusedError, match="the list of predictions is"):
        wl.attribute(stored, model=model)


def test_the_gradient_of_another_run_is_never_given():
    """Even where no identity shows it: the rows of the run that is differentiated must be these."""
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    trace.resid[1] = trace.resid[1] * 1.001
    with pytest.raises(RefusedError, match="would be the gradient of another run"):
        wl.attribute(trace, "gradient")


def test_a_type_that_computes_other_rows_under_a_gradient_is_not_called_changed():
    module = tiny_model("doge").to(torch.bfloat16)
    trace = wl.record(load_model((module, NamesIds())), some_tokens(20))
    with pytest.raises(RefusedError, match=r"row 3 .* other numbers under a gradient"):
        wl.attribute(trace, "gradient")
    assert not has_changed(trace)


def test_other_logits_under_a_gradient_are_not_called_a_change(monkeypatch):
    model = tiny()
    model.module.lm_head.register_forward_hook(
        lambda _module, _args, out: out * 1.5 if torch.is_grad_enabled() else out
    )
    trace = wl.record(model, some_tokens(6))
    with pytest.raises(RefusedError, match="backward pass"):
        wl.attribute(trace, "gradient")
    monkeypatch.setattr(gradient, "refuse_other_derivative", lambda _model: None)  # on a text
    with pytest.raises(RefusedError, match=r"predictions .* other numbers under a gradient"):
        wl.attribute(trace, "gradient")
    assert not has_changed(trace)


def test_a_function_of_torch_replaced_before_is_known_by_its_code():
    script = (
        "import functools, torch; honest = torch.nn.functional.silu;"
        "torch.nn.functional.silu = functools.wraps(honest)(lambda x, inplace=False: honest(x));"
        "from worldline.models.identity import settings_now; print(*settings_now())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "torch.nn.functional.silu" in done.stdout
    assert not any(name.startswith("torch.") for name in settings_now())


PRECISIONS = ("mkldnn.matmul.fp32_precision", "mkldnn.fp32_precision", "cuda.matmul.fp32_precision",
              "cudnn.fp32_precision", "fp32_precision")  # fmt: skip


def test_each_switch_of_torchs_precision_is_a_setting_and_no_traceback():
    """In a process of its own: torch does not forget that its newer switches were used."""
    script = (
        "import operator, sys, torch, worldline as wl;"
        "from worldline.models.identity import identify, rounds_products;"
        "model = wl.load_model('tiny:llama'); last = identify(model)\n"
        "assert not rounds_products()\n"
        "for name in sys.argv[1:]:\n"
        "    holder, _, switch = name.rpartition('.')\n"
        "    to = operator.attrgetter(holder)(torch.backends) if holder else torch.backends\n"
        "    setattr(to, switch, 'bf16' if 'mkldnn' in name else 'tf32')\n"
        "    now = identify(model)\n"
        "    print(now.settings[name], now.key() != last.key(), rounds_products())\n"
        "    last = now\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *PRECISIONS], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:-1] == [
        f"{'bf16' if 'mkldnn' in name else 'tf32'} True True" for name in PRECISIONS
    ]


def test_numbers_too_small_for_most_processors_are_a_setting():
    before = settings_now()
    torch.set_flush_denormal(True)
    try:
        assert settings_now() != before
    finally:
        torch.set_flush_denormal(False)
    assert settings_now() == before


@pytest.fixture(scope="module")
def recorded_with_parts():
    module = tiny_model("llama", attn_implementation="sdpa")
    prepare(module)
    return wl.record(load_model((module, NamesIds())), some_tokens(5))


@pytest.mark.parametrize("name", AROUND_A_CLASS)
def test_code_is_seen_wherever_it_lies_and_is_named(recorded_with_parts, name):
    """Without a run: what moves only gradients would show in none."""
    model = recorded_with_parts.model
    before = identify(model)
    undo = CHANGES[name].make(model.module)
    after = identify(model)
    assert before.key() != after.key()
    assert after.complete
    assert re.search(CHANGES[name].named, in_one_line(differences(before, after)))
    undo()
    assert identify(model).key() == before.key()


def test_a_kept_check_of_the_gradient_is_not_that_of_another_function():
    model = tiny("bloom")
    assert not checked_report(model).gradient
    function = modeling_bloom.GeLUFunction
    honest = vars(function)["backward"]
    function.backward = staticmethod(lambda ctx, gradient: 0.1 * gradient)
    try:
        assert "not the derivative" in checked_report(model).gradient
    finally:
        function.backward = honest
    assert not checked_report(model).gradient


def test_a_function_that_replaces_one_of_a_librarys_module_is_seen_in_what_its_function_calls():
    model = tiny("bloom")
    before, honest = identify(model), modeling_bloom.bloom_gelu_forward
    modeling_bloom.bloom_gelu_forward = functools.wraps(honest)(lambda x: honest(x).cumsum(1))
    try:
        assert "BloomGelu" in in_one_line(differences(before, identify(model)))
    finally:
        modeling_bloom.bloom_gelu_forward = honest
    assert differences(before, identify(model)) == []


@pytest.mark.parametrize("make", [lambda by: lambda x: x * by, lambda by: Slotted()])
def test_which_of_two_alike_stands_in_a_place_is_told(make):
    """Each is described where it is met first."""
    first, second = make(1), make(2)
    for thing in (first, second):
        if isinstance(thing, Slotted):
            thing.by = 1.0 if thing is first else 2.0
    described = {
        str(Describer().plain(things))
        for things in ([first, second, first], [first, second, second], [second, first, first])
    }
    assert len(described) == 3


def test_which_module_of_the_model_an_object_points_to_is_told():
    model = tiny()
    first, second, _ = model.module.model.layers
    second.mlp.source = types.SimpleNamespace(layer=[first])
    before = identify(model)
    second.mlp.source.layer[0] = second
    (difference,) = differences(before, identify(model))
    assert "the module model.layers.0',) → ('the module model.layers.1" in difference.words


def test_what_code_imports_as_it_runs_is_not_described_and_nothing_of_it_is_kept():
    model = tiny()
    mlp = model.module.model.layers[1].mlp

    class Importing(type(mlp)):
        def forward(self, x):
            from tiny_runs import tokens_of  # noqa: F401

            return super().forward(x)

    class OfALibrary(type(mlp)):
        def forward(self, x):
            import math

            return super().forward(x) * math.cos(0)

    for kind, is_complete in ((OfALibrary, True), (Importing, False)):
        mlp.__class__ = kind
        assert identify(model).complete is is_complete


def test_equal_models_have_equal_identities_in_every_process(tmp_path):
    mine = identify(tiny()).key()
    script = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "from worldline.models.known_circuits import NamesIds;"
        "from worldline.models.tiny_models import tiny_model;"
        "from worldline.models.loader import load_model;"
        "from worldline.models.identity import identify;"
        "print(identify(load_model((tiny_model('llama'), NamesIds()))).key())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *sys.path], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [mine]


def test_an_identity_is_the_same_object_while_nothing_changes_and_survives_json():
    model = tiny()
    first = identify(model)
    assert identify(model) is first
    wl.record(model, some_tokens(5))
    assert differences(first, identify(model)) == []
    back = type(first)(**json.loads(json.dumps(dataclasses.asdict(first))))
    assert differences(back, first) == []
    assert differences(first, identify(load_model((copy.deepcopy(model.module), NamesIds())))) == []


def test_a_state_that_the_text_itself_sets_is_no_other_model():
    """Dynamic rope grows with a long text and shrinks again: a run puts back what it needs."""
    module = tiny_model("llama")
    module.config.rope_parameters = {
        "rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0,
    }  # fmt: skip
    module.config.max_position_embeddings = 16
    rope = type(module.model.rotary_emb)(module.config)
    module.model.rotary_emb = rope
    model = load_model((module.eval(), NamesIds()))
    short = wl.record(model, some_tokens(7))
    before = wl.attribute(short, "gradient").edges
    module(input_ids=torch.arange(20, 60)[None])  # grows its frequencies
    assert wl.attribute(short, "gradient").edges == before


# --- the cache of checks -------------------------------------------------------------------------


def test_a_hook_that_comes_after_the_check_is_checked():
    """Layer 0's output through tanh, added to layer 2's: blocks no longer stand for themselves."""
    module = tiny_model("llama")
    model, tokens = load_model((module, NamesIds())), some_tokens(7)
    wl.record(model, tokens)
    assert checked_report(model).separable
    kept = []
    module.model.layers[0].register_forward_hook(lambda _m, _a, out: kept.append(out))

    def leak(_module, _args, out):
        return out + torch.tanh(kept[-1])

    module.model.layers[2].register_forward_hook(leak)
    try:
        found = wl.attribute(wl.record(model, tokens), "gradient", top=0)
    except RefusedError:
        return
    assert not checked_report(model).separable
    ids = torch.tensor([tokens.ids])
    assert found.target_value == pytest.approx(
        float(module(input_ids=ids).logits[0, -1].detach().max()), rel=1e-6
    )


def test_a_refusal_in_train_mode_names_dropout_and_ends_with_it():
    module = tiny_model("gpt2")
    module.transformer.drop.p = 0.1
    model = load_model((module.train(), NamesIds()))
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"in train mode .*: transformer\.drop \(p=0\.1\)"):
            wl.record(model, some_tokens(5))
    module.eval()
    assert wl.record(model, some_tokens(5)).inert.equal


def test_an_exception_is_no_finding_and_is_not_kept(tmp_path, monkeypatch):
    model, broken = tiny(), [True]

    def fail(_module, _args):
        if broken[0]:
            raise RuntimeError("somebody else's thread was here")

    model.module.model.register_forward_pre_hook(fail)
    monkeypatch.setattr(guard, "_reports", WeakKeyDictionary())
    with pytest.raises(RefusedError, match="somebody else's thread"):
        checked_report(model)
    assert not list(tmp_path.rglob("*.json"))
    broken[0] = False
    assert checked_report(model).status == "exact"


def test_a_kept_refusal_says_what_it_depends_on_and_is_forgotten_when_that_changes(monkeypatch):
    model = tiny()
    mlp = model.module.model.layers[0].self_attn.o_proj
    handle = mlp.register_forward_hook(lambda _m, _a, out: torch.tanh(out))
    for said in ("non-linear part", r"non-linear part.*\(found before, of this model with weights"):
        with pytest.raises(RefusedError, match=said):
            checked_report(model)
    monkeypatch.setattr(guard, "_reports", WeakKeyDictionary())  # as another process
    with pytest.raises(RefusedError, match="found before, of this model"):
        checked_report(model)
    handle.remove()
    assert checked_report(model).status == "exact"


def test_a_refusal_that_a_second_look_does_not_confirm_is_not_kept(tmp_path, monkeypatch):
    looks = []

    def look(module, **options):
        looks.append(1)
        report = guard.Report()
        return report.refuse("a race") if len(looks) == 1 else honest(module, **options)

    honest = guard.check_model
    monkeypatch.setattr(guard, "check_model", look)
    model = tiny()
    with pytest.raises(RefusedError, match="a race"):
        checked_report(model)
    assert not list(tmp_path.rglob("*.json"))
    assert checked_report(model).status == "exact"


def test_a_hook_that_counts_and_changes_nothing_does_not_make_a_new_model_of_each_run(monkeypatch):
    model, calls, looks = tiny(), [0], counted_looks(monkeypatch)

    def count(_module, _args, _out):
        calls[0] += 1

    model.module.model.layers[0].register_forward_hook(count)
    trace = wl.record(model, some_tokens(5))
    for _ in range(3):
        assert wl.attribute(trace, "gradient").target_value is not None
        wl.record(model, some_tokens(6))
    assert len(looks) == 1
    calls[0] = 7  # by nobody's run: whoever else wrote there may have meant more
    wl.record(model, some_tokens(5))
    assert len(looks) == 2


STATE = {"by": 0.0}
LIST = [0.0, 1.0]
LONG = [0.0] * 300
VECTOR = torch.zeros(1)
SPACE = types.SimpleNamespace(by=0.0)
QUEUE = deque([0.0])
ASIDE = types.ModuleType("settings_of_mine")
ASIDE.by = 0.0


class Slotted:
    """Keeps its number in a slot."""

    __slots__ = ("by",)


class Named:
    """Keeps its number on the class."""

    by = 0.0


class Counting:
    """Counts the runs beside what it holds."""

    def __init__(self):
        self.n, self.by = 0, 0.0

    def strength(self):
        return self.by


SLOT, COUNTING, LINEAR = Slotted(), Counting(), torch.nn.Linear(1, 1, bias=False)
SLOT.by = 0.0
LINEAR.weight.data.zero_()
BOTH = torch.zeros(2)  # a count and a strength in one tensor
TABLE = [[0, 0.0]]


def ahead(out, by):
    """Reads what stands one token later."""
    return out + by * out.roll(-1, 1)


def counting():
    COUNTING.n += 1
    return COUNTING.by


def counting_in_a_tensor():
    BOTH[0] += 1
    return BOTH[1]


def counting_in_a_list():
    TABLE[0][0] += 1
    return TABLE[0][1]


def of_itself():
    return of_itself.by


of_itself.by = 0.0


def in_a_default(box=[Counting()]):  # noqa: B006, B008 (where it lies is the point)
    box[0].n += 1
    return box[0].by


READS = {
    "a dict": (lambda: STATE["by"], lambda by: STATE.update(by=by)),
    "a list": (lambda: LIST[0], lambda by: LIST.__setitem__(0, by)),
    "a long list": (lambda: LONG[250], lambda by: LONG.__setitem__(250, by)),
    "a tensor": (lambda: VECTOR, VECTOR.fill_),
    "an object": (lambda: SPACE.by, lambda by: setattr(SPACE, "by", by)),
    "a slot": (lambda: SLOT.by, lambda by: setattr(SLOT, "by", by)),
    "a class": (lambda: Named.by, lambda by: setattr(Named, "by", by)),
    "a queue": (lambda: QUEUE[0], lambda by: QUEUE.__setitem__(0, by)),
    "a module of Python": (lambda: ASIDE.by, lambda by: setattr(ASIDE, "by", by)),
    "a module aside": (lambda: LINEAR.weight[0, 0], LINEAR.weight.data.fill_),
    "a function inside": (lambda: next(STATE["by"] for _ in "a"), lambda by: STATE.update(by=by)),
    "an attribute of a function": (of_itself, lambda by: setattr(of_itself, "by", by)),
    "a method": (lambda: COUNTING.strength(), lambda by: setattr(COUNTING, "by", by)),
    "beside a counter": (counting, lambda by: setattr(COUNTING, "by", by)),
    "in one tensor with a counter": (counting_in_a_tensor, lambda by: BOTH[1].fill_(by)),
    "in one list with a counter": (counting_in_a_list, lambda by: TABLE[0].__setitem__(1, by)),
    "in a default, with a counter": (
        in_a_default,
        lambda by: setattr(in_a_default.__defaults__[0][0], "by", by),
    ),
}


@pytest.mark.parametrize("where", READS)
def test_a_look_ahead_that_a_hook_is_switched_to_is_refused_wherever_the_switch_lies(where):
    model = tiny()
    read, switch = READS[where]
    model.module.model.layers[1].mlp.register_forward_hook(lambda _m, _a, out: ahead(out, read()))
    try:
        wl.record(model, some_tokens(5))
        before = wl.cut(model, some_tokens(5), [wl.EdgeCut("mask", src=(1,))])
        switch(0.7)
        assert check_model(model.module).status == "refused"
        for ask in (wl.record, lambda m, t: wl.cut(m, t, [wl.EdgeCut("mask", src=(1,))])):
            with pytest.raises(RefusedError, match="not causal"):
                ask(model, some_tokens(5))
        switch(0.0)
        again = wl.cut(model, some_tokens(5), [wl.EdgeCut("mask", src=(1,))])
        assert again.change_nats == before.change_nats
        assert again.precision == before.precision
    finally:
        switch(0.0)


def test_a_switch_in_the_code_beside_a_class_is_seen():
    model = tiny()
    mlp = model.module.model.layers[1].mlp

    class Ahead(type(mlp)):
        def forward(self, x):
            return ahead(super().forward(x), SPACE.by)

    mlp.__class__ = Ahead
    wl.record(model, some_tokens(5))
    SPACE.by = 0.7
    try:
        with pytest.raises(RefusedError, match="not causal"):
            wl.record(model, some_tokens(5))
    finally:
        SPACE.by = 0.0


def test_two_hooks_of_one_name_are_told_apart():
    model = tiny()
    held = [types.SimpleNamespace(by=0.0), types.SimpleNamespace(by=0.0)]

    def put(space):
        def bend(_module, _args, out):
            return out * (1 + space.by)

        model.module.model.layers[1].mlp.register_forward_hook(bend)

    for space in held:
        put(space)
    keys = {identify(model).key()}
    for space in held:
        space.by = 0.5
        keys.add(identify(model).key())
    assert len(keys) == 3


def test_a_model_that_raises_what_it_likes_is_refused_in_words():
    model = tiny()
    for error in (
        ZeroDivisionError("by nothing"),
        StopIteration(),
        OSError("no file"),
        LookupError(),
    ):

        def fail(_module, _args, _out, error=error):
            raise error

        handle = model.module.model.layers[0].register_forward_hook(fail)
        with pytest.raises(RefusedError, match="itself, unwatched, fails"):
            wl.record(model, some_tokens(5))
        handle.remove()


def test_precision_is_not_that_of_a_changed_model():
    model = tiny()
    trace = wl.record(model, some_tokens(5))
    model.module.model.layers[1].mlp.register_forward_hook(lambda _m, _a, out: 2 * out)
    with pytest.raises(RefusedError, match="a forward hook was added"):
        trace.precision(3)


def test_verdicts_on_a_hooked_model_are_not_kept_as_those_of_its_base():
    model = tiny()
    base = running._config_hash(model)
    handle = model.module.model.layers[1].mlp.register_forward_hook(lambda _m, _a, out: 2 * out)
    assert running._config_hash(model) != base
    handle.remove()
    assert running._config_hash(model) == base


@pytest.mark.parametrize("seed", [2**70, -(2**70)])
def test_a_seed_that_no_file_could_give_back_is_refused(seed):
    with pytest.raises(InputError, match="accepted are whole numbers"):
        wl.record(tiny(), some_tokens(5), seed=seed)


def test_layers_in_another_order_are_told_before_the_mode_of_their_list():
    model = tiny()
    before = identify(model)
    first, second, *rest = model.module.model.layers
    model.module.model.layers = torch.nn.ModuleList([second, first, *rest])
    found = [one.words for one in differences(before, identify(model))]
    assert found[0].startswith("weights of model.layers."), found
    assert "train mode in model.layers" in found[1:], found
