"""The command line in this process: every wrong input is one line and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys

import pytest
import torch
import typer
from transformers import LlamaForCausalLM

import worldline.apps.cli as cli
from tiny_folder import tiny_folder
from worldline.runs.trace_files import load_trace
from worldline.tokens.chat_templates import STRIPPED

TEXT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model in a folder, for at most 32 tokens: letters, and "the" as one token."""
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def aside(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(command):
    return command


def refused(said, *words):
    """Exit code 2, nothing on standard output, one line with what was wrong."""
    assert said.code == 2, said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    lines = [line for line in said.err.splitlines() if not line.endswith(" …")]
    assert len(lines) == 1, said.err
    assert lines[0].startswith("worldline: ")
    for word in words:
        assert word in lines[0], lines[0]


# --- wrong inputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("",), ["text: it is empty"]),
        ((), ["text: give one: TEXT, - for standard input, or --file F"]),
        ((TEXT, "--file", "some.txt"), ["text: give one"]),
        (("--file", "/nowhere/some.txt"), ["/nowhere/some.txt", "No such file"]),
        (("--file", "/"), ["--file /", "directory"]),
        ((TEXT, "--versus", " the"), ["--versus: needs --target"]),
        ((TEXT, "--target", "the", "--versus", "the"), ["--versus the", "two different tokens"]),
        ((TEXT, "--out", "/"), ["/: cannot be written (is a folder"]),
        ((TEXT, "--save", "/proc/nothing/x"), ["/proc/nothing/x: cannot be written"]),
        ((TEXT, "--json", "/proc/x.json"), ["/proc/x.json: cannot be written"]),
    ],
)
def test_wrong_before_any_model(run, words, parts):
    refused(run("trace", *words), *parts)


@pytest.mark.parametrize("option", ["--out", "--json", "--save"])
def test_a_path_below_a_file_cannot_be_written(run, tmp_path, option):
    """As for a folder without permission, which root would not notice."""
    (tmp_path / "file").write_text("kept")
    refused(run("trace", TEXT, option, tmp_path / "file" / "x"), f"{tmp_path}/file/x: cannot be")
    assert (tmp_path / "file").read_text() == "kept"


def test_text_that_is_not_utf8(run, tmp_path):
    (tmp_path / "t").write_bytes(b"ab\xff")
    refused(run("trace", "--file", tmp_path / "t"), "not UTF-8 at byte 2")
    refused(run("trace", "-", stdin=b"\xe2\x82"), "not UTF-8 at byte 0")
    refused(run("trace", "-", stdin=""), "it is empty")


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--target", "cat"], ['target "cat" is 3 tokens: "c" + "a" + "t"']),
        (["--target", ""], ['--target "": accepted are at least 1 char']),
        (["--target", "id:99999"], ["id:99999", "the ids go from 0 to"]),
        (["--target", "the", "--versus", "cat"], ['versus "cat" is 3 tokens']),
        (["--by", "magic"], ["magic", "contribution, gradient"]),
        (["--how", "erase"], ["erase", "zero, mask"]),
        (["--dtype", "float7"], ["float7", "float32"]),
        (["--device", "toaster"], ["toaster"]),
        (["--target", "the", "--versus", "id:99999"], ['versus "id:99999"']),
        (["--by", "contribution", "--target", "the"], ["--by contribution asks about no target"]),
        (["--edges", "x"], ["--edges x: accepted is a whole number"]),
        (["--edges", "-1"], ["--edges -1: accepted are numbers from 0"]),
        (["--by", "contribution", "--how", "mask"], ["--how mask: --by contribution"]),
    ],
)  # fmt: skip
def test_wrong_options(run, folder, options, parts):
    refused(run("trace", TEXT, "--model", folder, *options), *parts)


def test_text_over_the_context_length(run, folder):
    refused(run("trace", "x" * 33, "--model", folder), "33 tokens", "at most 32")
    assert run("trace", "x" * 32, "--model", folder).code == 0


