"""Sums over the flows that a log holds: by speaker, and who reads whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worldline.room.event_records import FlowNumbers
from worldline.room.events import Event, FlowRecord, Message


def readings_of(line: Sequence[Event]) -> dict[int, FlowNumbers]:
    """The measured flows of a branch's messages, by the number of the message."""
    messages = {event.number for event in line if isinstance(event.body, Message)}
    return {
        event.body.message: event.body.flow
        for event in line
        if isinstance(event.body, FlowRecord)
        and "messages" in event.body.flow
        and event.body.message in messages
    }


def by_speaker(messages: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Loss and attention of some messages, as JSON has them, summed by who spoke."""
    totals: dict[str, dict[str, float]] = {}
    for message in messages:
        sums = totals.setdefault(message["speaker"], {"lost_nats": 0.0, "attention": 0.0})
        sums["lost_nats"] += message["lost_nats"]
        sums["attention"] += message["attention"]
    return totals


def who_reads_whom(replies: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The room's matrix: per pair (reader, read) the mean over the reader's replies.

    `replies` are (speaker, a `ReplyFlow` as JSON). `most_read` is the speaker, the reader's own
    earlier words left out, whose messages get most of the others' attention; None for nobody.
    """
    count: dict[str, int] = {}
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for reader, flow in replies:
        count[reader] = count.get(reader, 0) + 1
        for speaker, numbers in flow["speakers"].items():
            pair = sums.setdefault((reader, speaker), {"lost_nats": 0.0, "attention": 0.0})
            for name in pair:
                pair[name] += numbers[name]
    attention_received: dict[str, float] = {}
    for (reader, speaker), numbers in sums.items():
        for name in numbers:
            numbers[name] /= count[reader]
        if speaker and speaker != reader:
            attention_received[speaker] = (
                attention_received.get(speaker, 0.0) + numbers["attention"]
            )
    pairs = [
        {"reader": pair_reader, "read": pair_speaker} | numbers
        for (pair_reader, pair_speaker), numbers in sums.items()
    ]
    most = (
        max(attention_received, key=lambda name: attention_received[name])
        if attention_received
        else None
    )
    return {"replies": count, "pairs": pairs, "most_read": most}


def most_read(line: Sequence[Event]) -> str:
    """Whose words the others read most, over the flows of a branch; "" where none is known."""
    flows = readings_of(line)
    replies = [
        (event.body.who, flows[event.number])
        for event in line
        if isinstance(event.body, Message) and event.number in flows
    ]
    return who_reads_whom(replies)["most_read"] or ""
