"""What tests of the middle storey stand on: writers with a switch, players that listen, media."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from twisted.internet.task import Clock

from rtmptwist.amf import amf0
from rtmptwist.amf.values import EcmaArray, Value
from rtmptwist.live.application import Application
from rtmptwist.live.formats import RtmpFormat
from rtmptwist.live.health import Sign, Trouble
from rtmptwist.live.inlet import Inlet
from rtmptwist.live.interfaces import EndReason
from rtmptwist.live.stream import LiveStream
from rtmptwist.live.subscriber import Subscriber
from rtmptwist.wire.chunk import ChunkDecoder
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.status import Status

CHUNK_SIZE = 65536


@dataclass(frozen=True)
class Settings:
    """`live.interfaces.StreamSettings`, with defaults that keep tests short."""

    merge: float = 0.0
    window: float = 10.0
    window_size: int = 1 << 20
    max_lag: float = 3.0
    stall_timeout: float = 10.0
    grace: float = 5.0
    wait: float = 30.0
    takeover: str = "same"
    join: str = "instant"
    after_end: str = "stay"
    warn_gop: float | None = None
    warn_skew: float | None = None
    warn_missing: float | None = None
    warn_lag: float | None = None


@dataclass(frozen=True)
class Bounds:
    """`live.interfaces.ConnectionLimits`."""

    connections: int = 10
    connections_per_address: int = 2
    trusted: tuple[IPv4Network | IPv6Network, ...] = (ip_network("127.0.0.0/8"),)
    windows: int = 1 << 30


class FakeWriter:
    """A writer whose peer reads, or does not: `blocked` is the switch, `drain` lets go."""

    def __init__(self) -> None:
        self.idle = True
        self.blocked = False
        self.parts: list[bytes] = []
        self.closed = False
        self.on_write: Callable[[], object] = _nothing
        "Called from inside `write`, where surprising things happen."

        self.drained: Callable[[], None] = _nothing

    def write(self, data: bytes) -> bool:
        self.parts.append(data)
        if self.blocked:
            self.idle = False
        self.on_write()
        return self.idle

    def drain(self) -> None:
        """What waited is out; after this the peer takes one write more if it is still blocked."""
        self.idle = True
        self.drained()

    def close(self) -> None:
        self.closed = True

    @property
    def size(self) -> int:
        return sum(map(len, self.parts))


def _nothing() -> None:
    pass


class FakePublisher:
    """A publisher that remembers what it was told, and why it lost its inlet."""

    def __init__(self, kind: str = "live", *, stands_in: bool = False) -> None:
        self.kind = kind
        self.stands_in = stands_in
        self.reason = ""
        self.told: list[str] = []
        self.troubles: list[tuple[Sign, bool]] = []

    def tell(self, status: Status) -> None:
        self.told.append(str(status.code))

    def troubled(self, trouble: Trouble, *, begins: bool) -> None:
        self.troubles.append((trouble.sign, begins))

    def displaced(self, reason: str) -> None:
        self.reason = reason


class Viewer:
    """A player with its writer and its decoder."""

    def __init__(self, stream_id: int = 1) -> None:
        self.writer = FakeWriter()
        self.writer.drained = self.resume
        self.form = RtmpFormat(CHUNK_SIZE, stream_id)
        self.subscriber: Subscriber
        self.told: list[str | EndReason] = []
        self.skips: list[int] = []
        self.on_told: Callable[[], object] = _nothing
        self._decoder = ChunkDecoder(Limits())
        self._decoder.chunk_size = CHUNK_SIZE
        self._read = 0
        self._messages: list[Message] = []

    def resume(self) -> None:
        self.subscriber.resume()

    def published(self) -> None:
        self.told.append("published")
        self.on_told()

    def unpublished(self) -> None:
        self.told.append("unpublished")
        self.on_told()

    def skipped(self, messages: int) -> None:
        self.skips.append(messages)
        self.on_told()

    def ended(self, reason: EndReason) -> None:
        self.told.append(reason)
        self.on_told()

    @property
    def messages(self) -> list[Message]:
        """Everything it got, decoded."""
        for part in self.writer.parts[self._read :]:
            self._messages += self._decoder.feed(part)
        self._read = len(self.writer.parts)
        return self._messages

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    @property
    def times(self) -> list[int]:
        return [message.timestamp for message in self.messages]


class Stage:
    """An application with one stream, a clock, and as many publishers and viewers as it takes."""

    NAME = "show"

    def __init__(self, settings: Settings | None = None) -> None:
        self.clock = Clock()
        self.settings = settings or Settings()
        self.application = Application("live", self.settings, self.clock)

    @property
    def stream(self) -> LiveStream:
        stream = self.application.find(self.NAME)
        assert stream is not None
        return stream

    def publish(self, identity: object = "me", publisher: FakePublisher | None = None) -> Inlet:
        return self.application.publish(self.NAME, publisher or FakePublisher(), identity)

    def watch(
        self,
        viewer: Viewer | None = None,
        *,
        wait: bool = True,
        duration: int | None = None,
        blocked: bool = False,
    ) -> Viewer:
        viewer = viewer or Viewer()
        viewer.writer.blocked = blocked
        viewer.subscriber = self.application.subscribe(
            self.NAME, viewer.form, viewer.writer, viewer, wait=wait, duration=duration
        )
        viewer.resume()
        return viewer

    def sweep(self, seconds: float = 1.0) -> None:
        """Let time pass, and do what the service does once a second."""
        self.clock.advance(seconds)
        self.application.sweep(self.clock.seconds())


def feed(inlet: Inlet, *messages: Message) -> None:
    """One read's worth."""
    for message in messages:
        inlet.push(message)
    inlet.flush()


