"""What every command about a text takes: the text, the model, and where the results go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import read_written, refuse_unwritable, write_json
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.streams import console

if TYPE_CHECKING:
    from worldline import LoadedModel, Tokens
    from worldline.tokens import WrittenText
    from worldline.views import Recipe

WIDTH = 100
Say = Callable[[str], None]


@dataclass(frozen=True)
class ModelOptions:
    """The text and the model that reads it."""

    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None
    file: options.File = None
    keep_newline: options.KeepNewline = False
    model: options.Model = None
    device: options.Device = "cpu"
    dtype: options.Dtype = None
    threads: options.Threads = None
    json: options.Json = None

    def written(
        self, *outputs: str | Path | None, reads: Sequence[Path | None] = ()
    ) -> WrittenText:
        """The text, once all that is known before a model is loaded has been checked.

        Args:
            outputs: Further files that are written.
            reads: Further files that are read.

        Raises:
            InputError: no text, files that must not be written, a device or dtype that is none.
        """
        input_text = read_written(self.text, self.file, keep_newline=self.keep_newline)
        refuse_unwritable(self.json, *outputs, reads=[self.file, *reads], models=[self.model])
        options.refuse_unknown(device=self.device, dtype=self.dtype)
        return input_text

    @contextmanager
    def loaded(self, text: str) -> Iterator[tuple[LoadedModel, Tokens, Say]]:
        """The model loaded, the text in tokens, and a progress line while inside."""
        from worldline import load_model, tokenize
        from worldline.runs import refuse_length

        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        with elapsed_line(console(stderr=True)) as say:
            model = load_model(self.model, device=self.device, dtype=self.dtype, progress=say)
            tokens = tokenize(model.tokenizer, text)
            refuse_length(model, tokens)
            yield model, tokens, say

    def write_numbers(
        self, lines: Sequence[str], numbers: dict[str, Any], model: LoadedModel, recipe: Recipe
    ) -> None:
        """What was measured, with how it is made again: the `lines`, `numbers` as JSON, or both."""
        from worldline.views import terminal_line

        reproduce_lines = recipe.reproduce_lines()
        if self.json != "-":
            again = [terminal_line(reproduce_lines), *filter(None, [reproduce_lines.note])]
            typer.echo("\n".join([*lines, "", *again]))
        if self.json is not None:
            names = ("name", "dtype", "device", "weights_hash")
            of_model = {"model": {name: getattr(model, name) for name in names}}
            reproduce = {"reproduce": reproduce_lines.model_dump(mode="json")}
            write_json(self.json, numbers | of_model | reproduce)


@dataclass(frozen=True)
class PictureOptions:
    """One HTML file of what was run."""

    out: options.Out = None
