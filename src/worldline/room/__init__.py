"""Several AIs in one conversation: who is there, whose turn it is, what was said and done.

Knows models only as something that answers messages; no tensor, and no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.room.action_claims import BADGES as BADGES
    from worldline.room.event_format import command_text as command_text
    from worldline.room.event_format import event_line as event_line
    from worldline.room.events import Command as Command
    from worldline.room.events import Event as Event
    from worldline.room.events import FlowRecord as FlowRecord
    from worldline.room.events import Message as Message
    from worldline.room.events import Notice as Notice
    from worldline.room.events import Outcome as Outcome
    from worldline.room.events import PlayState as PlayState
    from worldline.room.events import Span as Span
    from worldline.room.events import ended_badly as ended_badly
    from worldline.room.events import plain_event as plain_event
    from worldline.room.export_files import log_text as log_text
    from worldline.room.flow_strip import strip as strip
    from worldline.room.host import LIMITS as LIMITS
    from worldline.room.host import Desk as Desk
    from worldline.room.host import HostedRoom as HostedRoom
    from worldline.room.host import Piece as Piece
    from worldline.room.imports import imported_log as imported_log
    from worldline.room.log import Log as Log
    from worldline.room.log import Reading as Reading
    from worldline.room.log import line_of as line_of
    from worldline.room.log_files import events_of as events_of
    from worldline.room.log_files import files_beside as files_beside
    from worldline.room.log_files import new_log as new_log
    from worldline.room.log_files import open_log as open_log
    from worldline.room.opening import RoomRequest as RoomRequest
    from worldline.room.opening import attribute_for as attribute_for
    from worldline.room.opening import desk_on as desk_on
    from worldline.room.participants import checked_name as checked_name
    from worldline.room.replay import replay_log as replay_log
    from worldline.room.reply_commands import closest as closest
    from worldline.room.reply_events import Provisional as Provisional
    from worldline.room.reply_flow import most_read as most_read
    from worldline.room.room import Room as Room
    from worldline.room.room import Watch as Watch
    from worldline.room.scenarios import read_scenario as read_scenario
    from worldline.room.turns import MODES as MODES
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
