"""HTTP answers: whatever servers and proxies write, in any pieces, and within bounds."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.net.reply import BODY_SIZE, HEAD_SIZE, BadReply, Reply, ReplyReader

OURS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-fcs\r\nContent-Length: %d\r\n"
    b"Connection: Keep-Alive\r\nCache-Control: no-cache\r\n\r\n%b"
)


def head(*lines: str) -> bytes:
    """An answer's head."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read(data: bytes) -> list[Reply]:
    """What a fresh reader finds."""
    return ReplyReader().feed(data)


def ok(body: bytes, *, keeps: bool = True, pipelines: bool = True) -> Reply:
    return Reply(200, "OK", body, keeps, pipelines)


ANSWERS = [
    # name, bytes, answer
    ("ours", OURS % (4, b"\x01abc"), ok(b"\x01abc")),
    ("empty", OURS % (0, b""), ok(b"")),
    ("lower case", head("HTTP/1.1 200 OK", "content-length:3") + b"abc", ok(b"abc")),
    ("no phrase", head("HTTP/1.1 200", "Content-Length: 0"), Reply(200, "", b"", True, True)),
    (
        "a phrase in Latin",
        head("HTTP/1.1 404 Déjà fini", "Content-Length: 0"),
        Reply(404, "Déjà fini", b"", True, True),
    ),
    (
        "the same length twice",
        head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 1") + b"a",
        ok(b"a"),
    ),
    (
        "last of its connection",
        head("HTTP/1.1 200 OK", "Content-Length: 1", "Connection: foo, Close") + b"a",
        ok(b"a", keeps=False, pipelines=False),
    ),
    (
        "HTTP/1.0",
        head("HTTP/1.0 200 OK", "Content-Length: 1") + b"a",
        ok(b"a", keeps=False, pipelines=False),
    ),
    (
        "HTTP/1.0, but it stays",
        head("HTTP/1.0 200 OK", "Content-Length: 1", "Connection: Keep-Alive") + b"a",
        ok(b"a", pipelines=False),
    ),
    ("no content", head("HTTP/1.1 204 OK"), Reply(204, "OK", b"", True, True)),
    (
        "chunked",
        head("HTTP/1.1 200 OK", "Transfer-Encoding: Chunked")
        + b"3\r\nabc\r\n00A ;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
        ok(b"abc0123456789"),
    ),
    (
        "chunked, with nothing in it",
        head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        ok(b""),
    ),
    (
        "after two that say nothing",
        head("HTTP/1.1 100 Continue") + head("HTTP/1.1 103 Hints", "Link: x") + OURS % (1, b"a"),
        ok(b"a"),
    ),
]


@pytest.mark.parametrize(
    ("data", "reply"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS]
)
def test_an_answer_is_read_whole_or_byte_by_byte(data: bytes, reply: Reply) -> None:
    assert read(data) == [reply]
    reader = ReplyReader()
    assert [found for byte in data for found in reader.feed(bytes([byte]))] == [reply]
    assert reader.finish() is None


@given(
    which=st.lists(st.sampled_from(ANSWERS), max_size=5),
    cuts=st.lists(st.integers(0, 800), max_size=8),
)
def test_answers_follow_each_other_in_any_pieces(
    which: list[tuple[str, bytes, Reply]], cuts: list[int]
) -> None:
    """Our requests are sometimes two, and so are the answers in one read."""
    data = b"".join(case[1] for case in which)
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    reader = ReplyReader()
    found = []
    for begin, end in pairwise(edges):
        found += reader.feed(data[begin:end])
    assert found == [case[2] for case in which]


def test_one_without_length_ends_with_its_connection() -> None:
    reader = ReplyReader()
    assert reader.feed(head("HTTP/1.0 200 OK") + b"ab") == []
    assert reader.feed(b"c") == []
    assert reader.finish() == ok(b"abc", keeps=False, pipelines=False)
    assert reader.finish() is None


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 20",
        (OURS % (4, b"\x01abc"))[:-1],
        head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n",
    ],
)
def test_half_an_answer_is_none(part: bytes) -> None:
    reader = ReplyReader()
    assert reader.feed(part) == []
    assert reader.finish() is None


