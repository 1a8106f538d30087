"""A Scene as tables: columns of plain values, and pandas or polars DataFrames of them."""

from __future__ import annotations

import json
from typing import Any

from worldline.errors import InputError
from worldline.views.optional_packages import import_package
from worldline.views.schema.scene import Scene, SceneFlow, SceneShares

LIBRARIES = ("pandas", "polars")

_IN, _OUT = "read into the node, all heads and sources", "read from the node by later columns"
_SHARE = "of the node, signed; the shares of a node add up to 1"

COLUMNS: dict[str, dict[str, tuple[type, str]]] = {
    "edges": {
        "layer": (int, "block that reads, from 0"),
        "head": (int, "attention head, from 0"),
        "src": (int, "column read from, in row `layer`"),
        "dst": (int, "column written into, in row `layer` + 1"),
        "weight": (float, "in the unit of the Scene's attribution, signed"),
        "attention": (float, "weight that the head's pattern gives the source, 0 to 1"),
        "saturated": (bool, "a first-order weight whose very sign is not to be trusted"),
        "src_token": (str, "text of the token at `src`"),
        "dst_token": (str, "text of the token at `dst`"),
    },
    "nodes": {
        "layer": (int, "row: 0 enters the first block, n_layers the final norm"),
        "pos": (int, "column"),
        "token": (str, "text of the token of the column"),
        "norm": (float, "Euclidean norm of the residual stream"),
        "lens_token": (str, "likeliest next token by the logit lens"),
        "lens_logprob": (float, "its log-probability, nats"),
        **{f"share_{name}": (float, _SHARE) for name in SceneShares.model_fields},
        "writes_agree": (float, "norm of the sum over the sum of norms of what is written, 0 to 1"),
        "in_positive": (float, f"sum of the positive weights {_IN}; unit of the attribution"),
        "in_negative": (float, f"sum of the negative weights {_IN}; unit of the attribution"),
        "out_positive": (float, f"sum of the positive weights {_OUT}; unit of the attribution"),
        "out_negative": (float, f"sum of the negative weights {_OUT}; unit of the attribution"),
    },
    "tokens": {
        "pos": (int, "column"),
        "id": (int, "in the model's vocabulary"),
        "text": (str, "the piece of the text it covers"),
        "char_start": (int, "characters, in the Scene's text"),
        "char_end": (int, "characters, exclusive"),
        "byte_start": (int, "UTF-8 bytes, in the Scene's text"),
        "byte_end": (int, "UTF-8 bytes, exclusive"),
        "group": (int, "the same for pieces of one character"),
        "special": (bool, "whether it is a special token, such as a beginning of text"),
    },
    "predictions": {
        "rank": (int, "0 is the likeliest"),
        "id": (int, "in the model's vocabulary"),
        "token": (str, "text of the token"),
        "logprob": (float, "nats"),
    },
    "paths": {
        "rank": (int, "0 is the strongest of those listed"),
        "weight": (
            float,
            "by frozen: in logits; by contribution: product of the shares on the way",
        ),
        "by": (str, "frozen or contribution"),
        "hops": (int, "K/V reads on the way"),
        "nodes": (str, "JSON, from row 0 up: [[layer, pos], ...]"),
        "reads": (str, "JSON, one per hop: [[layer, head], ...]; head null: all heads together"),
        "words": (str, "the path in words"),
    },
}
"""Of every table its columns: the Python type of a value, and what it means, with its unit."""


def columns_of(scene: Scene, table: str) -> dict[str, list[Any]]:
    """Give one table of a Scene as columns of plain values; None is what the Scene does not know.

    Raises:
        InputError: an unknown table, or paths of a Scene that has none.
    """
    if table not in _ROWS:
        raise InputError(f"table {table!r}: accepted are {', '.join(COLUMNS)}")
    rows = _ROWS[table](scene)
    return {name: [row.get(name) for row in rows] for name in COLUMNS[table]}


