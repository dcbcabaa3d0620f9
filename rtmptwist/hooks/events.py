"""
What hooks can hear of: one line for each event, and what ends what it begins.

A new event (a recording that has begun) needs its line here, its word in the configuration's
`on`, and somebody who tells of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rtmptwist.live.recordings import RecordTurn


class Event(StrEnum):
    """What happens, by the names that nginx-rtmp's `call` has for it."""

    CONNECT = "connect"
    PUBLISH = "publish"
    PLAY = "play"
    DISCONNECT = "disconnect"
    PUBLISH_DONE = "publish_done"
    PLAY_DONE = "play_done"
    RECORD = "record"
    "A recording has begun,"

    RECORD_DONE = "record_done"
    "a file of it is complete,"

    RECORD_END = "record_end"
    "and it is over. Nobody is asked about these, only told."


END_OF: Final = {
    Event.CONNECT: Event.DISCONNECT,
    Event.PUBLISH: Event.PUBLISH_DONE,
    Event.PLAY: Event.PLAY_DONE,
}
"What can be refused or kept company, and how the hooks hear that it is over."

RECORDED: Final = {
    RecordTurn.START: Event.RECORD,
    RecordTurn.SEGMENT: Event.RECORD_DONE,
    RecordTurn.END: Event.RECORD_END,
}
"What a recorder tells."

DONE: Final = "done"
"In a configuration: all ends."
