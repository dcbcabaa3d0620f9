"""wire/handshake.py and wire/digest.py: both roles, recorded peers, any split, bad first bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.wire.digest import PLAYER_KEY, SERVER_KEY, Layout, find_digest, insert_digest, sign
from rtmptwist.wire.errors import HandshakeError, LocalProtocolError
from rtmptwist.wire.handshake import (
    PACKET_SIZE,
    RTMP_VERSION,
    RTMPE_VERSIONS,
    ClientHandshake,
    HandshakeKind,
    ServerHandshake,
)
from rtmptwist.wire.rtmpe import KEY_SIZE, KeyPair

VECTORS = Path(__file__).parents[1] / "vectors"
ALL = RTMPE_VERSIONS | {RTMP_VERSION}
ANSWER_SIZE = 1 + 2 * PACKET_SIZE

SERVER_PAIR = KeyPair.of(0x5EC12E7 << 240)
CLIENT_PAIR = KeyPair.of(0xC11E27 << 240)


def fresh(seed: int = 1) -> Callable[[int], bytes]:
    """Random bytes, the same ones in every run."""
    return Random(seed).randbytes


def recorded(packet: bytes) -> Callable[[int], bytes]:
    """The random bytes that made a packet 1; its digest and key are simply written again."""

    def random(size: int) -> bytes:
        assert size == PACKET_SIZE - 8
        return packet[8:]

    return random


class Recording:
    """One recorded exchange."""

    def __init__(self, file: Path) -> None:
        self.name = file.stem
        self.facts: dict[str, Any] = json.loads(file.read_text())
        self.c0c1 = self.bytes("c0c1")
        self.s0s1s2 = self.bytes("s0s1s2")
        self.c1 = self.c0c1[1:]
        self.s1 = self.s0s1s2[1 : 1 + PACKET_SIZE]
        self.s2 = self.s0s1s2[1 + PACKET_SIZE :]

    def bytes(self, key: str) -> bytes:
        return bytes.fromhex(self.facts[key])

    def number(self, key: str) -> int:
        return int(self.facts[key], 16)

    def layout(self, key: str) -> Layout | None:
        """Or None, where there is no valid digest."""
        return Layout.__members__.get(self.facts.get(key, ""))


def recordings(*patterns: str) -> list[Any]:
    """Parameters for pytest."""
    files = sorted(file for pattern in patterns for file in VECTORS.glob(pattern))
    return [pytest.param(Recording(file), id=file.stem) for file in files]


CLIENTS = recordings("handshake/*-play-*.json", "handshake/*-publish-*.json")
NGINX = recordings("handshake/nginx-rtmp-server-*.json")


# What real clients sent, against our server.


@pytest.mark.parametrize("it", CLIENTS)
def test_real_clients_are_answered_as_they_were(it: Recording) -> None:
    server = ServerHandshake(random=recorded(it.s1))
    reply = server.feed(it.c0c1)
    assert len(reply) == ANSWER_SIZE
    s1, s2 = reply[1 : 1 + PACKET_SIZE], reply[1 + PACKET_SIZE :]
    found = find_digest(it.c1, PLAYER_KEY)
    assert (found and found[0]) == it.layout("c1_digest_layout")
    if found is None:
        assert server.kind is HandshakeKind.PLAIN
        assert server.swf_key is None
        assert reply == it.s0s1s2
    else:
        layout, digest = found
        assert server.kind is HandshakeKind.DIGEST
        assert server.swf_key == s1[-32:]
        assert s2 == sign(it.c1, SERVER_KEY, digest, RTMP_VERSION)
        if it.facts["server_mode"] == "mirror":
            assert reply[: 1 + PACKET_SIZE] == it.s0s1s2[: 1 + PACKET_SIZE]
            assert it.s2 == sign(it.s2, SERVER_KEY, digest, RTMP_VERSION)
        own = find_digest(s1, SERVER_KEY)
        assert own is not None
        assert own[0] is layout
    assert server.feed(it.bytes("c2") + b"connect") == b""
    assert server.done
    assert server.rest == b"connect"
    assert server.ciphers is None
    assert server.version == RTMP_VERSION


@pytest.mark.parametrize("it", [*CLIENTS, *NGINX])
def test_digests_are_found_where_they_were_seen(it: Recording) -> None:
    for packet, name, key in ((it.c1, "c1", PLAYER_KEY), (it.s1, "s1", SERVER_KEY)):
        found = find_digest(packet, key)
        assert (found and found[0]) == it.layout(f"{name}_digest_layout")
        position = it.facts.get(f"{name}_digest_offset")
        if found is not None and position is not None:
            assert found[1] == packet[position : position + 32]


@pytest.mark.parametrize("it", CLIENTS)
def test_signatures_are_seen_where_clients_sign(it: Recording) -> None:
    found, c2 = find_digest(it.s1, SERVER_KEY), it.bytes("c2")
    signed = found is not None and c2 == sign(c2, PLAYER_KEY, found[1], RTMP_VERSION)
    assert signed == it.facts.get("c2_signature_valid", False)


# What real servers answered, against our client.

KIND_OF = {
    bytes(4): HandshakeKind.PLAIN,
    bytes((10, 0, 45, 2)): HandshakeKind.DIGEST,
    bytes((9, 0, 124, 2)): HandshakeKind.DIGEST,
}


@pytest.mark.parametrize("it", [*CLIENTS, *NGINX])
def test_our_client_takes_every_recorded_answer(it: Recording) -> None:
    layout = it.layout("c1_digest_layout")
    client = ClientHandshake(
        KIND_OF[it.c1[4:8]],
        random=recorded(it.c1),
        time=int.from_bytes(it.c1[:4]),
        layout=layout,
    )
    same = client.start() == it.c0c1
    assert same == (it.c1[4] != 9 and it.facts["c1_digest_layout"] != "invalid")
    c2 = client.feed(it.s0s1s2 + b"rest")
    theirs = find_digest(it.s1, SERVER_KEY)
    if theirs is None:
        assert client.kind is HandshakeKind.PLAIN
        assert client.swf_key is None
        assert c2 == it.s1
    else:
        assert client.kind is HandshakeKind.DIGEST
        assert client.swf_key == it.s1[-32:]
        assert c2 == sign(it.s1, PLAYER_KEY, theirs[1], RTMP_VERSION)
    assert client.done
    assert client.rest == b"rest"
    if same:
        assert client.verified


def test_a_digest_that_does_not_verify_gets_the_plain_answer() -> None:
    """nginx-rtmp echoes such a C1, version and all; FFmpeg would then look for a digest."""
    it: Recording = NGINX[0].values[0]
    assert it.facts["c1_digest_layout"] == "invalid"
    server = ServerHandshake(random=fresh())
    reply = server.feed(it.c0c1)
    assert server.kind is HandshakeKind.PLAIN
    assert reply[5:9] == bytes(4)
    assert reply[1 + PACKET_SIZE :] == it.c1[:4] + bytes(4) + it.c1[8:]


# RTMPE, recorded.


@pytest.mark.parametrize("it", recordings("rtmpe/server-role-*.json"))
def test_real_rtmpe_clients(it: Recording) -> None:
    """Types 8 and 9 were the server's choice there; ours answers with what it was asked for."""
    version: int = it.facts["s0"]
    pair = KeyPair.of(it.number("server_private_key"))
    server = ServerHandshake(random=recorded(it.s1), versions=ALL, key_pair=lambda: pair)
    reply = server.feed(bytes((version,)) + it.c1)
    assert reply[: 1 + PACKET_SIZE] == it.s0s1s2[: 1 + PACKET_SIZE]
    for layout in Layout:
        at = layout.key_position(it.s1)
        assert it.s1[at : at + KEY_SIZE] == it.bytes("server_public_key")
    found = find_digest(it.c1, PLAYER_KEY)
    assert found is not None
    assert it.s2 == sign(it.s2, SERVER_KEY, found[1], version)
    assert it.s2[-32:] == it.bytes("s2_signature_wire")
    assert reply[1 + PACKET_SIZE :] == sign(it.c1, SERVER_KEY, found[1], version)
    assert pair.secret(it.bytes("client_public_key")) == it.bytes("shared_secret")
    assert server.feed(it.bytes("c2") + it.bytes("c2s_ciphertext")) == b""
    assert server.kind is HandshakeKind.RTMPE
    assert server.version == version
    assert server.rest == it.bytes("c2s_plaintext")
    assert server.ciphers is not None
    assert server.ciphers.encrypt(it.bytes("s2c_plaintext")) == it.bytes("s2c_ciphertext")
    own, c2 = find_digest(it.s1, SERVER_KEY), it.bytes("c2")
    assert own is not None
    assert it.facts["c2_signature_valid"] == (c2 == sign(c2, PLAYER_KEY, own[1], version))


