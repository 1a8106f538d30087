"""The bundled model end to end: the command, its files, the page; weights by intervention."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from oracles import Float64
from worldline.attribution.attribute import attribute
from worldline.graph.edits import EdgeCut, HopBudget
from worldline.interventions.cut import cut, patch_source_of
from worldline.interventions.hop_curve import hop_curve
from worldline.models.attention import private_keys, tap_attention
from worldline.models.bundled import bundled_folder
from worldline.models.loader import load_model
from worldline.models.tracer import watched_forward
from worldline.models.validation import anatomy_of
from worldline.runs.forward_passes import inputs_of
from worldline.runs.hop_budgets import copies_of
from worldline.runs.plan import Plan
from worldline.runs.recorder import record
from worldline.runs.trace_files import load_trace
from worldline.session import observe
from worldline.tokens.tokens import single_token, tokenize

pytestmark = pytest.mark.bundled
TEXT = "The capital of France is"
OPENED = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PATIENCE_MS = 180_000  # a busy machine is no fault of the page


def worldline(*words, stdout=subprocess.PIPE):
    """The command in a process of its own."""
    command = [sys.executable, "-c", "from worldline.apps.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, words)], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
    )


@pytest.fixture(scope="module")
def traced(bundled, tmp_path_factory):
    """The command, run once; what it printed and wrote."""
    place = tmp_path_factory.mktemp("traced")
    files = {n: place / f"F.{n}" for n in ("json", "html", "safetensors")}
    done = worldline(
        "trace", TEXT, "--json", files["json"], "--out", files["html"],
        "--save", files["safetensors"], "--seed", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, files, json.loads(files["json"].read_text())


# --- the command ----------------------------------------------------------------------------------


def test_paris_comes_first(traced):
    done, _, found = traced
    assert found["predictions"][0]["token"] == " Paris"
    assert found["predictions"][0]["logprob"] == max(p["logprob"] for p in found["predictions"])
    assert "Paris" in done.stdout


def test_the_json_holds_every_field_that_is_promised(traced, bundled):
    _, _, found = traced
    assert {"schema", "model", "tokens", "n_layers", "n_heads", "inert", "closure_error",
            "predictions", "attribution", "edges", "coverage"} <= found.keys()  # fmt: skip
    assert (found["n_layers"], found["n_heads"]) == (30, 9)
    assert found["inert"] == {"checked": "probe", "equal": True, "calls": 30, "expected_calls": 30}
    assert {"token", "id", "logprob"} == found["predictions"][0].keys()
    assert {"by", "target", "how"} <= found["attribution"].keys()
    assert {"layer", "head", "src", "dst", "weight", "attention", "saturated"} == found["edges"][
        0
    ].keys()
    assert {"edges", "of", "share"} <= found["coverage"].keys()
    assert found["model"]["weights_hash"] == bundled.weights_hash
    assert 0 <= found["closure_error"]["worst"] <= found["closure_error"]["tolerance"]


def test_what_is_kept_is_consistent(traced):
    _, _, found = traced
    edges, coverage, n = found["edges"], found["coverage"], len(found["tokens"])
    sizes = [abs(edge["weight"]) for edge in edges]
    assert sizes == sorted(sizes, reverse=True)
    assert coverage["edges"] == len(edges)
    assert coverage["of"] == 30 * 9 * n * (n - 1) // 2
    assert coverage["share"] == pytest.approx(sum(sizes) / coverage["total"], rel=1e-9)
    assert 0 < coverage["share"] <= 1
    assert all(0 <= edge["src"] < edge["dst"] < n for edge in edges)


def test_the_saved_trace_gives_the_same_edges(traced, bundled):
    _, files, found = traced
    trace = load_trace(files["safetensors"])
    assert trace.seed == 1
    assert trace.tokens.text == TEXT
    flow = attribute(trace, "gradient", model=bundled)
    strongest = {tuple(e[:4]): e.weight for e in flow.edges}
    for edge in found["edges"][:50]:
        weight = strongest[edge["layer"], edge["head"], edge["src"], edge["dst"]]
        assert weight == pytest.approx(edge["weight"], rel=1e-3)


def test_a_wrong_target_is_one_line(bundled, command):
    done = command("trace", TEXT, "--target", " Parisian cat")
    assert done.code == 2
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith('worldline: target " Parisian cat" is ')
    assert "Traceback" not in done.err


def test_standard_output_without_space_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = worldline("trace", "t3", "--model", "tiny:llama", "--json", "-", stdout=full)
    assert done.returncode == 2
    last = [line for line in done.stderr.splitlines() if not line.endswith(" …")]
    assert last == ["worldline: cannot be written (No space left on device)"]


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def opened():
    """Opens a file with the network off; gives the page and what it complained or asked about."""
    playwright_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Debian's chromium in PATH")
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=OPENED, timeout=PATIENCE_MS
        )

        def open_file(path):
            page = browser.new_context(offline=True).new_page()
            page.set_default_timeout(PATIENCE_MS)
            complaints, requests = [], []
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(path.as_uri())
            page.locator(".wl-row").first.wait_for()
            return page, complaints, requests

        yield open_file
        browser.close()


def weight_by_hand(ids, edge, target):
    """a <v, u> from transformers alone: eager patterns, v_proj's output, autograd at o_proj."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bundled_folder(), attn_implementation="eager")
    attention = model.model.layers[edge["layer"]].self_attn
    seen = {}

    def keep_v(_module, _args, out):
        seen["v"] = out.detach()[0].view(len(ids), -1, attention.head_dim)

    def keep_z(_module, args):
        args[0].retain_grad()
        seen["z"] = args[0]

    attention.v_proj.register_forward_hook(keep_v)
    attention.o_proj.register_forward_pre_hook(keep_z)
    out = model(torch.tensor([ids]), use_cache=False, output_attentions=True)
    out.logits[0, -1, target].backward()
    head, src, dst = edge["head"], edge["src"], edge["dst"]
    a = out.attentions[edge["layer"]][0, head, dst, src].detach()
    u = seen["z"].grad[0, dst].view(-1, attention.head_dim)[head]
    return float(a * (seen["v"][src, head // attention.num_key_value_groups] @ u))


def test_a_number_in_the_page_is_recomputed(traced, opened):
    _, files, found = traced
    page, complaints, requests = opened(files["html"])
    shown = page.locator(".wl-edges [data-name=weight]").first
    weight = float(shown.get_attribute("value"))
    edge = found["edges"][0]
    assert weight == edge["weight"]
    ids = [token["id"] for token in found["tokens"]]
    target = found["attribution"]["target"]["id"]
    assert weight == pytest.approx(weight_by_hand(ids, edge, target), rel=1e-3)
    assert "Paris" in page.locator(".wl-next").inner_text()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "about:"))] == []


