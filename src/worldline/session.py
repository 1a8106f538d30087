"""observe(): text in, every stage called in order. The file to open first.

load_model    models/       weights, tokenizer, identity; tokenize  tokens/  tokens with offsets
record        runs/         one run, both highways, closure          (models/ watches)
attribute     attribution/  every K/V edge gets a number, paths are followed
picture       views/        a Scene, which text, HTML, JSON and the widget are drawn from
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worldline.attribution.attribute import attribute
from worldline.attribution.block_writes import write_coherence
from worldline.attribution.logit_lens import logit_lens
from worldline.attribution.path_summary import paths_of
from worldline.models.loader import LoadedModel, load_model, refuse_another
from worldline.models.model_calls import model_call, text_first, words_of
from worldline.observation import Observation
from worldline.requests import TraceRequest
from worldline.runs.recorder import record
from worldline.tokens.chat_templates import ends_left_out, tokens_of, turns_of, unsteady
from worldline.tokens.input_text import WrittenText
from worldline.tokens.targets import refuse_targets, token_text
from worldline.tokens.units import page_groups
from worldline.views.reproduce import recipe_of
from worldline.views.scene_builder import picture
from worldline.views.schema.recipe import recipe_on

if TYPE_CHECKING:
    import torch

    from worldline.runs.trace import Trace
    from worldline.tokens.tokens import Tokens
    from worldline.views.schema.recipe import Recipe

CHAT_ONLY = (
    "From Python only: this text is a chat with its special tokens written out; a command line "
    "would read other tokens from it."
)
CLOSED_OVER_SOURCES = 128  # positions up to which every head and source is added up anew


@text_first
def observe(
    text: str | Tokens | Sequence[int],
    model: str | tuple[Any, Any] | LoadedModel | None = None,
    *,
    by: str | None = None,
    target: str | int | None = None,
    versus: str | int | None = None,
    how: str = "zero",
    chat: bool = False,
    verify: bool = False,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    seed: int | None = None,
    top: int = 2000,
    paths: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Observation:
    """Trace `text` through `model` and attribute every K/V edge.

    Args:
        text: The text, or the ids of one, where these are what the tokenizer makes of it.
        model: A model's name, a (model, tokenizer) pair or a model from `load_model`; by default
            the bundled one.
        by: The method of attribution, as `attribute` has it: "gradient" (default), "frozen" or
            "contribution".
        target: The token that is asked about (its text, "id:N" or its id; by default the likeliest
            next one).
        versus: A second token: the difference of the two logits is asked about.
        how: The cut that a gradient is matched to: "zero" or "mask".
        chat: Whether the text is set as a user's turn of a chat.
        verify: Whether this very run is compared with a plain one and closed at every node.
        device: Where a model that is named runs; of one in memory only its own is accepted.
        dtype: In what it computes, likewise.
        seed: Seed of everything random.
        top: How many edges to list.
        paths: Whether whole paths are summed and followed (None: for up to 32 tokens).
        progress: Called with a line whenever work goes on.

    Returns:
        The trace, the attribution and the Scene that is drawn from them.

    Raises:
        InputError: what was given cannot be used.
        RefusedError: the model failed a check.

    Exactness: as the Scene says of each number.
    """
    if isinstance(model, LoadedModel):
        refuse_another(model, device=device, dtype=dtype)
    else:
        model = load_model(model, device=device, dtype=dtype, progress=progress)
    with model_call(model.module):
        written = WrittenText.of_no_file(words_of(text, model))
        return observe_written(
            written, model, by=by, target=target, versus=versus, how=how, chat=chat, verify=verify,
            seed=seed, top=top, paths=paths, progress=progress,
        )  # fmt: skip


def observe_written(
    written: WrittenText,
    model: LoadedModel,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    chat: bool = False,
    verify: bool = False,
    seed: int | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
    **asked: Any,
) -> Observation:
    """As `observe`; its recipes name the file that the text was read from, and the threads."""
    refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
    (progress or _quiet)("recording")
    with model_call(model.module):
        tokens = tokens_of(model.tokenizer, written.text, chat)
        trace = record_tokens(model, tokens, verify=verify, seed=seed)
        return see(
            trace, written, target=target, versus=versus, chat=chat, verify=verify,
            threads=threads, progress=progress, **asked,
        )  # fmt: skip


def record_tokens(
    model: LoadedModel, tokens: Tokens, *, verify: bool = False, seed: int | None = None
) -> Trace:
    """Record a text's run, closed over heads and sources: a long one in some layers."""
    over = "sources" if len(tokens) <= CLOSED_OVER_SOURCES else "sample"
    return record(model, tokens, verify=verify, close_over=over, seed=seed)


