"""Answers questions with one loaded model; keeps the last recorded runs, to be asked again."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.attribution.attribute import target_of
from worldline.attribution.path_summary import paths_of
from worldline.errors import InputError
from worldline.runs.trace_match import has_changed
from worldline.service.requests import (
    ConeQuestion,
    CutQuestion,
    HopsQuestion,
    OrdersQuestion,
    PathsQuestion,
    SeeQuestion,
    SourcesQuestion,
    TextQuestion,
    TraceQuestion,
)
from worldline.session import recipe_of_run, record_tokens, see
from worldline.tokens.chat_templates import tokens_of
from worldline.tokens.input_text import WrittenText
from worldline.tokens.targets import refuse_targets
from worldline.tokens.tokens import tokenize
from worldline.views.altered_runs import with_altered
from worldline.views.html import scene_json
from worldline.views.number_records import with_meanings
from worldline.views.reproduce import (
    cone_recipe,
    cut_recipe,
    hops_recipe,
    orders_recipe,
    sources_recipe,
    trace_recipe,
)
from worldline.views.scene_builder import paths_shown
from worldline.views.schema.alterations import SceneAltered

if TYPE_CHECKING:
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Trace
    from worldline.tokens.tokens import Tokens
    from worldline.views.schema.recipe import Recipe
    from worldline.views.schema.scene import Scene, ScenePaths

MOST_SCENES = 8
MOST_BYTES = 2 << 30  # of recorded runs that are kept
MOST_CHARS = 1 << 26  # of rendered chats that are kept, longer than any recorded run
TOKENS_AT_ONCE = 1024  # of hop budgets side by side: a step takes so much longer, and more memory
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Answer:
    """JSON for the wire; the Scene or the part of one behind it; or a file."""

    wire: str
    scene: Scene | None = None
    scene_parts: dict[str, Any] | None = None
    paths: ScenePaths | None = None
    file: Path | None = None

    def nbytes(self) -> int:
        """About how much memory it holds: a Scene is some times its JSON."""
        return len(self.wire) * (8 if self.scene is not None else 2)

    @property
    def file_bytes(self) -> int:
        """How much of the disk it holds."""
        return self.file.stat().st_size if self.file is not None and self.file.exists() else 0

    def drop(self) -> None:
        """Nobody wants it any more: its file goes."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)


def refuse_alone(target: str | None, versus: str | None) -> None:
    """Raise InputError for a token that is compared with nothing."""
    if versus is not None and target is None:
        raise InputError("versus: needs a target, the token it is compared with")


