"""The two directions of one RTMP connection, whatever carries their bytes."""

from __future__ import annotations

from rtmptwist.inspector.direction import Direction
from rtmptwist.inspector.lines import Tell, Way
from rtmptwist.inspector.messages import Reader


class Conversation:
    """A client and a server."""

    def __init__(self, reader: Reader, tell: Tell, *, every_frame: bool = False) -> None:
        reader = reader.fresh()
        self.client = Direction(Way.CLIENT, reader, tell, every_frame=every_frame)
        self.server = Direction(Way.SERVER, reader, tell, every_frame=every_frame)
        self.client.other, self.server.other = self.server, self.client

    def of(self, way: Way) -> Direction:
        """One of both."""
        return self.client if way is Way.CLIENT else self.server

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self.client.held + self.server.held

    def end(self) -> None:
        """Nothing more comes."""
        self.client.end()
        self.server.end()
