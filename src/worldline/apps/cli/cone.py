"""``worldline cone``: what a perturbation at one node does to all others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.altered_pictures import (
    WIDTH,
    load_and_tokenize,
    write_numbers,
    write_picture,
)
from worldline.apps.cli.output_files import read_written, refuse_unwritable
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline import Node

THROUGH = ("residual", "kv", "both")


def cone(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    keep_newline: options.KeepNewline = False,
    at: Annotated[str | None, typer.Option(help="The node that is perturbed, LAYER,POS.")] = None,
    through: Annotated[
        str | None, typer.Option(help="residual, kv or both: how it leaves (default: all three).")
    ] = None,
    directions: Annotated[
        int, typer.Option(max=options.MOST, help="Random directions to perturb in.")
    ] = 4,
    step: Annotated[
        float, typer.Option(help="Size of the perturbation over the node's norm.")
    ] = 1e-2,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    out: options.Out = None,
    json: options.Json = None,
) -> None:
    """Perturb one node a little and see its light cone: which nodes change, by which highway."""
    from worldline.tokens import MORE_THAN_ANY

    input_text = read_written(text, file, keep_newline=keep_newline)
    refuse_unwritable(json, out, reads=[file], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    if at is None:
        raise InputError("--at: name the node, LAYER,POS, such as 12,1 (-1 is the last token)")
    if through not in (None, *THROUGH):
        raise InputError(f"--through {through}: accepted are {', '.join(THROUGH)}")
    if directions < 1:
        raise InputError(f"--directions {directions}: accepted are whole numbers from 1")
    if not 0 < step < math.inf:
        raise InputError(f"--step {step}: accepted are finite numbers above 0")
    _node(at, MORE_THAN_ANY)  # its grammar; whether the text has it is seen when it is read
    with load_and_tokenize(input_text.text, model, device, dtype, threads) as (
        loaded_model,
        tokens,
        say,
    ):
        from worldline import light_cone
        from worldline.views import (
            SceneCone,
            cone_lines,
            cone_recipe,
            recipe_on,
            split_note,
            token_labels,
        )

        node = _node(at, len(tokens))
        cone_result = light_cone(
            loaded_model, tokens, at=node, directions=directions, step=step,
            seed=seed or 0, through=(through,) if through else THROUGH, progress=say,
        )  # fmt: skip
        lines = cone_lines(
            SceneCone.model_validate(cone_result.scene()), token_labels(tokens), WIDTH
        )
        lines += split_note(tokens.groups)
        if cone_result.derivative_error is None:
            lines.append(cone_result.derivative)
        recipe = cone_recipe(
            recipe_on(loaded_model, input_text, threads=threads), node.layer,
            node.pos, directions=directions, seed=seed or 0, step=step, through=through,
        )  # fmt: skip
        write_numbers(lines, cone_result.json(), loaded_model, recipe, json)
        write_picture(out, loaded_model, recipe, input_text, say, json, cone=cone_result.scene())


def _layer_and_position(node_text: str) -> tuple[int, str]:
    layer, comma, pos = node_text.partition(",")
    if not comma or not layer.strip().isdecimal() or len(layer) > 9:
        raise InputError(f"--at {node_text[:40]}: accepted is LAYER,POS, such as 12,1")
    return int(layer), pos


def _node(node_text: str, n_pos: int) -> Node:
    from worldline import Node
    from worldline.tokens import number_span

    layer, pos = _layer_and_position(node_text)
    positions = number_span(pos, n_pos, "--at position")
    if len(positions) != 1:
        raise InputError(
            f"--at {node_text}: names {len(positions)} positions; accepted is one node"
        )
    return Node(layer=layer, pos=min(positions))
