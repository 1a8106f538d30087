"""Every line that makes a number again is run, in the shell's words, and gives that number."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from functools import cache, reduce
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter
from tokenizers import normalizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import LlamaMLP

import worldline as wl
from tiny_folder import tiny_folder
from worldline.apps.cli import main
from worldline.apps.cli.output_files import read_text
from worldline.service.answers import Answering
from worldline.service.questions import Question
from worldline.views.altered_runs import with_altered
from worldline.views.schema.recipe import LONGEST_SHOWN, Recipe, RecipeText, terminal_line
from worldline.views.schema.scene import Scene
from worldline.views.shell_words import pasteable

TEXT = "the cat sat on the mat"
OTHER = "a 'dog' \"ran\" to $HOME!"  # 23 tokens
QUESTIONS = TypeAdapter(Question)
SHELL = 'worldline() { printf "%s\\0" "$@" > words; [ "$2" != - ] || cat > input; }; rm -f input; '
LINES = pytest.mark.parametrize("as_shown", [lambda line: line, pasteable], ids=["raw", "pasted"])
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / 'it\'s a "model"', n_pos=2048)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def words_of(line: str, shell: str = "bash") -> tuple[list[str], bytes | None]:
    """What a shell makes of a line: the words, and what comes on standard input."""
    subprocess.run([shell, "-c", SHELL + line], check=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
    words = Path("words").read_bytes().decode("utf-8").split("\0")[:-1]
    given = Path("input")
    return words, given.read_bytes() if given.exists() else None


def run(line: str, monkeypatch, capsys, *more: str) -> str:
    """The standard output of a line, run in this process."""
    words, given = words_of(line)
    with monkeypatch.context() as patch:
        if given is not None:
            patch.setattr("sys.stdin", TextIOWrapper(BytesIO(given)))
        return run_words([words[0], *more, *words[1:]], patch, capsys)


def run_words(words: list[str], monkeypatch, capsys) -> str:
    """The standard output of a command, run in this process."""
    monkeypatch.setattr("sys.argv", ["worldline", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    return said.out


def numbers(line: str, monkeypatch, capsys):
    """The JSON of a line that makes a part."""
    return json.loads(run(line, monkeypatch, capsys, "--json", "-"))


def called(python: str, **names):
    return eval(python, {"wl": wl, **names})


def inside(page: str) -> dict:
    """The Scene in an HTML file."""
    found = re.search(r'id="worldline-scene">(.*?)</script>', page, flags=re.DOTALL)
    assert found
    return json.loads(found[1])


# --- every number of a Scene ----------------------------------------------------------------------

ASKED = {
    "cut": {"edges": ["*.*:1>5"], "how": "zero", "target": "a", "versus": "the"},
    "sources": {"how": "zero", "target": "a"},
    "hops": {"max_hops": 1, "sink": "both"},
    "cone": {"at": "1,2", "directions": 2, "seed": 3},
    "orders": {"orders": ["decode", "random(1)"]},
}


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A Scene of a tiny model with all parts that the page asks for."""
    answering = Answering(wl.load_model(str(folder)), tmp_path_factory.mktemp("traces"))

    def answer(ask: str, **more):
        kind = {"ask": "cut", "each": True} if ask == "sources" else {"ask": ask}
        question = {"text": TEXT, **kind, **more}
        return answering(QUESTIONS.validate_python(question), lambda _line: None)

    scene = answer("trace", target="a", versus="the", paths=False).scene
    scene = scene.model_copy(update={"paths": answer("paths", target="a").paths})
    parts = {}
    for name, more in ASKED.items():
        parts |= answer(name, **more).scene_parts
    return Scene.model_validate(with_altered(scene, **parts).model_dump(by_alias=True))


class Remembering:
    """worldline, with what was loaded and observed kept: each call of a recipe runs once."""

    def __init__(self):
        self.kept = {}

    def __getattr__(self, name):
        value = getattr(wl, name)
        if name in ("load_model", "observe") and name not in self.kept:
            self.kept[name] = cache(value)
        return self.kept.get(name, value)


def at(value, path: str):
    """What an attribute path such as `edges[0].weight` names."""
    steps = re.findall(r"\w+", path)
    return reduce(lambda v, s: v[int(s)] if s.isdecimal() else getattr(v, s), steps, value)


