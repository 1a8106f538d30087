"""Scenarios: ours open and run, files are checked, a start that died is made up."""

from __future__ import annotations

import pytest

from scripted_rooms import DEEDS, open_scenario, outcomes, said
from worldline.errors import InputError
from worldline.room.log import Log
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.scenarios import our_scenarios, read_scenario, scenario_of

GOOD = """
title = "T"
[opening]
who = "Host"
text = "go"
[[participant]]
name = "Ada"
script = ["one", "two"]
"""
MODELS = {"bundled": ScriptedModel("bundled", ("hm, @Lena and @Moritz",), loops=True)}


def test_there_are_four_of_ours():
    assert len(our_scenarios()) >= 4


@pytest.mark.parametrize("name", our_scenarios())
def test_ours_run_to_the_end_of_their_budget(name):
    scenario = read_scenario(name)
    room = open_scenario(scenario, Log(), MODELS, DEEDS)
    assert said(room)[0] == (scenario.opening.who, scenario.opening.text)
    assert room.play() == scenario.budget.messages
    assert {seat.name for seat in scenario.participants} <= {who for who, _ in said(room)}


def test_one_of_ours_has_five_on_the_bundled_model_and_a_script_with_commands():
    seats = read_scenario("round_table").participants
    assert [seat.model for seat in seats if not seat.script] == ["bundled"] * 5
    room = open_scenario(read_scenario("round_table"), Log(), MODELS, DEEDS)
    assert room.play(12) == 12
    assert [one[:2] for one in outcomes(room)] == [
        ("image", "done"), ("temperature", "done"), ("image", "done"),
    ]  # fmt: skip


def test_the_rehearsal_has_every_command_but_an_invitation_done_and_no_near_miss_run():
    room = open_scenario(read_scenario("rehearsal"), Log(), MODELS, DEEDS)
    room.play()
    ended = [one[:2] for one in outcomes(room)]
    names = ["image", "search", "temperature", "prompt", "list_models", "mute_self", "leave"]
    assert ended == [(name, "done") for name in names]


def test_a_scenario_opened_again_goes_on_and_a_start_that_died_is_made_up(tmp_path):
    scenario = read_scenario("round_table")
    whole = open_scenario(scenario, Log(), MODELS).line
    for n in range(len(whole)):
        log = Log(tmp_path / f"{n}.room")
        log.append([one.body for one in whole[:n]])
        room = open_scenario(scenario, log, MODELS)
        assert [one.body for one in room.line] == [one.body for one in whole]
        room.play(2)
        log.close()
        again = open_scenario(scenario, Log(tmp_path / f"{n}.room"), MODELS)
        assert again.line == room.line
        again.close()


def test_a_file_is_read(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD, "utf-8")
    room = open_scenario(read_scenario(tmp_path / "a.toml"), Log(), {})
    room.play(2)
    assert said(room) == [("Host", "go"), ("Ada", "one"), ("Ada", "two")]
    assert room.catalog.names() == ()  # a participant's script cannot be invited


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("title", "titel", "title"),
        ('"T"', "3", "title 3"),
        ("= [", "= ", "no TOML"),
        ('script = ["one", "two"]', "", "a model or a script"),
        ('script = ["one", "two"]', 'model = "x"\nscript = ["y"]', "a model or a script"),
        ('"Ada"', '"Host"', "twice"),
        ('"Ada"', '"H\u043est"', "look alike"),
        ('"Ada"', '"HOST."', "look alike"),
        ('"Ada"', '"room"', "itself"),
        ('"Ada"', '"a:b"', "colons"),
        ('name = "Ada"', 'name = "Ada"\ntemperature = 3', "temperature"),
        ("[opening]", "[rules]\nmode = 'shout'\n[opening]", "round_robin"),
        ("[opening]", "[rules]\nmax_participants = 0\n[opening]", "max_participants"),
        ("[opening]", "[budget]\nmessages = -1\n[opening]", "budget.messages"),
        ("[opening]", "[budget]\nhours = 1\n[opening]", "hours"),
    ],
)
def test_what_cannot_be_used_is_named(old, new, word):
    text = GOOD.replace(old, new, 1)
    assert text != GOOD
    with pytest.raises(InputError, match=word):
        scenario_of(text, "test")


def test_too_many_participants_and_unknown_models_are_refused():
    seats = "".join(f'[[participant]]\nname = "P{n}"\nmodel = "x"\n' for n in range(5))
    with pytest.raises(InputError, match="6 participants; accepted are 5"):
        scenario_of(GOOD + seats, "test")
    with pytest.raises(InputError, match="model 'x'"):
        open_scenario(scenario_of(GOOD + seats[:40], "test"), Log(), MODELS)
    with pytest.raises(InputError, match="round_table"):
        read_scenario("no_such_scenario")
