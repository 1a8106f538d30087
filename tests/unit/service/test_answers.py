"""Every answer is what the public call gives, and its two lines give it again."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from transformers import AutoTokenizer

import worldline as wl
from tiny_folder import tiny_folder
from tiny_runs import loaded
from worldline import session
from worldline.apps.cli import main
from worldline.attribution.path_summary import summarize_paths
from worldline.errors import InputError
from worldline.field_errors import fault_line
from worldline.interventions.cut import patch_source_of
from worldline.service import answers as answering_
from worldline.service.answers import Answering
from worldline.service.questions import Question
from worldline.tokens.chat_templates import Turn, render_chat, tokens_of
from worldline.views.html import scene_json

IDS = "t20 t21 t22 t30 t31 "
TEXT = "the cat sat on the mat"
QUESTIONS = TypeAdapter(Question)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}  # runs side by side and alone round in their own ways
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny model", n_pos=64)


@pytest.fixture(scope="module")
def model(folder):
    return wl.load_model(str(folder))


def asked_for(kind: str, text: str, **more) -> dict:
    """A question of this kind; "sources" are those of a cut of each token."""
    if kind == "sources":
        return {"ask": "cut", "each": True, "how": "mask", "text": text, **more}
    return {"ask": kind, "text": text, **more}


@pytest.fixture
def ask(model, tmp_path):
    """Asks one model; the answer's JSON, what was said on the way, the answer itself."""
    answering = Answering(model, tmp_path)

    def one(kind: str, text: str = TEXT, **more):
        said: list[str] = []
        answer = answering(QUESTIONS.validate_python(asked_for(kind, text, **more)), said.append)
        return json.loads(answer.wire), said, answer

    one.answering = answering
    return one


# --- the same as the public calls -----------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {}, {"by": "contribution"}, {"by": "frozen", "target": "a"},
        {"target": "a", "versus": "the"},
        {"how": "mask", "top": 7}, {"paths": False}, {"chat": True, "top": 5}, {"target": "id:7"},
    ],
)  # fmt: skip
def test_seeing_is_observing(ask, model, asked):
    wire, said, answer = ask("trace", **asked)
    true = json.loads(scene_json(wl.observe(TEXT, model, **asked).scene))
    assert wire.pop("created")
    true.pop("created")
    assert wire == true
    assert said[:3] == ["recording", "attributing", "drawing"]
    assert answer.scene is not None
    assert answer.nbytes() == 8 * len(answer.wire)