def flat(value) -> list[float]:
    """All numbers in a value, in their order."""
    if isinstance(value, str):
        return [int(value)] if value.isdecimal() else []  # a count too large for a float
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, dict):
        return [n for name in sorted(value) for n in flat(value[name])]
    if hasattr(value, "model_dump"):
        return flat(value.model_dump())
    if isinstance(value, list | tuple):
        return [n for one in value for n in flat(one)]
    return flat(value.tolist() if hasattr(value, "tolist") else vars(value))


TIMED = {"order_seconds"}  # what no line gives twice
OF_ORDERS = ("n_slices", "widest", "longest_chain", "blocks", "of_blocks")
SHOWN = {  # where the part of the Scene has another name than the result of the call
    "hops": lambda scene, part: [
        getattr(one, part) if hasattr(one, part) else getattr(scene.altered.hops, part)
        for one in scene.altered.hops.curves
    ],
    "cone": lambda scene, part: (
        {one.through: one.relative for one in scene.altered.cone.responses}
        if part == "relative" else getattr(scene.altered.cone, part)
    ),
    "sources": lambda scene, part: getattr(scene.altered.sources, part)[:-1],
    "cut": lambda scene, part: getattr(scene.altered.cut, part),
    "orders": lambda scene, part: getattr(scene.altered.orders, part),
}  # fmt: skip


def comparable(kind: str, part: str, value) -> list[float]:
    if (kind, part) != ("orders", "orders"):
        return flat(value)
    return [getattr(one, name) for one in value for name in OF_ORDERS]


def test_the_python_call_of_every_number_gives_it(whole):
    from worldline.views.metric_docs import MEANINGS

    remembering = Remembering()
    seen: dict[str, object] = {}
    for name, meaning in whole.meanings.items():
        kind, part = MEANINGS[name].kind, MEANINGS[name].of
        if meaning.python not in seen:
            seen[meaning.python] = eval(meaning.python, {"wl": remembering})
        shown = at(whole, part) if kind in ("json", "scene") else SHOWN[kind](whole, part)
        true = comparable(kind, part, shown)
        assert true or name == "other", name  # a model that has none
        found = comparable(kind, part, seen[meaning.python])
        if name not in TIMED:
            assert found == pytest.approx(true, rel=2e-5, abs=2e-6), name
    assert len(seen) > 30


def test_the_command_line_of_every_number_gives_it(whole, monkeypatch, capsys):
    from worldline.views.metric_docs import MEANINGS

    told: dict[str, dict] = {}
    for name, meaning in whole.meanings.items():
        kind, part = MEANINGS[name].kind, MEANINGS[name].of
        assert meaning.cli, name
        if meaning.cli not in told:
            if kind in ("json", "scene"):
                said = run(meaning.cli, monkeypatch, capsys)
                said = said if kind == "json" else Path("flow.scene.json").read_text("utf-8")
                told[meaning.cli] = json.loads(said)
            else:
                told[meaning.cli] = numbers(meaning.cli, monkeypatch, capsys)
        found = told[meaning.cli]
        if kind in ("json", "scene"):
            steps = re.findall(r"\w+", part)
            value = reduce(lambda v, s: v[int(s)] if s.isdecimal() else v[s], steps, found)
            assert flat(value) == pytest.approx(flat(at(whole, part)), rel=2e-5, abs=2e-6), name
    cut = told[whole.altered.cut.reproduce.cli]
    sources = told[whole.altered.sources.reproduce.cli]
    for field in ("change_nats", "kl_nats", "target_before", "target_after"):
        assert cut[field] == pytest.approx(getattr(whole.altered.cut, field), abs=1e-5)
    assert sources["change_nats"] == pytest.approx(whole.altered.sources.change_nats, abs=1e-5)
    hops = told[whole.altered.hops.reproduce.cli]
    for curve, again in zip(whole.altered.hops.curves, hops["curves"], strict=True):
        assert again["loss_nats"] == pytest.approx(curve.loss_nats, abs=1e-5)
    cone = told[whole.altered.cone.reproduce.cli]
    again = {one["through"]: flat(one["relative"]) for one in cone["responses"]}
    for one in whole.altered.cone.responses:
        assert again[one.through] == pytest.approx(flat(one.relative), rel=1e-5)
    orders = told[whole.altered.orders.reproduce.cli]
    assert [one["n_slices"] for one in orders["orders"]] == [
        one.n_slices for one in whole.altered.orders.orders
    ]
    assert len(told) == 8


# --- every command --------------------------------------------------------------------------------

