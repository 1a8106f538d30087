"""What commands about altered runs share: a model and a text ready, the picture written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from worldline.apps.cli.output_files import write_json, write_text
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.streams import console

if TYPE_CHECKING:
    from worldline import LoadedModel, Tokens
    from worldline.tokens import WrittenText
    from worldline.views import Recipe

WIDTH = 100
Say = Callable[[str], None]


@contextmanager
def load_and_tokenize(
    text: str, model: str | None, device: str, dtype: str | None, threads: int | None
) -> Iterator[tuple[LoadedModel, Tokens, Say]]:
    """The model loaded, the text in tokens, and a progress line while inside."""
    from worldline import load_model, tokenize
    from worldline.runs import refuse_length

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    with elapsed_line(console(stderr=True)) as say:
        loaded_model = load_model(model, device=device, dtype=dtype, progress=say)
        tokens = tokenize(loaded_model.tokenizer, text)
        refuse_length(loaded_model, tokens)
        yield loaded_model, tokens, say


def write_numbers(
    lines: Sequence[str], numbers: dict[str, Any], model: LoadedModel, recipe: Recipe,
    json: str | None,
) -> None:  # fmt: skip
    """What was measured, with how it is made again: the `lines`, the `numbers` as JSON, or both.

    `json` is as the option has it: a file, - for standard output in place of the lines, or None.
    """
    from worldline.views import terminal_line

    reproduce_lines = recipe.reproduce_lines()
    if json != "-":
        typer.echo(
            "\n".join(
                [*lines, "", terminal_line(reproduce_lines), *filter(None, [reproduce_lines.note])]
            )
        )
    if json is not None:
        names = ("name", "dtype", "device", "weights_hash")
        of = {"model": {name: getattr(model, name) for name in names}}
        write_json(json, numbers | of | {"reproduce": reproduce_lines.model_dump(mode="json")})


def write_picture(
    out: Path | None, model: LoadedModel, recipe: Recipe, written: WrittenText, say: Say,
    json: str | None,
    **altered_parts: dict[str, Any],
) -> None:  # fmt: skip
    """The picture of the plain run with what an altered one said, if a file was named.

    `recipe` is that of the altered run.
    """
    if out is None:
        return
    from worldline.session import observe_written
    from worldline.views import render_html, with_altered

    observation = observe_written(written, model, paths=False, threads=recipe.threads, progress=say)
    parts = {
        name: part | {"reproduce": recipe.reproduce_lines()} for name, part in altered_parts.items()
    }
    page = render_html(with_altered(observation.scene, **parts))
    typer.echo(str(write_text(out, page)), err=json == "-")
