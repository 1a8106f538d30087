"""``worldline orders``: the same run in other orders of execution."""

from __future__ import annotations

from pathlib import Path
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
from worldline.foreign_json import read_json_file

if TYPE_CHECKING:
    from worldline import Order


def orders(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    keep_newline: options.KeepNewline = False,
    order: Annotated[
        list[str] | None,
        typer.Option(
            help="prefill, decode, wavefront(SLOPE), random(SEED), cone(LAYER,POS); repeatable."
        ),
    ] = None,
    slices: Annotated[
        Path | None,
        typer.Option(help="Read an order of your own: JSON, a list of lists of [layer, column]."),
    ] = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    out: options.Out = None,
    json: options.Json = None,
) -> None:
    """Execute the blocks of a run in other legal orders: slices, time, and that nothing changes."""
    input_text = read_written(text, file, keep_newline=keep_newline)
    refuse_unwritable(json, out, reads=[file, slices], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    from worldline import Order

    parsed_orders = [Order.parse(order_text) for order_text in order or ()]
    if slices is not None:
        parsed_orders.append(_read_order(slices))
    with load_and_tokenize(input_text.text, model, device, dtype, threads) as (
        loaded_model,
        tokens,
        say,
    ):
        from worldline import run_orders
        from worldline.interventions import ORDERS
        from worldline.views import SceneOrders, orders_lines, orders_recipe, recipe_on

        orders_result = run_orders(loaded_model, tokens, parsed_orders or ORDERS, progress=say)
        recipe = orders_recipe(
            recipe_on(loaded_model, input_text, threads=threads), order or (),
            slices and str(slices),
        )  # fmt: skip
        lines = orders_lines(SceneOrders.model_validate(orders_result.scene()), WIDTH)
        write_numbers(lines, orders_result.json(), loaded_model, recipe, json)
        write_picture(
            out, loaded_model, recipe, input_text, say, json, orders=orders_result.scene()
        )


def _read_order(place: Path) -> Order:
    from worldline import Order

    try:
        return Order.given(read_json_file(place))
    except InputError as error:
        raise InputError(f"--slices {error}") from None