@pytest.mark.parametrize("it", recordings("rtmpe/client-role-*.json"))
def test_librtmps_rtmpe_server(it: Recording) -> None:
    pair = KeyPair.of(it.number("client_private"))
    client = ClientHandshake(
        HandshakeKind.RTMPE,
        random=recorded(it.c1),
        layout=it.layout("client_layout"),
        rtmpe_type=it.c0c1[0],
        key_pair=lambda: pair,
    )
    same = client.start() == it.c0c1
    assert same == (it.c1[4] == 128)
    c2 = client.feed(it.s0s1s2 + it.bytes("s2c_cipher"))
    found = find_digest(it.s1, SERVER_KEY)
    assert found is not None
    assert found[0] is it.layout("server_layout")
    version = it.s0s1s2[0]
    assert client.version == version
    assert it.bytes("c2") == sign(it.bytes("c2"), PLAYER_KEY, found[1], version)
    assert c2 == sign(it.s1, PLAYER_KEY, found[1], version)
    assert client.kind is HandshakeKind.RTMPE
    assert client.verified == same
    assert client.rest == it.bytes("s2c_plain")
    assert client.ciphers is not None
    assert client.ciphers.encrypt(it.bytes("c2s_plain")) == it.bytes("c2s_cipher")


# Both roles against each other.

