"""wire/swf.py: what players answered, and files compressed or not."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from rtmptwist.wire.control import (
    SetBufferLength,
    SwfVerificationRequest,
    SwfVerificationResponse,
)
from rtmptwist.wire.errors import LimitExceeded
from rtmptwist.wire.events import Call, Play, Publish, Receive
from rtmptwist.wire.handshake import HandshakeKind, ServerHandshake
from rtmptwist.wire.limits import Limits
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.swf import Swf, identify
from tests.support.pair import SessionPair
from tests.support.swf import COMPRESSED, PLAIN, SWF

FILE = Path(__file__).parents[1] / "vectors" / "handshake" / "swf-verification.json"
RECORDED: dict[str, dict[str, Any]] = json.loads(FILE.read_text())


@pytest.mark.parametrize("client", RECORDED)
def test_real_players_answer_as_we_expect(client: str) -> None:
    facts = RECORDED[client]
    s1 = bytes.fromhex(facts["s0s1s2"])[1:1537]
    server = ServerHandshake(random=lambda size: s1[-size:])
    server.feed(bytes.fromhex(facts["c0c1"]))
    assert server.kind is HandshakeKind.DIGEST
    assert server.swf_key == bytes.fromhex(facts["key_last_32_bytes_of_s1"])
    swf = Swf(facts["swf_size"], bytes.fromhex(facts["swf_hash"]))
    body = bytes.fromhex(facts["response_body"])
    assert swf.response(server.swf_key).pack() == body
    response = SwfVerificationResponse.unpack(body)
    other = Swf(swf.size, bytes(32))
    assert identify(response, server.swf_key, [other, swf]) is swf
    assert identify(response, server.swf_key, [other]) is None
    assert identify(response, server.swf_key, [Swf(swf.size + 1, swf.hash)]) is None
    assert identify(response, bytes(32), [swf]) is None


def test_compression_makes_no_difference() -> None:
    expected = hmac.new(b"Genuine Adobe Flash Player 001", PLAIN, hashlib.sha256).digest()
    assert Swf.of(PLAIN) == Swf.of(COMPRESSED) == Swf(len(PLAIN), expected)


BAD = [
    (b"", "begins with ''"),
    (b"<html>", "begins with '<ht' (expected 'FWS' or 'CWS')"),
    (b"ZWS\x0d", "begins with 'ZWS'"),
    (b"CWS\x0a\0\0\0\0not zlib", "SWF file: Error"),
    (COMPRESSED[:-9], "cut short"),
]


@pytest.mark.parametrize(("file", "words"), BAD)
def test_what_is_no_swf_file_is_refused(file: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Swf.of(file)
    assert words in str(caught.value)


def test_a_bomb_is_not_inflated() -> None:
    bomb = COMPRESSED[:8] + zlib.compress(bytes(2_000_000))
    with pytest.raises(ValueError, match="larger than 1000000 bytes"):
        Swf.of(bomb, Limits(swf_size=1_000_000))


# ------------------------------------------------------------------------ sessions


def asked(**options: Any) -> SessionPair:
    """A pair with two message streams, whose server has asked, and whose client has answered."""
    pair = SessionPair(**options).with_stream()
    pair.client.create_stream()
    pair.server.demand_swf()
    pair.pump()
    return pair


def test_a_player_answers() -> None:
    pair = asked(swf=SWF)
    assert SwfVerificationRequest() in pair.heard_by_client
    (response,) = pair.heard_by_server
    assert isinstance(response, SwfVerificationResponse)
    assert pair.server.swf_key is not None
    assert identify(response, pair.server.swf_key, [SWF]) is SWF


@pytest.mark.parametrize(
    ("version", "options"),
    [
        (1, {}),
        (2, {"swf": SWF}),
        (1, {"swf": SWF, "kind": HandshakeKind.PLAIN}),
    ],
    ids=["no file", "a version that nobody knows", "no digests"],
)
def test_who_cannot_answer_does_not(version: int, options: dict[str, Any]) -> None:
    """Its owner hears the question all the same."""
    pair = SessionPair(**options).connected()
    pair.server.send_control(SwfVerificationRequest(version))
    pair.pump()
    assert pair.heard_by_client == [SwfVerificationRequest(version)]
    assert pair.heard_by_server == []


def test_without_digests_nothing_is_asked_and_nothing_waits() -> None:
    pair = asked(kind=HandshakeKind.PLAIN, swf=SWF)
    assert pair.server.swf_key is None
    assert SwfVerificationRequest() not in pair.heard_by_client
    pair.client.play(1, "show")
    pair.pump()
    assert [type(event) for event in pair.heard_by_server] == [Play]


def test_plays_wait_with_all_commands_that_follow() -> None:
    pair = asked()
    client = pair.client
    client.publish(2, "mine")
    pair.pump()
    assert [type(event) for event in pair.heard_by_server] == [Publish]
    pair.forget()
    media = Message(MessageType.VIDEO, 0, 2, b"\x17")
    client.play(1, "show")
    client.receive_video(1, False)
    client.set_buffer_length(1, 3000)
    client.send_media(media)
    client.call("later")
    client.play(3, "another")
    pair.pump()
    assert [type(event) for event in pair.heard_by_server] == [SetBufferLength, Message]
    pair.forget()
    pair.server.settle_swf()
    assert pair.server.more
    client.call("last")
    pair.pump()
    assert [type(event) for event in pair.heard_by_server] == [Play, Receive, Call, Play, Call]
    assert [e.name for e in pair.heard_by_server if isinstance(e, Play | Call)] == [
        "show", "later", "another", "last",
    ]  # fmt: skip
    assert not pair.server.more


def test_commands_that_wait_are_bounded_by_their_rate() -> None:
    pair = asked(limits=Limits(command_burst=50))
    for _ in range(100):
        pair.client.play(1, "show")
    with pytest.raises(LimitExceeded, match="commands per second"):
        pair.pump()


def test_a_session_that_ended_meanwhile_hears_nothing_of_what_waited() -> None:
    pair = asked()
    pair.client.play(1, "show")
    pair.pump()
    pair.server.close()
    pair.server.settle_swf()
    assert pair.server.receive(b"") == []
