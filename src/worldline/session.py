"""observe(): text in, every stage called in order. The file to open first.

load_model    model/   weights, tokenizer, identity
tokenize      text/    tokens with offsets
record        trace/   one run, both highways, closure        (run/ executes, model/ watches)
weigh         flow/    every K/V edge gets a number
picture       views/   a Scene, which text, HTML and JSON are drawn from
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from worldline.flow.lens import logit_lens
from worldline.flow.weigh import weigh
from worldline.model.load import LoadedModel, load_model
from worldline.text.chat import Turn, render_chat
from worldline.text.tokens import tokenize
from worldline.trace.record import record
from worldline.views.html import render_html
from worldline.views.picture import picture
from worldline.views.scene import Scene
from worldline.views.terminal import render_text

if TYPE_CHECKING:
    from worldline.flow.flow import Flow
    from worldline.trace.trace import Trace

CLOSED_OVER_SOURCES = 128  # positions up to which every head and source is added up anew


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
        scene = json.loads(self.scene.model_dump_json(by_alias=True))
        names = ("schema", "model", "tokens", "inert", "closure_error", "predictions")
        found = {name: scene[name] for name in names}
        found |= {name: scene["model"][name] for name in ("n_layers", "n_heads")}
        found |= {name: scene[name] for name in ("weighing", "edges", "kept", "versions", "seed")}
        return found | {
            "schema": "worldline.observation/1",
            "opaque_layers": list(self.trace.opaque_layers),
        }


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
    progress: Callable[[str], None] | None = None,
) -> Observation:
    """Trace `text` through `model` and weigh every K/V edge.

    `by` is "gradient" (default: what the target, by default the likeliest next token, owes to
    each edge) or "share". `chat` sets the text as a user's turn in the model's chat template.

    Raises:
        InputError: what was given cannot be used.
        RefusedError: the model failed a check; no number is given.
    """
    say = progress or (lambda line: None)
    loaded = (
        model
        if isinstance(model, LoadedModel)
        else load_model(model, device=device, dtype=dtype, progress=progress)
    )
    shown, special = text, None
    if chat:
        shown, _spans = render_chat(loaded.tokenizer, [Turn("user", text)])
        special = False
    say("recording")
    tokens = tokenize(loaded.tokenizer, shown, add_special_tokens=special)
    over = "sources" if len(tokens) <= CLOSED_OVER_SOURCES else "terms"
    trace = record(loaded, tokens, verify=verify, close_over=over, seed=seed)
    say("weighing")
    by = by or "gradient"
    shares = weigh(trace, "share", top=top if by == "share" else 0)
    flow = (
        shares
        if by == "share"
        else weigh(trace, by, target=target, versus=versus, how=how, top=top)
    )
    say("drawing")
    options = {"by": by, "target": target, "versus": versus, "how": how if by != "share" else None,
               "chat": chat or None, "model": model if isinstance(model, str) else None}  # fmt: skip
    scene = picture(
        trace,
        flow,
        shares=shares.shares,
        lens=logit_lens(trace),
        reproduce=reproduce(text, {k: v for k, v in options.items() if v is not None}),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Observation(trace, flow, scene)


def reproduce(text: str, options: dict[str, Any]) -> tuple[str, str]:
    """The command line and the Python call that make the same picture."""
    flags = [f"--{k}" if v is True else f"--{k} {shlex.quote(str(v))}" for k, v in options.items()]
    words = "".join(f", {k}={v!r}" for k, v in options.items())
    return " ".join(["worldline trace", shlex.quote(text), *flags]), f"wl.observe({text!r}{words})"