def test_one_of_a_megabyte_is_read_in_pieces() -> None:
    body = bytes(range(256)) * (BODY_SIZE // 256)
    reader = ReplyReader()
    data = OURS % (len(body), body)
    found = []
    for begin in range(0, len(data), 1460):
        found += reader.feed(data[begin : begin + 1460])
    assert found == [ok(body)]


def test_recorded_answers() -> None:
    """The headers with which FFmpeg and librtmp were served."""
    folder = Path(__file__).parents[1] / "vectors" / "rtmpt"
    count = 0
    for file in sorted(folder.glob("*.json")):
        for exchange in json.loads(file.read_text())["exchanges"]:
            body = bytes.fromhex(exchange["response_body"])
            data = head(f"HTTP/1.1 {exchange['status']} OK", *exchange["response_headers"]) + body
            [reply] = read(data)
            assert (reply.status, reply.body, reply.pipelines) == (exchange["status"], body, True)
            count += 1
    assert count


CHUNKED = "HTTP/1.1 200 OK", "Transfer-Encoding: chunked"

BAD = [
    # name, bytes, words
    ("no HTTP", b"\x03" + bytes(1536) + b"\r\n\r\n", "no HTTP/1 answer"),
    ("HTTP/2", head("HTTP/2 200 OK"), "no HTTP/1 answer"),
    ("no number", head("HTTP/1.1 OK"), "no HTTP/1 answer"),
    ("odd number", head("HTTP/1.1 999 Odd"), "no HTTP/1 answer"),
    ("no header", head("HTTP/1.1 200 OK", "what"), "b'what' is no header"),
    ("folded", head("HTTP/1.1 200 OK", "X: y", " z"), "b' z' is no header"),
    ("space in a name", head("HTTP/1.1 200 OK", "X : y"), "is no header"),
    ("line feed", head("HTTP/1.1 200 OK", "X: y\nZ: 1"), "is no header"),
    ("endless head", b"HTTP/1.1 200 OK\r\nX: " + b"y" * HEAD_SIZE, "head of more than"),
    ("long head", head("HTTP/1.1 200 OK", "X: " + "y" * HEAD_SIZE), "head of more than"),
    ("length in words", head("HTTP/1.1 200 OK", "Content-Length: one"), "the length b'one'"),
    ("negative", head("HTTP/1.1 200 OK", "Content-Length: -1"), "the length b'-1'"),
    (
        "two lengths",
        head("HTTP/1.1 200 OK", "Content-Length: 1", "Content-Length: 2"),
        "the length",
    ),
    (
        "too long",
        head("HTTP/1.1 200 OK", f"Content-Length: {BODY_SIZE + 1}"),
        f"{BODY_SIZE + 1} bytes [(]at most {BODY_SIZE}[)]",
    ),
    ("endless", head("HTTP/1.1 200 OK") + bytes(BODY_SIZE + 1), "at most"),
    ("compressed", head("HTTP/1.1 200 OK", "Transfer-Encoding: gzip, chunked"), "b'gzip, chunked'"),
    ("coded twice", head(*CHUNKED, "Transfer-Encoding: chunked"), "b'chunked, chunked'"),
    ("chunked with a length", head(*CHUNKED, "Content-Length: 3"), "b'chunked'"),
    ("no chunk length", head(*CHUNKED) + b"xyz\r\n", "b'xyz' where a chunk's length"),
    ("longer chunk", head(*CHUNKED) + b"3\r\nabcd\r\n", "does not end after its 3 bytes"),
    ("huge chunk", head(*CHUNKED) + b"ffffffff\r\n", "at most"),
    (
        "chunks that become too much",
        head(*CHUNKED) + b"80000\r\n" + bytes(0x80000) + b"\r\n80001\r\n",
        "at most",
    ),
    ("endless chunk line", head(*CHUNKED) + b"1;" + b"x" * 1100, "between two chunks"),
    ("endless trailer", head(*CHUNKED) + b"0\r\n" + b"X: y\r\n" * 5000, "after a chunked answer"),
]


@pytest.mark.parametrize(
    ("data", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD]
)
def test_what_is_no_answer_is_refused_with_words(data: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        read(data)


def test_spaces_cost_no_time() -> None:
    """A pattern that tries every one of them as the end would take seconds."""
    line = "X:" + " \t" * (HEAD_SIZE // 2 - 100) + "y"
    assert read(head("HTTP/1.1 200 OK", line, "Content-Length: 0")) == [ok(b"")]
