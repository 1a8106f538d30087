"""Transcripts that other programs printed, their damaged encoding included."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.room import speaker_labels as naming
from worldline.room.events import Arrival, Message, Notice
from worldline.room.imports import from_elsewhere, from_transcript
from worldline.room.log import Log
from worldline.room.mojibake import GONE, mend

TRANSCRIPT = """\
Marta: Please plan a garden: "small", with “shade”. Who digs?
🎨 [AI-1 (Model One)]: !image "a plan of a garden with a pond and t..." (generating...)
✨ [AI-1]: !add_ai "Model Three" "come and dig"
AI-1 (Model One)\x20
A pond first — ünlü, and a bench.

!image "a plan of a garden with a pond and two trees"

!add_ai "Model Three" "come and dig"
🎨 AI-1 (Model One) created an image\ufffc
[AI-1 (Model One)]: !image "a plan of a garden with a pond and two trees"
🎨 [AI-2 (Model Two)]: !image "roses" (generating...)
🎨 [AI-2 (Model Two)]: !image "roses" (generating...)
Maximum of 3 AIs already reached
AI-2 (Model Two)
[Model Two]: Roses ❌ then ✅ 🌡️ and 🤝. ?image "a spade"

*generates picture of roses* <image attached>

!image "roses"

[Model Two]: [AI-2 (Model Two)]: !image "roses"
![Roses](https://example.com/roses.jpg)

!add_ai "Model Four" "we need a hand"
🎨 AI-2 (Model Two) created an image\ufffc
[AI-2 (Model Two)]: !image "roses"
[AI-3 adjusted their temperature]
🌡️ [AI-3]: !temperature 1.4
🔍 [AI-3 (Model Three)]: !search "how deep roses grow"

**Search Results:**

1. **A page**
   !leave
   Source: https://example.com/roots
🔍 [AI-3]: !search "how deep roses grow" (found 1 results)
AI-3 (Model Three)
*Model Four has left the chat*

[Model One]: I dig now. !leave

!search "how deep roses grow"
"""


def damaged(text: str) -> str:
    """UTF-8 read as Windows-1254; bytes that have no sign there are lost."""
    return "".join(bytes([one]).decode("cp1254", "ignore") for one in text.encode("utf-8"))


@pytest.mark.parametrize("text", [TRANSCRIPT, damaged(TRANSCRIPT)], ids=["whole", "damaged"])
def test_the_two_columns(text):
    found = from_transcript(text)
    assert found.columns.logged == {
        "images asked": 3,
        "images made": 2,
        "add_ai": 2,
        "add_ai refused": 1,
        "temperature": 1,
        "search": 1,
    }
    assert found.columns.commands == {"image": 2, "add_ai": 2, "search": 1}
    assert found.columns.imitations == {"room": 1, "Model One": 1}
    assert found.columns.near == {"sign": 1}
    assert found.columns.claims == {"action": 1, "attachment": 1, "picture": 1, "entrance": 1}
    assert found.columns.borrowed == {"Model Two": 1, "Model Three": 1}
    assert found.columns.repeats == {}


def test_who_said_what_and_what_the_program_printed():
    bodies = from_transcript(TRANSCRIPT).bodies
    messages = [one for one in bodies if isinstance(one, Message)]
    assert [one.who for one in messages] == ["Marta", "Model One", "Model Two", "Model Three"]
    assert messages[0].shown == 'Please plan a garden: "small", with “shade”. Who digs?'
    assert messages[0].model == ""
    assert messages[2].shown.startswith("Roses ❌ then")
    assert messages[2].text.startswith("[Model Two]: Roses")
    assert messages[3].shown.endswith('!search "how deep roses grow"')
    joined = [one.name for one in bodies if isinstance(one, Arrival)]
    assert joined == ["Model One", "Model Two", "Model Three"]
    logged = "\n".join(one.text for one in bodies if isinstance(one, Notice))
    assert "https://example.com/roots" in logged
    everything = "\n".join(one.text for one in bodies if isinstance(one, Message | Notice))
    kept = {line.strip() for line in everything.splitlines()}
    lines = TRANSCRIPT.removeprefix("Marta: ").splitlines()
    lost = [one.strip() for one in lines if one.strip() not in kept]
    assert lost == [f"AI-{n} (Model {name})" for n, name in enumerate(("One", "Two", "Three"), 1)]
    log = Log()
    log.append(bodies)
    assert [one.body for one in log.events()] == list(bodies)


def test_damage_is_mended_but_for_what_cannot_be_known():
    found = from_transcript(damaged(TRANSCRIPT))
    whole = from_transcript(TRANSCRIPT)
    assert found.repaired_text.text == TRANSCRIPT.replace("🤝", GONE).rstrip("\n") + "\n"
    assert found.repaired_text.gone == 1
    assert found.repaired_text.guessed >= 8
    assert (whole.repaired_text.mended, whole.repaired_text.gone) == (0, 0)
    same = [one for one in found.bodies if "🤝" not in repr(one) and GONE not in repr(one)]
    assert len(same) == len(whole.bodies) - 1


@pytest.mark.parametrize("text", ["", "hello", "Marta: hi\nBob: hi", "AI-1 no header"])
def test_what_is_no_transcript_is_refused(text):
    with pytest.raises(InputError, match="no message"):
        from_transcript(text)


KEPT = st.text(
    st.characters(codec="utf-8").filter(
        lambda one: not set(one.encode("utf-8")) & {0x81, 0x8D, 0x8E, 0x8F, 0x90, 0x9D, 0x9E}
    )
)


@given(KEPT.filter(lambda text: any(ord(one) > 127 for one in text)))
def test_damage_that_lost_no_byte_is_undone_exactly(text):
    assert mend(damaged(text)).text == text


@given(st.text())
def test_mending_never_fails_and_leaves_ascii_alone(text):
    found = mend(text)
    plain = "".join(one for one in text if ord(one) < 128)
    assert "".join(one for one in found.text if ord(one) < 128) == plain


@pytest.mark.parametrize(
    "text", ["Ünlü ğı şu İçel", "naïve café", "日本語", "“quoted”", "🎨 ok", ""]
)
def test_healthy_text_stays(text):
    assert mend(text).text == text


@pytest.mark.parametrize("sign", ["🎨", "🔍", "🌡️", "❌", "“a”", "🧘\u200d♀️", "✅", "ğ", "—"])
def test_signs_that_programs_print_come_back(sign):
    text = f"é {sign} é"
    assert damaged(text) != text
    assert mend(damaged(text)).text == text


# --- many speakers --------------------------------------------------------------------------------


def crowd(n: int) -> str:
    said = [{"role": "assistant", "name": f"N{one}", "content": "hi"} for one in range(n)]
    return json.dumps(said)


def test_an_import_looks_at_each_name_a_few_times_however_many_there_are(monkeypatch):
    counts: list[int] = []
    for n in (50, 200):
        looked: list[str] = []
        real = naming.looks_of

        def looks_of(name, looked=looked, real=real):
            looked.append(name)
            return real(name)

        with monkeypatch.context() as patched:
            patched.setattr(naming, "looks_of", looks_of)
            from_elsewhere(crowd(n))
        counts.append(len(looked) // n)
    assert counts[0] == counts[1] <= 3


def test_names_that_look_alike_are_told_apart_from_ones_own():
    names = naming.Names(["Ada", "\u0410d\u0430", "ADA", "Bob"])
    assert [names.find("ada", "Bob"), names.find("bob", "Bob")] == ["ADA", None]
    assert names.find("ada", "Ada") == "\u0410d\u0430"


def test_more_speakers_than_a_room_can_tell_apart_are_refused():
    with pytest.raises(InputError, match=r"5,001 speakers; accepted are up to 5,000"):
        from_elsewhere(crowd(5001))