# --- silly inputs ---------------------------------------------------------------------------------

SILLY = {
    "emoji": "👩‍👩‍👧‍👦 loves 🇫🇷 and 🫠!",
    "cjk": "日本の首都は東京です。北京是中国的首都",
    "control": "a\x00b\x07c\x1b[31mred\x1b[0m\u202eltr\r\n\t end",
    "markup": "</script><script>alert(1)</script><b>&amp;",
    "long": "x" * 700,
    "spaces": "   \n\n   ",
    "one": "a",
    "special": "<|im_start|>user<|im_end|>",
    "mixed": "naïve Ünïcödé — “quotes” … ﷽",
}


@pytest.mark.parametrize("text", SILLY.values(), ids=SILLY)
def test_silly_texts(bundled, opened, tmp_path, text):
    seen = observe(text, bundled, top=50)
    n = len(seen.scene.tokens)
    assert seen.scene.text == text
    spans = [t for t in seen.scene.tokens if t.byte_end > t.byte_start]
    raw = text.encode()
    assert b"".join(raw[t.byte_start : t.byte_end] for t in spans) == raw
    assert seen.scene.coverage.of == 30 * 9 * n * (n - 1) // 2
    shown = seen.show(80)
    assert not any(ord(c) < 32 and c != "\n" for c in shown)
    assert "\u202e" not in shown
    json.dumps(seen.json(), allow_nan=False).encode()
    (tmp_path / "page.html").write_text(seen.html(), encoding="utf-8")
    page, complaints, requests = opened(tmp_path / "page.html")
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "about:"))] == []
    page.context.close()


