"""``worldline room`` in this process, on scripts: run, gone on with, written, read back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib import resources

import pytest

from tiny_folder import tiny_folder
from worldline.apps.cli.room_output import Lines
from worldline.room.events import Arrival, Event, Message
from worldline.room.log import Log, Reading
from worldline.room.providers.model_names import _LOADED
from worldline.room.reply_events import Provisional

LOCAL = """
title = "Local"
[opening]
who = "Host"
text = "the sea"
[rules]
max_tokens = 8
[[participant]]
name = "Ada"
model = "{model}"
[[participant]]
name = "Bob"
model = "{model}"
"""
REHEARSAL = "--scenario", "rehearsal", "--headless", "--images", "none"
OLD = """Ada: please begin
AI-1 (Quill)
Here: !image "a boat"
\N{ARTIST PALETTE} [AI-1 (Quill)]: !image "a boat" (generating...)
AI-2 (Rook)
?image "a boat"
"""


@pytest.fixture
def run(command, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    return lambda *words: command("room", *words)


def messages(path):
    log = Reading(path)
    try:
        return [one for one in log.events() if isinstance(one.body, Message)]
    finally:
        log.close()


def test_a_scenario_runs_to_its_end_and_is_written_in_every_form(run, tmp_path):
    found = run(*REHEARSAL, "--log", "a.room", "--out", "a.html")
    assert found.code == 0, found.err
    assert "Right (#" in found.out
    assert "[Right's !temperature 1.3: done, from 1 to 1.3]" in found.out
    assert "written beforehand: no model read anything" in found.out
    page = (tmp_path / "a.html").read_text()
    assert "14 replies. Written beforehand, by a script: 14, those of Right, Almost." in page
    assert "<script" not in page
    for name in ("b.md", "b.json", "b.html"):
        assert run("export", "a.room", "--out", name).code == 0
    assert (tmp_path / "b.html").read_text() == page
    assert "<h1>Rehearsal of every command</h1>" in page
    whole = json.loads((tmp_path / "b.json").read_text())
    assert run("import", "b.json", "--log", "c.room").code == 0
    assert run("export", "c.room", "--out", "c.json").code == 0
    assert json.loads((tmp_path / "c.json").read_text()) == whole


def test_a_log_is_gone_on_with_and_branched(run):
    run(*REHEARSAL, "--log", "a.room", "--turns", 3, "--no-flow")
    assert len(messages("a.room")) == 4
    found = run(*REHEARSAL, "--log", "a.room", "--turns", 2, "--no-flow")
    assert found.code == 0, found.err
    said = messages("a.room")
    assert len(said) == 6
    assert said[-1].body.shown == "Warmer now.\n!temperature 1.3"
    found = run(
        *REHEARSAL, "--log", "a.room", "--turns", 1, "--branch", said[1].number, "--no-flow"
    )
    assert "the conversation goes on from event" in found.out
    assert messages("a.room")[-1].body.shown == said[2].body.shown


def test_a_replay_is_the_same_and_another_script_is_named(run, tmp_path):
    run(*REHEARSAL, "--log", "a.room")
    found = run("replay", "a.room")  # a log does not say what a script holds further on
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "give it with --scenario" in found.err
    found = run("replay", "a.room", "--scenario", "rehearsal")
    assert (found.code, found.out.endswith("all as they were\n")) == (0, True), found.out
    text = resources.files("worldline.room").joinpath("scenarios/rehearsal.toml").read_text("utf-8")
    (tmp_path / "other.toml").write_text(text.replace("Warmer now.", "Warmer yet."))
    found = run("replay", "a.room", "--scenario", "other.toml")
    assert found.code == 1
    assert "a message differs in text, shown, from character 7 on" in found.out


def test_a_local_room_is_attributed_and_replayed_and_another_model_parts_at_a_token(run, tmp_path):
    tiny_folder(tmp_path / "tiny", n_pos=4096)
    (tmp_path / "s.toml").write_text(LOCAL.format(model=tmp_path / "tiny"))
    found = run("--scenario", "s.toml", "--headless", "--turns", 2, "--log", "a.room", "--cuts",
                "--out", "a.html")  # fmt: skip
    assert found.code == 0, found.err
    assert found.out.count("of its attention on messages") == 2
    page = (tmp_path / "a.html").read_text()
    assert 'class="strands"' in page
    assert "by way of others, nats" in page
    _LOADED.clear()
    found = run("replay", "a.room")
    assert found.out.endswith("all as they were\n"), found.out
    shutil.rmtree(tmp_path / "tiny")
    tiny_folder(tmp_path / "tiny", n_pos=4096, seed=5)
    _LOADED.clear()
    found = run("replay", "a.room")
    assert found.code == 1
    assert re.search(r"from character \d+ on, token \d+ \('", found.out), found.out


def test_json_is_the_whole_log_on_standard_output(run):
    found = run(*REHEARSAL, "--turns", 2, "--json", "-", "--log", "a.room")
    whole = json.loads(found.out)
    assert whole["format"] == "worldline-room-1"
    assert [one["body"]["kind"] for one in whole["events"]].count("message") == 3
    assert "Right" in found.err


def test_a_transcript_is_read_in_two_columns(run, tmp_path):
    (tmp_path / "old.txt").write_text(OLD, "utf-8")
    found = run("import", "old.txt", "--log", "a.room", "--json", "columns.json")
    assert found.code == 0, found.err
    columns = json.loads((tmp_path / "columns.json").read_text())["columns"]
    assert columns["logged"]["images asked"] == 1
    assert columns["commands"] == {"image": 1}
    assert sum(columns["near"].values()) == 1
    assert [one.body.who for one in messages("a.room")] == ["Ada", "Quill", "Rook"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--headless", "--scenario", "nonsense"], "accepted are a TOML file, or rehearsal"),
        (["--headless", "--out", "a.txt"], "accepted are names that end in .md, .json, .html"),
        ([*REHEARSAL, "--turns", "0", "--branch", "999"], "accepted is a log with events"),
        ([*REHEARSAL[:3], "--images", "crayons"], "accepted are MODEL@https://HOST, diffusers"),
        ([*REHEARSAL, "--search", "crayons"], "accepted are a SearXNG address, ddgs"),
        ([*REHEARSAL, "--search", "no.json"], "recorded results no.json"),
        ([*REHEARSAL, "--with", "m@https://u:p@a.example:Ada"], "no name or password in it"),
        ([*REHEARSAL, "--with", " :Ada"], "neither a local folder, a .gguf file nor a hub id"),
        ([*REHEARSAL, "--log", "words.txt"], "not a room's log"),
        (["export", "none.room", "--out", "a.md"], "no such file"),
        (["export", "words.txt", "--out", "a.md"], "not a room's log"),
        (["replay", "none.room"], "no such file"),
        (["export", "words.txt"], "--out None: accepted are names that end in"),
        (["import", "words.txt"], "--log: give the new log's name"),
        (["--scenario", "rehearsal"], "standard input is no terminal; accepted is --headless"),
        (["import", "words.txt", "--log", "b.room"], "accepted are a room's own JSON ("),
        (["import", "words.txt", "--log", "words.txt"], "it is there already"),
        (["import", "wrong.json", "--log", "b.room"], "not a room"),
    ],
)  # fmt: skip
def test_silly_input_is_one_line(run, tmp_path, words, said):
    (tmp_path / "words.txt").write_text("nothing of the kind")
    (tmp_path / "wrong.json").write_text('{"a": 1}')
    found = run(*words)
    assert found.code == 2
    assert said in found.err
    assert found.err.count("\n") == 1
    assert found.out == ""
    assert not (tmp_path / "b.room").exists()


@pytest.mark.parametrize("name", ["notes", "no[t]es", "n*", "?", "link"])
@pytest.mark.parametrize("content", ['{"a": 1}', "no message in it"])
def test_a_bad_import_touches_no_neighbour(run, tmp_path, name, content):
    (tmp_path / "bad.json").write_text(content)
    ends = ["-wal", "-shm", "-journal", ".writer", ".part", ".md", "es", " of mine"]
    names = {f"{name}{end}" for end in ends} | {"notes.md", "notes1", "net", "n", "x"}
    for one in names:
        (tmp_path / one).write_text("the user's")
    if name == "link":
        (tmp_path / "link").symlink_to(tmp_path / "not there")
    before = {one.name for one in tmp_path.iterdir()}
    assert run("import", "bad.json", "--log", name).code == 2
    assert {one.name for one in tmp_path.iterdir()} == before
    assert {(tmp_path / one).read_text() for one in names} == {"the user's"}


def test_an_import_is_one_file(run, tmp_path):
    (tmp_path / "old.txt").write_text(OLD, "utf-8")
    assert run("import", "old.txt", "--log", "a.room").code == 0
    assert {one.name for one in tmp_path.iterdir()} == {"old.txt", "a.room"}
    assert [one.body.who for one in messages("a.room")] == ["Ada", "Quill", "Rook"]


def test_a_room_in_which_nobody_answers_ends_with_1(run, monkeypatch):
    from worldline.room import room
    from worldline.room.providers.chat_model import ReplyError

    def silent(*_):
        raise ReplyError("no words")

    assert run(*REHEARSAL, "--turns", 0, "--log", "a.room").code == 0
    with monkeypatch.context() as quiet:
        quiet.setattr(room, "heard", silent)
        said = run(*REHEARSAL, "--turns", 2, "--log", "a.room")
    assert said.code == 1
    assert "did not answer: no words" in said.out
    assert run(*REHEARSAL, "--turns", 1, "--log", "a.room").code == 0


def test_a_fault_of_worldlines_own_is_one_line_and_ends_with_1(run, monkeypatch):
    from worldline.room import room

    def broken(*_):
        raise NameError("name 'spam' is not defined")

    monkeypatch.setattr(room, "as_events", broken)
    said = run(*REHEARSAL, "--log", "a.room")
    assert said.code == 1
    assert said.out.count("ended in a fault of worldline's own: NameError: name 'spam'") == 1
    assert "Traceback" not in said.out + said.err


def test_a_log_made_while_another_is_imported_stays(run, tmp_path, monkeypatch):
    (tmp_path / "old.txt").write_text(OLD, "utf-8")
    whole = Log.content_of_file

    def meanwhile(log):
        (tmp_path / "a.room").write_text("another's")
        return whole(log)

    monkeypatch.setattr(Log, "content_of_file", meanwhile)
    found = run("import", "old.txt", "--log", "a.room")
    assert found.code == 2
    assert "a.room: cannot be written (it is there already" in found.err
    assert (tmp_path / "a.room").read_text() == "another's"
    assert {one.name for one in tmp_path.iterdir()} == {"old.txt", "a.room"}


def test_gone_on_with_without_the_address_it_says_what_is_missing(run, tmp_path):
    log = Log(tmp_path / "a.room")
    log.append([Arrival("Ada", "no-such-model")])
    log.close()
    found = run("--headless", "--log", "a.room", "--turns", 1, "--images", "none")
    assert found.code == 1
    assert (
        "Ada did not answer: a log keeps no addresses: if no-such-model answered at an endpoint, "
        "name it again with --with no-such-model@https://HOST, or --scenario FILE; here: "
    ) in found.out


def test_scripts_alone_load_no_torch(tmp_path):
    code = (
        "import sys; from worldline.apps.cli import main\n"
        "sys.argv = ['worldline', 'room', '--scenario', 'rehearsal', '--headless', '--no-flow',"
        " '--images', 'none', '--log', 'a.room']\n"
        "try:\n    main()\nfinally:\n"
        "    print(sorted({'torch', 'transformers', 'httpx2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stderr.strip() == "[]", done.stderr
    assert "Thank you and goodbye." in done.stdout


class Terminal:
    """A stream that says that somebody looks at it."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_terminal_shows_words_as_they_come_and_nothing_that_moves_it():
    out = Terminal()
    lines = Lines(out)
    lines(Provisional("Ada", "one \x1b[2J"))
    lines(Provisional("Ada", "thought", reasoning=True))
    lines(Provisional("Ada", "two"))
    lines(Event(3, 2, 0.0, Message("Ada", "one two", "one two", model="m")))
    lines(Event(4, 3, 0.0, Message("Bob", "x\x07", "x\x07")))
    assert out.text == "Ada: one \ufffd[2Jtwo  (#3, m)\nBob (#4): x\ufffd\n"
    lines(Provisional("Ada", "half"))
    lines.mark_cut_off()
    assert out.text.endswith("Ada: half … (not kept)\n")


def test_a_key_for_two_hosts_is_refused_before_anything_begins(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_ROOM_KEY", "sk-made-up")
    two = "--with", "a@https://a.org:Ada", "--with", "b@https://b.org:Bob"
    got = run(*two, "--headless", "--log", tmp_path / "a.room", "--images", "none")
    assert got.code == 2
    told = " ".join(got.err.split())
    assert "WORLDLINE_ROOM_KEY is for one host, a.org; for b.org set" in told
    assert "WORLDLINE_ROOM_KEY_B_ORG for its own" in told
    assert "sk-made-up" not in got.out + got.err
    assert not (tmp_path / "a.room").exists()
