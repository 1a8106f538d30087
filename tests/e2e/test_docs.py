"""Every command of the README runs, and every snippet of it and of docs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.S)
COMMANDS = [
    line
    for kind, body in BLOCKS
    if kind == "sh"
    for line in body.splitlines()
    if line.startswith("worldline ")
]
#: Whose snippets are run by the tests of what they make.
SHOWN_ELSEWHERE = ("exports.md", "notebook.md")
SNIPPETS = {
    f"{page.name} {number}": body
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.name not in SHOWN_ELSEWHERE
    for number, body in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    )
}
#: In processes of their own, through the script that is installed: one that loads the model, and
#: those that load no torch. The others run in this process, which has torch already.
SHELLED = [
    COMMANDS[0],
    *(line for line in COMMANDS if re.match(r"worldline (claims$|count |cache$)", line)),
]
#: Run with more options by the tests of what they make.
ELSEWHERE = [
    line for line in COMMANDS if re.match(r"worldline (faithfulness |room --scenario )", line)
]
pytestmark = pytest.mark.usefixtures("bundled")


def run(command, folder: Path, **options):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_the_readme_has_both_kinds():
    assert len(COMMANDS) >= 4
    assert len(SHELLED) == 4
    assert len(ELSEWHERE) == 2
    assert {"README.md 0", "files.md 0"} <= {*SNIPPETS}


@pytest.mark.parametrize("line", SHELLED)
def test_command_runs_in_a_shell(line, tmp_path):
    done = run(line, tmp_path, shell=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in {*SHELLED, *ELSEWHERE}])
def test_command_runs(line, command, tmp_path):
    done = command.line(line, tmp_path)
    assert done.code == 0, done.err
    assert done.out.strip()


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippet_runs(name, tmp_path):
    done = run([sys.executable, "-c", SNIPPETS[name]], tmp_path)
    assert done.returncode == 0, done.stderr
    assert " Paris" in done.stdout


def test_the_rooms_commands_run_in_their_order(command, tmp_path):
    page = (ROOT / "docs" / "room.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"```sh\n(.*?)```", page, flags=re.S)
    (short,) = (line for line in ELSEWHERE if line.startswith("worldline room "))
    assert any(line.startswith(f"{short} --log ") for line in body.splitlines())
    for line in body.splitlines():
        done = command.line(line, tmp_path)
        assert done.code == 0, (line, done.err)
    assert "all as they were" in done.out
    assert 'class="strands"' in (tmp_path / "readers.html").read_text(encoding="utf-8")


def test_the_command_of_the_reliability_page_runs():
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"```sh\npython (.*)\n```", page)
    done = run([sys.executable, *command.split()], ROOT)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\| 25 \| \d+ \|$", done.stdout, flags=re.M), done.stdout


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