def test_300_tokens(bundled):
    text = "All work and no play makes Jack a dull boy. " * 27
    seen = observe(text.strip(), bundled, top=500)
    n = len(seen.scene.tokens)
    assert 290 <= n <= 330
    assert seen.scene.coverage.of == 30 * 9 * n * (n - 1) // 2
    closure = seen.scene.closure_error
    assert closure.over == "sources"
    assert closure.n_nodes == 7 * n < closure.of_nodes == 30 * n  # a quarter of the layers
    assert len(seen.scene.edges) == 500
    seen.show(100)


# --- the second witness: what a weight says, done to the model ------------------------------------

STEP = 1e-3  # of an edge, to both sides


@pytest.fixture(scope="module")
def precise(bundled):
    """The same weights, everything in float64, and what is asked of them."""
    with Float64():
        model = load_model("bundled", dtype="float64")
        trace = record(model, TEXT)
        target = single_token(model.tokenizer, " Paris")
        flows = {
            how: attribute(trace, "gradient", target=target, how=how) for how in ("zero", "mask")
        }
    return model, trace, target, flows


def some_edges(flow):
    """Ten among the strongest hundred, ten among all that could matter."""
    draw = np.random.default_rng(0)
    strong = [flow.edges[at] for at in draw.choice(100, 10, replace=False)]
    return strong + [flow.edges[at] for at in draw.choice(len(flow.edges), 10, replace=False)]


