"""Whose turn it is, and whether there may be another one; a pure function of the state."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from worldline.errors import InputError
from worldline.room.look_alikes import plain_name
from worldline.room.seeds import drawn_number
from worldline.room.state import Participant, State

MODES = ("round_robin", "mention", "natural", "step")
# Scripts written without spaces between words: there a name may stand anywhere.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_RUNS_ON = re.compile(f"[{_UNSPACED}]")
# An @ behind a letter of a spaced script is an address of mail: me@ada.example.
_MENTION = re.compile(rf"(?<![^\W{_UNSPACED}])(?<![+%@＠])[@＠]([^\W_][^@＠\n]{{0,79}})")
_ADDRESSED, _LATEST = 4.0, 0.0  # weights in natural turns; everyone else has 1 and its silence


def checked_mode(mode: str) -> str:
    """A way of taking turns.

    Raises: InputError if there is no such way.
    """
    if mode not in MODES:
        raise InputError(f"turns {mode!r}: accepted are {', '.join(MODES)}")
    return mode


def next_speaker(state: State) -> Participant | None:
    """Who speaks next; None where everyone is silent or gone.

    `round_robin` and `step`: whoever has been silent longest, in the order of joining.
    `mention`: whom the latest message addresses (`@name`), else as in a round.
    `natural`: drawn by the room's seed; more likely the longer silent, and when addressed.

    **Exactness**: the same state gives the same speaker.
    """
    able = [participant for participant in state.present if not participant.muted]
    if not able:
        return None
    longest_silent = min(able, key=lambda participant: (participant.last, participant.since))
    addressees = [
        participant
        for participant in mentioned_participants(state.last_text, able)
        if participant.name != state.last_speaker
    ]
    match state.settings["mode"]:
        case "mention":
            return addressees[0] if addressees and state.failures == 0 else longest_silent
        case "natural":
            return _draw_speaker(state, able, addressees)
    return longest_silent


def mentioned_participants(text: str, among: Sequence[Participant]) -> list[Participant]:
    """Who is addressed as `@name`, in the order of the text; a part of a name will do.

    Of several that a mention may mean, the one whose name it spells the furthest.
    """
    participants: list[Participant] = []
    for mention in _MENTION.finditer(text):
        scores = [(_likeness(mention[1], candidate.name), candidate) for candidate in among]
        best = max(scores, key=lambda candidate: candidate[0], default=(0, None))
        if best[0] and best[1] is not None and best[1] not in participants:
            participants.append(best[1])
    return participants


def over_budget(state: State) -> str:
    """Why the run has to end here, in a sentence; "" where it may go on."""
    limits, spending = state.limits, state.spent
    if limits.messages is not None and spending.messages >= limits.messages:
        return f"the budget of {limits.messages} replies is used up"
    if limits.tokens is not None and spending.tokens >= limits.tokens:
        return f"the budget of {limits.tokens} tokens is used up ({spending.tokens} spent)"
    if limits.dollars is not None and spending.dollars >= limits.dollars:
        return f"the budget of {limits.dollars:g} dollars is used up ({spending.dollars:.4g} spent)"
    return ""


def reply_seed(state: State, speaker: Participant) -> int:
    """The seed of the speaker's next reply: fixed by the room's seed, the name and the turn."""
    return drawn_number(f"{state.settings['seed']}|{speaker.name}|{speaker.turns}")


def _likeness(mention: str, name: str) -> int:
    """How many characters of a mention spell the name, from its front or one of its words."""
    full_name = plain_name(name)
    if _spelt(mention, full_name):
        return len(full_name) + 1
    first = plain_name(re.split(r"[\s,.;:!?)，。；：！？、]", mention, maxsplit=1)[0])
    words = [plain_name(word) for word in re.split(r"[\s-]+", name)]
    if len(first) >= 3 and full_name.startswith(first):
        return len(first)
    return len(first) if first in words and len(first) >= 2 else 0


def _spelt(mention: str, full_name: str) -> bool:
    """Whether a mention spells a plain name from its front, and the name ends there."""
    spelt = ""
    for place, char in enumerate(mention):
        spelt += plain_name(char)
        if len(spelt) < len(full_name):
            continue
        following = mention[place + 1 : place + 2]
        ends = not following.isalnum() or _RUNS_ON.match(following) or _RUNS_ON.match(char)
        return spelt == full_name and bool(ends)
    return False


def _draw_speaker(
    state: State, able: Sequence[Participant], addressees: Sequence[Participant]
) -> Participant:
    names = {participant.name for participant in addressees}
    by_silence = sorted(able, key=lambda participant: (participant.last, participant.since))
    silence = {participant.name: len(able) - place for place, participant in enumerate(by_silence)}
    weights = []
    for participant in able:
        weight = 1.0 + silence[participant.name]
        if participant.name in names:
            weight *= _ADDRESSED
        if participant.name == state.last_speaker and len(able) > 1:
            weight = _LATEST
        weights.append(weight)
    number = sum(state.replies.values()) + state.failures
    at = random.Random(f"{state.settings['seed']}|{number}").random() * sum(weights)
    for participant, weight in zip(able, weights, strict=True):
        at -= weight
        if at < 0 and weight:
            return participant
    return by_silence[0]
