"""What a run was made of: the one value from which its command line and Python call are printed.

Whoever runs something hands over the values that ran; no line is read back from printed words.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt

from worldline.models.bundled import BUNDLED_NAME
from worldline.tokens.input_text import WrittenText
from worldline.views.schema.parts import Part
from worldline.views.shell_words import as_output, pasteable, shell_join

if TYPE_CHECKING:
    from worldline.models.loader import LoadedModel

LONGEST_SHOWN = 1000  # characters; a longer text is named by a file and its hash
BUNDLED_DTYPE = "float32"
LOADED_DTYPES = ("float32", "bfloat16", "float16", "float64")
FROM_PYTHON = (
    "From Python only: `model` is the model in memory that ran, which no file is known to hold "
    "(it was made in memory, loaded with trust_remote_code or allow_pickle, or its weights, parts, "
    "hooks, functions, adapters, tokenizer or torch's settings are not those of a plain loading)."
)


class RecipeText(Part):
    """A text: in `words`, or, where it is long, in the UTF-8 `file` whose content has `sha256`.

    `before` and `after` are what the file has around the text that is no part of it, or what
    standard input would need around the words; `n_chars` are those of the text.
    """

    words: str | None
    file: str | None
    sha256: str
    n_chars: NonNegativeInt
    ends_in_newline: bool
    before: str = ""
    after: str = ""

    @classmethod
    def of(cls, text: str | WrittenText) -> RecipeText:
        """A short text stands for itself, a long one in the file that it was read from."""
        written = WrittenText.of_no_file(text) if isinstance(text, str) else text
        is_short = len(written.text) <= LONGEST_SHOWN
        around = ("", "") if is_short else (written.before, written.after)
        content = written.text.join(around)
        digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
        return cls(
            words=written.text if is_short else None,
            file=None if is_short else (written.file or f"text-{digest[:12]}.txt"),
            sha256=digest,
            n_chars=len(written.text),
            ends_in_newline=written.text.endswith("\n"),
            before=written.before,
            after=written.after,
        )

    @property
    def python(self) -> str:
        """The text as Python has it."""
        if self.words is not None:
            return repr(self.words)
        home = ".expanduser()" if (self.file or "").startswith("~") else ""
        mark = "'utf-8-sig'" if self.before else ""
        end = f".removesuffix({self.after!r})" if self.after else ""
        return f"__import__('pathlib').Path({self.file!r}){home}.read_bytes().decode({mark}){end}"

    @property
    def note(self) -> str:
        """What has to be in the file."""
        if self.file is None:
            return ""
        n_chars = len(self.before) + self.n_chars + len(self.after)
        return f"{self.file} holds {n_chars:,} characters in UTF-8, SHA-256 {self.sha256}."


class Recipe(Part):
    """A run as its command and its call name it.

    `source` is what loads the model, None where only the object in memory is it; `dtype` is None
    where the source has no other. `words` are options of `command`, `arguments` those of `call`
    beside model and text, as Python writes them. `each` is what the call is made for, such as
    "pos in range(4)"; `special_tokens` is False for a text that has them written out. `unsaid`
    says why there is no command line, where the model is not the reason.
    """

    command: str
    call: str
    source: str | None
    device: str
    dtype: str | None
    text: RecipeText
    patch: RecipeText | None = None
    words: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    each: str = ""
    special_tokens: bool = True
    threads: NonNegativeInt | None = None
    unsaid: str = ""

    @property
    def note(self) -> str:
        """What has to be there before the lines run, and why there is no command line."""
        texts = dict.fromkeys(
            recipe_text.note
            for recipe_text in (self.text, self.patch)
            if recipe_text and recipe_text.note
        )
        why = " ".join(filter(None, [FROM_PYTHON if self.source is None else "", self.unsaid]))
        set_so = f"torch.set_num_threads({self.threads}) was set." if self.threads and why else ""
        return " ".join(filter(None, [why, *texts, set_so]))

    def line(self, *more: str) -> str:
        """The command line, with `more` options; empty where no command line can say it."""
        if self.source is None or self.unsaid:
            return ""
        options = [*self.words, *self._patch_words(), *self._model_words(), *more]
        if self.threads is not None:
            options += ["--threads", str(self.threads)]
        start, text = ["worldline", self.command], self.text.words
        file_texts = [
            recipe_text
            for recipe_text in (self.text, self.patch)
            if recipe_text is not None and recipe_text.file
        ]
        if text is not None and (text == "-" or "\0" in text):
            file_texts.append(self.text)
        is_kept = any(file_text.ends_in_newline and not file_text.after for file_text in file_texts)
        keep = ["--keep-newline"] if is_kept else []
        if text is None:
            return shell_join([*start, "--file", self.text.file or "", *keep, *options])
        if text == "-" or "\0" in text:  # no argument: the one is standard input, the other its end
            given = as_output(self.text.before + text + self.text.after)
            return f"{given} | " + shell_join([*start, "-", *keep, *options])
        if text.startswith("-"):
            return shell_join([*start, *keep, *options, "--", text])
        return shell_join([*start, text, *keep, *options])

    def python(self, part: str = "") -> str:
        """The call, or the `part` of what it gives."""
        arguments = list(self.arguments)
        text = self.text.python
        if not self.special_tokens:
            text = f"wl.tokenize(model.tokenizer, {text}, add_special_tokens=False)"
        if self.call in ("observe", "summarize_paths"):
            first = [text, *(["model"] if self.source is None else self._load_words("model="))]
        else:
            first = [
                self._model(any("model." in argument for argument in (text, *arguments))),
                text,
            ]
        call_code = f"wl.{self.call}({', '.join([*first, *arguments])})" + (
            f".{part}" if part else ""
        )
        if not self.each:
            return call_code
        model_loop = "" if self.source is None else f" for model in [{self._load_call()}]"
        return f"[{call_code}{model_loop} for {self.each}]"

    def reproduce_lines(self) -> SceneReproduce:
        """Both lines, with the value itself."""
        return SceneReproduce(cli=self.line(), python=self.python(), note=self.note, recipe=self)

    def _model(self, used_again: bool) -> str:
        if self.source is None or self.each:
            return "model"
        return f"(model := {self._load_call()})" if used_again else self._load_call()

    def _load_call(self) -> str:
        return f"wl.load_model({', '.join(self._load_words(''))})"

    def _load_words(self, name: str) -> list[str]:
        words = [] if self.source == BUNDLED_NAME else [f"{name}{self.source!r}"]
        words += [] if self.device == "cpu" else [f"device={self.device!r}"]
        return words + ([] if self.dtype is None else [f"dtype={self.dtype!r}"])

    def _model_words(self) -> list[str]:
        words = [] if self.source == BUNDLED_NAME else option("model", self.source or "")
        words += [] if self.device == "cpu" else option("device", self.device)
        return words + ([] if self.dtype is None else option("dtype", self.dtype))

    def _patch_words(self) -> list[str]:
        if self.patch is None:
            return []
        if self.patch.words is None:
            return option("patch-file", self.patch.file or "")
        return option("patch-from", self.patch.words)


class SceneReproduce(Part):
    """The command line and the Python call that give the same again.

    ``cli`` is empty where no command line can; ``note`` says why, and what must be there first.
    ``recipe`` is what both are printed from; null in files of older versions.
    """

    cli: str
    python: str
    note: str = ""
    recipe: Recipe | None = None


def recipe_on(model: LoadedModel, text: str | WrittenText, *, threads: int | None = None) -> Recipe:
    """A model and a text, of which a recipe is then made with `model_copy`.

    `threads` are how many were asked for.
    """
    source, dtype = model.source, model.dtype
    is_bundled = source == BUNDLED_NAME and dtype == BUNDLED_DTYPE
    return Recipe(
        command="",
        call="",
        source=source,
        device=model.device,
        dtype=None if is_bundled or dtype not in LOADED_DTYPES else dtype,
        text=RecipeText.of(text),
        threads=threads,
    )


def option(name: str, value: str | int | float) -> list[str]:
    """An option with its value, which may look like an option itself.

    >>> option("target", " Paris"), option("target", "-x")
    (['--target', ' Paris'], ['--target=-x'])
    """
    value_text = str(value)
    return [f"--{name}={value_text}"] if value_text.startswith("-") else [f"--{name}", value_text]


def terminal_line(lines: SceneReproduce) -> str:
    """What a terminal shows, so that it comes back whole when it is copied from there."""
    if lines.cli:
        return f"again: {pasteable(lines.cli)}"
    why = lines.recipe.unsaid if lines.recipe is not None else ""
    return f"again, from Python: {lines.python}{why and f'  # {why}'}"
