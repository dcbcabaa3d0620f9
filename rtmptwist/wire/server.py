"""
The server's side of a session: what clients ask, and what we answer.

Answers by itself what needs no opinion (createStream, releaseStream, FCPublish and their kin), and
turns everything else into events. Order and shape of answers are what encoders and players were
seen to need: `StreamBegin` and `Play.Start` on the stream's own message stream before any media,
null in the place of properties in a refused connect (FFmpeg hangs otherwise).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from rtmptwist.amf.values import UNDEFINED, Value
from rtmptwist.wire import welcome
from rtmptwist.wire.command import KNOWN, Command, number, text, truth
from rtmptwist.wire.control import (
    StreamBegin,
    StreamEof,
    StreamIsRecorded,
    SwfVerificationRequest,
)
from rtmptwist.wire.errors import LocalProtocolError, RemoteProtocolError
from rtmptwist.wire.events import (
    Call,
    CloseStream,
    Connect,
    Decision,
    Pause,
    Play,
    Play2,
    Publish,
    Receive,
    Seek,
)
from rtmptwist.wire.handshake import ServerHandshake
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message
from rtmptwist.wire.session import COMMAND_CHUNKS, STREAM_CHUNKS, Said, Session, State
from rtmptwist.wire.status import Status, StatusCode

DEFAULT_CHUNK_SIZE: Final = 65_536
"Announced to every client. FFmpeg adopts it for what it sends, which nearly unchunks its ingest."

_SAID: Final = 32
"Of what is said that are kept at least: one read can contain thousands of control messages."


class _Use(Enum):
    """What a client uses a message stream for."""

    NOTHING = 0
    PUBLISH = 1
    PLAY = 2


class _NetStream:
    """One message stream as the session needs to know it: its use, under which name."""

    __slots__ = ("name", "use")

    def __init__(self) -> None:
        self.use = _Use.NOTHING
        self.name = ""


class ServerSession(Session):
    """One client's connection. Decisions are answered by `accept`, `result` or `refuse`."""

    __slots__ = ("_announce", "_held", "_streams", "_verifying", "said")

    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        limits: Limits | None = None,
        versions: frozenset[int] = frozenset({3}),
        chunk_size: int = DEFAULT_CHUNK_SIZE,
    ) -> None:
        """
        `random` gives that many fresh bytes (`os.urandom`); `versions` are the first bytes served:
        3 is RTMP, 6, 8 and 9 are RTMPE; `chunk_size`, in bytes, is announced after connect.
        """
        super().__init__(ServerHandshake(random=random, versions=versions), limits or Limits())
        self._announce = chunk_size
        self._streams: dict[int, _NetStream] = {}
        self._verifying = False
        "A player's answer to SWF verification may still come."
        self.said: list[Said] | None = None
        "The newest of what either side said; whoever takes them leaves None here."
        self._held: list[Message] = []
        "Commands that wait for it: a play, and whatever follows. Bounded by the rate of commands."

    # ---------------------------------------------------------------- answers

    def accept(self, event: Decision, *, recorded: bool = False) -> None:
        """
        Answer a decision with yes, in the order that every client was seen to take.

        `recorded`: what is played, sought or paused is a file.
        """
        self._decided()
        match event:
            case Connect():
                self._accept_connect(event)
            case Publish():
                stream = self._streams[event.stream_id]
                stream.use, stream.name = _Use.PUBLISH, event.name
                self.send_control(StreamBegin(event.stream_id))
                self.status(
                    event.stream_id,
                    Status(StatusCode.PUBLISH_START, "Publishing.", {"details": event.name}),
                )
            case Play():
                self.begin_play(event, recorded=recorded)
            case Seek():
                self._begin(event.stream_id, recorded)
                self.status(event.stream_id, Status(StatusCode.SEEK_NOTIFY, "Seeking."))
                self.status(event.stream_id, Status(StatusCode.PLAY_START, "Playing."))
            case Pause():
                if recorded and not event.paused:
                    self._begin(event.stream_id, recorded)
                code = StatusCode.PAUSE_NOTIFY if event.paused else StatusCode.UNPAUSE_NOTIFY
                word = "Paused." if event.paused else "Going on."
                self.status(event.stream_id, Status(code, word))
            case Call():
                self._result(event.transaction_id, UNDEFINED)
            case _:
                raise LocalProtocolError("play2 is answered by refuse")

    def enlist(self, event: Play) -> None:  # noqa: ARG002 - as all answers
        """Answer with nothing yet: it is played after others, and begins with `begin_play`."""
        self._decided()

    def begin_play(self, event: Play, *, recorded: bool) -> None:
        """Say that something is played from now on."""
        stream = self._streams[event.stream_id]
        stream.use, stream.name = _Use.PLAY, event.name
        if recorded:
            self.send_control(StreamIsRecorded(event.stream_id))
        if event.reset:
            self._remember(welcome.RESET)
        self._remember(welcome.STARTED)
        self._out.append(welcome.playing(event.stream_id, event.name, event.reset, self.chunk_size))

    def result(self, event: Call, *values: Value) -> None:
        """Answer a call with what it returns."""
        self._decided()
        self._result(event.transaction_id, *values)

    def refuse(self, event: Decision, status: Status) -> None:
        """Answer a decision with no, in the form that belongs to it."""
        self._decided()
        match event:
            case Connect():
                self._error(event.transaction_id, status)
            case Call():
                self._error(event.transaction_id, status)
            case _:
                self.status(event.stream_id, status)

    def status(self, stream_id: int, status: Status) -> None:
        """Send an onStatus on a stream, or with `stream_id` 0 about the connection."""
        self._remember(status)
        command = Command("onStatus", 0.0, None, (status.info(),), stream_id)
        self.send(command.message(), STREAM_CHUNKS if stream_id else COMMAND_CHUNKS)

    def end_play(self, stream_id: int, status: Status) -> None:
        """
        Tell a player that its stream is over, or that nobody publishes it at present.

        StreamEof ends GStreamer, the status FFmpeg and librtmp; both are needed.
        """
        self.send_control(StreamEof(stream_id))
        self.status(stream_id, status)

    def free(self, stream_id: int) -> None:
        """The owner ended what a client did on a message stream: it may do something else there."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.use, stream.name = _Use.NOTHING, ""

    def demand_swf(self) -> None:
        """
        Ask a player to show that it knows a SWF file: a `SwfVerificationResponse` answers.

        Plays, and the commands that follow them, wait for `settle_swf`; others do not. Without
        a `swf_key` the client could not answer, and nothing is asked.
        """
        if self.swf_key is not None:
            self._verifying = True
            self.send_control(SwfVerificationRequest())

    def settle_swf(self) -> None:
        """The answer has come, or will not any more: go on with what waits for it."""
        self._verifying = False
        self._waiting[:0] = self._held
        self._held.clear()

    def play_status(self, stream_id: int, status: Status) -> None:
        """Send an onPlayStatus, which is a data message (Play.Complete, Play.Switch)."""
        self.data(stream_id, "onPlayStatus", status.info())

    # -------------------------------------------------------------- commands

    def _remember(self, said: Said) -> None:
        if self.said is None:
            self.said = [said]
            return
        if len(self.said) >= 2 * _SAID:
            del self.said[:_SAID]
        self.said.append(said)

    def _command(self, command: Command, message: Message) -> None:
        if self.state is State.HANDSHAKEN and command.name != "connect":
            self._remember(command)
            name = repr(command.name) if command.name in KNOWN else "an unknown command"
            raise RemoteProtocolError(f"{name} before a connect was accepted")
        if self._verifying and (self._held or command.name == "play"):
            self._held.append(message)
            return
        self._remember(command)
        answer = _COMMANDS.get(command.name)
        if answer is not None:
            answer(self, command)
        elif command.name not in _ANSWERS:
            self._decide(
                Call(
                    command.name,
                    command.transaction_id,
                    command.object,
                    command.arguments,
                    command.stream_id,
                )
            )

    def _decide(self, event: Decision) -> None:
        self._emit(event)
        self.deciding = True

    def _decided(self) -> None:
        if not self.deciding:
            raise LocalProtocolError("no decision is due")
        self.deciding = False

    def _connect(self, command: Command) -> None:
        properties = dict(command.object) if isinstance(command.object, dict) else {}
        # gortmplib met clients that write tcurl, or put the value into quotes
        tc_url = text(properties.get("tcUrl")) or text(properties.get("tcurl"))
        event = Connect(
            command.transaction_id,
            text(properties.get("app")),
            tc_url.strip("\"'"),
            properties,
            command.arguments,
        )
        self._decide(event)

    def _accept_connect(self, event: Connect) -> None:
        self._set_connected()
        announce = None if self._spoils_chunk_size(event) else self._announce
        encoding = 3.0 if event.properties.get("objectEncoding") == 3.0 else 0.0
        self._remember(welcome.CONNECTED)
        self._out.append(welcome.connected(event.transaction_id, encoding, announce))
        self.chunk_size = announce or self.chunk_size

    def _spoils_chunk_size(self, event: Connect) -> bool:
        """
        FFmpeg 9 publishing by RTMPE echoes our SetChunkSize, encrypts it in place and then takes
        the encrypted bytes for the size: half the time it ends, half the time it works by luck.
        """
        agent = event.properties.get("flashVer")
        return self.encrypted and isinstance(agent, str) and "Lavf" in agent and "FMLE" in agent

    def _create_stream(self, command: Command) -> None:
        stream_id = next(
            (n for n in range(1, self.limits.message_streams + 1) if n not in self._streams), 0
        )
        if not stream_id:
            self._error(
                command.transaction_id,
                Status(
                    StatusCode.FAILED,
                    f"This connection has {self.limits.message_streams} streams already:"
                    " delete one first.",
                ),
            )
            return
        self._streams[stream_id] = _NetStream()
        self._result(command.transaction_id, float(stream_id))

    def _publish(self, command: Command) -> None:
        if command.argument(0) is False:  # ActionScript's publish(false)
            self._close_stream(command)
            return
        stream = self._stream_of(command)
        if stream is None:
            return
        if stream.use is _Use.PLAY:
            self.status(
                command.stream_id,
                Status(StatusCode.FAILED, "This stream is playing: close it before publishing."),
            )
            return
        if stream.use is _Use.PUBLISH:
            self._end(command.stream_id)
        kind = text(command.argument(1), "live")
        self._decide(Publish(command.stream_id, text(command.argument(0)), kind))

    def _play(self, command: Command) -> None:
        if command.argument(0) is False:  # ActionScript's play(false)
            self._close_stream(command)
            return
        stream = self._stream_of(command)
        if stream is None:
            return
        if stream.use is _Use.PUBLISH:
            self.status(
                command.stream_id,
                Status(StatusCode.PLAY_FAILED, "This stream publishes: close it before playing."),
            )
            return
        reset = command.argument(3)
        event = Play(
            command.stream_id,
            text(command.argument(0)),
            _seconds(number(command.argument(1), -2.0), default=-2.0),
            _seconds(number(command.argument(2), -1.0), default=-1.0),
            # 2 and 3 are a fast transfer of a playlist: as 0 and 1
            reset in (1.0, 3.0) if isinstance(reset, float) else truth(reset, default=True),
        )
        self._decide(event)

    def _begin(self, stream_id: int, recorded: bool) -> None:
        if recorded:
            self.send_control(StreamIsRecorded(stream_id))
        self.send_control(StreamBegin(stream_id))

    def _play2(self, command: Command) -> None:
        if self._stream_of(command) is not None:
            options = command.argument(0)
            options = options if isinstance(options, dict) else {}
            name, transition = text(options.get("streamName")), text(options.get("transition"))
            self._decide(Play2(command.stream_id, name, transition))

    def _seek(self, command: Command) -> None:
        if self._stream_of(command) is not None:
            position = number(command.argument(0), 0.0)
            self._decide(Seek(command.stream_id, position))

    def _pause(self, command: Command) -> None:
        if self._stream_of(command) is not None:
            paused = truth(command.argument(0), default=True)
            position = number(command.argument(1), 0.0)
            self._decide(Pause(command.stream_id, paused, position))

    def _receive_audio(self, command: Command) -> None:
        if self._stream_of(command) is not None:
            on = truth(command.argument(0), default=True)
            self._emit(Receive(command.stream_id, audio=on))

    def _receive_video(self, command: Command) -> None:
        if self._stream_of(command) is not None:
            on = truth(command.argument(0), default=True)
            if on:  # RTMP 1.0, 7.2.2.5
                self.status(command.stream_id, Status(StatusCode.SEEK_NOTIFY, "Seeking."))
                self.status(command.stream_id, Status(StatusCode.PLAY_START, "Playing."))
            self._emit(Receive(command.stream_id, video=on))

    def _close_stream(self, command: Command) -> None:
        stream = self._streams.get(command.stream_id)
        if stream is not None:
            self._end(command.stream_id)

    def _delete_stream(self, command: Command) -> None:
        which = command.argument(0)
        stream_id: int | None = None
        if isinstance(which, float):
            stream_id = int(which) if which in self._streams else None
        elif isinstance(which, str):  # GStreamer sends the name
            stream_id = self._stream_named(which, _Use.PUBLISH)
        if stream_id is not None:
            self._end(stream_id)
            del self._streams[stream_id]

    def _release_stream(self, command: Command) -> None:
        self._result(command.transaction_id, UNDEFINED)

    def _fc_publish(self, command: Command) -> None:
        self._result(command.transaction_id, UNDEFINED)
        # Flash Media Live Encoder waits for it
        self._tell("onFCPublish", StatusCode.PUBLISH_START, text(command.argument(0)))

    def _fc_unpublish(self, command: Command) -> None:
        name = text(command.argument(0))
        stream_id = self._stream_named(name, _Use.PUBLISH)
        if stream_id is not None:
            self._end(stream_id)
        self._tell("onFCUnpublish", StatusCode.UNPUBLISH_SUCCESS, name)
        self._result(command.transaction_id, UNDEFINED)

    def _fc_subscribe(self, command: Command) -> None:
        self._tell("onFCSubscribe", StatusCode.PLAY_START, text(command.argument(0)))

    def _check_bandwidth(self, command: Command) -> None:
        self._result(command.transaction_id, None)

    def _initialise(self, command: Command) -> None:
        """Flash Players' initStream: nothing to do, nothing to answer."""

    # ---------------------------------------------------------------- helpers

    def _stream_of(self, command: Command) -> _NetStream | None:
        """The stream a command came on; RootEncoder uses id 1 before it was told so."""
        stream_id = command.stream_id
        stream = self._streams.get(stream_id)
        if stream is None and 1 <= stream_id <= self.limits.message_streams:
            stream = self._streams[stream_id] = _NetStream()
        if stream is None:
            self.status(
                stream_id,
                Status(
                    StatusCode.FAILED,
                    f"{command.name} on message stream {stream_id}, which was never created:"
                    " send createStream first.",
                ),
            )
        return stream

    def _stream_named(self, name: str, use: _Use) -> int | None:
        for stream_id, stream in self._streams.items():
            if stream.use is use and stream.name == name:
                return stream_id
        return None

    def _end(self, stream_id: int) -> None:
        """A NetStream's use is over: tell the owner, and a publisher that it was heard."""
        stream = self._streams[stream_id]
        if stream.use is _Use.NOTHING:
            return
        if stream.use is _Use.PUBLISH:
            details: dict[str, Value] = {"details": stream.name}
            self.status(
                stream_id, Status(StatusCode.UNPUBLISH_SUCCESS, "No longer publishing.", details)
            )
        stream.use, stream.name = _Use.NOTHING, ""
        self._emit(CloseStream(stream_id))

    def _result(self, transaction_id: float, *values: Value) -> None:
        if transaction_id:
            self.send(Command("_result", transaction_id, None, values).message(), COMMAND_CHUNKS)

    def _error(self, transaction_id: float, status: Status) -> None:
        if transaction_id:
            self._remember(status)
            command = Command("_error", transaction_id, None, (status.info(),))
            self.send(command.message(), COMMAND_CHUNKS)

    def _tell(self, name: str, code: StatusCode, stream_name: str) -> None:
        info = Status(code, stream_name).info()
        self.send(Command(name, 0.0, None, (info,)).message(), COMMAND_CHUNKS)


