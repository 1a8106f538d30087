"""Nothing in the package writes, replaces or removes a file but by the one writer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import worldline

ROOT = Path(worldline.__file__).parent
WRITER = "atomic_file.py"
ELSEWHERE = {
    "models/bundled.py": "in a folder of its own, which takes its name when all of it is synced",
    "models/cache_folder.py": "folders that worldline named, and nothing but those",
    "models/folder_install.py": "gives a finished folder its name",
    "service/worker.py": "folders of dead servers, by their exact names, and one of its own",
    "service/answers.py": "the file of an answer that nobody wants any more",
    "apps/cli/serve.py": "the server's own folder, when it ends",
    "apps/cli/streams.py": "standard streams",
    "apps/cli/__init__.py": "standard error",
}
WRITING = {
    "write_text", "write_bytes", "unlink", "rename", "rmtree", "rmdir", "remove", "removedirs",
    "mkstemp", "NamedTemporaryFile", "savez", "savez_compressed", "copyfile", "copy2", "touch",
    "move", "copyfileobj", "truncate", "to_csv", "to_parquet", "write_parquet", "write_csv",
    "symlink_to", "link_to", "hardlink_to", "save_pretrained", "savefig", "write_graphml", "save",
}  # fmt: skip
AMBIGUOUS = {"remove", "save", "move"}  # of lists and of handles too
LEGITIMATE = {
    ("experiments/faithfulness/part_files.py", "savez_compressed"),  # into the stream of the writer
    ("views/export_formats.py", "write_parquet"),  # into memory
    ("views/export_formats.py", "to_csv"),  # a text
    # into a folder of its own, which takes its name when all of it is synced
    ("models/conversion.py", "save_file"),
    ("models/conversion.py", "save_pretrained"),
    ("room/log.py", "copyfileobj"),  # into the stream of the writer
    ("room/log.py", "unlink"),  # what the database had beside a damaged file; copies of it are kept
}


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls that may write, by name; those of functions of the writer's are not among them."""
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module in ("worldline.atomic_file", "worldline.apps.cli.output_files")
        for alias in node.names
    } | {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            name, owner = node.func.id, ""
        elif isinstance(node.func, ast.Attribute):
            name, owner = node.func.attr, ast.unparse(node.func.value)
        else:
            continue
        if (not owner and name in ours) or owner == "atomic_file":
            continue
        if name in AMBIGUOUS and owner not in ("os", "shutil", "np", "torch", "image", "drawn"):
            continue
        opens = name in ("open", "fdopen", "ZipFile") and _writes(node, owner)
        saves = name == "save_file" and _named(node, 1) != "part"
        zips = name == "ZipFile" and _named(node, 0) == "part"
        puts = name == "replace" and len(node.args) == 1 and not node.keywords
        puts = puts and owner.endswith(("part", "path", "file", "place"))
        if (opens and not zips) or saves or puts or name in WRITING:
            yield name, node


def _named(call: ast.Call, n: int) -> str:
    return ast.unparse(call.args[n]) if len(call.args) > n else ""


def _writes(call: ast.Call, owner: str) -> bool:
    """Whether a file is opened to be written: a mode that says so, or one that cannot be told."""
    if owner in ("os", "webbrowser", "reading", "archive", "part", "packed", "zipfile.Path"):
        return owner == "os"
    modes = [k.value for k in call.keywords if k.arg == "mode"]
    modes += call.args[: 1 if isinstance(call.func, ast.Attribute) and owner != "zipfile" else 2]
    texts = [one.value for one in modes if isinstance(one, ast.Constant)]
    return any(isinstance(one, str) and set(one) <= set("rwxabt+") - set("") and
               set(one) & set("wxa+") for one in texts)  # fmt: skip


def found_in(source: str) -> list[str]:
    return [name for name, _ in _calls(ast.parse(source))]


FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def test_nothing_writes_beside_the_writer():
    beside = {
        (file, name)
        for file in FILES
        if file != WRITER and file not in ELSEWHERE
        for name in found_in((ROOT / file).read_text("utf-8"))
    }
    assert beside == LEGITIMATE


@pytest.mark.parametrize("file", list(ELSEWHERE))
def test_who_is_excused_is_there(file):
    assert file in FILES


@pytest.mark.parametrize(
    "line",
    ["p.write_text('x')", "p.open('w')", "open(p, 'wb')", "open(p, mode='a')", "part.replace(p)",
     "p.unlink()", "shutil.rmtree(p)", "save_file(t, p)", "zipfile.ZipFile(p, 'w')",
     "os.open(p, 1)", "frame.write_parquet(p)"],
)  # fmt: skip
def test_a_write_is_seen(line):
    assert found_in(line)


@pytest.mark.parametrize(
    "line",
    ["p.open()", "p.open('rb')", "open(p)", "text.replace('a', 'b')", "zipfile.ZipFile(p)",
     "from worldline.atomic_file import write_text\nwrite_text(p, 'x')", "save_file(t, part)"],
)  # fmt: skip
def test_a_reader_is_let_through(line):
    assert not found_in(line)
