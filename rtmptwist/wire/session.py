"""
One RTMP connection without a socket: what both roles share.

Bytes go in by `receive`, events come out; replies collect until `data_to_send` hands them over.
Time and randomness are arguments, so every run can be repeated.

What is legal when is the table `_ALLOWED`, by state and event type; an event that is not in it is a
protocol error. A session has few states, because RTMP lets a client do almost anything once it
is connected:

    HANDSHAKING   nothing but handshake bytes
    HANDSHAKEN    control messages and one connect
    CONNECTED     everything but another connect
    CLOSED        nothing; whatever still arrives is dropped

Beside the state stands one question: is a decision of the owner due? (`events.Decision`)
While it is, messages wait, undispatched, in the order they came. The owner pauses reading
meanwhile, so that at most one read waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final, Protocol

from rtmptwist.amf import amf0
from rtmptwist.amf.limits import AmfLimits
from rtmptwist.amf.values import Value
from rtmptwist.wire import aggregate, control
from rtmptwist.wire.chunk import ChunkDecoder, encode_full
from rtmptwist.wire.command import Command, parse
from rtmptwist.wire.control import (
    Acknowledgement,
    ControlEvent,
    PingRequest,
    PingResponse,
    SetPeerBandwidth,
    UnknownUserControl,
    WindowAcknowledgementSize,
)
from rtmptwist.wire.errors import LimitExceeded, RemoteProtocolError
from rtmptwist.wire.events import (
    Call,
    CloseStream,
    Connect,
    Control,
    Event,
    Handshaken,
    Pause,
    Play,
    Play2,
    Publish,
    Receive,
    Result,
    Seek,
    StatusChange,
)
from rtmptwist.wire.handshake import CipherPair, HandshakeKind
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.overheard import Listener, OverheardDecoder
from rtmptwist.wire.status import Status

CONTROL_CHUNKS: Final = 2
COMMAND_CHUNKS: Final = 3
STREAM_CHUNKS: Final = 5
"Chunk streams of our own messages. Media uses others (`live.formats`), so the two never mix."

DEFAULT_ACKNOWLEDGEMENT: Final = 2_500_000
"Bytes between acknowledgements to a peer that announced no window."

DEFAULT_WINDOW: Final = 2_500_000
"Bytes: the window we announce. Adobe's servers use it, and no client minds."

_MAX_BAD_VALUES: Final = 5
"Undecodable commands on one connection: then it is no accident."


class State(Enum):
    """Where a session stands; see the module's text."""

    HANDSHAKING = 1
    HANDSHAKEN = 2
    CONNECTED = 3
    CLOSED = 4


_CONTROL_EVENTS: Final = frozenset(
    {
        control.StreamBegin,
        control.StreamEof,
        control.StreamDry,
        control.StreamIsRecorded,
        control.SetBufferLength,
        control.BufferEmpty,
        control.BufferReady,
        control.SwfVerificationRequest,
        control.SwfVerificationResponse,
        PingResponse,
    }
)

_ALLOWED: Final[dict[State, frozenset[type]]] = {
    State.HANDSHAKING: frozenset({Handshaken}),
    # Result and StatusChange: a client hears a refusal before it is connected.
    State.HANDSHAKEN: frozenset({Connect, Result, StatusChange, Command, *_CONTROL_EVENTS}),
    State.CONNECTED: frozenset(
        {
            Message,
            Publish,
            Play,
            Play2,
            Call,
            Seek,
            Pause,
            Receive,
            CloseStream,
            Result,
            StatusChange,
            Command,
            *_CONTROL_EVENTS,
        }
    ),
    State.CLOSED: frozenset(),
}

_MEDIA: Final = frozenset({8, 9, 15, 18})
"Message types that are passed on as they are: audio, video, data."

_NOTHING: Final[frozenset[int]] = frozenset()

Said = Command | ControlEvent | Status | Handshaken
"What is worth a record: all that comes but media, and the statuses that are sent."

_UNREMARKABLE: Final = (Acknowledgement, PingRequest, PingResponse)
"Come all the time, and would displace all else."


@lru_cache(maxsize=16)
def _amf_limits(limits: Limits) -> AmfLimits:
    return AmfLimits(depth=limits.amf_depth, values=limits.amf_values)