def _seconds(value: float, *, default: float) -> float:
    """
    A start or duration argument of play, in seconds.

    RTMP 1.0 (7.2.2.1) means seconds; FFmpeg, librtmp and Flash send milliseconds, sentinels
    included (-2000, -1000); GStreamer sends -2. Below zero only the four sentinels have a meaning.
    """
    if value >= 0:
        return value / 1000
    return _SENTINELS.get(value, default)


_SENTINELS: Final = {-1.0: -1.0, -1000.0: -1.0, -2.0: -2.0, -2000.0: -2.0}


_Answer = Callable[[ServerSession, Command], None]

# ruff: noqa: SLF001 - the table belongs to the class
_COMMANDS: Final[dict[str, _Answer]] = {
    "connect": ServerSession._connect,
    "createStream": ServerSession._create_stream,
    "deleteStream": ServerSession._delete_stream,
    "closeStream": ServerSession._close_stream,
    "releaseStream": ServerSession._release_stream,
    "FCPublish": ServerSession._fc_publish,
    "FCUnpublish": ServerSession._fc_unpublish,
    "FCSubscribe": ServerSession._fc_subscribe,
    "publish": ServerSession._publish,
    "play": ServerSession._play,
    "play2": ServerSession._play2,
    "seek": ServerSession._seek,
    "pause": ServerSession._pause,
    "pauseRaw": ServerSession._pause,
    "pauseraw": ServerSession._pause,
    "receiveAudio": ServerSession._receive_audio,
    "receiveVideo": ServerSession._receive_video,
    "_checkbw": ServerSession._check_bandwidth,
    "initStream": ServerSession._initialise,
}

_ANSWERS: Final = frozenset({"_result", "_error", "onStatus"})
"What a client says to calls of ours; we make none, so nobody waits for it."
