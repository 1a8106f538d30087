"""``worldline paths``: what arrives by how many hops, from where, and along which paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.apps.cli.run_options import WIDTH, ModelOptions
from worldline.requests import PathsRequest

if TYPE_CHECKING:
    from worldline import PathSummary, Tokens


def paths(request: PathsRequest, options: ModelOptions) -> None:
    """Sum and follow all paths into the last token."""
    input_text = options.written()
    n_drawn = PathsRequest.N_DRAWN if request.n_drawn is None else request.n_drawn
    request = request.model_copy(update={"by": request.by or "frozen", "n_drawn": n_drawn})
    from worldline import summarize_paths
    from worldline.views import recipe_of, recipe_on

    with options.loaded(input_text.text) as (model, tokens, say):
        summary = summarize_paths(input_text.text, model, progress=say, **request.arguments())
        recipe = recipe_of(recipe_on(model, input_text, threads=options.threads), request)
        options.write_numbers(lines(summary, tokens), summary.json(), model, recipe)


def lines(paths_summary: PathSummary, tokens: Tokens) -> list[str]:
    """The numbers as text."""
    from worldline.views import paths_shown, spectrum_lines, split_note, token_labels

    lines = spectrum_lines(
        paths_shown(paths_summary), token_labels(tokens), WIDTH, len(paths_summary.paths)
    )
    return [*lines, *split_note(tokens.groups)]
