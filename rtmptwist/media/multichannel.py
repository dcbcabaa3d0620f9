"""Which channel of a track is which loudspeaker (Enhanced RTMP v2, "Enhanced Audio")."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from rtmptwist.media.errors import MediaError


class ChannelOrder(IntEnum):
    """AudioChannelOrder."""

    UNSPECIFIED = 0
    NATIVE = 1
    CUSTOM = 2


@dataclass(frozen=True, slots=True)
class MultichannelConfig:
    """The body of a MultichannelConfig packet."""

    order: ChannelOrder
    channels: int
    mask: int = 0
    "Native order: one bit for each loudspeaker (AudioChannelMask)."

    mapping: tuple[int, ...] = ()
    "Custom order: the loudspeaker (AudioChannel) of each channel."

    @classmethod
    def unpack(cls, body: bytes) -> MultichannelConfig:
        """
        Read the bytes of one track.

        Raises:
            MediaError: too few of them, or an order that nobody has defined.
        """
        try:
            number, channels = struct.unpack_from(">BB", body)
            order = ChannelOrder(number)
            if order is ChannelOrder.NATIVE:
                return cls(order, channels, mask=struct.unpack_from(">I", body, 2)[0])
            if order is ChannelOrder.CUSTOM:
                mapping = struct.unpack_from(f"{channels}B", body, 2)
                return cls(order, channels, mapping=mapping)
        except (struct.error, ValueError) as error:
            raise MediaError(f"MultichannelConfig {body[:16].hex()}: {error}") from error
        return cls(order, channels)