PAIRS = [
    (HandshakeKind.PLAIN, None, 6),
    (HandshakeKind.DIGEST, None, 6),
    *((HandshakeKind.DIGEST, layout, 6) for layout in Layout),
    *((HandshakeKind.RTMPE, layout, n) for layout in (None, *Layout) for n in (6, 8, 9)),
]


@pytest.mark.parametrize(("kind", "layout", "rtmpe_type"), PAIRS)
def test_our_client_and_our_server(
    kind: HandshakeKind, layout: Layout | None, rtmpe_type: int
) -> None:
    client = ClientHandshake(kind, random=fresh(1), time=7, layout=layout, rtmpe_type=rtmpe_type)
    server = ServerHandshake(random=fresh(2), time=2**32 + 9, versions=ALL)
    answer = server.feed(client.start())
    assert len(answer) == ANSWER_SIZE
    assert answer[1:5] == (9).to_bytes(4)
    assert server.feed(client.feed(answer)) == b""
    assert client.done
    assert server.done
    assert client.kind is server.kind is kind
    assert client.version == server.version
    assert client.verified
    assert client.swf_key == server.swf_key
    assert (client.swf_key is None) == (kind is HandshakeKind.PLAIN)
    if kind is HandshakeKind.RTMPE:
        assert server.version == rtmpe_type
        assert client.ciphers is not None
        assert server.ciphers is not None
        assert server.ciphers.decrypt(client.ciphers.encrypt(b"connect")) == b"connect"
        assert client.ciphers.decrypt(server.ciphers.encrypt(b"_result")) == b"_result"
    else:
        assert server.version == RTMP_VERSION
        assert client.ciphers is server.ciphers is None


def test_a_digest_client_takes_a_plain_answer() -> None:
    client = ClientHandshake(random=fresh())
    s1 = bytes(8) + fresh(2)(PACKET_SIZE - 8)
    assert client.feed(b"\x03" + s1) == s1
    assert client.kind is HandshakeKind.PLAIN
    c1 = client.start()[1:]
    assert client.feed(c1[:4] + b"time" + c1[8:]) == b""
    assert client.done
    assert client.verified


