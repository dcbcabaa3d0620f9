"""The state table, walked by chance: any command in any state, and any bytes at all."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtmptwist.amf.values import Value
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.client import ClientSession
from rtmptwist.wire.command import Command
from rtmptwist.wire.errors import RemoteProtocolError
from rtmptwist.wire.events import Connect, Decision, Event, Handshaken, Play2
from rtmptwist.wire.handshake import ClientHandshake, HandshakeKind
from rtmptwist.wire.message import Message, MessageType
from rtmptwist.wire.server import _COMMANDS, ServerSession
from rtmptwist.wire.session import _ALLOWED, State
from rtmptwist.wire.status import Status, StatusCode
from tests.support.pair import randomness

VALUES: st.SearchStrategy[Value] = st.sampled_from(
    [None, True, False, 0.0, 1.0, -2.0, 1e300, "", "a", "b", {"streamName": "a"}, ["x"]]
)
COMMANDS = st.builds(
    Command,
    name=st.sampled_from([*_COMMANDS, "other", "_result", "onStatus"]),
    transaction_id=st.sampled_from([0.0, 1.0, 2.0]),
    object=st.sampled_from([None, {"app": "live"}]),
    arguments=st.lists(VALUES, max_size=4).map(tuple),
    stream_id=st.sampled_from([0, 1, 2, 70]),
)
MEDIA = st.builds(
    Message,
    type=st.sampled_from([*map(int, MessageType), 7, 99]),
    timestamp=st.integers(0, 0xFFFFFFFF),
    stream_id=st.integers(0, 3),
    payload=st.binary(max_size=40),
)


def shaken(seed: int = 7) -> ServerSession:
    server = ServerSession(random=randomness(seed).randbytes)
    server.receive(b"\x03" + bytes(1536))
    server.receive(bytes(1536))
    return server


def decide(server: ServerSession, event: Event, yes: bool) -> None:
    assert isinstance(event, Decision)
    if yes and not isinstance(event, Play2):
        server.accept(event)
    else:
        server.refuse(event, Status(StatusCode.FAILED, "no"))


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.one_of(COMMANDS, MEDIA), st.booleans()), max_size=30))
def test_any_order_of_messages(steps: list[tuple[Command | Message, bool]]) -> None:
    """Every event is allowed in its state; the rest is the peer's error, and no other."""
    server = shaken()
    for step, yes in steps:
        message = step.message() if isinstance(step, Command) else step
        data = encode_full(message, 3, 128)
        try:
            before = server.state
            events = server.receive(data)
            while events:
                for event in events:
                    assert type(event) in _ALLOWED[before]
                if server.deciding:
                    decide(server, events[-1], yes)
                events = server.receive(b"") if server.more else []
        except RemoteProtocolError:
            return
        server.data_to_send()


@settings(deadline=None)
@given(data=st.binary(max_size=400), connected=st.booleans())
def test_any_bytes(data: bytes, connected: bool) -> None:
    server = shaken()
    if connected:
        (event,) = server.receive(encode_full(Command("connect", 1.0, {}).message(), 3, 128))
        decide(server, event, yes=True)
    try:
        server.receive(data)
    except RemoteProtocolError:
        return
    assert server.state is not State.HANDSHAKING


@given(cuts=st.lists(st.integers(0, 3300), max_size=5))
def test_any_split_means_the_same(cuts: list[int]) -> None:
    """Handshake, connect and media in pieces of any size."""
    connect = Command("connect", 1.0, {"app": "live"}).message()
    media = Message(MessageType.AUDIO, 5, 1, b"\xaf\x01")
    data = b"\x03" + bytes(3072) + encode_full(connect, 3, 128) + encode_full(media, 4, 128)
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    server = ServerSession(random=randomness().randbytes)
    heard: list[Event] = []
    for start, end in pairwise(edges):
        events = server.receive(data[start:end])
        while events:
            heard += events
            if server.deciding:
                decide(server, events[-1], yes=True)
            events = server.receive(b"") if server.more else []
    assert isinstance(heard[0], Handshaken)
    assert heard[2:] == [media]


@pytest.mark.parametrize(
    ("agent", "chunk_size"),
    [("LNX 9,0,124,2", 65536), ("FMLE/3.0 (compatible; Lavf63.1.102)", 128)],
)
def test_rtmpe_is_decrypted_on_the_way_in(agent: str, chunk_size: int) -> None:
    """
    Encryption on the way out is the writer's, because the fan-out passes the session by.

    FFmpeg as a publisher cannot be told a chunk size over RTMPE: it ends half the time.
    """
    shake = ClientHandshake(HandshakeKind.RTMPE, random=randomness(3).randbytes)
    client = ClientSession(random=randomness(3).randbytes, handshake=shake)
    server = ServerSession(random=randomness().randbytes, versions=frozenset({3, 6, 8, 9}))
    server.receive(client.data_to_send())
    (ours,) = client.receive(server.data_to_send())
    (theirs,) = server.receive(client.data_to_send())
    assert isinstance(ours, Handshaken)
    assert isinstance(theirs, Handshaken)
    assert ours.ciphers is not None
    client.connect("live", "rtmpe://h/live", {"flashVer": agent})
    (event,) = server.receive(ours.ciphers.encrypt(client.data_to_send()))
    assert isinstance(event, Connect)
    assert event.app == "live"
    server.accept(event)
    assert server.chunk_size == chunk_size
