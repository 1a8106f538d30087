"""What every command of numbers says of how they are made again."""

from __future__ import annotations

import json
import shlex

import pytest

from worldline.apps.cli import main

TEXT = "t40 t41 t42 t43 "
COMMANDS = (
    "cut --from 1 --how mask", "cut --each --how zero", "hops --max 1", "cone --at 1,1",
    "orders --order decode", "paths --draws 0",
)  # fmt: skip


def said(monkeypatch, capsys, words) -> str:
    monkeypatch.setattr("sys.argv", ["worldline", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_numbers_name_their_model_and_the_line_that_makes_them_again(command, monkeypatch, capsys):
    name, *options = command.split()
    words = [name, TEXT, *options, "--model", "tiny:llama"]
    first = json.loads(said(monkeypatch, capsys, [*words, "--json", "-"]))
    assert first["model"]["name"] == "tiny:llama"
    assert first["model"]["dtype"] == "float32"
    line = first["reproduce"]["cli"]
    assert f"again: {line}" in said(monkeypatch, capsys, words)
    again = json.loads(said(monkeypatch, capsys, [*shlex.split(line)[1:], "--json", "-"]))
    for found in (first, again):
        for order in found.get("orders", ()):
            order.pop("seconds")
    assert again == first