@pytest.mark.parametrize("kind", HandshakeKind)
def test_an_s2_that_answers_nothing_is_only_noted(kind: HandshakeKind) -> None:
    client = ClientHandshake(kind, random=fresh(1))
    server = ServerHandshake(random=fresh(2), versions=ALL)
    answer = server.feed(client.start())
    client.feed(answer[: 1 + PACKET_SIZE])
    client.feed(bytes(PACKET_SIZE))
    assert client.done
    assert not client.verified


def test_c2_is_sent_before_s2_has_come() -> None:
    """A server may wait for C2 before it sends S2."""
    client = ClientHandshake(random=fresh(1))
    server = ServerHandshake(random=fresh(2))
    answer = server.feed(client.start())
    assert len(client.feed(answer[: 1 + PACKET_SIZE])) == PACKET_SIZE
    assert not client.done


@pytest.mark.parametrize("kind", HandshakeKind)
def test_every_c2_is_taken(kind: HandshakeKind) -> None:
    """FFmpeg as a publisher does not sign it, GStreamer does not copy it."""
    server = ServerHandshake(random=fresh(2), versions=ALL)
    server.feed(ClientHandshake(kind, random=fresh(1)).start())
    assert server.feed(bytes(PACKET_SIZE)) == b""
    assert server.done


def test_both_packets_1_are_fresh_every_time() -> None:
    random = fresh()
    servers = [ServerHandshake(random=random) for _ in range(2)]
    clients = [ClientHandshake(random=random) for _ in range(2)]
    s1 = [server.feed(clients[0].start())[9 : 1 + PACKET_SIZE] for server in servers]
    assert s1[0] != s1[1]
    assert clients[0].start()[9:] != clients[1].start()[9:]
    assert clients[0].start() == clients[0].start()


# Any split.

FOLLOWING = bytes(range(256)) * 12


def script(kind: HandshakeKind) -> tuple[bytes, bytes, bytes]:
    """A client's handshake; the server's; and what the client sends behind, FOLLOWING."""
    client, server = client_of(kind), server_for_all()
    answer = server.feed(client.start())
    sent = client.start() + client.feed(answer)
    return sent, answer, client.ciphers.encrypt(FOLLOWING) if client.ciphers else FOLLOWING


def client_of(kind: HandshakeKind) -> ClientHandshake:
    return ClientHandshake(kind, random=fresh(1), key_pair=lambda: CLIENT_PAIR)


def server_for_all() -> ServerHandshake:
    return ServerHandshake(random=fresh(2), versions=ALL, key_pair=lambda: SERVER_PAIR)


SCRIPTS = {kind: script(kind) for kind in HandshakeKind}


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        yield data[start:end]


cuts = st.lists(st.integers(0, 2 * PACKET_SIZE + 300), max_size=12)


@given(kind=st.sampled_from(HandshakeKind), cuts=cuts)
def test_any_split_gives_the_same_answer(kind: HandshakeKind, cuts: list[int]) -> None:
    """TCP may deliver the bytes in any pieces, and no byte behind them may get lost."""
    sent, answer, behind = SCRIPTS[kind]
    server = server_for_all()
    replies, following = b"", b""
    for piece in pieces(sent + behind, cuts):
        if server.done:
            following += server.ciphers.decrypt(piece) if server.ciphers else piece
        else:
            replies += server.feed(piece)
            assert len(server._held) <= 1 + PACKET_SIZE
            following += server.rest
    assert replies == answer
    assert following == FOLLOWING


@given(kind=st.sampled_from(HandshakeKind), cuts=cuts)
def test_any_split_gives_the_client_the_same_answer(kind: HandshakeKind, cuts: list[int]) -> None:
    sent, answer, _ = SCRIPTS[kind]
    client = client_of(kind)
    replies = client.start()
    for piece in pieces(answer, [cut for cut in cuts if cut < ANSWER_SIZE]):
        replies += client.feed(piece)
    assert client.done
    assert client.verified
    assert replies == sent


