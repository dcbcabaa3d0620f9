"""All that one connection does: its uses of message streams, together."""

from __future__ import annotations

from collections.abc import Iterator

from rtmptwist.net.publishing import Publishing
from rtmptwist.net.use import Use
from rtmptwist.wire.message import Message


class Uses(dict[int, Use]):
    """By message stream id; an id without a use is not there. A dict: each message looks here."""

    __slots__ = ()

    def each(self) -> Iterator[Use]:
        """Every one, while they may end: the end of one may end another."""
        for stream_id, use in tuple(self.items()):
            if self.get(stream_id) is use:
                yield use

    @property
    def publishing(self) -> list[Publishing]:
        """Those that feed a stream."""
        return [use for use in self.values() if isinstance(use, Publishing)]

    def meant(self, message: Message) -> Publishing | None:
        """Some encoders send metadata on stream 0: it is meant for their only stream."""
        if message.stream_id == 0:
            publishing = self.publishing
            if len(publishing) == 1:
                return publishing[0]
        return None

    @property
    def accounts(self) -> set[str]:
        """In whose names they are."""
        return {use.account for use in self.values()}

    @property
    def expects(self) -> bool:
        """Whether there is media to come from the client, or due to it."""
        return any(use.expects for use in self.values())

    def resume(self) -> None:
        """The writer is idle."""
        for use in self.each():
            use.resume()

    def close(self, reason: str, *, wanted: bool) -> None:
        """The connection has ended; because the client `wanted` it so."""
        for use in self.each():
            use.close(reason, wanted=wanted)
        self.clear()
