"""The one identity of a run: what it holds, how it is worded, and what is not of the model."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys

import peft
import pytest
import torch

import worldline as wl
from tiny_runs import NamesIds, some_tokens
from worldline.errors import InputError, RefusedError
from worldline.live.answering import Answering
from worldline.live.questions import SeeQuestion
from worldline.model import guard
from worldline.model.guard import checked
from worldline.model.identity import differences, identify
from worldline.model.load import load_model
from worldline.model.tiny import tiny_model

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
    assert wl.weigh(stored, "gradient", model=model).edges == wl.weigh(trace, "gradient").edges
    change(wrapper)
    with pytest.raises(RefusedError, match=named):
        wl.weigh(trace, "gradient")
    with pytest.raises(InputError, match=named):
        wl.weigh(stored, "gradient", model=model)


def test_an_adapter_switched_off_for_a_while_leaves_the_trace_as_good_as_before():
    model, wrapper = adapted()
    trace = wl.record(model, some_tokens(6))
    before = wl.weigh(trace, "gradient").edges
    with (
        wrapper.disable_adapter(),
        pytest.raises(RefusedError, match='adapter "default" is switched off'),
    ):
        wl.weigh(trace, "gradient")
    assert wl.weigh(trace, "gradient").edges == before


def test_three_steps_between_recording_and_weighing_are_refused():
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    steps, ids = torch.optim.SGD(model.module.parameters(), 0.1), torch.arange(20, 30)[None]
    for _ in range(3):
        model.module(input_ids=ids, labels=ids).loss.backward()
        steps.step()
    for ask in (wl.weigh, wl.hop_spectrum, wl.find_paths, wl.logit_lens):
        with pytest.raises(RefusedError, match="the model changed since the trace was recorded: w"):
            ask(trace)


def test_a_page_whose_model_changed_records_the_text_again(tmp_path):
    model = tiny()
    answers = Answering(model, tmp_path)
    question = SeeQuestion(text="t20 t21 t22")
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
        wl.weigh(stored, model=model)
    elsewhere = dataclasses.replace(  # another machine rounds in another way
        stored.identity, settings=stored.identity.settings | {"machine": "of another kind"}
    )
    wl.weigh(dataclasses.replace(stored, identity=elsewhere), model=model)
    stored.resid[1] *= 1.1
    with pytest.raises(InputError, match="machine of another kind →"):
        wl.weigh(dataclasses.replace(stored, identity=elsewhere), model=model)


def test_stored_predictions_are_compared_too(tmp_path):
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    best = trace.predictions[0]
    trace.predictions[0] = dataclasses.replace(best, logprob=best.logprob + 0.01)
    stored = wl.load_trace(wl.save_trace(trace, tmp_path / "t"))
    with pytest.raises(RefusedError, match="the list of predictions is"):
        wl.weigh(stored, model=model)


def test_the_gradient_of_another_run_is_never_given():
    """Even where no identity shows it: the rows of the run that is differentiated must be these."""
    model = tiny()
    trace = wl.record(model, some_tokens(6))
    trace.resid[1] = trace.resid[1] * 1.001
    with pytest.raises(RefusedError, match="would be the gradient of another run"):
        wl.weigh(trace, "gradient")


def test_equal_models_have_equal_identities_in_every_process(tmp_path):
    mine = identify(tiny()).key()
    script = (
        "import sys; sys.path[:0] = sys.argv[1:];"
        "from worldline.model.circuits import NamesIds;"
        "from worldline.model.tiny import tiny_model;"
        "from worldline.model.load import load_model;"
        "from worldline.model.identity import identify;"
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
    before = wl.weigh(short, "gradient").edges
    module(input_ids=torch.arange(20, 60)[None])  # grows its frequencies
    assert wl.weigh(short, "gradient").edges == before


# --- the cache of checks -------------------------------------------------------------------------


def test_a_hook_that_comes_after_the_check_is_checked():
    """Layer 0's output through tanh, added to layer 2's: blocks no longer stand for themselves."""
    module = tiny_model("llama")
    model, tokens = load_model((module, NamesIds())), some_tokens(7)
    wl.record(model, tokens)
    assert checked(model).separable
    kept = []
    module.model.layers[0].register_forward_hook(lambda _m, _a, out: kept.append(out))

    def leak(_module, _args, out):
        return out + torch.tanh(kept[-1])

    module.model.layers[2].register_forward_hook(leak)
    try:
        found = wl.weigh(wl.record(model, tokens), "gradient", top=0)
    except RefusedError:
        return
    assert not checked(model).separable
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
    monkeypatch.setattr(guard, "_passed", {})
    with pytest.raises(RefusedError, match="somebody else's thread"):
        checked(model)
    assert not list(tmp_path.rglob("*.json"))
    broken[0] = False
    assert checked(model).status == "exact"


def test_a_kept_refusal_says_what_it_depends_on_and_is_forgotten_when_that_changes(monkeypatch):
    model = tiny()
    mlp = model.module.model.layers[0].self_attn.o_proj
    handle = mlp.register_forward_hook(lambda _m, _a, out: torch.tanh(out))
    for said in ("non-linear part", r"non-linear part.*\(found before, of this model with weights"):
        with pytest.raises(RefusedError, match=said):
            checked(model)
    monkeypatch.setattr(guard, "_passed", {})  # as another process
    with pytest.raises(RefusedError, match="found before, of this model"):
        checked(model)
    handle.remove()
    assert checked(model).status == "exact"


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
        checked(model)
    assert not list(tmp_path.rglob("*.json"))
    assert checked(model).status == "exact"


def test_a_hook_that_counts_and_changes_nothing_does_not_make_a_new_model_of_each_run(tmp_path):
    model, calls = tiny(), [0]

    def count(_module, _args, _out):
        calls[0] += 1

    model.module.model.layers[0].register_forward_hook(count)
    trace = wl.record(model, some_tokens(5))
    for _ in range(3):
        assert wl.weigh(trace, "gradient").target_value is not None
        wl.record(model, some_tokens(6))
    assert len(list(tmp_path.rglob("*.json"))) == 1
