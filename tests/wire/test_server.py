"""What a server answers, command by command."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from rtmptwist.amf import amf0
from rtmptwist.amf.values import UNDEFINED, Value
from rtmptwist.wire.chunk import ChunkDecoder, encode_full
from rtmptwist.wire.command import KNOWN, Command, parse
from rtmptwist.wire.control import (
    PingRequest,
    PingResponse,
    SetBufferLength,
    SetChunkSize,
    SetPeerBandwidth,
    StreamBegin,
    StreamEof,
    StreamIsRecorded,
    WindowAcknowledgementSize,
)
from rtmptwist.wire.control import (
    parse as parse_control,
)
from rtmptwist.wire.errors import LimitExceeded, LocalProtocolError, RemoteProtocolError
from rtmptwist.wire.events import (
    Call,
    CloseStream,
    Connect,
    Decision,
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
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.server import _ANSWERS, _COMMANDS, ServerSession
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode
from tests.support.pair import SessionPair, randomness

VECTORS = Path(__file__).parent.parent / "vectors" / "vectors-sessions"


def say(
    pair: SessionPair, name: str, *arguments: Value, stream: int = 1, wanted: float = 0
) -> None:
    """Let the client send any command."""
    pair.client.send(Command(name, wanted, None, arguments, stream).message(), 3)
    pair.pump()


def codes(events: list[Event]) -> list[object]:
    """The codes of the statuses among the events, in order."""
    return [event.info["code"] for event in events if isinstance(event, StatusChange)]


def bare_server(limits: Limits | None = None) -> ServerSession:
    """A server session past a plain handshake, with nothing said yet."""
    server = ServerSession(random=randomness().randbytes, limits=limits)
    server.receive(b"\x03" + bytes(1536))
    (event,) = server.receive(bytes(1536))
    assert isinstance(event, Handshaken)
    server.data_to_send()
    return server


def messages_of(data: bytes) -> list[Message]:
    return ChunkDecoder(Limits()).feed(data)


def connect_bytes(**properties: Value) -> bytes:
    command = Command("connect", 1.0, {"app": "live", **properties})
    return encode_full(command.message(), 3, 128)


# ------------------------------------------------------------------------------ connect


def test_connect_is_answered_in_one_piece_in_the_order_clients_know() -> None:
    server = bare_server()
    (event,) = server.receive(connect_bytes(tcUrl="rtmp://h/live", objectEncoding=3.0))
    assert isinstance(event, Connect)
    assert (event.app, event.tc_url) == ("live", "rtmp://h/live")
    server.accept(event)
    *controls, answer = messages_of(server.data_to_send())
    assert [type(parse_control(c)) for c in controls] == [
        WindowAcknowledgementSize,
        SetPeerBandwidth,
        SetChunkSize,
        StreamBegin,
    ]
    command = parse(answer, server._amf_limits)
    info = command.argument(0)
    assert (command.name, command.transaction_id) == ("_result", 1.0)
    assert isinstance(command.object, dict)
    assert isinstance(info, dict)
    assert info["code"] == "NetConnection.Connect.Success"
    assert info["objectEncoding"] == 3.0
    assert info["capsEx"] == command.object["capsEx"] == 14.0


def test_rtmpdump_understands_the_answer_to_connect() -> None:
    """It reads no AMF0 references ("AMF_REFERENCE not supported!"), and then waits for ever."""
    server = bare_server()
    (event,) = server.receive(connect_bytes())
    assert isinstance(event, Connect)
    server.accept(event)
    command = parse(messages_of(server.data_to_send())[-1], server._amf_limits)
    assert isinstance(command.object, dict)
    info = command.argument(0)
    assert isinstance(info, dict)
    # what is written twice is read as two objects, a reference as the very same one
    assert command.object["videoFourCcInfoMap"] == info["videoFourCcInfoMap"]
    assert command.object["videoFourCcInfoMap"] is not info["videoFourCcInfoMap"]


def test_object_encoding_is_never_3_unasked() -> None:
    pair = SessionPair()
    pair.pump()
    pair.client.connect("live", "")
    pair.pump()
    result = pair.heard_by_client[-1]
    assert isinstance(result, Result)
    info = result.values[0]
    assert isinstance(info, dict)
    assert info["objectEncoding"] == 0.0


@pytest.mark.parametrize(
    ("properties", "url"),
    [({"tcUrl": '"rtmp://h/live"'}, "rtmp://h/live"), ({"tcurl": "rtmp://h/a"}, "rtmp://h/a")],
)
def test_odd_spellings_of_tc_url(properties: dict[str, Value], url: str) -> None:
    """gortmplib met encoders that do this."""
    (event,) = bare_server().receive(connect_bytes(**properties))
    assert isinstance(event, Connect)
    assert event.tc_url == url


def test_connect_without_an_object_has_an_empty_app() -> None:
    command = Command("connect", 1.0, None)
    (event,) = bare_server().receive(encode_full(command.message(), 3, 128))
    assert isinstance(event, Connect)
    assert event.app == ""


def test_refused_connect_has_null_for_properties() -> None:
    """With an object there, FFmpeg ignores the refusal and hangs."""
    server = bare_server()
    (event,) = server.receive(connect_bytes())
    assert isinstance(event, Connect)
    server.refuse(event, Status(StatusCode.CONNECT_INVALID_APP, "No such application."))
    (answer,) = messages_of(server.data_to_send())
    info: Value = {
        "level": "error",
        "code": "NetConnection.Connect.InvalidApp",
        "description": "No such application.",
    }
    assert parse(answer, server._amf_limits) == Command("_error", 1.0, None, (info,))


def test_what_follows_a_connect_waits_for_its_decision() -> None:
    """A client that pipelines must not overtake its own login."""
    server = bare_server()
    create = encode_full(Command("createStream", 2.0).message(), 3, 128)
    data = connect_bytes() + create
    (event,) = server.receive(data[:-1])
    assert server.deciding
    assert not server.more
    assert server.receive(data[-1:]) == []
    assert server.data_to_send() == b""
    assert isinstance(event, Connect)
    server.accept(event)
    assert server.receive(b"") == []
    names = [m.type for m in messages_of(server.data_to_send())]
    assert names[-2:] == [MessageType.COMMAND, MessageType.COMMAND]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("createStream", "'createStream' before a connect"),
        ("publish", "'publish' before a connect"),
        ("a-secret-stream-key", "^an unknown command before a connect was accepted$"),
    ],
)
def test_commands_before_connect_are_refused(name: str, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        bare_server().receive(encode_full(Command(name, 1.0).message(), 3, 128))


def test_media_before_connect_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="Message is not allowed while handshaken"):
        bare_server().receive(encode_full(Message(8, 0, 1, b"\xaf\x01"), 4, 128))


def test_second_connect_is_refused() -> None:
    pair = SessionPair().connected()
    pair.client.connect("live", "")
    with pytest.raises(RemoteProtocolError, match="Connect is not allowed while connected"):
        pair.pump()


def test_answers_without_a_question_are_a_bug_of_ours() -> None:
    server = bare_server()
    with pytest.raises(LocalProtocolError, match="no decision is due"):
        server.accept(Publish(1, "a"))


# ------------------------------------------------------------------------------ streams


def test_stream_ids_are_numbered_from_one_and_used_again() -> None:
    pair = SessionPair().connected()
    for _ in range(2):
        pair.client.create_stream()
    pair.client.delete_stream(1)
    pair.client.create_stream()
    pair.pump()
    ids = [event.values[0] for event in pair.heard_by_client if isinstance(event, Result)]
    assert ids == [1.0, 2.0, 1.0]


def test_number_of_streams_is_bounded() -> None:
    pair = SessionPair(Limits(message_streams=1)).connected()
    pair.client.create_stream()
    pair.client.create_stream()
    pair.pump()
    _, refused = (event for event in pair.heard_by_client if isinstance(event, Result))
    assert not refused.ok
    assert isinstance(refused.values[0], dict)
    assert "1 streams already" in str(refused.values[0]["description"])


def test_publish_is_answered_on_its_own_stream() -> None:
    """GStreamer hangs when the status comes on stream 0."""
    pair = SessionPair().with_stream()
    pair.client.publish(1, "name")
    pair.pump()
    assert pair.heard_by_server == [Publish(1, "name", "live")]
    begin, status = pair.heard_by_client
    assert begin == StreamBegin(1)
    assert isinstance(status, StatusChange)
    assert (status.stream_id, status.info["code"]) == (1, "NetStream.Publish.Start")


def test_refused_publish_is_a_status_with_words() -> None:
    pair = SessionPair().with_stream()
    pair.accepting = False
    pair.client.publish(1, "name")
    pair.pump()
    assert pair.decision is not None
    pair.server.refuse(pair.decision, Status(StatusCode.PUBLISH_BAD_NAME, "Taken."))
    pair.pump()
    assert codes(pair.heard_by_client) == ["NetStream.Publish.BadName"]


def test_streams_that_were_never_created_are_made_when_the_number_is_sane() -> None:
    """RootEncoder publishes on stream 1 before it hears that it has it."""
    pair = SessionPair().connected()
    pair.client.publish(1, "name")
    pair.pump()
    assert pair.heard_by_server == [Publish(1, "name", "live")]


@pytest.mark.parametrize(
    "name",
    ["publish", "play", "play2", "seek", "pause", "receiveAudio", "receiveVideo"],
)
@pytest.mark.parametrize("stream", [0, 65])
def test_commands_on_impossible_streams_fail_with_words(name: str, stream: int) -> None:
    pair = SessionPair().connected()
    say(pair, name, "a", stream=stream)
    assert codes(pair.heard_by_client) == ["NetStream.Failed"]
    assert pair.heard_by_server == []


def test_play_is_answered_in_the_order_players_need() -> None:
    """librtmp ignores media before Play.Start, and for ever without it."""
    pair = SessionPair().with_stream()
    pair.client.play(1, "name")
    pair.pump()
    assert pair.heard_by_server == [Play(1, "name", -2.0, -1.0, reset=True)]
    assert pair.heard_by_client[0] == StreamBegin(1)
    assert codes(pair.heard_by_client) == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    access = pair.heard_by_client[-1]
    assert isinstance(access, Message)
    assert amf0.decode(access.payload) == ["|RtmpSampleAccess", True, True]


def test_play_without_reset_does_not_say_so() -> None:
    pair = SessionPair().with_stream()
    pair.client.play(1, "name", reset=False)
    pair.pump()
    assert codes(pair.heard_by_client) == ["NetStream.Play.Start"]


PLAYS: list[tuple[str, tuple[Value, ...], tuple[float, float, bool]]] = [
    ("FFmpeg", ("n", -2000.0), (-2.0, -1.0, True)),
    ("FFmpeg, live", ("n", -1000.0), (-1.0, -1.0, True)),
    ("GStreamer", ("n", -2.0), (-2.0, -1.0, True)),
    ("the specification's live", ("n", -1.0), (-1.0, -1.0, True)),
    ("rtmpdump --start 3 --stop 5", ("n", 3000.0, 2000.0), (3.0, 2.0, True)),
    ("another negative", ("n", -5.0, -7.0), (-2.0, -1.0, True)),
    ("null", ("n", None, None, None), (-2.0, -1.0, True)),
    ("reset 0", ("n", 0.0, -1.0, 0.0), (0.0, -1.0, False)),
    ("reset 1", ("n", 0.0, -1.0, 1.0), (0.0, -1.0, True)),
    ("reset 2", ("n", 0.0, -1.0, 2.0), (0.0, -1.0, False)),
    ("reset 3", ("n", 0.0, -1.0, 3.0), (0.0, -1.0, True)),
    ("reset false", ("n", 0.0, -1000.0, False), (0.0, -1.0, False)),
]


@pytest.mark.parametrize(
    ("arguments", "expected"), [row[1:] for row in PLAYS], ids=[row[0] for row in PLAYS]
)
def test_arguments_of_play(
    arguments: tuple[Value, ...], expected: tuple[float, float, bool]
) -> None:
    """Programs mix seconds and milliseconds."""
    pair = SessionPair().with_stream()
    say(pair, "play", *arguments)
    (event,) = pair.heard_by_server
    assert isinstance(event, Play)
    assert (event.start, event.duration, event.reset) == expected


def test_a_playing_stream_cannot_publish_and_a_publishing_one_cannot_play() -> None:
    pair = SessionPair().with_stream()
    pair.client.play(1, "a")
    pair.client.publish(1, "b")
    pair.pump()
    assert codes(pair.heard_by_client)[-1] == "NetStream.Failed"
    pair.client.close_stream(1)
    pair.client.publish(1, "b")
    pair.client.play(1, "a")
    pair.pump()
    assert codes(pair.heard_by_client)[-2:] == [
        "NetStream.Publish.Start",
        "NetStream.Play.Failed",
    ]


def test_what_the_owner_ended_leaves_the_stream_free() -> None:
    pair = SessionPair().with_stream()
    say(pair, "publish", "mine", wanted=0)
    pair.server.free(1)
    pair.server.free(2)  # which nobody made
    say(pair, "play", "other")
    assert [type(event) for event in pair.heard_by_server] == [Publish, Play]


def test_publishing_again_ends_the_first_publication() -> None:
    pair = SessionPair().with_stream()
    pair.client.publish(1, "a")
    pair.client.publish(1, "b")
    pair.pump()
    assert pair.heard_by_server == [Publish(1, "a"), CloseStream(1), Publish(1, "b")]


@pytest.mark.parametrize("name", ["publish", "play"])
def test_false_closes_as_in_actionscript(name: str) -> None:
    pair = SessionPair().with_stream()
    say(pair, name, "a")
    say(pair, name, False)
    assert pair.heard_by_server[1:] == [CloseStream(1)]


ENDS: list[tuple[str, str, tuple[Value, ...], int, list[str]]] = [
    ("closeStream", "closeStream", (), 1, ["NetStream.Unpublish.Success"]),
    ("deleteStream", "deleteStream", (1.0,), 0, ["NetStream.Unpublish.Success"]),
    ("GStreamer", "deleteStream", ("name",), 0, ["NetStream.Unpublish.Success"]),
    ("FCUnpublish", "FCUnpublish", ("name",), 0, ["NetStream.Unpublish.Success"]),
]


@pytest.mark.parametrize(
    ("name", "arguments", "stream", "expected"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS]
)
def test_ways_to_end_a_publication(
    name: str, arguments: tuple[Value, ...], stream: int, expected: list[str]
) -> None:
    pair = SessionPair().with_stream()
    pair.client.publish(1, "name")
    pair.pump()
    pair.forget()
    say(pair, name, *arguments, stream=stream)
    assert pair.heard_by_server == [CloseStream(1)]
    assert codes(pair.heard_by_client) == expected
    say(pair, name, *arguments, stream=stream)
    assert pair.heard_by_server == [CloseStream(1)], "the second time there is nothing to end"


@pytest.mark.parametrize("which", [7.0, 1.5, "nobody", None])
def test_deleting_what_is_not_there_is_ignored(which: Value) -> None:
    pair = SessionPair().with_stream()
    say(pair, "deleteStream", which, stream=0)
    say(pair, "closeStream", stream=9)
    assert pair.heard_by_server == []


def test_courtesies_of_encoders_are_answered() -> None:
    """Flash Media Live Encoder waits for onFCPublish."""
    pair = SessionPair().connected()
    for number, name in enumerate(["releaseStream", "FCPublish", "FCSubscribe", "_checkbw"], 2):
        pair.client._open_calls.add(float(number))
        say(pair, name, "a", stream=0, wanted=float(number))
    pair.client._open_calls.add(9.0)
    say(pair, "FCUnpublish", "a", stream=0, wanted=9.0)
    results = [e.transaction_id for e in pair.heard_by_client if isinstance(e, Result)]
    told = [e.name for e in pair.heard_by_client if isinstance(e, Command)]
    assert results == [2.0, 3.0, 5.0, 9.0]
    assert told == ["onFCPublish", "onFCSubscribe", "onFCUnpublish"]
    assert pair.heard_by_server == []


@pytest.mark.parametrize("name", ["initStream", "_result", "_error", "onStatus"])
def test_what_needs_no_answer_gets_none(name: str) -> None:
    pair = SessionPair().connected()
    say(pair, name, stream=0, wanted=4.0)
    assert pair.heard_by_server == []
    assert pair.heard_by_client == []


def test_seek_and_pause_are_decisions() -> None:
    pair = SessionPair().with_stream()
    say(pair, "seek", 1500.0)
    say(pair, "pause", True, 100.0)
    say(pair, "pauseRaw", False, 200.0)
    assert pair.heard_by_server == [
        Seek(1, 1500.0),
        Pause(1, paused=True, position=100.0),
        Pause(1, paused=False, position=200.0),
    ]
    assert codes(pair.heard_by_client) == [
        "NetStream.Seek.Notify",
        "NetStream.Play.Start",
        "NetStream.Pause.Notify",
        "NetStream.Unpause.Notify",
    ]


def test_what_is_recorded_is_announced_as_such() -> None:
    """First what it is, then that it begins, then the status: FFmpeg takes media from there on."""
    pair = SessionPair().with_stream()
    pair.accepting = False
    wanted: list[tuple[Decision, list[object]]] = [
        (Play(1, "a"), ["NetStream.Play.Reset", "NetStream.Play.Start"]),
        (Seek(1, 1500.0), ["NetStream.Seek.Notify", "NetStream.Play.Start"]),
        (Pause(1, paused=False, position=5.0), ["NetStream.Unpause.Notify"]),
    ]
    for event, told in wanted:
        pair.server.deciding = True
        pair.server.accept(event, recorded=True)
        pair.pump()
        assert pair.heard_by_client[:2] == [StreamIsRecorded(1), StreamBegin(1)]
        assert codes(pair.heard_by_client) == told
        pair.heard_by_client.clear()
    pair.server.deciding = True
    pair.server.accept(Pause(1, paused=True, position=5.0), recorded=True)
    pair.pump()
    assert codes(pair.heard_by_client) == ["NetStream.Pause.Notify"]
    assert len(pair.heard_by_client) == 1


def test_what_is_queued_begins_later() -> None:
    pair = SessionPair().with_stream()
    pair.accepting = False
    pair.client.play(1, "a", reset=False)
    pair.pump()
    assert isinstance(pair.decision, Play)
    pair.server.enlist(pair.decision)
    pair.pump()
    assert pair.heard_by_client == []
    pair.server.begin_play(pair.decision, recorded=True)
    pair.pump()
    assert pair.heard_by_client[:2] == [StreamIsRecorded(1), StreamBegin(1)]
    assert codes(pair.heard_by_client) == ["NetStream.Play.Start"]


def test_receive_audio_and_video() -> None:
    pair = SessionPair().with_stream()
    pair.client.receive_audio(1, False)
    pair.client.receive_video(1, False)
    pair.client.receive_video(1, True)
    pair.pump()
    assert pair.heard_by_server == [
        Receive(1, audio=False),
        Receive(1, video=False),
        Receive(1, video=True),
    ]
    assert codes(pair.heard_by_client) == ["NetStream.Seek.Notify", "NetStream.Play.Start"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"streamName": "b", "transition": "switch"}, Play2(1, "b", "switch")),
        ("rubbish", Play2(1, "", "")),
    ],
)
def test_play2(options: Value, expected: Play2) -> None:
    pair = SessionPair().with_stream()
    pair.accepting = False
    say(pair, "play2", options)
    assert pair.heard_by_server == [expected]
    with pytest.raises(LocalProtocolError):
        pair.server.accept(expected)
    pair.server.deciding = True
    pair.server.refuse(expected, Status(StatusCode.PLAY_FAILED, "Not offered."))
    pair.pump()
    assert codes(pair.heard_by_client) == ["NetStream.Play.Failed"]


def test_calls_are_answered_with_values_or_by_name() -> None:
    pair = SessionPair().connected()
    pair.accepting = False
    pair.client.call("sum", 1.0, 2.0)
    pair.pump()
    call = pair.decision
    assert isinstance(call, Call)
    assert (call.name, call.arguments) == ("sum", (1.0, 2.0))
    pair.server.result(call, 3.0)
    pair.client.call("nothing")
    pair.pump()
    assert isinstance(pair.decision, Call)
    pair.server.refuse(pair.decision, Status(StatusCode.CALL_FAILED, "Method not found."))
    pair.client.call("yes")
    pair.pump()
    assert isinstance(pair.decision, Call)
    pair.server.accept(pair.decision)
    pair.pump()
    first, second, third = pair.heard_by_client
    assert first == Result(2.0, ok=True, properties=None, values=(3.0,))
    assert isinstance(second, Result)
    assert not second.ok
    assert third == Result(4.0, ok=True, properties=None, values=(UNDEFINED,))


def test_calls_that_want_no_answer_get_none() -> None:
    pair = SessionPair().connected()
    pair.accepting = False
    say(pair, "hello", stream=0)
    assert isinstance(pair.decision, Call)
    pair.server.refuse(pair.decision, Status(StatusCode.CALL_FAILED, "Method not found."))
    pair.pump()
    assert pair.heard_by_client == []


def test_end_of_play_reaches_every_kind_of_player() -> None:
    """StreamEof ends GStreamer, the status FFmpeg and librtmp."""
    pair = SessionPair().with_stream()
    pair.server.end_play(1, Status(StatusCode.PLAY_UNPUBLISH_NOTIFY, "Over."))
    pair.server.play_status(1, Status(StatusCode.PLAY_COMPLETE, "Done."))
    pair.pump()
    eof, notify, complete = pair.heard_by_client
    assert eof == StreamEof(1)
    assert isinstance(notify, StatusChange)
    assert isinstance(complete, Message)
    name, info = amf0.decode(complete.payload)
    assert name == "onPlayStatus"
    assert isinstance(info, dict)
    assert info["code"] == "NetStream.Play.Complete"


def test_status_about_the_connection_goes_on_stream_0() -> None:
    pair = SessionPair().connected()
    pair.server.status(0, Status(StatusCode.CONNECT_APP_SHUTDOWN, "Going down."))
    pair.pump()
    (status,) = pair.heard_by_client
    assert isinstance(status, StatusChange)
    assert status.stream_id == 0


# ------------------------------------------------------------------------------ real clients


def decided(server: ServerSession, data: bytes, cut: int) -> list[Event]:
    """Everything a recorded client says to a server that accepts it all."""
    heard: list[Event] = []
    for start in range(0, len(data), cut):
        events = server.receive(data[start : start + cut])
        while events:
            heard += events
            if server.deciding:
                assert isinstance(events[-1], Decision)
                if isinstance(events[-1], Play2):
                    server.refuse(events[-1], Status(StatusCode.PLAY_FAILED, ""))
                else:
                    server.accept(events[-1])
            events = server.receive(b"") if server.more else []
    return heard


@pytest.mark.parametrize("cut", [100_000, 700, 3])
@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_clients(path: Path, cut: int) -> None:
    """Bytes of real encoders and players, in any slicing: every message, and their commands."""
    expected = json.loads(path.read_text())
    server = ServerSession(random=randomness().randbytes)
    heard = decided(server, path.with_suffix(".c2s.bin").read_bytes(), cut)
    media = [event for event in heard if isinstance(event, Message)]
    rows = [row for row in expected["first"] if row["type"] in (8, 9, 18)]
    found = [(m.type, m.stream_id, m.timestamp, f"{zlib.crc32(m.payload):08x}") for m in media]
    assert found[: len(rows)] == [(r["type"], r["msid"], r["ts"], r["crc32"]) for r in rows]
    assert isinstance(heard[0], Handshaken)
    assert isinstance(heard[1], Connect)
    wanted = Publish if "publish" in path.stem else Play
    assert [type(event) for event in heard].count(wanted) == 1
    assert server.state is State.CONNECTED


# ------------------------------------------------------------------------------ control and limits


def test_pings_are_answered_up_to_a_rate() -> None:
    pair = SessionPair(Limits(pings_per_second=2)).connected()
    for timestamp in range(3):
        pair.client.ping(timestamp)
    pair.pump()
    assert pair.heard_by_client == [PingResponse(0), PingResponse(1)]
    pair.server.refill(1.0)
    pair.client.ping(9)
    pair.pump()
    assert pair.heard_by_client[-1] == PingResponse(9)


def test_control_messages_that_matter_are_told() -> None:
    pair = SessionPair().connected()
    pair.client.set_buffer_length(1, 3000)
    pair.server.ping(5)
    pair.pump()
    assert pair.heard_by_server == [SetBufferLength(1, 3000), PingResponse(5)]


def test_commands_have_a_rate() -> None:
    pair = SessionPair(Limits(command_burst=3, commands_per_second=1)).connected()
    for _ in range(2):
        say(pair, "releaseStream", stream=0)
    pair.server.refill(1.0)
    say(pair, "releaseStream", stream=0)
    with pytest.raises(LimitExceeded, match="more than 1 commands per second"):
        say(pair, "releaseStream", stream=0)


def test_a_few_clients_with_long_commands_do_not_take_all_time() -> None:
    """Reading one of 64 KB took 25 ms, and a hundred in a second were allowed."""
    pair = SessionPair(Limits(command_burst=20, command_unit=100)).connected()
    pair.server.refill(1.0)
    with pytest.raises(LimitExceeded, match="a long one counts for each 100 bytes"):
        say(pair, "releaseStream", "x" * 2000, stream=0)


def test_chunks_have_a_rate() -> None:
    pair = SessionPair(Limits(chunks_per_second=5)).connected()
    pair.server.refill(1.0)
    for _ in range(6):
        pair.client.send(Message(8, 0, 1, b""), 4)
    pair.pump()
    with pytest.raises(LimitExceeded, match="6 chunks in"):
        pair.server.refill(1.0)


def test_few_messages_before_connect() -> None:
    server = bare_server(Limits(messages_before_connect=2))
    ping = encode_full(Message(4, 0, 0, PingRequest(1).pack()), 2, 128)
    server.receive(ping * 2)
    with pytest.raises(LimitExceeded, match="3 messages without a connect"):
        server.receive(ping)


def test_a_few_undecodable_commands_are_forgiven() -> None:
    """Old encoders send strange values; a stranger who sends nothing else is cut off."""
    pair = SessionPair().connected()
    bad = Message(MessageType.COMMAND, 0, 0, b"\xff")
    for _ in range(5):
        pair.client.send(bad, 3)
    pair.pump()
    assert pair.server.ignored == 5
    pair.client.send(bad, 3)
    with pytest.raises(RemoteProtocolError, match="command"):
        pair.pump()


def test_an_undecodable_command_before_connect_ends_it() -> None:
    with pytest.raises(RemoteProtocolError, match="command"):
        bare_server().receive(encode_full(Message(MessageType.COMMAND, 0, 0, b"\xff"), 3, 128))


def test_unknown_types_in_a_row_mean_lost_synchronisation() -> None:
    pair = SessionPair().connected()
    odd = Message(99, 0, 0, b"?")
    for message in (odd, odd, Message(8, 0, 1, b"\xaf"), odd, odd):
        pair.client.send(message, 4)
        pair.pump()
    pair.client.send(odd, 4)
    with pytest.raises(RemoteProtocolError, match="3 messages of unknown types in a row"):
        pair.pump()


def test_shared_objects_and_unknown_events_are_counted() -> None:
    pair = SessionPair().connected()
    for _ in range(4):
        pair.client.send(Message(MessageType.SHARED_OBJECT, 0, 0, b""), 3)
    pair.client.send(Message(4, 0, 0, b"\0\x63\0\0"), 2)
    pair.pump()
    assert pair.server.ignored == 5


def test_aggregates_arrive_as_their_parts() -> None:
    pair = SessionPair().with_stream()
    body = bytes.fromhex("08 000002 000000 00 000000 af01 0000000d".replace(" ", ""))
    pair.client.send(Message(MessageType.AGGREGATE, 40, 1, body), 4)
    pair.pump()
    assert pair.heard_by_server == [Message(8, 40, 1, b"\xaf\x01")]


def test_a_closed_session_hears_nothing() -> None:
    pair = SessionPair().connected()
    pair.server.close()
    assert pair.server.receive(b"rubbish") == []


def test_acknowledgements_follow_the_running_total() -> None:
    pair = SessionPair().connected()
    pair.client.send_control(WindowAcknowledgementSize(40_000))
    pair.client.send(Message(9, 0, 1, bytes(25_000)), 6)
    pair.pump()
    assert pair.client.acknowledged == 0
    pair.client.send(Message(9, 0, 1, bytes(25_000)), 6)
    pair.pump()
    assert pair.client.acknowledged == pair.server.bytes_received


def test_a_window_of_one_byte_does_not_make_us_a_flood() -> None:
    pair = SessionPair().connected()
    pair.client.send_control(WindowAcknowledgementSize(1))
    pair.client.send_control(WindowAcknowledgementSize(0))
    pair.client.send(Message(9, 0, 1, bytes(1000)), 6)
    pair.pump()
    assert pair.client.acknowledged == 0


def test_peer_bandwidth_is_answered_once_per_value() -> None:
    server = bare_server()
    limit = encode_full(Message(6, 0, 0, SetPeerBandwidth(70_000).pack()), 2, 128)
    server.receive(limit + limit)
    (answer,) = messages_of(server.data_to_send())
    assert parse_control(answer) == WindowAcknowledgementSize(70_000)


def test_whatever_is_understood_is_no_secret() -> None:
    assert _COMMANDS.keys() | _ANSWERS <= KNOWN
