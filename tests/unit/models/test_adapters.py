"""Adapters of peft: what is read is what peft itself would run, or a line says why not."""

from __future__ import annotations

import json
import shutil
import sys

import peft
import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file

from worldline.errors import InputError
from worldline.models.loader import load_model
from worldline.runs.recorder import record
from worldline.tokens.tokens import tokenize

# peft asks transformers 5 for what version 6 is to remove.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
IDS = torch.tensor([[5, 9, 60, 7, 80]])


@torch.no_grad()
def logits(module):
    return module(input_ids=IDS).logits


@pytest.fixture
def adapted(tiny_folder, tiny_tokenizer, own_cache):
    """A PEFT model on the tiny folder's, and the folder that it is saved in."""
    base = load_model(str(tiny_folder)).module
    torch.manual_seed(3)
    config = peft.LoraConfig(r=4, target_modules="all-linear", lora_dropout=0.5)
    whole = peft.get_peft_model(base, config, low_cpu_mem_usage=False)
    for name, weight in whole.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    place = tiny_folder.parent / "adapter"
    whole.save_pretrained(place)
    return whole.eval(), place


class TestFolder:
    def test_is_what_peft_runs(self, adapted, tiny_folder):
        whole, place = adapted
        model = load_model(str(place))
        assert torch.equal(logits(model.module), logits(whole))
        with whole.disable_adapter():
            assert (logits(model.module) - logits(whole)).abs().max() > 0.01
        merged = whole.merge_and_unload()
        torch.testing.assert_close(logits(model.module), logits(merged), atol=1e-5, rtol=0)
        assert model.source == str(place)
        assert model.name == f"{place} (LORA on {tiny_folder})"

    def test_is_recorded(self, adapted):
        _, place = adapted
        model = load_model(str(place))
        trace = record(model, tokenize(model.tokenizer, "the the"))
        last = model.module(torch.tensor([list(trace.tokens.ids)])).logits[0, -1]
        assert trace.predictions[0].id == int(last.argmax())
        assert trace.closure.worst < 1e-5

    def test_switched_off_it_is_the_base_and_has_no_source(self, adapted, tiny_folder):
        _, place = adapted
        model = load_model(str(place))
        for part in model.module.modules():
            if isinstance(part, BaseTunerLayer):
                part.enable_adapters(False)
        assert torch.equal(logits(model.module), logits(load_model(str(tiny_folder)).module))
        assert model.source is None

    def test_beside_files_of_its_training(self, adapted, tiny_folder):
        whole, place = adapted
        (place / "config.json").write_text((tiny_folder / "config.json").read_text())
        assert torch.equal(logits(load_model(str(place)).module), logits(whole))

    def test_weights_that_are_not_there(self, adapted):
        _, place = adapted
        file = place / "adapter_model.safetensors"
        weights = load_file(file)
        gone = sorted(weights)[0]
        del weights[gone]
        save_file(weights, file)
        with pytest.raises(InputError, match=f"lacks the weights {gone}"):
            load_model(str(place))

    def test_a_base_that_cannot_be_had(self, adapted):
        _, place = adapted
        rewrite(place, base_model_name_or_path="/no/where")
        with pytest.raises(InputError, match=r"is an adapter, and its base cannot be had: .*/no/w"):
            load_model(str(place))

    @pytest.mark.parametrize("base", [None, "itself"])
    def test_no_base(self, adapted, base):
        _, place = adapted
        rewrite(place, base_model_name_or_path=str(place) if base else None)
        with pytest.raises(InputError, match=r"names no base model|back to themselves"):
            load_model(str(place))

    @pytest.mark.parametrize("n_adapters", [2, 3])
    @pytest.mark.parametrize("relative", [False, True])
    def test_adapters_that_name_each_other(self, adapted, n_adapters, relative):
        _, first = adapted
        places = [first, *(first.with_name(f"adapter{k}") for k in range(1, n_adapters))]
        for place in places[1:]:
            shutil.copytree(first, place)
        for place, base in zip(places, [*places[1:], first], strict=True):
            name = f"../{base.name}" if relative else str(base)
            rewrite(place, base_model_name_or_path=name)
        with pytest.raises(InputError, match='lead back to themselves: "adapter" on "adapter1"'):
            load_model(str(first))

    def test_a_circle_that_does_not_hold_the_first(self, adapted):
        _, place = adapted
        other = place.with_name("other")
        shutil.copytree(place, other)
        rewrite(place, base_model_name_or_path=str(other))
        rewrite(other, base_model_name_or_path=str(other))
        with pytest.raises(InputError, match='themselves: "adapter" on "other" on "other"'):
            load_model(str(place))

    def test_an_adapter_that_was_switched_or_scaled_has_no_source(self, adapted):
        _, place = adapted
        model = load_model(str(place))
        part = next(p for p in model.module.modules() if isinstance(p, BaseTunerLayer))
        scaling = dict(part.scaling)
        part.scaling.update(dict.fromkeys(scaling, 7.0))
        assert model.source is None
        part.scaling.update(scaling)
        assert model.source == str(place)

    def test_without_peft(self, adapted, monkeypatch):
        _, place = adapted
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(InputError, match=r'pip install "worldline\[lora\]"'):
            load_model(str(place))

    def test_tokens_in_front_of_the_text(self, adapted, tiny_folder):
        _, place = adapted
        base = load_model(str(tiny_folder)).module
        config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
        peft.get_peft_model(base, config).save_pretrained(place)
        with pytest.raises(InputError, match=r"PROMPT_TUNING.*in front of the text"):
            load_model(str(place))


class TestInMemory:
    def test_a_peft_model(self, adapted, tiny_tokenizer):
        whole, _ = adapted
        model = load_model((whole, tiny_tokenizer))
        assert model.name.startswith("LlamaForCausalLM (LORA on ")
        assert model.source is None
        trace = record(model, tokenize(tiny_tokenizer, "the the"))
        last = logits_of(whole, trace.tokens.ids)
        assert trace.predictions[0].id == int(last.argmax())
        expected = float(last.double().log_softmax(-1).max())
        assert trace.predictions[0].logprob == pytest.approx(expected, abs=1e-6)


@torch.no_grad()
def logits_of(module, ids):
    return module(input_ids=torch.tensor([list(ids)])).logits[0, -1]


def rewrite(place, **changes):
    file = place / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