ROWS = [[[layer, pos] for pos in range(17)] for layer in range(2)]
LONG = "the dog ran " * 5
COMMANDS = {
    "patch of another text": [
        "cut", TEXT, "--from", "0-3", "--to", "all", "--how", "patch", "--patch-from", OTHER,
        "--align", "left", "--target", "a", "--versus", "the", "--dtype", "bfloat16",
    ],
    "patch by words, V only, in one layer": [
        "cut", TEXT, "--from", "0,2", "--to", "9-16", "--layers", "1", "--heads", "0",
        "--parts", "v", "--how", "patch", "--patch-from", OTHER, "--align", "words", "--own",
    ],
    "two ways of cutting at once": [
        "cut", TEXT, "--edge", "0.*:1>4", "--edge", "*.1:0-2>*", "--how", "mask", "--node", "1,3",
        "--node-how", "mean", "--patch-from", OTHER, "--target", "id:70",
    ],
    "each, by zero": ["cut", TEXT, "--each", "--how", "zero", "--target", "a", "--threads", "1"],
    "hops in a layer": ["hops", TEXT, "--max", "2", "--layers", "1", "--longest", "5"],
    "a perturbation by one highway": [
        "cone", TEXT, "--at", "1,-4", "--through", "kv", "--step", "0.1", "--seed", "5",
        "--directions", "2", "--dtype", "float64",
    ],
    "orders": ["orders", TEXT, "--order", "wavefront(2)", "--slices", "own.json"],
    "a long text of a file": ["cut", "--file", "long.txt", "--from", "0", "--to", "9", "--how",
                              "patch", "--patch-file", "other.txt", "--align", "right"],
}  # fmt: skip
PART = {"cut": "cut", "hops": "hops", "cone": "cone", "orders": "orders"}
COMPARED = ("change_nats", "kl_nats", "target_after", "loss_nats", "relative", "widest", "spread")


def compared(value, kept: bool = False) -> list[float]:
    """The numbers under the names that a run decides."""
    if isinstance(value, dict):
        names = sorted(value)
        return [n for name in names for n in compared(value[name], kept or name in COMPARED)]
    if isinstance(value, list | tuple):
        return [n for one in value for n in compared(one, kept)]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return [float(value)] if kept and is_number else []


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_ran_is_on_its_page(name, folder, monkeypatch, capsys):
    command, *words = COMMANDS[name]
    monkeypatch.setattr(
        "worldline.views.schema.recipe.LONGEST_SHOWN", 50
    )  # the long text is over it
    Path("long.txt").write_text(LONG, "utf-8")
    Path("own.json").write_text(json.dumps(ROWS), "utf-8")
    Path("other.txt").write_text(LONG.replace("dog", "cat"), "utf-8")
    given = [command, *words, "--model", str(folder), "--out", "page.html"]
    run_words(given, monkeypatch, capsys)
    wire = inside(Path("page.html").read_text("utf-8"))
    part = "sources" if "--each" in words else PART[command]
    true = compared(wire["altered"][part])
    assert len(true) > 0
    lines = wire["altered"][part]["reproduce"]
    assert len(lines["cli"]) < 700
    Path("page.html").unlink()
    run(lines["cli"], monkeypatch, capsys, "--out", "page.html")
    again = inside(Path("page.html").read_text("utf-8"))
    assert compared(again["altered"][part]) == true  # bitwise: the same words, the same process
    made = called(lines["python"])
    if part == "sources":
        changes = [*(one.change_nats for one in made), 0.0]
        assert changes == pytest.approx(wire["altered"][part]["change_nats"], abs=1e-5)
    elif part == "cut":
        assert made.change_nats == pytest.approx(wire["altered"][part]["change_nats"], abs=1e-12)
        assert made.kl_nats == pytest.approx(wire["altered"][part]["kl_nats"], abs=1e-12)
    elif part == "hops":
        curves = made if isinstance(made, list) else [made]
        assert [list(one.loss_nats) for one in curves] == [
            one["loss_nats"] for one in wire["altered"][part]["curves"]
        ]
    elif part == "cone":
        assert compared(made.scene()) == pytest.approx(true, rel=1e-5)  # a page has six digits
    else:
        assert [one.n_slices for one in made.orders] == [
            one["n_slices"] for one in wire["altered"][part]["orders"]
        ]