@pytest.mark.parametrize("kind", HandshakeKind)
def test_one_byte_at_a_time(kind: HandshakeKind) -> None:
    sent, answer, _ = SCRIPTS[kind]
    server = server_for_all()
    assert b"".join(server.feed(sent[at : at + 1]) for at in range(len(sent))) == answer
    assert server.done
    assert server.rest == b""


@pytest.mark.parametrize("kind", HandshakeKind)
def test_everything_in_one_piece(kind: HandshakeKind) -> None:
    sent, answer, behind = SCRIPTS[kind]
    server = server_for_all()
    assert server.feed(sent + behind) == answer
    assert server.done
    assert server.rest == FOLLOWING


def test_nothing_is_fed_after_the_end() -> None:
    sent, _, _ = SCRIPTS[HandshakeKind.PLAIN]
    server = server_for_all()
    server.feed(sent)
    with pytest.raises(LocalProtocolError, match="done"):
        server.feed(b"more")


# What cannot be answered.

FIRST_BYTES = [
    # byte, versions served, words
    (0x16, ALL, "0x16: a TLS ClientHello on a plain RTMP port; use rtmp, or add rtmps to serve"),
    *((ord(c), ALL, "an HTTP request on an RTMP port") for c in "GPOHDCT"),
    (0x0D, ALL, "haproxy:"),
    (0, ALL, "0x00: a deprecated version of RTMP (served here: 3, 6, 8, 9)"),
    (2, ALL, "a deprecated version"),
    (4, ALL, "a reserved version"),
    (5, ALL, "a reserved version"),
    (7, ALL, "a reserved version"),
    (31, ALL, "a reserved version"),
    (32, ALL, "0x20: not RTMP"),
    (255, ALL, "0xff: not RTMP"),
    (6, {3}, "0x06: RTMPE, which this listener does not serve"),
    (8, {3}, "RTMPE, which"),
    (9, {3}, "add rtmpe to serve (served here: 3)"),
    (3, {6, 8, 9}, "RTMP, which this listener does not serve without encryption"),
]


@pytest.mark.parametrize(("first", "versions", "words"), FIRST_BYTES)
def test_a_client_is_refused_at_its_first_byte(first: int, versions: set[int], words: str) -> None:
    server = ServerHandshake(random=fresh(), versions=frozenset(versions))
    assert server.feed(b"") == b""
    with pytest.raises(HandshakeError) as caught:
        server.feed(bytes((first,)))
    assert words in str(caught.value)
    with pytest.raises(HandshakeError):
        server.feed(bytes(5000))
    assert len(server._held) <= 1 + PACKET_SIZE


SERVER_FIRST_BYTES = [
    # kind, byte, words
    (HandshakeKind.DIGEST, 0x15, "0x15: TLS; use rtmps (expected 3)"),
    (HandshakeKind.DIGEST, 0x16, "TLS; use rtmps"),
    (HandshakeKind.PLAIN, ord("H"), "HTTP; use rtmpt"),
    (HandshakeKind.PLAIN, 6, "RTMPE, not asked for"),
    (HandshakeKind.RTMPE, 3, "RTMP without encryption; use rtmp or rtmps (expected 6, 8, 9)"),
    (HandshakeKind.RTMPE, 7, "0x07: not RTMP"),
]


@pytest.mark.parametrize(("kind", "first", "words"), SERVER_FIRST_BYTES)
def test_a_server_is_refused_at_its_first_byte(kind: HandshakeKind, first: int, words: str) -> None:
    client = ClientHandshake(kind, random=fresh())
    with pytest.raises(HandshakeError) as caught:
        client.feed(bytes((first,)))
    assert words in str(caught.value)


@pytest.mark.parametrize("version", sorted(RTMPE_VERSIONS))
@pytest.mark.parametrize("client_version", [bytes(4), bytes((128, 0, 3, 2))])
def test_rtmpe_without_a_digest_is_refused(version: int, client_version: bytes) -> None:
    """There is no falling back: such a client encrypts whatever the server says."""
    server = ServerHandshake(random=fresh(), versions=ALL)
    c1 = bytes(4) + client_version + fresh()(PACKET_SIZE - 8)
    for _ in range(2):
        with pytest.raises(HandshakeError, match=rf"type {version}.*C1 without a valid digest"):
            server.feed(bytes((version,)) + c1)