@pytest.mark.parametrize(
    "model", ["./nowhere", "/nowhere", "nobody/nothing-of-this-name", "", "a b", "x.gguf"]
)
def test_unknown_models(run, model):
    refused(run("trace", TEXT, "--model", model), "model")


def test_weights_with_nan(run, folder, tmp_path, capsys):
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[3, 4] = float("nan")
    broken = tmp_path / "broken"
    model.save_pretrained(broken)
    capsys.readouterr()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).write_bytes((folder / name).read_bytes())
    refused(run("trace", TEXT, "--model", broken), "layers.1.mlp.up_proj.weight", "NaN")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threads", "0"), ("--threads", "many"), ("--seed", "x"), ("--nonsense", "1")],
)
def test_what_the_parser_refuses(run, option, value):
    said = run("trace", TEXT, option, value)
    assert said.code == 2
    assert said.out == ""
    assert option in said.err
    assert "Traceback" not in said.err


def test_unknown_types(run):
    refused(run("models", "nonsense"), "'nonsense'", "not among")


def test_disk_is_full(run, folder, tmp_path, monkeypatch):
    """The file is whole or not there at all."""

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for option in ("--json", "--out"):
        said = run("trace", TEXT, "--model", folder, option, tmp_path / "f")
        assert said.code == 2
        assert said.err.splitlines()[-1] == (
            f"worldline: {tmp_path}/f: cannot be written (No space left on device)"
        )
    assert not [p for p in tmp_path.iterdir() if p.name != "cache"]


def test_disk_is_full_while_saving(run, folder, tmp_path, monkeypatch):
    import safetensors.torch

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    said = run("trace", TEXT, "--model", folder, "--save", tmp_path / "f")
    assert said.code == 2
    assert "No space left on device" in said.err.splitlines()[-1]
    assert "bytes are needed" in said.err.splitlines()[-1]


def test_an_open_stream_is_written_to_and_a_named_pipe_refused_first(run, folder, tmp_path):
    reader, writer = os.pipe()
    stream = f"/dev/fd/{writer}"
    assert run("trace", "the", "--model", folder, "--json", stream).code == 0
    assert json.loads(os.read(reader, 1 << 20))["schema"] == "worldline.observation/1"
    assert run("trace", "the", "--model", folder, "--save", stream).code == 0
    (tmp_path / "saved").write_bytes(os.read(reader, 1 << 20))
    assert load_trace(tmp_path / "saved").tokens.text == "the"
    os.close(reader)
    os.close(writer)
    pipe = tmp_path / "pipe.scene.json"
    os.mkfifo(pipe)
    for option in ("--out", "--save", "--json", "--export"):
        said = run("trace", "the", "--model", folder, option, pipe)
        assert (said.code, said.err.count("\n")) == (2, 1)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


# --- right ones -----------------------------------------------------------------------------------


def test_the_picture_is_on_standard_output(run, folder):
    said = run("trace", TEXT, "--model", folder)
    assert said.code == 0
    assert TEXT in said.out.splitlines()[0]
    assert "\x1b[" not in said.out
    *picture, command = said.out.rstrip().splitlines()
    assert max(map(len, picture)) <= 100
    assert "worldline trace " in command


def test_json_alone_on_standard_output(run, folder, tmp_path):
    out = tmp_path / "new" / "p.html"
    said = run("trace", TEXT, "--model", folder, "--json", "-", "--out", out)
    found = json.loads(said.out)
    assert found["schema"] == "worldline.observation/1"
    assert said.out.count("\n") == 1
    assert str(out) in said.err
    assert out.read_text().startswith("<!doctype html>")


def test_json_in_a_file_beside_the_picture(run, folder, tmp_path):
    said = run("trace", TEXT, "--model", folder, "--json", tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text())["coverage"]["edges"] > 0
    assert said.out
    assert not said.out.startswith("{")


def test_standard_input_file_and_argument_are_one(run, folder, tmp_path):
    (tmp_path / "t").write_text(TEXT)
    options = ("--model", folder, "--json", "-")
    seen = [
        json.loads(run("trace", *words, *options, stdin=stdin).out)
        for words, stdin in (((TEXT,), None), (("-",), TEXT), (("--file", tmp_path / "t"), None))
    ]
    assert seen[0]["edges"] == seen[1]["edges"] == seen[2]["edges"]
    assert seen[0]["tokens"] == seen[1]["tokens"] == seen[2]["tokens"]


