"""observe(): text in, every stage called in order. The file to open first.

load_model    model/   weights, tokenizer, identity; tokenize  text/  tokens with offsets
record        trace/   one run, both highways, closure        (run/ executes, model/ watches)
weigh         flow/    every K/V edge gets a number, paths are followed
picture       views/   a Scene, which text, HTML and JSON are drawn from
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worldline.flow.lens import logit_lens
from worldline.flow.summary import paths_of
from worldline.flow.weighing import weigh
from worldline.flow.writes import write_coherence
from worldline.model.bundled import BUNDLED_NAME
from worldline.model.load import LoadedModel, load_model
from worldline.text.chat import Turn, render_chat
from worldline.text.grouping import groupings
from worldline.text.tokens import tokenize
from worldline.trace.recording import record
from worldline.views.html import render_html
from worldline.views.picture import numbers, picture, reproduce
from worldline.views.scene import Scene
from worldline.views.terminal import render_text

if TYPE_CHECKING:
    from worldline.flow.flow import Flow
    from worldline.trace.trace import Trace

CLOSED_OVER_SOURCES = 128  # positions up to which every head and source is added up anew
UNGROUPED = 60  # tokens that all have their label in a page 1,440 pixels wide


@dataclass(eq=False)
class Observation:
    """What observe() saw: the trace, the flow, and the Scene that shows them."""

    trace: Trace
    flow: Flow
    scene: Scene

    def show(self, width: int = 100, *, color: bool = False) -> str:
        """The picture as text for a terminal of `width` cells."""
        return render_text(self.scene, width=width, color=color)

    def html(self) -> str:
        """The picture as one HTML file that asks for nothing from the network."""
        return render_html(self.scene)

    def json(self) -> dict[str, Any]:
        """The numbers of the command line's --json."""
        return numbers(self.scene, self.trace.opaque_layers)


def observe(
    text: str,
    model: str | tuple[Any, Any] | LoadedModel | None = None,
    *,
    by: str | None = None,
    target: str | int | None = None,
    versus: str | int | None = None,
    how: str = "drop",
    chat: bool = False,
    verify: bool = False,
    device: str = "cpu",
    dtype: str | None = None,
    seed: int | None = None,
    top: int = 2000,
    paths: bool | None = None,
    progress: Callable[[str], None] | None = None,
) -> Observation:
    """Trace `text` through `model` and weigh every K/V edge.

    `by` is "gradient" (default: what the target, by default the likeliest next token, owes to
    each edge), "frozen" (all paths through it) or "share". `chat` sets the text as a user's turn.
    `paths` sums and follows whole paths (None: for up to 32 tokens).

    Raises: InputError for what cannot be used, RefusedError where the model failed a check.
    """
    say = progress or (lambda _line: None)
    if not isinstance(model, LoadedModel):
        model = load_model(model, device=device, dtype=dtype, progress=progress)
    shown, turns, special = text, (), None
    if chat:
        shown, turns, special = *render_chat(model.tokenizer, [Turn("user", text)]), False
    tokens = tokenize(model.tokenizer, shown, add_special_tokens=special)
    say("recording")
    over = "sources" if len(tokens) <= CLOSED_OVER_SOURCES else "terms"
    trace = record(model, tokens, verify=verify, close_over=over, seed=seed)
    say("weighing")
    by = by or "gradient"
    groups = groupings(tokens, turns) if len(tokens) > UNGROUPED else ()
    flow = weigh(trace, by, target=target, versus=versus, how=how, top=top, groups=groups)
    shares = flow if by == "share" else weigh(trace, "share", top=0)
    say("drawing")
    scene = picture(
        trace,
        flow,
        shares=shares.shares,
        lens=logit_lens(trace),
        writes=write_coherence(trace) if over == "sources" else None,
        paths=paths_of(trace, flow.meaning.target, paths, say),
        reproduce=reproduce(
            text,
            by=by,
            target=target,
            versus=versus,
            how=flow.meaning.how,
            chat=chat or None,
            paths=paths,
            model=None if model.name == BUNDLED_NAME else model.name,
        ),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Observation(trace, flow, scene)
