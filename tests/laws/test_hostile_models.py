"""Damaged files of a model: the model that they describe, or one line; never a crash or a hang.

`WORLDLINE_FUZZ=2000` tries so many damages of each kind in place of a few.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import LlamaForCausalLM

from damage import (
    REFUSED,
    damaged_gguf,
    damaged_safetensors,
    damaged_text,
    examples,
    outcome,
)
from gguf_files import write_gguf
from tiny_folder import tiny_folder
from worldline.model.load import load_model
from worldline.text.tokens import tokenize
from worldline.trace.recording import record

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers', on what they read
TEXT = "the cat"


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "whole")


@pytest.fixture(scope="module")
def shards(folder) -> Path:
    place = folder.parent / "shards"
    shutil.copytree(folder, place)
    (place / "model.safetensors").unlink()
    LlamaForCausalLM.from_pretrained(folder).save_pretrained(place, max_shard_size="4KB")
    return place


@pytest.fixture(scope="module")
def adapter(folder) -> Path:
    place = folder.parent / "adapter"
    torch.manual_seed(0)
    base = LlamaForCausalLM.from_pretrained(folder)
    config = peft.LoraConfig(r=2, target_modules="all-linear", base_model_name_or_path=str(folder))
    peft.get_peft_model(base, config).save_pretrained(place)
    return place


def what_runs(place: Path) -> Any:
    """Load it and record a text: the weights as they are read by others, logits that are finite."""
    model = load_model(str(place))
    trace = record(model, tokenize(model.tokenizer, TEXT))
    assert all(torch.isfinite(row).all() for row in trace.resid)
    return trace.resid[-1].tolist()


def damaged_copy(whole: Path, place: Path, name: str, draw: random.Random) -> Path:
    """A folder in which one file is damaged; the others are links to the whole ones."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for file in whole.iterdir():
        (place / file.name).hardlink_to(file)
    file = place / name
    content = file.read_bytes()
    file.unlink()
    damage: Callable[..., bytes] = damaged_text
    if name.endswith(".safetensors"):
        damage = damaged_safetensors
    file.write_bytes(damage(content.decode() if damage is damaged_text else content, draw))
    return place


FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors",
         "generation_config.json")  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_models_file_is_damaged(folder, tmp_path, name):
    for seed in range(examples(4)):
        place = damaged_copy(folder, tmp_path / "m", name, random.Random(f"{name}{seed}"))
        outcome(lambda p=place: what_runs(p))


@pytest.mark.parametrize("name", ["model.safetensors.index.json"])
def test_an_index_is_damaged(shards, tmp_path, name):
    for seed in range(examples(4)):
        place = damaged_copy(shards, tmp_path / "m", name, random.Random(f"{name}{seed}"))
        outcome(lambda p=place: what_runs(p))


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapters_file_is_damaged(adapter, tmp_path, name):
    for seed in range(examples(4)):
        place = damaged_copy(adapter, tmp_path / "m", name, random.Random(f"{name}{seed}"))
        outcome(lambda p=place: what_runs(p))


def test_a_gguf_file_is_damaged(folder, tmp_path):
    whole = write_gguf(LlamaForCausalLM.from_pretrained(folder), tmp_path / "whole.gguf")
    content = whole.read_bytes()
    assert outcome(lambda: what_runs(whole)) != REFUSED
    for seed in range(examples(12)):
        place = tmp_path / "bad.gguf"
        place.write_bytes(damaged_gguf(content, random.Random(seed)))
        outcome(lambda p=place: what_runs(p))
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