@pytest.mark.parametrize(
    ("asked", "edits"),
    [
        ({"edges": ["*.*:1>-1"], "how": "mask"}, [wl.EdgeCut("mask", (1,), (16,))]),
        ({"edges": ["1.0:0-1>5"], "how": "zero"}, [wl.EdgeCut("zero", (0, 1), (5,), (1,), (0,))]),
        ({"nodes": ["1,3"], "node_how": "zero"}, [wl.NodeCut("zero", (1,), (3,))]),
        (
            {"edges": ["0.*:1>*"], "how": "mask", "nodes": ["2,0"], "node_how": "mean"},
            [wl.EdgeCut("mask", (1,), None, (0,)), wl.NodeCut("mean", (2,), (0,))],
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", [{}, {"target": "a"}, {"target": "a", "versus": "the"}])
def test_cutting_is_cut(ask, model, asked, edits, target):
    assert len(wl.tokenize(model.tokenizer, TEXT)) == 17  # so that -1 is 16
    found = ask("cut", **asked, **target)[0]["cut"]
    true = wl.cut(model, TEXT, edits, **target)
    assert found["target"] == true.target
    for name in ("target_before", "target_after", "change_nats", "kl_nats"):
        np.testing.assert_allclose(found[name], getattr(true, name), **CLOSE)
    assert [one["id"] for one in found["after"]] == [one.id for one in true.after]


def test_patching_takes_the_other_text(ask, model):
    other = "the dog sat on the mat"
    asked = {"edges": ["*.*:*>*"], "how": "patch", "patch_from": other, "parts": "v"}
    found = ask("cut", **asked)[0]["cut"]
    tokens = wl.tokenize(model.tokenizer, TEXT)
    edit = wl.EdgeCut("patch", patch_source=patch_source_of(model, tokens, other), parts="v")
    np.testing.assert_allclose(
        found["change_nats"], wl.cut(model, TEXT, [edit]).change_nats, **CLOSE
    )
    assert abs(found["change_nats"]) > 1e-4
    with pytest.raises(InputError, match="name an alignment"):
        ask("cut", **asked | {"patch_from": "the cat"})
    assert ask("cut", **asked | {"patch_from": "the cats sat on the mat", "align": "left"})[0][
        "cut"
    ]["words"]


@pytest.mark.parametrize("how", ["mask", "zero"])
@pytest.mark.parametrize("target", [None, "a"])
def test_cutting_each_token_is_one_cut_each(ask, model, how, target):
    asked = {"how": how} | ({} if target is None else {"target": target})
    found = ask("sources", **asked)[0]["sources"]
    n = len(wl.tokenize(model.tokenizer, TEXT))
    cuts = [
        wl.cut(model, TEXT, [wl.EdgeCut(how, src=(pos,))], target=target) for pos in range(n - 1)
    ]
    np.testing.assert_allclose(found["change_nats"][:-1], [c.change_nats for c in cuts], **CLOSE)
    assert found["change_nats"][-1] == 0
    assert [one["id"] for one in found["after"][:-1]] == [c.after[0].id for c in cuts]
    assert found["after"][-1] is None
    assert (found["how"], found["target"]) == (how, cuts[0].target)
    np.testing.assert_allclose(found["target_before"], cuts[0].target_before, **CLOSE)
    one = ask("sources", "a")[0]["sources"]  # nobody reads the only token
    assert (one["change_nats"], one["after"]) == ([0.0], [None])


@pytest.mark.parametrize("sink", [None, "counted", "free", "both"])
def test_hops_are_hop_curves(ask, model, sink):
    asked = {} if sink is None else {"sink": sink}
    found = ask("hops", max_hops=2, **asked)[0]["hops"]
    sinks = [sink] if sink in ("counted", "free") else ["counted", "free"]
    assert [curve["sink"] for curve in found["curves"]] == sinks
    for curve in found["curves"]:
        true = wl.hop_curve(model, TEXT, max_hops=2, sink=curve["sink"])
        np.testing.assert_allclose(curve["loss_nats"], true.loss_nats, **CLOSE)
        assert curve["hops_needed"] == list(true.hops_needed)
        np.testing.assert_allclose(found["loss_full_nats"], true.loss_full_nats, **CLOSE)


def test_a_text_with_its_beginning_marked_has_a_free_sink(ask, model):
    found, _, _ = ask("hops", "<|end|>the cat", max_hops=1)
    assert [curve["sink"] for curve in found["hops"]["curves"]] == ["free"]
    again = eval(found["hops"]["reproduce"]["python"], {"wl": wl})
    np.testing.assert_allclose(again.loss_nats, found["hops"]["curves"][0]["loss_nats"], **CLOSE)


def test_a_cone_is_a_light_cone(ask, model):
    found = ask("cone", at="1,3", directions=2, seed=5)[0]["cone"]
    true = wl.light_cone(model, TEXT, at=wl.Node(layer=1, pos=3), directions=2, seed=5)
    for one in found["responses"]:
        np.testing.assert_allclose(one["relative"], true.relative[one["through"]], **CLOSE)
    assert found["outside_zero"] is true.outside_zero is True


def test_orders_are_run_orders(ask, model):
    found = ask("orders", orders=["decode", "wavefront(0.5)"])[0]["orders"]
    true = wl.run_orders(model, TEXT, ["decode", "wavefront(0.5)"])
    for one, two in zip(found["orders"], true.orders, strict=True):
        for name in ("name", "n_slices", "widest", "longest_chain", "blocks", "of_blocks"):
            assert one[name] == getattr(two, name)
        assert one["slices"] == two.slices
        assert one["nats"] == pytest.approx(two.nats, abs=1e-5)
    assert len(ask("orders")[0]["orders"]["orders"]) == 5


def test_paths_are_the_paths_of_the_command(ask, model):
    wire, said, answer = ask("paths", target="a", versus="the")
    true = summarize_paths(TEXT, model, target="a", versus="the")
    np.testing.assert_allclose(wire["paths"]["by_hops"], true.by_hops, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(wire["paths"]["by_source"], true.by_source, rtol=1e-4, atol=1e-6)
    found = wl.find_paths(wl.record(model, TEXT), target="a", versus="the", k=1)
    assert wire["paths"]["paths"][0]["weight"] == pytest.approx(found.paths[0].weight, rel=1e-4)
    assert wire["paths_left_out"] is None
    assert answer.paths is not None
    assert said[0] == "recording"


def test_a_trace_is_saved_whole(ask, model, tmp_path):
    wire, _, answer = ask("save")
    assert answer.file is not None
    assert answer.file.parent == tmp_path
    assert wire == {"bytes": answer.file.stat().st_size}
    assert answer.file_bytes == wire["bytes"] > 0
    seen, true = wl.load_trace(answer.file), wl.record(model, TEXT)
    assert all((a == b).all() for a, b in zip(seen.resid, true.resid, strict=True))
    other = ask("save")[2]
    assert other.file != answer.file
    answer.drop()
    answer.drop()
    assert not answer.file.exists()
    assert other.file.exists()
    assert answer.file_bytes == 0


def test_models_with_a_tokenizer_of_their_own(tmp_path):
    answering = Answering(loaded("llama"), tmp_path)
    question = QUESTIONS.validate_python(asked_for("sources", IDS, target="id:40"))
    found = json.loads(answering(question, lambda _line: None).wire)["sources"]
    cuts = [wl.cut(loaded("llama"), IDS, [wl.EdgeCut("mask", src=(n,))], target=40) for n in (0, 3)]
    np.testing.assert_allclose(
        [found["change_nats"][n] for n in (0, 3)], [one.change_nats for one in cuts], **CLOSE
    )


# --- what is kept ---------------------------------------------------------------------------------


def test_a_recorded_run_is_asked_again_and_the_oldest_go(ask, monkeypatch):
    recorded = []

    def record_tokens(model, tokens):
        recorded.append(tokens.text)
        return true(model, tokens)

    true = answering_.record_tokens
    monkeypatch.setattr(answering_, "record_tokens", record_tokens)
    first = ask("trace")[2]
    ask("paths", target="a")
    ask("trace", by="contribution")
    assert ask("trace")[1][0] == "attributing"  # nothing was recorded
    assert recorded == [TEXT]
    ask("trace", chat=True, top=5)  # another run
    assert len(recorded) == 2
    size = next(iter(ask.answering.traces.values())).nbytes()
    ask.answering.most_bytes = int(2.5 * max(size, 1))
    ask("trace", "the cat sat on the map")
    ask("trace", "the cat sat on the man")
    assert [text for text, _ in ask.answering.traces] == [f"the cat sat on the ma{n}" for n in "pn"]
    ask("trace", "the cat sat on the map")  # used again, so it stays longest
    ask("trace", "the cat sat on the mad")
    assert [text for text, _ in ask.answering.traces] == [f"the cat sat on the ma{n}" for n in "pd"]
    ask.answering.most_bytes = 1
    ask("trace", "the dog")
    assert list(ask.answering.traces) == [("the dog", False)]  # the last one always stays
    assert json.loads(ask("trace")[2].wire)["edges"] == json.loads(first.wire)["edges"]


def test_what_could_not_be_recorded_is_not_kept(ask):
    for text, said in (("x" * 65, "65 tokens, but"), ("half \ud800", "surrogate")):
        question = answering_.TraceQuestion.model_construct(
            ask="trace", text=text, chat=False, by=None, target=None, versus=None, how=None,
            top=1, paths=None,
        )  # fmt: skip
        with pytest.raises(InputError, match=said):
            ask.answering(question, lambda _line: None)
    assert not ask.answering.traces


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"ask": "trace", "versus": "a"}, "--versus: needs --target"),
        ({"ask": "cut", "edges": ["*.*:1>2"], "how": "mask", "versus": "a"}, "--versus: needs"),
        ({"ask": "paths", "versus": "a"}, "--versus: needs --target"),
        ({"ask": "trace", "target": "a", "versus": "a"}, "two different tokens"),
        ({"ask": "trace", "target": "the cat"}, "target"),
        ({"ask": "trace", "target": "id:--3"}, "target"),
        ({"ask": "trace", "target": "id:²"}, "target"),
        ({"ask": "trace", "target": "id:99999"}, "no such token"),
        ({"ask": "trace", "by": "contribution", "target": "a"}, "asks about no target"),
        ({"ask": "trace", "by": "frozen", "how": "mask"}, "accepted is zero"),
        ({"ask": "cut"}, "name --edge"),
        ({"ask": "cut", "edges": ["*.*:1>2"]}, "name mask, zero or patch"),
        ({"ask": "cut", "edges": ["1>2"], "how": "mask"}, "accepted is LAYERS.HEADS:SRC>DST"),
        ({"ask": "cut", "edges": ["*.*:1>99"], "how": "mask"}, "position 99: accepted are 0 to"),
        ({"ask": "cut", "edges": ["7.*:1>2"], "how": "mask"}, "layer 7: accepted are 0 to 1"),
        ({"ask": "cut", "edges": ["*.9:1>2"], "how": "mask"}, "head 9: accepted are 0 to 1"),
        ({"ask": "cut", "edges": ["*.*:1>2"], "how": "patch"}, "needs --patch-from"),
        ({"ask": "cut", "nodes": ["1,2"]}, "name zero, mean or patch"),
        ({"ask": "cut", "nodes": ["²,2"], "node_how": "zero"}, "accepted is ROW,POS"),
        ({"ask": "cut", "nodes": ["9,2"], "node_how": "zero"}, "row 9: accepted are rows 0 to 2"),
        ({"ask": "cut", "nodes": ["1,2"], "node_how": "patch"}, "needs --patch-from"),
        ({"ask": "hops", "text": "a"}, "one token predicts nothing"),
        ({"ask": "cone", "at": "9,0"}, "off the grid: accepted are rows 0 to 2"),
        ({"ask": "orders", "orders": ["dance"]}, "order 'dance': accepted are prefill"),
        ({"ask": "orders", "orders": ["random(inf)"]}, "accepted are prefill"),
        ({"ask": "orders", "orders": ["cone(inf,1)"]}, "accepted are prefill"),
        ({"ask": "orders", "orders": ["wavefront(nan)"]}, "accepted are prefill"),
        ({"ask": "orders", "orders": ["wavefront(-1)"]}, "slopes above 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said_in_one_line(ask, asked, said):
    with pytest.raises((InputError, ValidationError)) as caught:
        ask(
            asked["ask"],
            asked.get("text", TEXT),
            **{k: v for k, v in asked.items() if k not in ("ask", "text")},
        )
    error = caught.value
    line = str(error) if isinstance(error, InputError) else fault_line(error.errors()[0], "")
    assert said in line
    assert "\n" not in line


# --- the lines that give it again -----------------------------------------------------------------

AGAIN = [
    ("cut", {"edges": ["*.*:1>5", "1.0:0>3"], "how": "mask"}),
    ("cut", {"edges": ["*.*:1>5"], "how": "zero", "target": "a", "versus": "the"}),
    ("cut", {"nodes": ["1,2"], "node_how": "mean"}),
    ("cut", {"edges": ["*.*:*>*"], "how": "patch", "patch_from": "it's \"the\" $dog, and more",
             "align": "left", "parts": "k"}),
    ("sources", {}),
    ("sources", {"how": "zero", "target": "a"}),
    ("hops", {"max_hops": 2}),
    ("hops", {"max_hops": 1, "sink": "free"}),
    ("cone", {"at": "1,2", "directions": 1, "seed": 3}),
    ("orders", {"orders": ["decode", "random(1)"]}),
]  # fmt: skip


def numbers(part: str, value) -> np.ndarray:
    """The numbers of a part, whoever gave it: the wire, the command's JSON, a Python object."""
    if part == "cut":
        names = ("target_before", "target_after", "change_nats", "kl_nats")
        found = [value[n] if isinstance(value, dict) else getattr(value, n) for n in names]
    elif part == "sources" and isinstance(value, list):
        found = [*(one.change_nats for one in value), 0.0]
    elif part == "sources":
        found = value["change_nats"]
    elif part == "hops":
        curves = value["curves"] if isinstance(value, dict) else value
        curves = curves if isinstance(curves, list) else [curves]
        found = [one["loss_nats"] if isinstance(one, dict) else one.loss_nats for one in curves]
    elif part == "cone":
        whole = value if isinstance(value, dict) else value.scene()
        named = {one["through"]: one["relative"] for one in whole["responses"]}
        found = [named[through] for through in sorted(named)]
    else:
        whole = value if isinstance(value, dict) else value.scene()
        found = [[one["n_slices"], one["longest_chain"]] for one in whole["orders"]]
    return np.array(found, dtype=np.float64)


def by_command(line: str, monkeypatch, capsys, stdin: str | None = None):
    """The JSON that a line of the shell gives, run in this process."""
    words = shlex.split(line)
    assert words[0] == "worldline"
    monkeypatch.setattr("sys.argv", [words[0], words[1], "--json", "-", *words[2:]])
    capsys.readouterr()
    main_ended = None
    try:
        main()
    except SystemExit as stop:
        main_ended = stop.code
    assert not main_ended, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(("part", "asked"), AGAIN)
def test_both_lines_give_the_part_again(ask, part, asked, monkeypatch, capsys):
    found = ask(part, **asked)[0][part]
    lines = found["reproduce"]
    true = numbers(part, found)
    assert true.size
    again = eval(lines["python"], {"wl": wl})
    np.testing.assert_allclose(numbers(part, again), true, **CLOSE)
    told = by_command(lines["cli"], monkeypatch, capsys)
    np.testing.assert_allclose(numbers(part, told), true, **CLOSE)


@pytest.mark.parametrize(
    "text",
    ["-x the cat", "--help", "the 'cat' \"sat\" $HOME `on`", "a\nb\ttab ", " the\\n", "猫 🐈"],
)
def test_whatever_the_text_is_the_lines_say_it(ask, text, monkeypatch, capsys):
    asked = {"edges": ["*.*:0>-1"], "how": "mask"}
    found = ask("cut", text, **asked)[0]["cut"]
    again = eval(found["reproduce"]["python"], {"wl": wl})
    np.testing.assert_allclose(numbers("cut", again), numbers("cut", found), **CLOSE)
    told = by_command(found["reproduce"]["cli"], monkeypatch, capsys)
    np.testing.assert_allclose(numbers("cut", told), numbers("cut", found), **CLOSE)
    scene = ask("trace", text, top=3, paths=False)[0]
    again = eval(scene["reproduce"]["python"], {"wl": wl})
    for mine, shown in zip(again.flow.edges[:3], scene["edges"][:3], strict=True):
        assert mine[:5] == pytest.approx([shown[name] for name in mine._fields[:5]])
        assert mine.attention == pytest.approx(shown["attention"], rel=5e-3)  # three digits
    told = by_command(scene["reproduce"]["cli"], monkeypatch, capsys)
    assert told["text"] == text
    assert [one["weight"] for one in told["edges"][:3]] == pytest.approx(
        [one["weight"] for one in scene["edges"]], rel=1e-4
    )


def test_a_text_that_no_argument_can_hold(ask):
    assert ask("sources", "-")[0]["sources"]["reproduce"]["cli"].startswith(
        "printf %s - | worldline"
    )
    line = ask("sources", "a\0b")[0]["sources"]["reproduce"]["cli"]
    assert line.startswith(r"printf %b 'a\0000b' | worldline cut - ")


# --- chats ----------------------------------------------------------------------------------------


def test_a_chat_is_the_turn_as_the_template_has_it(ask, model, monkeypatch, capsys):
    text = "the cat"
    shown, _ = render_chat(model.tokenizer, [Turn("user", text)])
    assert shown != text
    tokens = tokens_of(model.tokenizer, text, True)
    found = ask("sources", text, chat=True)[0]["sources"]
    assert len(found["change_nats"]) == len(tokens) > len(tokens_of(model.tokenizer, text))
    cuts = [wl.cut(model, tokens, [wl.EdgeCut("mask", src=(n,))]).change_nats for n in (0, 4)]
    np.testing.assert_allclose([found["change_nats"][n] for n in (0, 4)], cuts, **CLOSE)
    told = by_command(found["reproduce"]["cli"], monkeypatch, capsys)  # the text, written out
    np.testing.assert_allclose(told["change_nats"], found["change_nats"], **CLOSE)
    plain = ask("sources", text)[0]["sources"]
    assert len(plain["change_nats"]) < len(found["change_nats"])


def test_a_chat_that_no_text_gives_again_says_so(ask, model, monkeypatch):
    true = session.tokens_of

    def longer(model, text, chat=False):
        return true(model, text if chat else text + "!", chat)

    monkeypatch.setattr(session, "tokens_of", longer)
    found = ask("sources", "the cat", chat=True)[0]["sources"]
    assert found["reproduce"]["cli"] == ""
    assert "From Python only: this text is a chat" in found["reproduce"]["note"]
    again = eval(found["reproduce"]["python"], {"wl": wl})
    np.testing.assert_allclose(numbers("sources", again), found["change_nats"], **CLOSE)


@pytest.fixture
def clock(tmp_path):
    """Answers of a model whose chat template writes another text each time."""
    tiny_folder(tmp_path / "m", n_pos=256)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "m")
    tokenizer.chat_template = "at {{ strftime_now('%f') }}: {{ messages[0].content }}"
    tokenizer.save_pretrained(tmp_path / "m")
    answering = Answering(wl.load_model(str(tmp_path / "m")), tmp_path)

    def answer(kind: str, text: str = TEXT, **more):
        question = asked_for(kind, text, chat=True, **more)
        return answering(QUESTIONS.validate_python(question), lambda _line: None)

    answer.answering = answering
    return answer


@pytest.mark.parametrize("most_bytes", [answering_.MOST_BYTES, 1])
def test_every_part_of_a_chat_with_a_clock_is_of_the_text_that_is_pictured(clock, most_bytes):
    clock.answering.most_bytes = most_bytes
    scene = clock("trace", paths=False).scene
    clock("trace", "another", paths=False)  # drops the run of the first, where it is to
    parts = {"paths": clock("paths").paths.reproduce}
    for part, asked in (("cut", {"edges": ["*.*:1>5"], "how": "mask"}), ("hops", {"max_hops": 1}),
                        ("cone", {"at": "1,2", "directions": 1}), ("sources", {}),
                        ("orders", {"orders": ["decode"]})):  # fmt: skip
        parts[part] = clock(part, **asked).scene_parts[part]["reproduce"]
    for part, lines in {"trace": scene.reproduce, **parts}.items():
        assert lines.recipe.text.words == scene.text, part
        assert "--chat" not in lines.cli.split(), part
        assert lines.cli, part
    saved = clock("save").file
    assert wl.load_trace(saved).tokens.text == scene.text


def test_rendered_chats_are_kept_up_to_a_size(clock, monkeypatch):
    monkeypatch.setattr(answering_, "MOST_CHARS", 60)
    for text in ("a", "b" * 50, "c"):
        clock("hops", text, max_hops=0)
    assert list(clock.answering.chats) == ["c"]


def test_a_model_without_a_template_has_no_chats(tmp_path):
    answering = Answering(loaded("llama"), tmp_path)
    with pytest.raises(InputError, match="chat template"):
        answering(
            QUESTIONS.validate_python({"ask": "trace", "text": IDS, "chat": True}), lambda _: None
        )
