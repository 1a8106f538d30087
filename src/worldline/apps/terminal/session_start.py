"""From a room that can be made to a person who sits in it, and out again with the log in order."""

from __future__ import annotations

import sys
from collections.abc import Callable

from worldline.apps.terminal.app import RoomApp
from worldline.apps.terminal.command_handlers import Save
from worldline.room import HostedRoom, Room, Watch

LEFT = "somebody left"


def sit_in(
    name: str,
    make_room: Callable[[Watch], Room],
    prepare: Callable[[Room], None],
    user_name: str,
    save: Save,
    turns: int | None,
) -> int:
    """Open the screen on a room until it is left; the exit code.

    130 after Ctrl+C, 128 + n after signal n. However it ends, the reply that is being written is
    cut off and the log is closed.
    """
    open_room = HostedRoom(name, make_room)
    try:
        prepare(open_room.room)
        app = RoomApp(open_room, user_name, save, turns)
        try:
            app.run()
        except KeyboardInterrupt:
            app.code = 130
        if open_room.talking:
            sys.stderr.write("the reply that is being written is cut off\n")
    finally:
        open_room.close(LEFT)
    return app.code or app.return_code or 0