def shifted(call, item, edge, how, keep):
    """Rewrite z of one item: an edge's weighted value scaled, or its score moved by log(keep)."""
    group = call.n_heads // call.v.shape[1]
    values = call.v[item, edge.head // group, : edge.dst + 1]
    q, k = call.q[item, edge.head, edge.dst], call.k[item, edge.head // group, : edge.dst + 1]
    scores = (k @ q) * call.scaling
    if how == "zero":
        a = torch.softmax(scores, 0)[edge.src]
        call.z[item, edge.head, edge.dst] -= (1 - keep) * a * values[edge.src]
    else:
        scores[edge.src] += math.log(keep)
        call.z[item, edge.head, edge.dst] = torch.softmax(scores, 0) @ values


def target_values(model, trace, target, how, cuts):
    """The target's logit for each (edge, what is kept of it): one batch, an item per cut."""

    def rewrite(call):
        call.z = call.z.clone()
        for item, (edge, keep) in enumerate(cuts):
            if edge.layer == call.layer:
                shifted(call, item, edge, how, keep)
        return call.z

    inputs = inputs_of(model, Plan(tuple(trace.tokens.ids)))
    inputs |= {"input_ids": inputs["input_ids"].expand(len(cuts), -1), "logits_to_keep": 1}
    with Float64(), torch.no_grad():
        seen = watched_forward(
            model.module, inputs, anatomy_of(model.module), terms=False, rewrite=rewrite
        )
    return seen.logits[:, -1, target].numpy()


def own_share(trace, edge):
    """a of one edge."""
    (call,) = trace.live[edge.layer].calls
    with Float64():
        return float(call.pattern_rows(edge.dst, edge.dst + 1)[edge.head, 0, edge.src])


@pytest.mark.parametrize("how", ["zero", "mask"])
def test_weights_are_what_intervening_shows(precise, how):
    """The derivative of the target by what is kept of an edge, to 1e-4 of the weight.

    For `mask` that derivative is a <v - z, u> = (1 - a) times the weight, which is for all of it.
    """
    model, trace, target, flows = precise
    edges = some_edges(flows[how])
    cuts = [(edge, 1 + sign * STEP) for edge in edges for sign in (1, -1)]
    values = target_values(model, trace, target, how, cuts).reshape(-1, 2)
    assert len(edges) == 20
    for edge, (more, less) in zip(edges, values, strict=True):
        factor = 1.0 if how == "zero" else 1 - own_share(trace, edge)
        derivative = (more - less) / (2 * STEP)
        assert derivative == pytest.approx(edge.weight * factor, rel=1e-4, abs=1e-8), edge


def test_whole_edges_cut_rank_as_their_weights_say(precise):
    """First order only: every twentieth of the strongest 2,000, column 0 left out."""
    model, trace, target, flows = precise
    edges = [e for e in flows["zero"].edges if e.src > 0][::20]
    plain, *cut = target_values(
        model, trace, target, "zero", [(edges[0], 1.0), *((edge, 0.0) for edge in edges)]
    )
    lost, weights = plain - np.array(cut), np.array([e.weight for e in edges])
    ranks = [np.argsort(np.argsort(values)) for values in (lost, weights)]
    assert np.corrcoef(*ranks)[0, 1] > 0.8
    assert np.mean(np.sign(lost) == np.sign(weights)) > 0.8


# --- runs that never happened ---------------------------------------------------------------------

LINCOLN = (
    "Four score and seven years ago our fathers brought forth on this continent, a new nation, "
    "conceived in Liberty, and dedicated to the proposition that all men are created equal. Now we "
    "are engaged in a great civil war, testing whether that nation, or any nation so conceived and "
    "so dedicated, can long endure."
)
#: Mean nats per predicted token for budgets 0 to 6, by an independent prototype.
PROTOTYPE = {
    "counted": (9.062, 6.170, 4.950, 3.552, 2.924, 2.688, 2.596),
    "free": (7.042, 5.411, 4.021, 3.165, 2.735, 2.645, 2.593),
}


@pytest.mark.parametrize("sink", PROTOTYPE)
def test_hop_budgets_are_the_prototypes(bundled, sink):
    curve = hop_curve(load_model(), LINCOLN, max_hops=6, sink=sink)
    np.testing.assert_allclose(curve.loss_nats, PROTOTYPE[sink], atol=0.005)
    assert curve.loss_full_nats == pytest.approx(2.597, abs=0.005)


def test_a_text_at_random_against_a_slow_second_implementation(bundled):
    """One run after the other with transformers' own eager attention, patched by hand."""
    model = load_model()
    draw = np.random.default_rng(11)
    ids = draw.integers(1000, 30000, 12).tolist()
    for sink in PROTOTYPE:
        plan = Plan(tuple(ids), budget=HopBudget(2, sink))
        ours = [copy.logits for copy in copies_of(model, plan)]
        before = None
        for found in ours:
            true, before = slow_copy(model.module, ids, before, sink)
            torch.testing.assert_close(
                found, true, rtol=0, atol=0.02
            )  # logits of float32, norms in the ten thousands


def slow_copy(module, ids, before, sink):
    """A forward in which every head of every layer is summed position by position."""
    kept, layers = [], module.model.layers
    heads, kv_heads = module.config.num_attention_heads, module.config.num_key_value_heads

    def attend(_delegate, _module, query, key, value, *_args, scaling=None, **_kwargs):
        layer, n_pos = len(kept), query.shape[2]
        kept.append((key, value))
        out = torch.zeros_like(query)
        for h in range(heads):
            g = h // (heads // kv_heads)
            for j in range(n_pos):
                k, v = key[0, g, : j + 1].clone(), value[0, g, : j + 1].clone()
                if before is not None:
                    k[:j], v[:j] = before[layer][0][0, g, :j], before[layer][1][0, g, :j]
                scores = (k @ query[0, h, j]) * scaling
                if before is None:
                    scores[(1 if sink == "free" else 0) : j] = -torch.inf
                out[0, h, j] = scores.softmax(-1) @ v
        return out.transpose(1, 2), None

    with torch.no_grad(), private_keys(module), tap_attention(attend):
        logits = module(torch.tensor([ids]), use_cache=False).logits[0]
    assert len(kept) == len(layers)
    return logits, kept


def test_what_is_cut_is_what_the_page_of_cuts_says(bundled):
    """The numbers of docs/altered_runs.md, and a patch that puts another name in."""
    model = load_model()
    text = "When Mary and John went to the store, John gave a drink to"
    tokens = tokenize(model.tokenizer, text)
    one = cut(model, tokens, [EdgeCut("mask", (9,), (13,), (23,), (3,))])
    assert one.target == " Mary"
    assert one.change_nats == pytest.approx(-0.069, abs=0.003)
    patch_source = patch_source_of(model, tokens, text.replace("Mary", "Lisa"))
    seen = cut(model, tokens, [EdgeCut("patch", (1,), patch_source=patch_source)])
    assert seen.before[0].token == " Mary"
    assert seen.after[0].token == " Lisa"
