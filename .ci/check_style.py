"""Counts identifiers that say nothing, module names that stand for several, and long functions.

    python .ci/check_style.py [--list]

An identifier is counted wherever it stands: a variable, an argument, an attribute, a definition.
One that is a pronoun or a bare participle (``one``, ``found``, ``given``) tells no reader what it
holds. Fails where they are more than 1.5 % of all, where eight or more module names occur twice, or
where a function has more than 60 lines, from its first statement below the docstring to its end.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import typing
from collections import Counter, defaultdict
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "worldline"
MOST_VAGUE, MOST_SHARED, MOST_LINES = 0.015, 7, 60
#: Functions that may be longer, by module and name; one that no longer is has to go from here.

_PRONOUNS = """
    one ones it its what which who whom whose this that these those both other others another each
    every some any nothing something anything everything nobody somebody own same such here there
    thing things two three former latter whole rest
"""
_PARTICIPLES = """
    found given seen said shown kept made known taken left held heard done met lost told written
    drawn gone put thought understood built sent brought begun chosen broken spoken meant bought
    caught dealt fallen felt fought grown laid led lent paid risen sold sought spent stood struck
    taught thrown torn won worn wound being doing going having making saying seeing asking telling
    giving taking keeping holding
"""
PRONOUNS, PARTICIPLES = frozenset(_PRONOUNS.split()), frozenset(_PARTICIPLES.split())
#: Words in -ed that are nouns, or terms of the field.
NOUNS = frozenset(("seed", "speed", "embed", "unembed", "feed", "red", "need", "shared"))
_REGULAR = re.compile(r"[a-z]{2,}ed")


_PYTHONS = frozenset((*dir(builtins), *typing.__all__))


def is_vague(name: str) -> bool:
    """Whether a name is a pronoun or a participle and nothing else; Python's own are not ours."""
    if name in _PYTHONS:
        return False
    word = name.strip("_").lower()
    if word in PRONOUNS or word in PARTICIPLES:
        return True
    return bool(_REGULAR.fullmatch(word)) and word not in NOUNS


def names_in(tree: ast.AST) -> list[str]:
    """Every identifier of a module, as often as it stands there."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.append(node.id)
        elif isinstance(node, ast.Attribute):
            names.append(node.attr)
        elif isinstance(node, ast.arg | ast.keyword) and node.arg:
            names.append(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
    return names


def long_functions(tree: ast.AST) -> dict[str, int]:
    """The functions of a module that have too many lines, with how many they have."""
    lengths = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            statements = node.body[ast.get_docstring(node) is not None :]
            first_line = statements[0].lineno if statements else node.end_lineno
            length = (node.end_lineno or 0) - (first_line or 0) + 1
            if length > MOST_LINES:
                lengths[node.name] = length
    return lengths


def main() -> int:
    """Print the counts, and what they are of where a goal is missed."""
    counts: Counter[str] = Counter()
    modules = defaultdict(list)
    lengths: dict[str, int] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        tree, place = ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(SOURCE))
        counts.update(names_in(tree))
        lengths |= {f"{place} {name}": length for name, length in long_functions(tree).items()}
        if not path.stem.startswith("__"):
            modules[path.stem].append(place)
    vague = Counter({name: n for name, n in counts.items() if is_vague(name)})
    shared = {stem: paths for stem, paths in modules.items() if len(paths) > 1}
    share = vague.total() / counts.total()
    print(
        f"{vague.total():,} of {counts.total():,} identifiers are pronouns or participles "
        f"({share:.2%}, at most {MOST_VAGUE:.1%}); {len(shared)} module names stand for several "
        f"(at most {MOST_SHARED})"
    )
    for function in sorted(lengths):
        print(f"{function} has {lengths[function]} lines (at most {MOST_LINES})")
    too_many_names = share > MOST_VAGUE or len(shared) > MOST_SHARED
    if too_many_names or "--list" in sys.argv:
        print("\n".join(f"{n:6} {name}" for name, n in vague.most_common(60)))
        print("\n".join(f"{stem}: {', '.join(paths)}" for stem, paths in shared.items()))
    return int(too_many_names or bool(lengths))


if __name__ == "__main__":
    sys.exit(main())
