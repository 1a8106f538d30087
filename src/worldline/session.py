"""observe(): text in, every stage called in order. The file to open first.

load_model    model/   weights, tokenizer, identity; tokenize  text/  tokens with offsets
record        trace/   one run, both highways, closure        (run/ executes, model/ watches)
weigh         flow/    every K/V edge gets a number, paths are followed
picture       views/   a Scene, which text, HTML, JSON and the widget are drawn from
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worldline.flow.lens import logit_lens
from worldline.flow.summary import paths_of
from worldline.flow.weighing import weigh
from worldline.flow.writes import write_coherence
from worldline.model.calls import model_call, text_first, words_of
from worldline.model.load import LoadedModel, load_model, refuse_another
from worldline.observation import Observation
from worldline.text.chat import ends_left_out, tokens_of, turns_of, unsteady
from worldline.text.grouping import page_groups
from worldline.text.targets import refuse_targets
from worldline.trace.recording import record
from worldline.views.again import trace_recipe
from worldline.views.picture import picture
from worldline.views.recipe import RecipeText, recipe_on

if TYPE_CHECKING:
    import torch

    from worldline.text.tokens import Tokens
    from worldline.trace.trace import Trace
    from worldline.views.recipe import Recipe

CLOSED_OVER_SOURCES = 128  # positions up to which every head and source is added up anew


@text_first
def observe(
    text: str | Tokens | Sequence[int],
    model: str | tuple[Any, Any] | LoadedModel | None = None,
    *,
    by: str | None = None,
    target: str | int | None = None,
    versus: str | int | None = None,
    how: str = "drop",
    chat: bool = False,
    verify: bool = False,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    seed: int | None = None,
    top: int = 2000,
    paths: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Observation:
    """Trace `text` through `model` and weigh every K/V edge.

    A text may also be given as the ids of one, where these are what the tokenizer makes of it.
    `by` is "gradient" (default: what the target, by default the likeliest next token, owes to
    each edge), "frozen" (all paths through it) or "share". `chat` sets the text as a user's turn.
    `paths` sums and follows whole paths (None: for up to 32 tokens). `device` and `dtype` are for
    a model that is named; of one in memory no other than its own is accepted.

    Raises: InputError for what cannot be used, RefusedError where the model failed a check.
    """
    if isinstance(model, LoadedModel):
        refuse_another(model, device=device, dtype=dtype)
    else:
        model = load_model(model, device=device, dtype=dtype, progress=progress)
    refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
    (progress or _quiet)("recording")
    asked = {"by": by, "target": target, "versus": versus, "how": how, "top": top, "paths": paths}
    with model_call(model.module):
        words = words_of(text, model)
        trace = record_text(model, words, chat=chat, verify=verify, seed=seed)
        return see(trace, words, chat=chat, verify=verify, progress=progress, **asked)


def record_text(
    model: LoadedModel,
    text: str,
    *,
    chat: bool = False,
    verify: bool = False,
    seed: int | None = None,
) -> Trace:
    """Record a text's run, closed over heads and sources: a long one in some layers."""
    tokens = tokens_of(model.tokenizer, text, chat)
    over = "sources" if len(tokens) <= CLOSED_OVER_SOURCES else "sample"
    return record(model, tokens, verify=verify, close_over=over, seed=seed)


def see(
    trace: Trace,
    text: str,
    *,
    by: str | None = None,
    target: str | int | None = None,
    versus: str | int | None = None,
    how: str = "drop",
    chat: bool = False,
    verify: bool = False,
    top: int = 2000,
    paths: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Observation:
    """Weigh a run that was recorded and draw it; what may be asked is said at `observe`.

    `chat` and `verify` are how it was recorded.
    """
    (say := progress or _quiet)("weighing")
    by = by or "gradient"
    assert trace.model is not None
    turns = turns_of(trace.model.tokenizer, text, chat, trace.tokens.text)
    groups = page_groups(trace.tokens, turns)
    target_free = by == "share" and target is None and versus is None
    own_top, own_groups = (top, groups) if target_free else (0, ())
    flow = shares = weigh(trace, "share", top=own_top, groups=own_groups)
    if not target_free:
        flow = weigh(trace, by, target=target, versus=versus, how=how, top=top, groups=groups)
    say("drawing")
    left_out = ends_left_out(text, trace.tokens.text, turns) if chat else ""
    run, chat = _made_again(trace, text, chat)
    recipe = trace_recipe(
        run, by=by, how=flow.meaning.how, target=target, versus=versus,
        chat=chat, verify=verify, seed=trace.seed, top=top, paths=paths,
    )  # fmt: skip
    scene = picture(
        trace,
        flow,
        shares=shares.shares,
        lens=logit_lens(trace),
        writes=write_coherence(trace) if _whole(trace) else None,
        paths=paths_of(trace, flow.meaning.target, paths, say),
        recipe=recipe,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        left_out=left_out,
    )
    return Observation(trace, flow, scene)


def _made_again(trace: Trace, text: str, chat: bool) -> tuple[Recipe, bool]:
    """What the run is made again from, and whether as a chat: not where its template has a clock.

    The text that was read stands for itself then, if a tokenizer makes the same tokens of it.
    """
    assert trace.model is not None
    tokenizer, tokens = trace.model.tokenizer, trace.tokens
    why = unsteady(tokenizer) if chat else ""
    if not why:
        return recipe_on(trace.model, text), chat
    if tokens_of(tokenizer, tokens.text).ids == tokens.ids:
        return recipe_on(trace.model, tokens.text), False
    read = RecipeText.of(tokens.text)
    unsaid = (
        f"The model's chat template {why}: another time the same line makes another text. The one "
        f"that was read has {read.n_chars:,} characters and, in UTF-8, SHA-256 {read.sha256}."
    )
    return recipe_on(trace.model, text).model_copy(update={"unsaid": unsaid}), chat


def _whole(trace: Trace) -> bool:
    """Whether every node was closed: then its writes were looked at one by one as well."""
    return trace.closure.over == "sources" and trace.closure.layers is None


def _quiet(_line: str) -> None: ...
