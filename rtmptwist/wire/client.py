"""
The client's side of a session: what relays, tests and programs that embed us say to a server.

Every call returns its transaction id; the answer comes as a `Result` with the same id, or, for
publish and play, as a `StatusChange` on the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rtmptwist.amf.values import Value
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import SetBufferLength, SetChunkSize, SwfVerificationRequest
from rtmptwist.wire.errors import LimitExceeded, LocalProtocolError
from rtmptwist.wire.events import Control, Result, StatusChange
from rtmptwist.wire.handshake import ClientHandshake
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.session import COMMAND_CHUNKS, STREAM_CHUNKS, Session, State
from rtmptwist.wire.swf import Swf

CLIENT_VERSION: Final = "FMLE/3.0 (compatible; rtmptwist)"
"flashVer. Some servers choose by this prefix how they treat a publisher."

CHUNK_SIZE: Final = 65_536
"Bytes. Within what every server was seen to accept: nginx-rtmp refuses beyond 10 MiB."

_SWF_VERSION: Final = 1
"Of the SWF verification that anybody knows; what 2 wants, librtmp does not know either."

_MEDIA_CHUNKS: Final = {MessageType.AUDIO: 4, MessageType.VIDEO: 6}


class ClientSession(Session):
    """A client's connection to a server."""

    __slots__ = ("_open_calls", "_swf", "_transaction")

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        limits: Limits | None = None,
        handshake: ClientHandshake | None = None,
        swf: Swf | None = None,
    ) -> None:
        """
        `handshake` chooses digest or RTMPE; left out, it is the one with digests. `swf` is the file
        that we know if the server asks (SWF verification).
        """
        shake = handshake or ClientHandshake(random=random)
        super().__init__(shake, limits or Limits())
        self._out.append(shake.start())
        self._transaction = 0
        self._open_calls: set[float] = set()
        self._swf = swf

    # ---------------------------------------------------------------- requests

    def connect(
        self,
        app: str,
        tc_url: str,
        properties: Mapping[str, Value] | None = None,
        arguments: tuple[Value, ...] = (),
    ) -> float:
        """Ask to be let into `app`; `properties` are added to, or replace, the usual ones."""
        self.send_control(SetChunkSize(CHUNK_SIZE))
        self.chunk_size = CHUNK_SIZE
        everything: dict[str, Value] = {
            "app": app,
            "type": "nonprivate",
            "flashVer": CLIENT_VERSION,
            "tcUrl": tc_url,
            "fpad": False,
            "capabilities": 239.0,
            "audioCodecs": float(0xFFF),
            "videoCodecs": float(0xFF),
            "videoFunction": 1.0,
            "fourCcList": ["*"],
            "videoFourCcInfoMap": {"*": 4.0},
            "audioFourCcInfoMap": {"*": 4.0},
            "capsEx": float(2 | 4 | 8),
            **(properties or {}),
        }
        return self._call("connect", everything, *arguments)

    def call(self, name: str, *arguments: Value) -> float:
        """Call a method of the server's application."""
        return self._call(name, None, *arguments)

    def create_stream(self) -> float:
        """Ask for a message stream; its id is the first value of the `Result`."""
        return self._call("createStream", None)

    def release_stream(self, name: str) -> None:
        """Ask that a name be freed, and announce it: what encoders do before publishing."""
        self._tell("releaseStream", 0, name)
        self._tell("FCPublish", 0, name)

    def publish(self, stream_id: int, name: str, kind: str = "live") -> None:
        """Ask to feed a stream: a `StatusChange` answers."""
        self._tell("publish", stream_id, name, kind)

    def play(
        self,
        stream_id: int,
        name: str,
        start: float = -2.0,
        duration: float = -1.0,
        *,
        reset: bool = True,
    ) -> None:
        """Ask to watch; `start` and `duration` in seconds, negative as in `events.Play`."""
        scaled = start * 1000, duration * 1000
        self._tell("play", stream_id, name, *scaled, reset)

    def pause(self, stream_id: int, paused: bool, position: float = 0.0) -> None:
        """Pause, or go on at `position`, in milliseconds."""
        self._tell("pause", stream_id, paused, position)

    def seek(self, stream_id: int, position: float) -> None:
        """Go to `position`, in milliseconds."""
        self._tell("seek", stream_id, position)

    def receive_audio(self, stream_id: int, on: bool) -> None:
        """Switch the sound on or off."""
        self._tell("receiveAudio", stream_id, on)

    def receive_video(self, stream_id: int, on: bool) -> None:
        """Switch the picture on or off."""
        self._tell("receiveVideo", stream_id, on)

    def set_buffer_length(self, stream_id: int, milliseconds: int) -> None:
        """Tell how much the player holds."""
        self.send_control(SetBufferLength(stream_id, milliseconds))

    def unpublish(self, name: str) -> None:
        """Say that a publication ends, before its stream is closed or deleted."""
        self._tell("FCUnpublish", 0, name)

    def close_stream(self, stream_id: int) -> None:
        """End what a stream does, keep its id."""
        self._tell("closeStream", stream_id)

    def delete_stream(self, stream_id: int) -> None:
        """End and free a stream."""
        self._tell("deleteStream", 0, float(stream_id))

    def send_media(self, message: Message) -> None:
        """Send audio, video or data on a stream that publishes."""
        chunks = _MEDIA_CHUNKS.get(MessageType(message.type), STREAM_CHUNKS)
        self.send(message, chunks)

    # ---------------------------------------------------------------- answers

    def _command(self, command: Command, message: Message) -> None:  # noqa: ARG002 - as Session
        match command.name:
            case "_result" | "_error":
                if command.transaction_id not in self._open_calls:
                    self.ignored += 1
                    return
                self._open_calls.discard(command.transaction_id)
                ok = command.name == "_result"
                if command.transaction_id == 1.0 and ok and self.state is State.HANDSHAKEN:
                    self._set_connected()
                event = Result(command.transaction_id, ok, command.object, command.arguments)
                self._emit(event)
            case "onStatus":
                info = command.argument(0)
                if isinstance(info, dict):
                    self._emit(StatusChange(command.stream_id, dict(info)))
            case _:
                self._emit(command)

    def _told(self, event: Control) -> None:
        if (
            isinstance(event, SwfVerificationRequest)
            and event.version <= _SWF_VERSION
            and self._swf is not None
            and self.swf_key is not None
        ):
            self.send_control(self._swf.response(self.swf_key))
        self._emit(event)

    # ---------------------------------------------------------------- helpers

    def _call(self, name: str, properties: Value, *arguments: Value) -> float:
        if len(self._open_calls) >= self.limits.open_calls:
            raise LimitExceeded(f"{len(self._open_calls)} calls wait for an answer already")
        if self.state is State.CLOSED:
            raise LocalProtocolError(f"{name}: the session is closed")
        self._transaction += 1
        transaction_id = float(self._transaction)
        self._open_calls.add(transaction_id)
        command = Command(name, transaction_id, properties, arguments)
        self.send(command.message(), COMMAND_CHUNKS)
        return transaction_id

    def _tell(self, name: str, stream_id: int, *arguments: Value) -> None:
        command = Command(name, 0.0, None, arguments, stream_id)
        self.send(command.message(), COMMAND_CHUNKS)
