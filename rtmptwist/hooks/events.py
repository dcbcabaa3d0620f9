"""
What hooks can hear of: one line for each event, and what ends what it begins.

A new event (a recording that has begun) needs its line here, its word in the configuration's
`on`, and somebody who tells of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Event(StrEnum):
    """What happens, by the names that nginx-rtmp's `call` has for it."""

    CONNECT = "connect"
    PUBLISH = "publish"
    PLAY = "play"
    DISCONNECT = "disconnect"
    PUBLISH_DONE = "publish_done"
    PLAY_DONE = "play_done"


END_OF: Final = {
    Event.CONNECT: Event.DISCONNECT,
    Event.PUBLISH: Event.PUBLISH_DONE,
    Event.PLAY: Event.PLAY_DONE,
}
"What can be refused or kept company, and how the hooks hear that it is over."

DONE: Final = "done"
"In a configuration: all ends."
