"""How long anything outside is waited for, and what is waited for next."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Literal

from worldline.room.providers.transport import Patience

Phase = Literal["connection", "first", "next"]


@dataclass(eq=False)
class Clock:
    """When the next thing is due: a connection, the first piece, a further one; and the whole."""

    patience: Patience
    began: float = field(default_factory=time.monotonic)
    phase: Phase = "connection"
    since: float = field(default_factory=time.monotonic)
    _end: float | None = None

    def start(self, phase: Phase) -> None:
        """From now on this is waited for."""
        self.phase, self.since, self._end = phase, time.monotonic(), None

    def end_within(self, seconds: float) -> None:
        """What is still to come is waited for no longer than this."""
        self._end = self._end or time.monotonic() + seconds

    def seconds_left(self) -> float:
        """Seconds until the whole is late."""
        end = self.began + self.patience.total
        return (end if self._end is None else min(end, self._end)) - time.monotonic()

    def due(self) -> tuple[float, str]:
        """(Seconds until it is late, what is waited for)."""
        times = self.patience
        seconds = {"connection": times.connect, "first": times.first, "next": times.between}
        step = seconds[self.phase]
        step_left, total_left = self.since + step - time.monotonic(), self.seconds_left()
        if total_left < step_left:
            return total_left, f"the whole reply within {times.total:g} s"
        if self.phase == "connection":
            return step_left, f"a connection within {step:g} s"
        return step_left, f"the {self.phase} piece within {step:g} s"

    def may_wait(self, seconds: float | None) -> bool:
        """Whether the wait that a server asks for is one that the room makes."""
        longest = min(self.patience.longest_wait, self.seconds_left())
        return longest > 0 and (seconds is None or seconds <= longest)

    def wait_of(self, n_failures: int, server_wait: float | None, chance: random.Random) -> float:
        """Seconds to wait: at least what the server asks for, with some chance in it."""
        backoff = self.patience.before_try(n_failures, chance)
        wait_seconds = backoff if server_wait is None else server_wait + backoff * 0.1
        return max(0.0, min(wait_seconds, self.seconds_left()))
