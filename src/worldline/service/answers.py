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
from worldline.requests import TargetedRequest, TraceRequest
from worldline.runs.trace_match import has_changed
from worldline.service.altered_run import run_altered
from worldline.service.questions import (
    ConeQuestion,
    CutQuestion,
    HopsQuestion,
    OrdersQuestion,
    PathsQuestion,
    SaveQuestion,
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
from worldline.views.reproduce import recipe_of
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
        if isinstance(question, TargetedRequest):
            target, versus, model = question.target, question.versus, self.model
            refuse_targets(model.tokenizer, target, versus, n_rows=model.n_rows)
        if isinstance(question, TraceQuestion):
            return self._trace(question, say)
        if isinstance(question, PathsQuestion):
            return self._paths(question, say)
        if isinstance(question, SaveQuestion):
            return self._save(question, say)
        assert isinstance(question, CutQuestion | HopsQuestion | ConeQuestion | OrdersQuestion)
        tokens = self.tokens_of(question)
        run, _ = self._run(question, tokens, takes_chats=False)
        altered = run_altered(self.model, tokens, question, run, say, tokens_at_once=TOKENS_AT_ONCE)
        part, value = altered.part, altered.scene | {"reproduce": altered.recipe.reproduce_lines()}
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

    def _trace(self, question: TraceQuestion, say: Say) -> Answer:
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
            verify=question.verify,
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
        request = TraceRequest(
            by="gradient", how="zero", paths=True,
            target=question.target, versus=question.versus, chat=chat,
        )  # fmt: skip
        scene_paths = paths_shown(paths_summary, recipe_of(run, request))
        wire = {"paths": scene_paths.model_dump(mode="json"), "paths_left_out": None}
        scene = self.scenes.get((question.text, question.chat))
        if scene is not None:
            full_scene = with_meanings(scene.model_copy(update={"paths": scene_paths}))
            wire["meanings"] = {n: m.model_dump() for n, m in full_scene.meanings.items()}
        return Answer(json.dumps(wire, allow_nan=False), paths=scene_paths)

    def _save(self, question: SaveQuestion, say: Say) -> Answer:
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