def test_seed_threads_and_dtype(run, folder):
    said = run("trace", TEXT, "--model", folder, "--seed", "5", "--threads", "2",
               "--dtype", "float64", "--json", "-")  # fmt: skip
    found = json.loads(said.out)
    assert found["seed"] == 5
    assert torch.get_num_threads() == 2
    assert found["model"]["dtype"] == "float64"


def test_blanks_that_a_chat_template_strips_are_told(run, folder, tmp_path):
    stripping = tmp_path / "stripping"
    shutil.copytree(folder, stripping)
    template = "{% for m in messages %}<{{ m.content | trim }}>{% endfor %}"
    (stripping / "chat_template.jinja").write_text(template, "utf-8")
    plain, ends = (
        run("trace", text, "--chat", "--model", stripping, "--json", "-") for text in ("hi", "hi ")
    )
    assert STRIPPED in ends.err
    assert STRIPPED not in plain.err


def test_chat_sets_the_text_as_a_turn(run, folder):
    found = json.loads(run("trace", "hi", "--chat", "--model", folder, "--json", "-").out)
    assert "".join(t["text"] for t in found["tokens"]) == "<|end|>user:hi<|end|>assistant:"


def test_target_and_versus(run, folder):
    options = ("--model", folder, "--target", "the", "--versus", " the", "--how", "mask")
    attribution = json.loads(run("trace", TEXT, *options, "--json", "-").out)["attribution"]
    assert (attribution["target"]["token"], attribution["versus"]["token"]) == ("the", " the")
    assert (attribution["by"], attribution["how"]) == ("gradient", "mask")


def test_save_says_the_size_of_the_file(run, folder, tmp_path):
    said = run("trace", TEXT, "--model", folder, "--save", tmp_path / "t")
    size = (tmp_path / "t").stat().st_size
    assert f"saved {size:,} bytes to {tmp_path}/t" in said.err


def test_a_run_can_be_verified(run, folder):
    found = json.loads(run("trace", TEXT, "--verify", "--model", folder, "--json", "-").out)
    assert found["inert"] == {"checked": "run", "equal": True, "calls": 2, "expected_calls": 2}
    assert found["closure_error"]["over"] == "sources"


def test_models_lists_and_checks(run):
    assert "llama" in run("models").out.splitlines()
    found = json.loads(run("models", "llama", "--check", "--json", "-").out)
    (row,) = found["types"]
    assert (row["type"], row["status"]) == ("llama", "exact")
    assert found["summary"]["decoders_exact"] == 1


def test_stopping_is_no_traceback(run, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("worldline.apps.cli.run_options.read_written", stop)
    said = run("trace", TEXT)
    assert said.code in (1, 130)
    assert "Traceback" not in said.err


@pytest.mark.parametrize("words", [(), ("trace",), ("models",), ("cache",), ("cache", "clear")])
def test_help_loads_no_model_code(words):
    code = (
        "import sys, worldline.apps.cli as cli;"
        f"sys.argv = ['worldline', *{list(words)!r}, '--help']\n"
        "try: cli.main()\nexcept SystemExit as stop: assert not stop.code, stop.code\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def commands(command, path=()):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


NARROWER = ("--by", "--how", "--out")  # each command says what it takes of these


def test_an_option_means_the_same_in_every_command():
    known = {}
    for path, command in commands(typer.main.get_command(cli.app)):
        for parameter in command.params:
            if parameter.param_type_name != "option":
                continue
            for name in parameter.opts:
                meaning = (
                    str(parameter.type_descriptor.annotation),
                    parameter.is_flag,
                    None if name in NARROWER else parameter.help,
                )
                first = known.setdefault(name, (path, meaning))
                assert first[1] == meaning, (name, first[0], path)
    assert {"--json", "--model", "--by", "--how", "--target", "--out", "--seed"} <= known.keys()