def see(
    trace: Trace,
    written: WrittenText,
    *,
    by: str | None = None,
    target: str | int | None = None,
    versus: str | int | None = None,
    how: str | None = None,
    chat: bool = False,
    verify: bool = False,
    top: int = 2000,
    paths: bool | None = None,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Observation:
    """Attribute a run that was recorded and draw it; what may be asked is said at `observe`.

    `written`, `chat`, `verify` and `threads` are how it was recorded.
    """
    (say := progress or _quiet)("attributing")
    by, how = by or "gradient", how or "zero"
    assert trace.model is not None
    turns = turns_of(trace.model.tokenizer, written.text, chat, trace.tokens.text)
    groups = page_groups(trace.tokens, turns)
    target_free = by == "contribution" and target is None and versus is None
    own_top, own_groups = (top, groups) if target_free else (0, ())
    own_how = how if target_free else "zero"  # what by contribution does not read is refused
    flow = shares = attribute(trace, "contribution", how=own_how, top=own_top, groups=own_groups)
    if not target_free:
        flow = attribute(trace, by, target=target, versus=versus, how=how, top=top, groups=groups)
    say("drawing")
    left_out = ends_left_out(written.text, trace.tokens.text, turns) if chat else ""
    run, chat = recipe_of_run(trace.model, trace.tokens, written, chat, threads=threads)
    request = TraceRequest.model_construct(  # of values that were read and have run
        by=by, how=flow.meaning.how, target=token_text(target), versus=token_text(versus),
        chat=chat, verify=verify, seed=trace.seed, top=top, paths=paths,
    )  # fmt: skip
    recipe = recipe_of(run, request)
    scene = picture(
        trace,
        flow,
        shares=shares.shares,
        lens=logit_lens(trace),
        writes=write_coherence(trace) if _is_fully_closed(trace) else None,
        paths=paths_of(trace, flow.meaning.target, paths, say),
        recipe=recipe,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        left_out=left_out,
    )
    return Observation(trace, flow, scene)


def recipe_of_run(
    model: LoadedModel,
    tokens: Tokens,
    written: WrittenText,
    chat: bool,
    *,
    takes_chats: bool = True,
    threads: int | None = None,
) -> tuple[Recipe, bool]:
    """What a run of `tokens` is made again from, and whether as a chat.

    That it is where its command `takes_chats` and its template has no clock. Else the text that
    was read stands for itself, if a tokenizer makes the same tokens of it.
    """
    why = unsteady(model.tokenizer) if chat else ""
    as_given = recipe_on(model, written, threads=threads)
    if not chat or (takes_chats and not why):
        return as_given, chat
    as_read = recipe_on(model, tokens.text, threads=threads)
    if tokens_of(model.tokenizer, tokens.text).ids == tokens.ids:
        return as_read, False
    if not takes_chats:
        return as_read.model_copy(update={"special_tokens": False, "unsaid": CHAT_ONLY}), False
    digest = hashlib.sha256(tokens.text.encode()).hexdigest()
    unsaid = (
        f"The model's chat template {why}: another time the same line makes another text. The one "
        f"that was read has {len(tokens.text):,} characters and, in UTF-8, SHA-256 {digest}."
    )
    return as_given.model_copy(update={"unsaid": unsaid}), True


def _is_fully_closed(trace: Trace) -> bool:
    """Whether every node was closed: then its writes were looked at one by one as well."""
    return trace.closure.over == "sources" and trace.closure.layers is None


def _quiet(_line: str) -> None: ...
