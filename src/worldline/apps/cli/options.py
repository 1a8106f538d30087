"""Options that mean the same in every command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from worldline.errors import InputError
from worldline.models import DTYPES
from worldline.requests import MOST as MOST
from worldline.requests import MOST_SEED

FOLDERS = "folders that lack are made"  # the rule of every file that is written
DEVICES = ("cpu", "cuda", "mps")
N_HELP = (
    "How many to measure: prompts of a family (every other one only to choose by), passages (half "
    "of them fit the readers), or what a claim's experiment counts (default: its full number)."
)
Model = Annotated[
    str | None,
    typer.Option(help="A hub id, a folder or a .gguf file. Default: the bundled model."),
]
How = Annotated[str | None, typer.Option(help="zero, mask or patch: how edges are cut.")]
Out = Annotated[
    Path | None,
    typer.Option(help=f"Write the picture as one HTML file; {FOLDERS}."),
]
Export = Annotated[
    list[Path] | None,
    typer.Option(
        help=f"Write the Scene for other tools; may be repeated; {FOLDERS}. "
        "The form is the name's ending: .scene.json, .neuronpedia.json, .graphml, or .T.csv "
        "or .T.parquet, where T is edges, nodes, tokens, predictions or paths."
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or mps.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or float64.")]
Seed = Annotated[int | None, typer.Option(min=0, max=MOST_SEED, help="Seed of everything random.")]
Threads = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Threads of the processor to use.")
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        help=f"Write the numbers as JSON to a file ({FOLDERS}), or to - (standard output).",
    ),
]
KeepNewline = Annotated[
    bool,
    typer.Option(
        "--keep-newline", help="Keep the newline at the end of a file or of standard input."
    ),
]
File = Annotated[Path | None, typer.Option(help="Read the text from this file.")]


def refuse_unknown(*, device: str = "cpu", dtype: str | None = None) -> None:
    """Raise InputError, before anything is loaded, for a word that no command knows."""
    kind = device.partition(":")[0]
    for name, value, accepted in (("--device", kind, DEVICES), ("--dtype", dtype, DTYPES)):
        if value is not None and value not in accepted:
            raise InputError(f"{name} {value[:40]}: accepted are {', '.join(accepted)}")
