"""What a client says, and hears."""

from __future__ import annotations

import pytest

from rtmptwist.amf.values import Value
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.command import Command
from rtmptwist.wire.control import StreamBegin
from rtmptwist.wire.errors import LimitExceeded, LocalProtocolError
from rtmptwist.wire.events import Connect, Result, StatusChange
from rtmptwist.wire.handshake import ClientHandshake
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message
from rtmptwist.wire.session import State
from rtmptwist.wire.status import Status, StatusCode
from tests.support.pair import SessionPair, randomness


def test_connect_says_what_servers_look_for() -> None:
    pair = SessionPair()
    pair.pump()
    pair.client.connect("live", "rtmp://h/live", {"flashVer": "me", "token": "t"}, ("extra",))
    pair.pump()
    (connect,) = pair.heard_by_server
    assert isinstance(connect, Connect)
    assert (connect.app, connect.tc_url) == ("live", "rtmp://h/live")
    assert connect.properties["flashVer"] == "me"
    assert connect.properties["token"] == "t"
    assert connect.properties["capsEx"] == 14.0
    assert connect.arguments == ("extra",)
    assert pair.client.state is State.CONNECTED


def test_refused_connect_leaves_the_client_outside() -> None:
    pair = SessionPair()
    pair.pump()
    pair.accepting = False
    pair.client.connect("nothing", "")
    pair.pump()
    assert pair.decision is not None
    pair.server.refuse(pair.decision, Status(StatusCode.CONNECT_INVALID_APP, "No."))
    pair.pump()
    result = pair.heard_by_client[-1]
    assert isinstance(result, Result)
    assert not result.ok
    assert pair.client.state is State.HANDSHAKEN


def test_a_given_handshake_is_used() -> None:
    shake = ClientHandshake(random=randomness().randbytes)
    client = ClientSession(random=randomness().randbytes, handshake=shake)
    assert len(client.data_to_send()) == 1537


def test_calls_of_the_server_are_told() -> None:
    pair = SessionPair().connected()
    pair.server.send(Command("onBWDone", 0.0, None, (8192.0,)).message(), 3)
    pair.pump()
    assert pair.heard_by_client == [Command("onBWDone", 0.0, None, (8192.0,))]


@pytest.mark.parametrize("info", ["text", None])
def test_a_status_without_an_object_is_no_status(info: Value) -> None:
    pair = SessionPair().connected()
    pair.server.send(Command("onStatus", 0.0, None, (info,), 1).message(), 5)
    pair.pump()
    assert pair.heard_by_client == []


def test_answers_to_nothing_are_counted() -> None:
    pair = SessionPair().connected()
    pair.server.send(Command("_result", 99.0).message(), 3)
    pair.pump()
    assert pair.heard_by_client == []
    assert pair.client.ignored == 1


def test_statuses_and_media_come_with_their_stream() -> None:
    pair = SessionPair().with_stream()
    pair.client.play(1, "a", -1.0, 2.5)
    pair.pump()
    pair.server.send(Message(8, 40, 1, b"\xaf\x01"), 4)
    pair.pump()
    assert pair.heard_by_client[0] == StreamBegin(1)
    assert isinstance(pair.heard_by_client[1], StatusChange)
    assert pair.heard_by_client[-1] == Message(8, 40, 1, b"\xaf\x01")


def test_publishing_as_encoders_do() -> None:
    pair = SessionPair().with_stream()
    pair.client.release_stream("a")
    pair.client.publish(1, "a", "record")
    pair.client.send_media(Message(9, 0, 1, b"\x17"))
    pair.client.send_media(Message(18, 0, 1, b"\x05"))
    pair.client.unpublish("a")
    pair.client.pause(1, True)
    pair.client.seek(1, 100.0)
    pair.pump()
    names = [type(event).__name__ for event in pair.heard_by_server]
    assert names == ["Publish", "Message", "Message", "CloseStream", "Pause", "Seek"]


def test_open_calls_are_bounded() -> None:
    pair = SessionPair(Limits(open_calls=1)).connected()
    pair.client.call("a")
    with pytest.raises(LimitExceeded, match="1 calls wait"):
        pair.client.call("b")


def test_calls_on_a_closed_session_are_a_bug_of_the_caller() -> None:
    pair = SessionPair().connected()
    pair.client.close()
    with pytest.raises(LocalProtocolError, match="a: the session is closed"):
        pair.client.call("a")
