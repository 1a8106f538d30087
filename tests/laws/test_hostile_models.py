"""Damaged files of a model: the model that they describe, or one line; never a crash or a hang.

`WORLDLINE_FUZZ=2000` tries so many damages of each kind in place of a few.
"""

from __future__ import annotations

import json
import os
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
from worldline.errors import InputError
from worldline.models.loader import load_model
from worldline.runs.recorder import record
from worldline.tokens.tokens import tokenize

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and transformers', on what they read
INDEX, ADAPTER = "model.safetensors.index.json", "adapter_config.json"
FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors",
    "generation_config.json", INDEX, ADAPTER, "adapter_model.safetensors", "tiny.gguf",
)  # fmt: skip


class Models:
    """Whole ones: in one file and in shards, an adapter, a GGUF file."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = tiny_folder(place / "whole")
        self.shards, self.adapter, self.gguf = place / "shards", place / "adapter", place / "gguf"
        module = LlamaForCausalLM.from_pretrained(self.folder)
        shutil.copytree(self.folder, self.shards)
        (self.shards / "model.safetensors").unlink()
        module.save_pretrained(self.shards, max_shard_size="4KB")
        self.gguf.mkdir()
        write_gguf(module, self.gguf / "tiny.gguf")
        config = peft.LoraConfig(
            r=2, target_modules="all-linear", base_model_name_or_path=str(self.folder)
        )
        torch.manual_seed(0)
        peft.get_peft_model(module, config).save_pretrained(self.adapter)

    def whole(self, name: str) -> Path:
        """The folder in which a file of this name lies."""
        wholes = {INDEX: self.shards, "tiny.gguf": self.gguf}
        return self.adapter if name.startswith("adapter") else wholes.get(name, self.folder)

    def damaged(self, name: str, seed: int) -> Path:
        """A model of which this file is damaged, the others links to the whole ones."""
        place = self.place / "damaged"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for file in self.whole(name).iterdir():
            if file.name != name:
                (place / file.name).hardlink_to(file)
        content, draw = (self.whole(name) / name).read_bytes(), random.Random(f"{name}{seed}")
        damage: Callable[..., bytes] = lambda raw, draw: damaged_text(raw.decode(), draw)  # noqa: E731
        if name.endswith(".safetensors"):
            damage = damaged_safetensors
        elif name.endswith(".gguf"):
            damage = damaged_gguf
        (place / name).write_bytes(damage(content, draw))
        return place / name if name.endswith(".gguf") else place


def what_runs(place: Path) -> Any:
    """Load it and record a text: the last row, whose numbers are finite."""
    model = load_model(str(place))
    trace = record(model, tokenize(model.tokenizer, "the cat"))
    assert all(torch.isfinite(row).all() for row in trace.resid)
    return trace.resid[-1].tolist()


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_model_is_damaged_and_the_whole_one_stays_what_it_is(models, name):
    before = what_runs(models.folder)
    for seed in range(examples(4)):
        place = models.damaged(name, seed)
        outcome(lambda p=place: what_runs(p))
    assert outcome(lambda: what_runs(models.folder)) == before


# --- what was let through -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["../whole/model.safetensors", "/dev/zero", "nowhere", "x" * 5000, "a\0b", 5, None]
)
def test_weights_that_are_said_to_lie_elsewhere_are_not_opened(models, tmp_path, place):
    shutil.copytree(models.shards, tmp_path / "m")
    file = tmp_path / "m" / INDEX
    index = json.loads(file.read_text())
    index["weight_map"][next(iter(index["weight_map"]))] = place
    file.write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"index\.json names .*no file of the model's folder"):
        load_model(str(tmp_path / "m"))


def test_widths_that_multiply_take_no_memory(models, tmp_path):
    shutil.copytree(models.folder, tmp_path / "m")
    file = tmp_path / "m" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"num_key_value_heads": 10**6}))
    with pytest.raises(InputError, match=r"describes weights of [\d,]+ bytes, where its files"):
        load_model(str(tmp_path / "m"))


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("block_count", r"llama\.block_count is 3,000,000,000; accepted here is at most 21 \(the"),
        ("attention.head_count_kv", r"head_count_kv is 3,000,000,000; accepted here is at most"),
        ("context_length", r"context_length is 3,000,000,000; accepted here is at most 33,554,432"),
    ],
)
def test_absurd_numbers_of_a_gguf_file(models, tmp_path, key, said):
    module = LlamaForCausalLM.from_pretrained(models.folder)
    file = write_gguf(module, tmp_path / "a.gguf", {key: 3 * 10**9})
    with pytest.raises(InputError, match=said):
        load_model(str(file))


def test_a_pipe_among_the_files_is_not_waited_at(models, tmp_path):
    shutil.copytree(models.folder, tmp_path / "m")
    (tmp_path / "m" / "tokenizer.json").unlink()
    os.mkfifo(tmp_path / "m" / "tokenizer.json")
    with pytest.raises(InputError, match=r"tokenizer\.json is no file but a pipe or a device"):
        load_model(str(tmp_path / "m"))


@pytest.mark.parametrize(
    "name", ["x" * 5000, "/" + "x" * 300, "a\0b", "a\nb", "~nobody/x", "o/" + "x" * 500, "\ud83d"]
)
def test_names_that_no_file_has(name):
    assert outcome(lambda: load_model(name)) == REFUSED