class Answering:
    """Answers any question about any text, with one model. Not for two threads at once."""

    def __init__(self, model: LoadedModel, folder: Path, most_bytes: int = MOST_BYTES):
        self.model, self.folder, self.most_bytes = model, folder, most_bytes
        self.traces: OrderedDict[tuple[str, bool], Trace] = OrderedDict()
        self.scenes: OrderedDict[tuple[str, bool], Scene] = OrderedDict()
        self.chats: OrderedDict[str, str] = OrderedDict()
        self.n_saved = 0

    def __call__(self, question: TextQuestion, say: Say) -> Answer:
        """The answer.

        Raises: InputError, RefusedError as the call behind the question; StoppedError.
        """
        if isinstance(question, (SeeQuestion, PathsQuestion, CutQuestion)):
            target, versus, model = question.target, question.versus, self.model
            refuse_alone(target, versus)
            refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
        if isinstance(question, SeeQuestion):
            return self._see(question, say)
        if isinstance(question, PathsQuestion):
            return self._paths(question, say)
        if isinstance(question, TraceQuestion):
            return self._save(question, say)
        tokens = self.tokens_of(question)
        part, value, recipe = self._scene_part(question, tokens, say)
        value["reproduce"] = recipe.reproduce_lines()
        checked_part = SceneAltered.model_validate({part: value})
        wire: dict[str, Any] = {part: checked_part.model_dump(mode="json")[part]}
        return Answer(
            json.dumps(wire | self._meanings(question, **{part: value}), allow_nan=False),
            scene_parts={part: value},
        )

    def _meanings(self, question: TextQuestion, **scene_parts: Any) -> dict[str, Any]:
        """What the numbers of a part mean, beside the Scene that it is shown in."""
        scene = self.scenes.get((question.text, question.chat))
        if scene is None:
            return {}
        full_scene = with_altered(scene, **scene_parts)
        return {"meanings": {n: m.model_dump() for n, m in full_scene.meanings.items()}}

    def tokens_of(self, question: TextQuestion) -> Tokens:
        """The tokens of the question's text.

        A chat is rendered once: where its template has a clock, all parts are of one text.
        """
        tokenizer, text = self.model.tokenizer, question.text
        if not question.chat:
            return tokens_of(tokenizer, text)
        if text not in self.chats:
            self.chats[text] = tokens_of(tokenizer, text, True).text
        self.chats.move_to_end(text)
        held = sum(map(len, self.chats.values()))
        while held > MOST_CHARS and len(self.chats) > 1:
            held -= len(self.chats.popitem(last=False)[1])
        return tokenize(tokenizer, self.chats[text], add_special_tokens=False)

    def trace_of(self, question: TextQuestion, say: Say) -> Trace:
        """The recorded run of the question's text: kept, or recorded now."""
        key = question.text, question.chat
        if key not in self.traces or has_changed(self.traces[key]):
            say("recording")
            self.traces[key] = record_tokens(self.model, self.tokens_of(question))
        self.traces.move_to_end(key)
        n_bytes = sum(trace.nbytes() for trace in self.traces.values())
        while n_bytes > self.most_bytes and len(self.traces) > 1:
            n_bytes -= self.traces.popitem(last=False)[1].nbytes()
        return self.traces[key]

    def _see(self, question: SeeQuestion, say: Say) -> Answer:
        observation = see(
            self.trace_of(question, say),
            WrittenText.of_no_file(question.text),
            chat=question.chat,
            progress=say,
            by=question.by,
            target=question.target,
            versus=question.versus,
            how=question.how or "zero",
            top=question.top,
            paths=question.paths,
        )
        key = question.text, question.chat
        self.scenes[key] = observation.scene
        self.scenes.move_to_end(key)
        while len(self.scenes) > MOST_SCENES:
            self.scenes.popitem(last=False)
        return Answer(scene_json(observation.scene), scene=observation.scene)

    def _paths(self, question: PathsQuestion, say: Say) -> Answer:
        trace = self.trace_of(question, say)
        target = target_of(trace, question.target, question.versus)
        paths_summary = paths_of(trace, target, True, say)
        if isinstance(paths_summary, str):
            return Answer(json.dumps({"paths": None, "paths_left_out": paths_summary}))
        run, chat = self._run(question, trace.tokens)
        recipe = trace_recipe(
            run, by="gradient", how="zero", paths=True,
            target=question.target, versus=question.versus, chat=chat,
        )  # fmt: skip
        scene_paths = paths_shown(paths_summary, recipe)
        wire = {"paths": scene_paths.model_dump(mode="json"), "paths_left_out": None}
        scene = self.scenes.get((question.text, question.chat))
        if scene is not None:
            full_scene = with_meanings(scene.model_copy(update={"paths": scene_paths}))
            wire["meanings"] = {n: m.model_dump() for n, m in full_scene.meanings.items()}
        return Answer(json.dumps(wire, allow_nan=False), paths=scene_paths)

    def _save(self, question: TraceQuestion, say: Say) -> Answer:
        from worldline.runs.trace_files import save_trace

        trace = self.trace_of(question, say)
        say("saving the trace")
        self.n_saved += 1
        place = self.folder / f"trace{self.n_saved}.safetensors"
        save_trace(trace, place)
        return Answer(json.dumps({"bytes": place.stat().st_size}), file=place)

    def _run(
        self, question: TextQuestion, tokens: Tokens, takes_chats: bool = True
    ) -> tuple[Recipe, bool]:
        """What a part of this question was run on, and whether its recipe is of a chat."""
        written = WrittenText.of_no_file(question.text)
        return recipe_of_run(self.model, tokens, written, question.chat, takes_chats=takes_chats)

    def _scene_part(
        self, question: TextQuestion, tokens: Tokens, say: Say
    ) -> tuple[str, dict[str, Any], Recipe]:
        """(part of the Scene, its value, what made it)."""
        run, _ = self._run(question, tokens, takes_chats=False)
        if isinstance(question, CutQuestion):
            return self._cut(question, tokens, run, say)
        if isinstance(question, SourcesQuestion):
            from worldline.interventions.cut import cut_sources

            how, target = question.how, question.target
            result = cut_sources(self.model, tokens, how=how, target=target, progress=say)
            return "sources", result.scene(), sources_recipe(run, how, target, len(tokens))
        if isinstance(question, HopsQuestion):
            from worldline.interventions.hop_curve import curves_scene, hop_curves
            from worldline.runs.hop_budgets import AT_ONCE

            most = question.max_hops
            curves = hop_curves(
                self.model, tokens, sink=question.sink, max_hops=most, progress=say,
                at_once=max(1, min(AT_ONCE, TOKENS_AT_ONCE // len(tokens))),
            )  # fmt: skip
            recipe = hops_recipe(run, [curve.sink for curve in curves], max_hops=most)
            return "hops", curves_scene(curves), recipe
        if isinstance(question, ConeQuestion):
            from worldline.graph.node import Node
            from worldline.interventions.light_cone import light_cone

            layer, pos, seed = question.layer, question.pos, question.seed
            result = light_cone(
                self.model, tokens, at=Node(layer=layer, pos=pos), seed=seed,
                directions=question.directions, progress=say,
            )  # fmt: skip
            recipe = cone_recipe(run, layer, pos, directions=question.directions, seed=seed)
            return "cone", result.scene(), recipe
        assert isinstance(question, OrdersQuestion)
        from worldline.graph.order import Order
        from worldline.interventions.run_orders import ORDERS, run_orders

        orders = [Order.parse(order_text) for order_text in question.orders]
        result = run_orders(self.model, tokens, orders or ORDERS, progress=say)
        return "orders", result.scene(), orders_recipe(run, question.orders)

    def _cut(
        self, question: CutQuestion, tokens: Tokens, run: Recipe, say: Say
    ) -> tuple[str, dict[str, Any], Recipe]:
        from worldline.interventions.cut import cut, cut_scene
        from worldline.interventions.cut_grammar import written_cuts

        field_names = ("edges", "nodes", "how", "node_how", "parts", "patch_from", "align")
        cut_fields = {name: getattr(question, name) for name in field_names}
        edits = written_cuts(self.model, tokens, **cut_fields)
        say("running with and without the cut")
        target, versus = question.target, question.versus
        result = cut(self.model, tokens, edits, target=target, versus=versus)
        recipe = cut_recipe(run, edits, cut_fields=cut_fields, target=target, versus=versus)
        return "cut", cut_scene(result), recipe
