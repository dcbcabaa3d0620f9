"""Counts, as they were at one moment: for the log, the API and metrics. The counting is done where
things happen, by plain integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rtmptwist.live.refusals import Reason


@dataclass(frozen=True, slots=True)
class SubscriberMeter:
    """What one viewer got."""

    state: str
    bytes: int
    skips: int
    "How many times it was moved to a key frame because it was slow,"

    skipped: int
    "and the messages that this left out."

    first_frame: float | None
    "Seconds until its first frame was on its way; None: there was none yet."


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a count grows, per second: over the last second, ten seconds and minute."""

    second: float = 0.0
    ten: float = 0.0
    minute: float = 0.0

    def __add__(self, other: Speed) -> Speed:
        return Speed(self.second + other.second, self.ten + other.ten, self.minute + other.minute)

    def __mul__(self, factor: float) -> Speed:
        return Speed(self.second * factor, self.ten * factor, self.minute * factor)


@dataclass(frozen=True, slots=True)
class InletMeter:
    """What one publisher sent."""

    messages: int
    bytes: int
    "Of payload."

    dropped: int
    "Messages not relayed: before the first key frame after a takeover, or after the end."


@dataclass(frozen=True, slots=True)
class StreamMeter:
    """One stream."""

    name: str
    state: str
    "`live`, `grace` (its publisher may come back) or `idle` (viewers wait)."

    viewers: int
    lagging: int
    messages_in: int
    bytes_in: int
    bytes_out: int
    dropped: int
    skipped: int
    "Messages left out for slow viewers, in all."

    window_messages: int
    window_bytes: int
    sweep_cost: float
    "Seconds that the last sweep over all viewers took."

    headers: int

    frames: int
    "Pictures ever."

    bitrate_in: Speed
    "Bits per second of payload,"

    bitrate_out: Speed
    "and of all that viewers are sent."

    frame_rate: Speed
    keyframe_interval: float | None
    "Seconds between the two newest key frames."

    skew: float | None
    "Seconds from the newest sound to the newest picture."

    window_duration: float
    "Seconds that are kept."


@dataclass(frozen=True, slots=True)
class ApplicationMeter:
    """One application, with the streams that it has now; sums are over all it ever had."""

    name: str
    streams: tuple[StreamMeter, ...]
    bytes_in: int
    bytes_out: int
    skipped: int


@dataclass(frozen=True, slots=True)
class RegistryMeter:
    """Who is connected."""

    connections: int
    addresses: int
    admitted: int
    refused: int
    "Since the start, both."

    refusals: Mapping[Reason, int]
    "These, by their reason."
