"""Captures: recorded ones, and every way in which a network or a file can be bad."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path

import pytest

from rtmptwist.inspector import connections
from rtmptwist.inspector.connections import Connections
from rtmptwist.inspector.lines import Line, Way
from rtmptwist.inspector.messages import Reader
from rtmptwist.inspector.pcap import Peer, Segment, segments
from rtmptwist.inspector.tcp import AHEAD, Sequence
from rtmptwist.wire.chunk import encode_full
from rtmptwist.wire.command import Command
from tests.inspector.packets import (
    ACK,
    CLIENT,
    FIN,
    RST,
    SERVER,
    SYN,
    Wire,
    block,
    ethernet,
    pcap,
    pcapng,
    tcp,
)
from tests.inspector.telling import checked, of_capture, words
from tests.support.live import video

CAPTURES = Path(__file__).parent.parent / "vectors/captures"
SHAKE = b"\x03" + bytes(3072)
CONNECT = encode_full(Command("connect", 1.0, {"app": "live"}).message(), 3, 128)
TOLD = ['connect 1 {app: "live"}']


def session() -> Wire:
    """A handshake and a connect."""
    wire = Wire()
    wire.open()
    wire.say(SHAKE + CONNECT)
    wire.say(SHAKE, client=False)
    wire.close()
    return wire


@pytest.mark.parametrize("variant", ["rtmp", "rtmpt"])
def test_ffmpeg_publishing(variant: str) -> None:
    lines = of_capture((CAPTURES / f"ffmpeg9-{variant}-publish.pcap").read_bytes())
    told = words(lines)
    assert words(lines, "error") == []
    assert told[0].endswith(f"to 127.0.0.1:29351: {variant.upper()}")
    for start in (
        "C0 C1: digest in layout DK, Flash version 9.0.124.2",
        "S2: signed, and the signature answers C1",
        "C2: an echo of S1",
        (
            'connect 1 {app: "live", type: "nonprivate", flashVer: "FMLE/3.0 (compatible;'
            f' Lavf63.1.102)", tcUrl: "{variant}://127.0.0.1:29351/live"'
        ),
        "set chunk size: size 65536",
        'publish 5 null "sec…3288?…" "live"',
        'onStatus 0 null {level: "status", code: "NetStream.Publish.Start"',
        "video sequence header, avc1.42d00b Baseline 1.1 160x90, ",
        "audio sequence header, mp4a.40.2 LC 44100 Hz 1 channel, ",
    ):
        assert any(each.startswith(start) for each in told), start
    text = str(lines)
    assert "secret" not in text
    assert "hidden" not in text
    media = [line for line in lines if line.kind == "media"]
    assert sum(line.facts.get("video", {}).get("frames", 0) for line in media) >= 9


def test_secrets_are_shown_to_those_who_want_them() -> None:
    data = (CAPTURES / "ffmpeg9-rtmp-publish.pcap").read_bytes()
    assert 'publish 5 null "secret-stream-key?token=hidden" "live"' in words(
        of_capture(data, secrets=True)
    )


def test_every_frame() -> None:
    data = (CAPTURES / "ffmpeg9-rtmp-publish.pcap").read_bytes()
    lines = of_capture(data, every_frame=True)
    frames = [line for line in lines if line.kind == "video" and "frame" in line.facts["video"]]
    assert len(frames) == 10
    assert words(lines, "media") == []


def test_rtmpe_tells_how_it_began() -> None:
    lines = of_capture((CAPTURES / "ffmpeg9-rtmpe-publish.pcap").read_bytes())
    assert any(each.startswith("C0 C1: RTMPE type 6, digest in layout KD") for each in words(lines))
    assert sum("all that follows is encrypted" in each for each in words(lines)) == 2
    assert words(lines, "command", "error") == []


@pytest.mark.parametrize(
    ("link", "around"),
    [
        (1, ethernet),
        (1, lambda packet: ethernet(packet, 7, 8)),
        (101, bytes),
        (228, bytes),
        (0, lambda packet: b"\x02\0\0\0" + packet),
        (108, lambda packet: b"\0\0\0\x02" + packet),
        (113, lambda packet: bytes(14) + b"\x08\0" + packet),
        (276, lambda packet: b"\x08\0" + bytes(18) + packet),
    ],
)
def test_links(link: int, around: object) -> None:
    assert callable(around)
    packets = [around(packet) for packet in session().packets]
    expected = of_capture(pcap(*session().packets, link=101))
    assert words(expected, "command") == TOLD
    assert of_capture(pcap(*packets, link=link)) == expected
    assert words(of_capture(pcapng(*packets, link=link))) == words(expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_files(order: str) -> None:
    packets = session().packets
    expected = of_capture(pcap(*packets, link=101))
    nano = pcap(*packets, link=101, order=order, magic=0xA1B23C4D, times=1e9)
    for data in (pcap(*packets, link=101, order=order), nano):
        assert of_capture(data) == expected
    for kind in (6, 2):
        times = [
            line.time for line in of_capture(pcapng(*packets, link=101, order=order, kind=kind))
        ]
        assert times == pytest.approx([line.time for line in expected])
    simple = of_capture(pcapng(*packets, link=101, order=order, kind=3))
    assert words(simple) == words(expected)
    again = pcapng(*packets[:3], link=101) + pcapng(*packets[3:], link=101, order=order)
    assert words(of_capture(again)) == words(expected)


def test_ipv6_with_extensions() -> None:
    wire = Wire(client=("2001:db8::1", 50_000), server=("2001:db8::2", 1935))
    wire.open()
    wire.say(SHAKE + CONNECT)
    lines = of_capture(pcap(*map(ethernet, wire.packets)))
    assert words(lines)[0] == "[2001:db8::1]:50000 to [2001:db8::2]:1935: RTMP"
    assert words(lines, "command") == TOLD

    def extended(packet: bytes) -> bytes:
        size = struct.pack(">H", len(packet) - 40 + 8)
        head = packet[:4] + size + b"\x00" + packet[7:40]
        return head + b"\x06" + bytes(7) + packet[40:]

    assert words(of_capture(pcap(*map(extended, wire.packets), link=229))) == words(lines)


def test_segments_in_any_order_and_more_than_once() -> None:
    expected = words(of_capture(pcap(*session().packets, link=101)), "handshake", "command")
    opening, data = session().packets[:3], session().packets[3:7]
    rest = session().packets[7:]
    for number, order in enumerate(itertools.permutations(data)):
        packets = [*opening, *order, order[number % 4], *rest]
        lines = of_capture(pcap(*packets, link=101))
        assert sorted(words(lines, "handshake", "command")) == sorted(expected)
        assert words(lines, "error") == []
    assert (
        "1000 bytes were sent more than once"
        in words(of_capture(pcap(*opening, *data, data[0], *rest, link=101)))[-1]
    )


def test_what_overlaps_is_taken_once() -> None:
    wire = Wire()
    wire.open()
    data = SHAKE + CONNECT
    at = wire.sent[True]
    for start, stop in ((0, 1000), (500, 2000), (100, 900), (1999, len(data))):
        wire.packets.append(tcp(CLIENT, SERVER, at + start, data[start:stop]))
    assert words(of_capture(pcap(*wire.packets, link=101)), "command", "error") == TOLD


def test_what_the_capture_missed_is_told() -> None:
    wire = session()
    del wire.packets[4]  # of the handshake
    lines = of_capture(pcap(*wire.packets, link=101))
    (error,) = words(lines, "error")
    assert error == "1000 bytes are missing in the capture: it is not known where chunks begin"
    wire = Wire()
    wire.open()
    wire.say(SHAKE + encode_full(video(0, size=120), 4, 128)[:100])
    wire.say(bytes(10))
    del wire.packets[-1]
    wire.say(encode_full(video(0, size=120), 4, 128)[110:] + CONNECT)
    lines = of_capture(pcap(*wire.packets, link=101))
    assert words(lines, "command") == TOLD
    assert words(lines, "note") == ["10 bytes of a message are missing in the capture"]


def test_packets_that_were_cut() -> None:
    """As by tcpdump with -s 96: nothing can be read, but how much is missing is known."""
    lines = of_capture(pcap(*session().packets, link=101, cut=96))
    assert "944 bytes are missing" in words(lines, "error")[0]
    lines = of_capture(pcap(*session().packets, link=101, cut=30))
    assert words(lines) == ["13 packets cut before the end of their headers were left out"]


def test_many_connections_at_once() -> None:
    wires = []
    for number in range(20):
        wire = Wire(client=("192.0.2.1", 50_000 + number), server=("192.0.2.2", 1935 + number % 2))
        wire.open()
        wire.say(SHAKE + CONNECT)
        wires.append(wire)
    mixed = [p for group in zip(*(wire.packets for wire in wires), strict=True) for p in group]
    lines = of_capture(pcap(*mixed, link=101))
    assert words(lines, "command") == TOLD * 20
    assert {line.connection for line in lines} == set(range(1, 21))
    some = of_capture(pcap(*mixed, link=101), ports=frozenset({1936}))
    assert words(some, "command") == TOLD * 10


def test_a_port_that_is_used_again() -> None:
    first, second = session(), Wire(first=5)
    second.open()
    second.say(SHAKE + CONNECT)
    first.packets = first.packets[:-2]  # its end was not captured
    once_more = [first.packets[0], *first.packets]
    lines = of_capture(pcap(*once_more, *second.packets, link=101))
    assert [line.connection for line in lines if line.kind == "command"] == [1, 2]
    ended = tcp(CLIENT, SERVER, 0, b"", ACK)
    assert words(of_capture(pcap(*session().packets, ended, link=101)), "command") == TOLD


def test_how_it_ends() -> None:
    wire = session()
    assert (
        words(of_capture(pcap(*wire.packets, link=101)))[-1] == "closed by both, last by the server"
    )
    wire.packets[-2:] = [tcp(SERVER, CLIENT, wire.sent[False], b"", RST)]
    assert words(of_capture(pcap(*wire.packets, link=101)))[-1] == "reset by the server"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            b"\x16\x03\x01",
            "192.0.2.1:50000 to 198.51.100.1:1935: not read: TLS, whose keys are not",
        ),
        (b"\x99abc", None),
    ],
)
def test_what_cannot_be_read(data: bytes, told: str | None) -> None:
    wire = Wire()
    wire.open()
    wire.say(data)
    lines = of_capture(pcap(*wire.packets, link=101))
    if told is not None:
        assert words(lines)[0].startswith(told)
    else:
        assert "first byte 0x99: not RTMP" in words(lines, "error")[0]


def test_a_capture_that_begins_too_late() -> None:
    lines = of_capture(pcap(*session().packets[4:], link=101))
    assert words(lines) == [
        "192.0.2.1:50000 to 198.51.100.1:1935: not read: its beginning is not in the capture",
        "closed by both, last by the server",
    ]
    early = [*session().packets[:3], *session().packets[7:]]
    (told, _) = words(of_capture(pcap(*early, link=101)))
    assert told.endswith("not read: the server speaks first, as no RTMP server does")
    answers = of_capture(pcap(*session().packets[8:], link=101))
    assert words(answers)[0].startswith("192.0.2.1:50000 to 198.51.100.1:1935: not read")
    greeted = of_capture(pcap(*session().packets[1:], link=101))
    assert words(greeted, "command") == TOLD


def test_packets_that_are_something_else() -> None:
    ok = session().packets
    odd = [
        b"\x45" + ok[0][1:9] + b"\x11" + ok[0][10:],  # UDP
        ok[0][:6] + b"\x20\x00" + ok[0][8:],  # a fragment
        b"\x35" + ok[0][1:],
        ok[0][:2] + b"\0\x21" + ok[0][4:],  # shorter than its headers
    ]
    told = words(of_capture(pcap(*odd, *ok, link=101)), "note")
    assert told[-4:] == [
        "1 packet damaged was left out",
        "1 packet fragments of IP was left out",
        "1 packet not of IP was left out",
        "1 packet not of TCP was left out",
    ]
    assert words(of_capture(pcap(ethernet(ok[0])[:12], bytes(60)))) == [
        "2 packets not of IP were left out"
    ]
    assert words(of_capture(pcap(*ok, link=147)))[-1] == "13 packets of link type 147 were left out"
    whole = ok[3][:2] + b"\0\0" + ok[3][4:]  # the network card was to cut it up
    assert words(of_capture(pcap(*ok[:3], whole, *ok[4:], link=101)), "command") == TOLD


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pcap(b"x" * 100)[:-10], "the file ends within a packet, 10 bytes early; at byte "),
        (pcap(b"x")[:-9], "the file ends within the header of a packet"),
        (pcap()[:20], "the file ends within the header of the file, 4 bytes early"),
        (
            pcap() + struct.pack("<4I", 0, 0, 0x7FFFFFFF, 0),
            "a packet of 2147483647 bytes (expected 1048576 at most): it is damaged",
        ),
        (b"nonsense", "no capture: neither pcap nor pcapng"),
        (pcapng()[:50], "the file ends within"),
        (pcapng()[:-1], "the file ends within a block, 1 bytes early"),
        (pcapng() + b"abc", "the file ends within a block"),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), "a section of pcapng without its byte order mark"),
        (pcapng() + block(6, bytes(8)), "a packet of less than 20 bytes"),
        (
            pcapng() + block(6, struct.pack("<5I", 9, 0, 0, 0, 0)),
            "a packet of interface 9, of which",
        ),
        (pcapng() + block(1, bytes(4)), "an interface of less than 8 bytes"),
        (pcapng() + block(1, bytes(8)) * 1001, "more than 1000 interfaces"),
        (pcapng() + block(6, bytes(20))[:4] + b"\x04\0\0\0", "a block of -4 bytes"),
    ],
)
def test_damaged_files(data: bytes, told: str) -> None:
    assert any(told in each for each in words(of_capture(data), "error")), of_capture(data)


def test_units_of_time() -> None:
    """if_tsresol may be a power of two, and other options may stand before it."""
    options = struct.pack("<HH4sHHB3x", 2, 4, b"eth0", 9, 1, 0x80 | 10)
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack("<HHI", 101, 0, 0) + options)
    packet = session().packets[0]
    data += block(6, struct.pack("<5I", 0, 0, 2048, len(packet), len(packet)) + packet)
    (segment,) = segments(io.BytesIO(data), print)
    assert segment.time == 2.0


def test_a_time_that_no_clock_has() -> None:
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack("<HHI", 101, 0, 0) + struct.pack("<HHB3x", 9, 1, 0))
    for packet in session().packets:
        head = struct.pack("<5I", 0, 0xFFFFFFFF, 0, len(packet), len(packet))
        data += block(6, head + packet)
    assert words(of_capture(data), "command") == TOLD


# ---- bounds


def test_a_hole_is_not_waited_for_without_end() -> None:
    sequence = Sequence()
    sequence.begin(100)
    assert sequence.take(100, b"ab", 2) == [b"ab"]
    big = bytes(AHEAD)
    assert sequence.take(110, big, len(big)) == []
    assert sequence.take(110, b"", 5) == []
    assert sequence.take(110 + AHEAD, b"c", 1) == [8, big, b"c"]
    assert sequence.held == 0
    assert sequence.repeated == 5
    for number in range(512):
        assert sequence.take(600_000 + number * 2, b"x", 1) == []
    assert len(sequence.take(700_000, b"x", 1)) == 2
    assert b"".join(p for p in sequence.rest() if isinstance(p, bytes)) == b"x" * 512
    assert sequence.rest() == []


def test_longer_retransmission_replaces_a_shorter_segment() -> None:
    sequence = Sequence()
    sequence.begin(0)
    assert sequence.take(5, b"56", 2) == []
    assert sequence.take(5, b"5678", 4) == []
    assert sequence.held == 4
    assert sequence.take(0, b"01234", 5) == [b"01234", b"5678"]


def test_a_segment_without_any_of_its_bytes() -> None:
    sequence = Sequence()
    sequence.begin(0)
    assert sequence.take(0, b"", 5) == [5]
    assert sequence.take(5, b"a", 3) == [b"a", 2]


def flood(count: int) -> list[Segment]:
    """Connections that all hold half a message."""
    half = SHAKE + encode_full(video(0, size=100_000), 4, 128)[:60_000]
    server = Peer("192.0.2.2", 1935)
    found = []
    for number in range(count):
        client = Peer("192.0.2.1", number)
        found.append(Segment(0.0, client, server, 0, SYN, b"", 0))
        found.append(Segment(0.0, client, server, 1, ACK, half, len(half)))
    return found


def test_memory_has_an_end() -> None:
    lines: list[Line] = []
    several = Connections(Reader(), lines.append, memory=300_000)
    several.read(flood(500))
    given_up = [line for line in words(lines, "error") if "more memory than there is" in line]
    assert len(given_up) > 400
    assert sum(connection.held for connection in several._open.values()) <= 300_000
    several.end()
    checked(lines)


def test_the_number_of_connections_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 10)
    several = Connections(Reader(), lambda line: None)
    several.read(flood(50))
    assert len(several._open) == 10


# ---- tunnels

TUNNEL = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
ANSWER = b"HTTP/1.1 %d OK\r\nContent-Type: application/x-fcs\r\nContent-Length: %d\r\n\r\n%s"


def post(wire: Wire, path: bytes, body: bytes, answer: bytes, status: int = 200) -> None:
    wire.say(TUNNEL % (path, len(body), body))
    wire.say(ANSWER % (status, len(answer), answer), client=False)


def test_a_tunnel_over_several_connections() -> None:
    one, two = Wire(), Wire(client=("192.0.2.1", 50_001))
    one.open()
    post(one, b"fcs/ident2", b"\0", b"", 404)
    post(one, b"open/1", b"\0", b"S1\n")
    post(one, b"send/S1/1", SHAKE[:2000], b"\x01")
    two.open()
    post(two, b"send/S1/2", SHAKE[2000:] + CONNECT, b"\x01" + SHAKE)
    post(two, b"idle/S1/3", b"\0", b"\x09")
    post(two, b"idle/S1/4", b"\0", b"", 503)
    post(two, b"close/S1/5", b"\0", b"\0")
    post(two, b"idle/S9/5", b"\0", b"\x01abc")
    post(two, b"send/S2/5", b"\0", b"\0")
    lines = of_capture(pcap(*one.packets, *two.packets, link=101))
    assert words(lines, "command", "note", "error") == [
        "a tunnel is opened",
        *TOLD,
        "idle is answered with status 503",
        "the tunnel is closed",
        "a tunnel whose beginning is not in the capture: not read any further",
    ]
    assert len(words(lines, "handshake")) == 4


@pytest.mark.parametrize(
    ("client", "server", "told"),
    [
        (b"POST nonsense\r\n\r\n", b"", "a request without method, path and HTTP/1.x"),
        (b"POST /idle/S/1 HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", b"", "of 9999999 bytes"),
        (b"X" * 20_000, b"", "no end of a request's head within 16384 bytes"),
        (TUNNEL % (b"idle/S/1", 0, b"") * 1001, b"", "more than 1000 requests without an answer"),
        (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "an answer without a request"),
        (b"", b"nonsense\r\n\r\n", "is no HTTP/1 answer"),
    ],
)
def test_bad_http(client: bytes, server: bytes, told: str) -> None:
    wire = Wire()
    wire.open()
    post(wire, b"open/1", b"\0", b"S1\n")
    wire.say(client, piece=1400)
    wire.say(server, client=False)
    post(wire, b"idle/S1/1", b"\0", b"\0")
    lines = of_capture(pcap(*wire.packets, link=101))
    (error,) = words(lines, "error")
    assert told in error
    assert error.endswith(": not read any further")


def test_other_http_is_none_of_our_business() -> None:
    wire = Wire(server=("192.0.2.2", 80))
    wire.open()
    wire.say(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.say(ANSWER % (200, 2, b"ok"), client=False)
    wire.say(b"nonsense\r\n\r\n")
    wire.close()
    assert of_capture(pcap(*wire.packets, link=101)) == []


def test_a_hole_in_a_tunnel() -> None:
    wire = Wire()
    wire.open()
    post(wire, b"open/1", b"\0", b"S1\n")
    wire.say(TUNNEL % (b"send/S1/1", 4000, bytes(4000)))
    del wire.packets[-2]
    wire.packets.append(tcp(CLIENT, SERVER, wire.sent[True], b"", FIN))
    lines = of_capture(pcap(*wire.packets, link=101))
    assert words(lines, "error") == [
        "1000 bytes of HTTP are missing in the capture: not read any further"
    ]
    assert {line.way for line in lines} == {Way.NOBODY}


def test_tunnels_are_counted_and_their_memory_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 5)
    wire = Wire()
    wire.open()
    half = SHAKE + encode_full(video(0, size=100_000), 4, 128)[:60_000]
    for number in range(8):
        post(wire, b"open/1", b"\0", b"S%d\n" % number)
        post(wire, b"send/S%d/1" % number, half, b"\0")
    several = Connections(Reader(), lambda line: None, memory=100_000)
    several.read(segments(io.BytesIO(pcap(*wire.packets, link=101)), print))
    assert list(several._tunnels) == ["S3", "S4", "S5", "S6", "S7"]
    several._mind_memory()
    assert len(several._tunnels) <= 1
    several.end()
