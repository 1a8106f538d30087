"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

N_HELP = (
    "How many to measure: prompts of a family (every other one only to choose by), passages (half "
    "of them fit the readers), or what a claim's experiment counts (default: its full number)."
)
Model = Annotated[
    str | None,
    typer.Option(help="A hub id, a folder or a .gguf file. Default: the bundled model."),
]
Target = Annotated[str | None, typer.Option(help='A token, such as " Paris", or id:NUMBER.')]
Versus = Annotated[str | None, typer.Option(help="A second token: weigh the difference to it.")]
By = Annotated[str | None, typer.Option(help="share, gradient or frozen: what an edge weighs.")]
How = Annotated[
    str | None,
    typer.Option(help="drop, mask or splice: how edges are cut; gradients match drop or mask."),
]
Layers = Annotated[str | None, typer.Option(help="Layers, A-B or 0,3 (default: all).")]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Write the picture as one HTML file; of claims export and of a room, what they make."
    ),
]
Export = Annotated[
    list[Path] | None,
    typer.Option(
        help="Write the Scene for other tools; may be repeated. The form is the name's ending: "
        ".scene.json, .neuronpedia.json, .graphml, or .T.csv or .T.parquet, where T is "
        "edges, nodes, tokens, predictions or paths."
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the processor to use.")]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the numbers as JSON to a file, or to - (standard output)."),
]
File = Annotated[Path | None, typer.Option(help="Read the text from this file.")]