def to_frame(scene: Scene, table: str, library: str = "pandas") -> Any:
    """Give one table of a Scene as a DataFrame; ``COLUMNS`` says what the columns mean.

    What the Scene does not know is null (in pandas NaN).

    Raises:
        InputError: an unknown table or library, or the library is not installed.
    """
    if library not in LIBRARIES:
        raise InputError(f"library {library!r}: accepted are {', '.join(LIBRARIES)}")
    columns = columns_of(scene, table)
    if library == "polars":
        pl = import_package("polars")
        types = {int: pl.Int64, float: pl.Float64, str: pl.String, bool: pl.Boolean}
        return pl.DataFrame(columns, schema={n: types[t] for n, (t, _) in COLUMNS[table].items()})
    pd = import_package("pandas")
    names = {int: "int64", float: "float64", str: "str", bool: "bool"}
    return pd.DataFrame(
        {
            name: pd.Series(columns[name], dtype=names[kind])
            for name, (kind, _) in COLUMNS[table].items()
        }
    )


def to_csv(scene: Scene, table: str) -> str:
    """Give one table of a Scene as CSV, a line of names first.

    Texts are quoted, always and exactly; numbers hold every digit; what the Scene does not know
    is an empty field without quotes. Lines end in a newline.

    Raises:
        InputError: an unknown table, or paths of a Scene that has none.
    """
    columns = columns_of(scene, table)
    rows = (map(_field, row) for row in zip(*columns.values(), strict=True))
    return "".join(",".join(line) + "\n" for line in (columns, *rows))


def _field(value: Any) -> str:
    """One field. The csv module of Python 3.11 leaves a carriage return without quotes."""
    if value is None:
        return ""
    if isinstance(value, str):
        escaped_text = value.replace('"', '""')
        return f'"{escaped_text}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def node_rows(scene: Scene) -> list[dict[str, Any]]:
    """Every node of the grid, row by row; what the Scene does not know is not in the dictionary."""
    rows = [
        {"layer": layer, "pos": token.pos, "token": token.text}
        for layer in range(scene.model.n_layers + 1)
        for token in scene.tokens
    ]
    for row in rows:
        row |= _node_columns(scene, row["layer"], row["pos"])
    return rows


def _node_columns(scene: Scene, layer: int, pos: int) -> dict[str, Any]:
    """What a Scene knows of one node, by column."""
    nodes, flow, node_columns = scene.nodes, scene.flow, {}
    if nodes is not None:
        node_columns["norm"] = nodes.norm[layer][pos]
        if nodes.lens is not None and nodes.lens[layer][pos]:
            first = nodes.lens[layer][pos][0]
            node_columns |= {"lens_token": first.token, "lens_logprob": first.logprob}
    if nodes is not None and layer > 0:
        if nodes.shares is not None:
            node_columns |= {
                f"share_{name}": matrix[layer - 1][pos]
                for name in SceneShares.model_fields
                if (matrix := getattr(nodes.shares, name)) is not None
            }
        if nodes.writes_agree is not None and nodes.writes_agree[layer - 1][pos] is not None:
            node_columns["writes_agree"] = nodes.writes_agree[layer - 1][pos]
    if flow is not None:
        for name in SceneFlow.model_fields:
            at = layer - 1 if name.startswith("in_") else layer
            if 0 <= at < scene.model.n_layers:
                node_columns[name] = getattr(flow, name)[at][pos]
    return node_columns


def _edges(scene: Scene) -> list[dict[str, Any]]:
    texts = [token.text for token in scene.tokens]
    return [
        edge.model_dump() | {"src_token": texts[edge.src], "dst_token": texts[edge.dst]}
        for edge in scene.edges
    ]


def _tokens(scene: Scene) -> list[dict[str, Any]]:
    return [token.model_dump() for token in scene.tokens]


def _predictions(scene: Scene) -> list[dict[str, Any]]:
    return [
        {"rank": at} | prediction.model_dump() for at, prediction in enumerate(scene.predictions)
    ]


def _paths(scene: Scene) -> list[dict[str, Any]]:
    if scene.paths is None:
        why = scene.paths_left_out or "it was made without"
        raise InputError(f"table 'paths': this Scene has no paths ({why})")
    return [
        {
            "rank": at,
            "weight": path.weight,
            "by": scene.paths.by,
            "hops": path.hops,
            "nodes": json.dumps([[node.layer, node.pos] for node in path.nodes]),
            "reads": json.dumps([[head_read.layer, head_read.head] for head_read in path.reads]),
            "words": path.words,
        }
        for at, path in enumerate(scene.paths.paths)
    ]


_ROWS = {
    "edges": _edges,
    "nodes": node_rows,
    "tokens": _tokens,
    "predictions": _predictions,
    "paths": _paths,
}