@pytest.mark.parametrize(
    "words",
    [
        ["--dtype", "bfloat16", "--seed", "7", "--edges", "5", "--no-paths"],
        ["--by", "contribution", "--verify"],
        ["--by", "frozen", "--target", "id:70", "--versus", "a", "--paths"],
        ["--how", "mask", "--chat", "--threads", "1"],
    ],
)
def test_the_line_below_a_trace(words, folder, monkeypatch, capsys):
    given = ["trace", TEXT, "--model", str(folder), *words]
    shown = run_words(given, monkeypatch, capsys)
    (line,) = re.findall(r"^again: (worldline .*)$", shown, flags=re.MULTILINE)
    again = numbers(line, monkeypatch, capsys)
    true = json.loads(run_words([*given, "--json", "-"], monkeypatch, capsys))
    for name in (
        "edges",
        "predictions",
        "coverage",
        "paths",
        "seed",
        "model",
        "inert",
        "reproduce",
    ):
        assert again[name] == true[name], name
    made = called(true["reproduce"]["python"])
    made_edges = [edge.weight for edge in made.scene.edges]
    assert made_edges == [edge["weight"] for edge in true["edges"]]
    assert made.scene.model.dtype == true["model"]["dtype"]


def test_the_line_below_a_chat_with_a_clock(tmp_path, monkeypatch, capsys):
    tiny_folder(tmp_path / "m", n_pos=2048)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    tokenizer.chat_template = "at {{ strftime_now('%f') }}: {{ messages[0].content }}"
    tokenizer.save_pretrained(tmp_path / "m")
    Path("f.txt").write_text(TEXT, "utf-8")
    words = ["trace", "--file", "f.txt", "--chat", "--model", str(tmp_path / "m"), "--threads", "1"]
    true = json.loads(run_words([*words, "--json", "-"], monkeypatch, capsys))
    again = numbers(true["reproduce"]["cli"], monkeypatch, capsys)
    assert "--threads 1" in true["reproduce"]["cli"]
    for name in ("text", "edges", "predictions"):
        assert again[name] == true[name], name
    assert called(true["reproduce"]["python"]).scene.text == true["text"]


# --- texts ----------------------------------------------------------------------------------------

TEXTS = [
    "-x the cat", "--help", "-", "--", "it's", 'say "hi"', "wow! !! !$ !-1", "$HOME `on` \\n \\",
    "\U0001f469\u200d\U0001f467 \U0001f408", "a\nb\tc ", "\n", "\t", "a\0b", "\0", "-\0\\0",
    "a\r\nb", "\x1b[31m", "\u202eevil", "\u00e9 e\u0301", " ", "%s %d", "a\n", "\ufeffa", "#x", "~",
    "*", "&& ls", "{a,b}", "a\u3164\u2800b",
    "\ufeff\0a", "a\0\n", "a\0\r\n",
    "a\x1bb", "a\n\n", "\n\n\x1b\n7", "a\x1b1\u20289", "\x9b\x7f\t\t",
]  # fmt: skip


def recipe_of(text: str, **more) -> Recipe:
    made = {"command": "trace", "call": "observe", "source": "m", "device": "cpu", "dtype": None}
    return Recipe.model_validate(made | {"text": RecipeText.of(text)} | more)


@LINES
@pytest.mark.parametrize("shell", ["bash", "sh"])
@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_through_a_shell(text, shell, as_shown, monkeypatch):
    recipe = recipe_of(
        text, patch=RecipeText.of(text.replace("\0", "")), words=("--by", "contribution")
    )
    line = recipe.line("--json", "-")
    words, given = words_of(as_shown(line), shell)
    if given is None:
        options = words[1:-2] if words[-2] == "--" else [*words[2:]]
        assert (words[-1] if words[-2] == "--" else words[1]) == text
    else:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(given)))
        options = words[2:]
        assert read_text("-", None, keep_newline="--keep-newline" in options) == text
    patch = text.replace("\0", "")
    at_patch = ["--patch-from", patch] if not patch.startswith("-") else [f"--patch-from={patch}"]
    assert [one for one in options if one != "--keep-newline"] == [
        "--by", "contribution", *at_patch, "--model", "m", "--json", "-",
    ]  # fmt: skip
    assert eval(recipe.text.python) == text
    assert not any(ord(char) < 32 for char in pasteable(line))