def video(timestamp: int, text: str = "picture", *, key: bool = False, size: int = 0) -> Message:
    """A frame of H.264."""
    head = b"\x17\x01\0\0\0" if key else b"\x27\x01\0\0\0"
    return Message(MessageType.VIDEO, timestamp, 1, (head + text.encode()).ljust(size, b"."))


def audio(timestamp: int, text: str = "sound") -> Message:
    """A frame of AAC."""
    return Message(MessageType.AUDIO, timestamp, 1, b"\xaf\x01" + text.encode().ljust(8, b"."))


def avc_header(text: str = "avc", timestamp: int = 0) -> Message:
    return Message(MessageType.VIDEO, timestamp, 1, b"\x17\0\0\0\0" + text.encode().ljust(8, b"."))


def aac_header(text: str = "aac", timestamp: int = 0) -> Message:
    return Message(MessageType.AUDIO, timestamp, 1, b"\xaf\0" + text.encode().ljust(8, b"."))


def avc_end(timestamp: int = 0) -> Message:
    return Message(MessageType.VIDEO, timestamp, 1, b"\x17\x02\0\0\0")


def data(*values: Value, timestamp: int = 0) -> Message:
    return Message(MessageType.DATA, timestamp, 1, amf0.encode(*values))


def metadata(width: int = 640, timestamp: int = 0, name: str = "onMetaData") -> Message:
    """As encoders send it."""
    values = EcmaArray({"width": float(width)})
    return data("@setDataFrame", name, values, timestamp=timestamp)


def stored(message: Message) -> bytes:
    """The payload of a `metadata` message as viewers get it."""
    return message.payload[16:]


def headers() -> tuple[Message, ...]:
    """What comes first."""
    return metadata(), avc_header(), aac_header()


def gop(start: int, pictures: int = 3, step: int = 40, name: str = "") -> list[Message]:
    """A key frame and what depends on it, with sound in between."""
    messages = []
    for index in range(pictures):
        time = start + index * step
        messages.append(video(time, f"{name}{time}", key=index == 0))
        messages.append(audio(time, f"{name}{time}"))
    return messages


def payloads(messages: Iterable[Message]) -> list[bytes]:
    return [message.payload for message in messages]


HEADERS = [stored(metadata()), avc_header().payload, aac_header().payload]
"What viewers get of `headers`."


def on_air(settings: Settings | None = None) -> tuple[Stage, Viewer, Inlet]:
    """A stream with a viewer who saw its beginning: three headers and a GOP that ends at 80."""
    stage = Stage(settings)
    viewer = stage.watch()
    inlet = stage.publish("first")
    feed(inlet, *headers(), *gop(0))
    return stage, viewer, inlet