class Handshake(Protocol):
    """What a session needs of either role's handshake."""

    done: bool
    rest: bytes
    kind: HandshakeKind
    ciphers: CipherPair | None
    swf_key: bytes | None

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the peer, return bytes to send."""


class Session(ABC):
    """What both roles share: bytes to messages, protocol control, limits, replies."""

    # Beyond 30 attributes CPython gives each object a table of its own: 1.6 KB instead of 0.3.
    __slots__ = (
        "_acknowledge_at",
        "_acknowledge_every",
        "_amf_limits",
        "_bad_values",
        "_chunks_seen",
        "_command_credit",
        "_decoder",
        "_decrypt",
        "_early_messages",
        "_events",
        "_handshake",
        "_media",
        "_out",
        "_peer_window",
        "_ping_credit",
        "_unknown_in_a_row",
        "_waiting",
        "acknowledged",
        "bytes_received",
        "chunk_size",
        "deciding",
        "ignored",
        "limits",
        "state",
        "swf_key",
    )

    def __init__(self, handshake: Handshake, limits: Limits) -> None:
        self.limits = limits
        self.state = State.HANDSHAKING
        self.deciding = False
        "A decision of the owner is due; nothing is dispatched until it is made."

        self.bytes_received = 0
        "After the handshake, as acknowledgements count."

        self.acknowledged = 0
        "The peer's last word on how many of our bytes it has (32 bits)."

        self.ignored = 0
        "Messages that were dropped because nobody here knows them."

        self.chunk_size = 128
        "Of what we send, in bytes."

        self.swf_key: bytes | None = None
        "Of the handshake: what answers of SWF verification are made with. None: there can be none."

        self._handshake: Handshake | None = handshake
        self._decrypt: Callable[[bytes], bytes] | None = None
        self._decoder: ChunkDecoder | OverheardDecoder = ChunkDecoder(limits)
        self._decoder.connected = False
        self._media = _NOTHING
        self._waiting: list[Message] = []
        self._out: list[bytes] = []
        self._events: list[Event] = []
        "Those of the call of `receive` that is under way."

        self._acknowledge_at = self._acknowledge_every = DEFAULT_ACKNOWLEDGEMENT
        self._peer_window = 0
        self._amf_limits = _amf_limits(limits)
        self._early_messages = 0
        self._unknown_in_a_row = 0
        self._bad_values = 0
        self._command_credit = float(limits.command_burst)
        self._ping_credit = float(limits.pings_per_second)
        self._chunks_seen = 0

    # ------------------------------------------------------------------ in

    @property
    def encrypted(self) -> bool:
        """Whether the handshake was RTMPE's."""
        return self._decrypt is not None

    @property
    def held(self) -> int:
        """Bytes of the peer's messages whose rest has not come."""
        return self._decoder.held

    @property
    def more(self) -> bool:
        """Whether `receive(b"")` would give further events at once."""
        return bool(self._waiting) and not self.deciding

    def receive(self, data: bytes) -> list[Event]:
        """
        Take bytes as they came from the peer; return what they mean.

        A decision, or the end of the handshake, ends the list early: deal with it, then ask again
        with `receive(b"")` as long as `more` says so.

        Raises:
            RemoteProtocolError: the peer broke RTMP or a limit; close the connection.
        """
        if self.state is State.CLOSED:
            return []
        if self._handshake is not None:
            return self._shake_hands(data)
        if self._decrypt is not None:
            data = self._decrypt(data)
        self.bytes_received += len(data)
        messages = self._decoder.feed(data)
        if self.bytes_received >= self._acknowledge_at:
            self._acknowledge()
        if self._waiting or self.deciding:
            self._waiting.extend(messages)
            if self.deciding:
                return []
            messages, self._waiting = self._waiting, []
        return self._dispatch_all(messages)

    def _dispatch_all(self, messages: list[Message]) -> list[Event]:
        events: list[Event] = []
        self._events = events
        media = self._media
        for index, message in enumerate(messages):
            if message.type in media:
                events.append(message)
                continue
            self._dispatch(message)
            if self.deciding:
                self._waiting[:0] = messages[index + 1 :]
                break
            media = self._media
        if events:
            self._unknown_in_a_row = 0
        return events

    def _shake_hands(self, data: bytes) -> list[Event]:
        handshake = self._handshake
        assert handshake is not None
        reply = handshake.feed(data)
        if reply:
            self._out.append(reply)
        if not handshake.done:
            return []
        self._handshake = None
        self.state = State.HANDSHAKEN
        if handshake.ciphers is not None:
            self._decrypt = handshake.ciphers.decrypt
        self.swf_key = handshake.swf_key
        rest = handshake.rest
        self.bytes_received = len(rest)
        event = Handshaken(handshake.kind, handshake.ciphers)
        self._remember(event)
        self._waiting.extend(self._decoder.feed(rest))
        return [event]

    def _emit(self, event: Event) -> None:
        if type(event) not in _ALLOWED[self.state]:
            name = type(event).__name__
            raise RemoteProtocolError(f"{name} is not allowed while {self.state.name.lower()}")
        self._events.append(event)

    def _remember(self, said: Said) -> None:  # noqa: B027 - nobody asks a client's session
        """Either side said something, which the owner of a server's session may want to record."""

    # ------------------------------------------------------------- dispatch

    def _dispatch(self, message: Message) -> None:
        if self.state is State.HANDSHAKEN:
            self._early_messages += 1
            if self._early_messages > self.limits.messages_before_connect:
                raise LimitExceeded(
                    f"{self._early_messages} messages without a connect"
                    f" (at most {self.limits.messages_before_connect})"
                )
        kind = message.type
        if kind in (MessageType.COMMAND, MessageType.COMMAND_AMF3):
            self._command_message(message)
        elif kind in _MEDIA:
            self._emit(message)
        elif kind == MessageType.AGGREGATE:
            for part in aggregate.split(message, self.limits):
                self._emit(part)
        elif kind in control.TYPES:
            self._control_message(message)
        else:
            self._unknown(message)

    def _unknown(self, message: Message) -> None:
        self.ignored += 1
        if message.type in (MessageType.SHARED_OBJECT, MessageType.SHARED_OBJECT_AMF3):
            return
        self._unknown_in_a_row += 1
        if self._unknown_in_a_row >= self.limits.unknown_types_in_a_row:
            raise RemoteProtocolError(
                f"{self._unknown_in_a_row} messages of unknown types in a row, the last"
                f" {message.type}: chunk synchronisation is lost"
            )

    def _control_message(self, message: Message) -> None:
        event = control.parse(message)
        if not isinstance(event, _UNREMARKABLE):
            self._remember(event)
        match event:
            case Acknowledgement():
                self.acknowledged = event.sequence
            case WindowAcknowledgementSize():
                if event.size:
                    self._acknowledge_every = max(event.size // 2, self.limits.acknowledge_at_least)
                    self._acknowledge_at = min(
                        self._acknowledge_at, self.bytes_received + self._acknowledge_every
                    )
            case SetPeerBandwidth():
                if event.size != self._peer_window:
                    self._peer_window = event.size
                    self.send_control(WindowAcknowledgementSize(event.size))
            case PingRequest():
                if self._ping_credit >= 1:
                    self._ping_credit -= 1
                    self.send_control(PingResponse(event.timestamp))
            case UnknownUserControl():
                self.ignored += 1
            case _ if type(event) in _CONTROL_EVENTS:
                self._told(event)  # type: ignore[arg-type]  # the set narrows it

    def _told(self, event: Control) -> None:
        """The peer said something that matters to the owner."""
        self._emit(event)

    def _command_message(self, message: Message) -> None:
        limits = self.limits
        self._command_credit -= 1 + len(message.payload) // limits.command_unit
        if self._command_credit < 0:
            raise LimitExceeded(
                f"more than {limits.commands_per_second} commands per second after a burst of"
                f" {limits.command_burst} (a long one counts for each {limits.command_unit} bytes)"
            )
        try:
            command = parse(message, self._amf_limits)
        except RemoteProtocolError:
            self._bad_values += 1
            if self.state is not State.CONNECTED or self._bad_values > _MAX_BAD_VALUES:
                raise
            self.ignored += 1
            return
        self._command(command, message)

    @abstractmethod
    def _command(self, command: Command, message: Message) -> None:
        """What a command of the peer, which came as `message`, means to this role."""

    # ------------------------------------------------------------------ out

    def data_to_send(self) -> bytes:
        """All replies since the last call, in one piece: one write, and no delayed ACK between."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def send(self, message: Message, chunk_stream_id: int) -> None:
        """Queue any message."""
        self._out.append(encode_full(message, chunk_stream_id, self.chunk_size))

    def ping(self, timestamp: int) -> None:
        """Ask whether the peer still lives: a `PingResponse` with `timestamp` (32 bits) answers."""
        self.send_control(PingRequest(timestamp & 0xFFFFFFFF))

    def send_control(self, event: ControlEvent) -> None:
        """Queue a control message."""
        self.send(control.message(event), CONTROL_CHUNKS)

    def data(self, stream_id: int, *values: Value) -> None:
        """Send a data message of AMF0 values, with timestamp 0."""
        payload = amf0.encode(*values)
        self.send(Message(MessageType.DATA, 0, stream_id, payload), STREAM_CHUNKS)

    def overhear(self, listener: Listener | None) -> None:
        """Let somebody hear each message as it comes, media too; None: nobody any more."""
        decoder = self._decoder
        if isinstance(decoder, OverheardDecoder):
            decoder = decoder.decoder
        self._decoder = decoder if listener is None else OverheardDecoder(decoder, listener)

    def close(self) -> None:
        """Nothing more is read; what is queued may still be sent."""
        self.state = State.CLOSED
        self.deciding = False
        self._waiting.clear()

    def refill(self, elapsed: float) -> None:
        """
        Tell that `elapsed` seconds went by; the owner calls it about once a second.

        Rates are kept by credit, so that the hot path needs no clock.

        Raises:
            LimitExceeded: the peer sent more chunks in that time than anybody needs.
        """
        limits = self.limits
        self._command_credit = min(
            limits.command_burst, self._command_credit + limits.commands_per_second * elapsed
        )
        self._ping_credit = min(
            limits.pings_per_second, self._ping_credit + limits.pings_per_second * elapsed
        )
        chunks, self._chunks_seen = self._decoder.chunks - self._chunks_seen, self._decoder.chunks
        if chunks > limits.chunks_per_second * max(elapsed, 1.0):
            raise LimitExceeded(
                f"{chunks} chunks in {elapsed:.1f} s (at most {limits.chunks_per_second} a second)"
            )

    def _acknowledge(self) -> None:
        self._acknowledge_at = self.bytes_received + self._acknowledge_every
        self.send_control(Acknowledgement(self.bytes_received & 0xFFFFFFFF))

    def _set_connected(self) -> None:
        self.state = State.CONNECTED
        self._decoder.connected = True
        self._media = _MEDIA