def test_a_long_text_is_named_by_a_file_and_what_is_in_it(folder, monkeypatch, capsys):
    long = "the\r\n'c' \U0001f408" * 6
    monkeypatch.setattr("worldline.views.schema.recipe.LONGEST_SHOWN", 50)
    assert 50 < len(long) < LONGEST_SHOWN
    model = wl.load_model(str(folder))
    seen = wl.observe(long, model, by="contribution", top=5)
    lines = seen.scene.reproduce
    for words in (lines.cli, lines.python, *(m.cli for m in seen.scene.meanings.values())):
        assert len(words) < 500
    name = lines.recipe.text.file
    assert name in lines.cli
    assert name in lines.python
    assert f"{len(long):,} characters" in lines.note
    Path(name).write_bytes(long.encode())
    told = numbers(lines.cli, monkeypatch, capsys)
    assert [token["id"] for token in told["tokens"]] == [token.id for token in seen.scene.tokens]
    assert called(lines.python).trace.tokens.ids == seen.trace.tokens.ids


AROUND = {
    "a newline": ("", "\n"),
    "a newline of Windows, a byte order mark": ("\ufeff", "\r\n"),
    "two newlines": ("", "\n\n"),
    "two byte order marks": ("\ufeff\ufeff", ""),
}


@pytest.mark.parametrize("keep", [(), ("--keep-newline",)], ids=["dropped", "kept"])
@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("home", ["", "~/"], ids=["here", "home"])
def test_a_file_is_read_again_as_the_command_read_it(
    around, keep, home, folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("worldline.views.schema.recipe.LONGEST_SHOWN", 50)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in (("a.txt", LONG), ("b.txt", LONG.replace("dog", "cat"))):
        Path(name).write_bytes(text.join(around).encode())
    cut = ["cut", "--file", f"{home}a.txt", "--edge", "*.*:0-30>40", "--how", "patch",
           "--patch-file", f"{home}b.txt"]  # fmt: skip
    model = ["--model", str(folder), *keep]
    true = json.loads(run_words([*cut, *model, "--json", "-"], monkeypatch, capsys))
    lines = true["reproduce"]
    for name in ("a.txt", "b.txt"):
        assert hashlib.sha256(Path(name).read_bytes()).hexdigest() in lines["note"]
    made = called(lines["python"])
    assert made.kl_nats == true["kl_nats"]
    assert numbers(lines["cli"], monkeypatch, capsys) == true
    seen = json.loads(
        run_words(["trace", "--file", f"{home}a.txt", *model, "--json", "-"], monkeypatch, capsys)
    )
    assert len(seen["text"]) == made.tokens.char_spans[-1][1]
    again = called(seen["reproduce"]["python"]).scene
    assert again.text == seen["text"]
    assert again.predictions[0].logprob == pytest.approx(seen["predictions"][0]["logprob"])


@pytest.mark.parametrize("text", [f"{LONG}\n", f"\ufeff{LONG}", f"\ufeff{LONG}\r\n"])
def test_a_long_text_of_no_file_is_read_from_the_one_that_is_named(text, monkeypatch, capsys):
    monkeypatch.setattr("worldline.views.schema.recipe.LONGEST_SHOWN", 50)
    read = RecipeText.of(text)
    content = text.join((read.before, read.after)).encode()
    assert hashlib.sha256(content).hexdigest() == read.sha256
    Path(read.file).write_bytes(content)
    line = recipe_of(text).line()
    assert read_text(None, Path(read.file), keep_newline="--keep-newline" in line) == text
    assert eval(read.python) == text


def test_a_recipe_of_an_older_file_keeps_its_newline():
    older = {"words": None, "file": "a.txt", "sha256": "", "n_chars": 2, "ends_in_newline": True}
    recipe = recipe_of("a").model_copy(update={"text": RecipeText.model_validate(older)})
    assert "--keep-newline" in recipe.line()
    assert recipe.text.python.endswith(".read_bytes().decode()")


# --- models that no line loads --------------------------------------------------------------------


class Lora(torch.nn.Module):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.a = torch.nn.Linear(base.in_features, 2, bias=False)
        self.b = torch.nn.Linear(2, base.out_features, bias=False)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))


def in_memory(folder):
    module = AutoModelForCausalLM.from_pretrained(folder).eval()
    return module, AutoTokenizer.from_pretrained(folder)


def adapted(folder):
    model = wl.load_model(str(folder))
    layer = model.module.model.layers[0].mlp
    layer.down_proj = Lora(layer.down_proj)
    return model


def edited(folder):
    model = wl.load_model(str(folder))
    with torch.no_grad():
        model.module.model.layers[0].mlp.down_proj.weight.zero_()
    return model


def hooked(folder):
    model = wl.load_model(str(folder))
    model.module.model.layers[0].mlp.register_forward_hook(lambda _m, _args, out: 3 * out)
    return model