def test_an_rtmpe_client_refuses_an_answer_without_a_digest() -> None:
    client = ClientHandshake(HandshakeKind.RTMPE, random=fresh())
    with pytest.raises(HandshakeError, match=r"type 8.*S1 without a valid digest"):
        client.feed(b"\x08" + bytes(PACKET_SIZE))


def packet_with_key(key: int, digest_key: bytes) -> bytes:
    packet = bytearray(bytes(4) + bytes((128, 0, 3, 2)) + fresh()(PACKET_SIZE - 8))
    at = Layout.KD.key_position(packet)
    packet[at : at + KEY_SIZE] = key.to_bytes(KEY_SIZE)
    insert_digest(packet, Layout.KD, digest_key)
    return bytes(packet)


@pytest.mark.parametrize("key", [0, 1, (1 << 1024) - 1])
def test_bad_keys_are_refused_on_both_sides(key: int) -> None:
    server = ServerHandshake(random=fresh(), versions=ALL)
    with pytest.raises(HandshakeError, match="public key out of range"):
        server.feed(b"\x06" + packet_with_key(key, PLAYER_KEY))
    client = ClientHandshake(HandshakeKind.RTMPE, random=fresh())
    with pytest.raises(HandshakeError, match="public key out of range"):
        client.feed(b"\x06" + packet_with_key(key, SERVER_KEY))


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("seed", range(12))
def test_the_key_stands_at_both_positions_and_the_digest_stays_whole(
    layout: Layout, seed: int
) -> None:
    """FFmpeg as a publisher reads DK's position, everyone else that of the digest's layout."""
    client = ClientHandshake(
        HandshakeKind.RTMPE, random=fresh(1), layout=layout, key_pair=lambda: CLIENT_PAIR
    )
    server = ServerHandshake(random=fresh(seed), versions=ALL, key_pair=lambda: SERVER_PAIR)
    s1 = server.feed(client.start())[1 : 1 + PACKET_SIZE]
    for each in Layout:
        at = each.key_position(s1)
        assert s1[at : at + KEY_SIZE] == SERVER_PAIR.public
    found = find_digest(s1, SERVER_KEY)
    assert found is not None
    assert found[0] is layout


def test_random_bytes_are_drawn_again_while_the_parts_of_s1_overlap() -> None:
    # Zeros put the key of layout KD on the offset bytes of DK's digest.
    draws = [fresh(2)(PACKET_SIZE - 8), bytes(PACKET_SIZE - 8)]
    client = ClientHandshake(
        HandshakeKind.RTMPE,
        random=fresh(1),
        layout=Layout.DK,
        key_pair=lambda: CLIENT_PAIR,
    )
    server = ServerHandshake(
        random=lambda size: draws.pop(), versions=ALL, key_pair=lambda: SERVER_PAIR
    )
    answer = server.feed(client.start())
    assert not draws
    client.feed(answer)
    assert client.verified


@given(offsets=st.binary(min_size=8, max_size=8), layout=st.sampled_from(Layout))
def test_within_a_layout_key_and_digest_never_touch(offsets: bytes, layout: Layout) -> None:
    packet = bytearray(PACKET_SIZE)
    packet[layout.digest_offset : layout.digest_offset + 4] = offsets[:4]
    packet[layout.key_offset : layout.key_offset + 4] = offsets[4:]
    key, digest = layout.key_position(packet), layout.digest_position(packet)
    parts = sorted(
        [
            (0, 8),
            (key, key + KEY_SIZE),
            (digest, digest + 32),
            (layout.digest_offset, layout.digest_offset + 4),
            (layout.key_offset, layout.key_offset + 4),
            (PACKET_SIZE, PACKET_SIZE),
        ]
    )
    assert all(end <= start for (_, end), (start, _) in pairwise(parts))
