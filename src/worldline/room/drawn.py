"""Sums over the flows that a log holds: by speaker, and who reads whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from worldline.room.events import Drawn, Event


def readings_of(line: Sequence[Event]) -> dict[int, dict[str, Any]]:
    """The flows of a branch by the number of the message; those alone that were measured."""
    return {
        one.body.message: one.body.flow
        for one in line
        if isinstance(one.body, Drawn) and one.body.flow
    }


def by_speaker(messages: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Loss and attention of some messages, as JSON has them, summed by who spoke."""
    found: dict[str, dict[str, float]] = {}
    for one in messages:
        sums = found.setdefault(one["speaker"], {"lost_nats": 0.0, "attention": 0.0})
        sums["lost_nats"] += one["lost_nats"]
        sums["attention"] += one["attention"]
    return found


def who_reads_whom(replies: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """The room's matrix: per pair (reader, read) the mean over the reader's replies.

    `replies` are (speaker, a `ReplyFlow` as JSON). `most_read` is the speaker, the reader's own
    earlier words left out, whose messages get most of the others' attention; None for nobody.
    """
    count: dict[str, int] = {}
    sums: dict[tuple[str, str], dict[str, float]] = {}
    for reader, flow in replies:
        count[reader] = count.get(reader, 0) + 1
        for read, numbers in flow["speakers"].items():
            pair = sums.setdefault((reader, read), {"lost_nats": 0.0, "attention": 0.0})
            for name in pair:
                pair[name] += numbers[name]
    others: dict[str, float] = {}
    for (reader, read), numbers in sums.items():
        for name in numbers:
            numbers[name] /= count[reader]
        if read and read != reader:
            others[read] = others.get(read, 0.0) + numbers["attention"]
    pairs = [{"reader": one, "read": other} | numbers for (one, other), numbers in sums.items()]
    most = max(others, key=lambda name: others[name]) if others else None
    return {"replies": count, "pairs": pairs, "most_read": most}