def with_another_forward(folder):
    model = wl.load_model(str(folder))
    norm = model.module.model.norm
    plain = norm.forward
    norm.forward = lambda x: 2 * plain(x)
    return model


def with_another_attribute(folder):
    model = wl.load_model(str(folder))
    model.module.model.rotary_emb.attention_scaling = 1.5
    return model


def with_another_setting(folder):
    model = wl.load_model(str(folder))
    model.module.model.layers[0].self_attn.config.rms_norm_eps = 1e-2
    return model


def with_another_buffer(folder):
    model = wl.load_model(str(folder))
    model.module.model.rotary_emb.inv_freq.mul_(0.5)
    return model


def of_another_dtype(folder):
    model = wl.load_model(str(folder))
    model.module.to(torch.float64)
    return model


def with_small_letters(folder):
    model = wl.load_model(str(folder))
    model.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    return model


def with_another_tokenizer(folder):
    model = wl.load_model(str(folder))
    model.tokenizer = AutoTokenizer.from_pretrained(folder)
    return model


def with_code_of_its_own(folder):
    return wl.load_model(str(folder), trust_remote_code=True)


def from_a_pickle(folder):
    return wl.load_model(str(folder), allow_pickle=True)


CHANGED = [
    in_memory, adapted, edited, hooked, with_another_forward, with_another_attribute,
    with_another_setting, with_another_buffer, of_another_dtype, with_small_letters,
    with_another_tokenizer, with_code_of_its_own, from_a_pickle,
]  # fmt: skip


@pytest.mark.parametrize("make", CHANGED)
def test_a_model_that_no_line_loads_is_the_callers_own(make, folder, tmp_path):
    model = make(folder)
    seen = wl.observe(TEXT, model)
    lines = seen.scene.reproduce
    assert lines.cli == ""
    assert str(folder) not in str(lines)
    assert "`model` is the model in memory" in lines.note
    assert terminal_line(lines) == f"again, from Python: {lines.python}"
    again = called(lines.python, model=model)
    assert [p.logprob for p in again.trace.predictions] == [
        p.logprob for p in seen.trace.predictions
    ]
    held = model if isinstance(model, wl.LoadedModel) else wl.load_model(model)
    answering = Answering(held, tmp_path)
    question = {"ask": "cut", "text": TEXT, "edges": ["*.*:1>5"], "how": "patch",
                "patch_from": OTHER, "align": "left"}  # fmt: skip
    found = json.loads(answering(QUESTIONS.validate_python(question), lambda _line: None).wire)
    cut = found["cut"]
    assert cut["reproduce"]["cli"] == ""
    assert called(cut["reproduce"]["python"], model=held).change_nats == cut["change_nats"]


def hook_on_all(monkeypatch):
    hooks = torch.nn.modules.module._global_forward_hooks
    monkeypatch.setitem(hooks, -1, lambda module, _args, out: 2 * out if _is_mlp(module) else out)


def _is_mlp(module):
    return isinstance(module, LlamaMLP)


def class_of_ones_own(monkeypatch):
    plain = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda self, x: 2 * plain(self, x))


def attention_of_ones_own(monkeypatch):
    plain = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def other(*args, scaling=None, **more):
        return plain(*args, scaling=0.1, **more)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "sdpa", other)


def test_a_function_of_torch_that_was_patched_before_has_no_line(folder, monkeypatch):
    plain = torch.nn.functional.silu
    monkeypatch.setattr(torch.nn.functional, "silu", lambda x, inplace=False: 1.3 * plain(x))
    assert wl.load_model(str(folder)).source is None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("patch", [hook_on_all, class_of_ones_own, attention_of_ones_own])
def test_what_is_patched_for_all_models_has_no_line(patch, when, folder, monkeypatch):
    model = wl.load_model(str(folder))
    assert model.source == str(folder)
    patch(monkeypatch)
    if when == "before":
        model = wl.load_model(str(folder))
    assert model.source is None


def test_a_source_is_none_only_while_the_change_lasts(folder):
    model = wl.load_model(str(folder))
    wl.observe(TEXT, model)
    mlp = model.module.model.layers[0].mlp
    hook = mlp.register_forward_hook(lambda _m, _args, out: 3 * out)
    assert model.source is None
    hook.remove()
    assert model.source == str(folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert model.source == str(folder)
    finally:
        torch.set_num_threads(threads)
