"""What is kept for late viewers."""

from __future__ import annotations

from rtmptwist.live.headers import MAX_COUNT, MAX_SIZE, Headers
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import aac_header, avc_header, data, payloads, video


def kept(headers: Headers) -> list[bytes]:
    return payloads(header.message for header in headers.as_of(1000))


def test_the_newest_of_a_slot_is_kept_and_says_whether_it_is_new() -> None:
    headers = Headers()
    assert headers.put("v", 0, avc_header("a"))
    assert not headers.put("v", 1, avc_header("a", 500))
    assert headers.put("v", 2, avc_header("b"))
    assert [(h.number, h.message) for h in headers.as_of(1000)] == [(2, avc_header("b"))]


def test_data_comes_first_then_what_came_first() -> None:
    """Players set up their window by the metadata, their decoders by the rest."""
    headers = Headers()
    headers.put("v", 0, avc_header())
    headers.put("a", 1, aac_header())
    headers.put("m", 2, data("onMetaData"))
    headers.put("v", 3, avc_header("b"))
    assert kept(headers) == payloads([data("onMetaData"), aac_header(), avc_header("b")])


def test_a_snapshot_does_not_change() -> None:
    """A viewer that begins at an older key frame gets the headers of that time."""
    headers = Headers()
    headers.put("v", 0, avc_header("a"))
    before = headers.as_of(1000)
    headers.put("v", 1, avc_header("b"))
    assert payloads(h.message for h in before) == [avc_header("a").payload]


def test_decoder_configurations_get_a_viewers_time_and_data_keeps_its_own() -> None:
    headers = Headers()
    headers.put("v", 0, avc_header())
    headers.put("m", 1, data("onMetaData"))
    assert [header.at(5000).timestamp for header in headers.as_of(1000)] == [0, 5000]


def test_one_that_is_too_large_is_not_kept_nor_its_predecessor() -> None:
    headers = Headers()
    headers.put("v", 0, avc_header())
    assert headers.put("v", 1, Message(MessageType.VIDEO, 0, 1, bytes(MAX_SIZE + 1)))
    assert headers.as_of(1000) == ()
    assert headers.put("v", 1, Message(MessageType.VIDEO, 0, 1, bytes(MAX_SIZE)))
    assert len(headers.as_of(1000)) == 1


def test_one_too_many_is_not_kept() -> None:
    headers = Headers()
    for slot in range(MAX_COUNT + 1):
        assert headers.put(slot, slot, video(slot))
    assert len(headers.as_of(1000)) == MAX_COUNT
    headers.put(0, 99, avc_header())
    assert len(headers.as_of(1000)) == MAX_COUNT
    assert headers.as_of(1000)[-1].message == avc_header()


def test_what_another_publisher_does_not_repeat_is_dropped() -> None:
    """A player waits for the frames of a track that it has a header of."""
    headers = Headers()
    for slot in ("v", "a", "m", "x"):
        headers.put(slot, 0, data(slot))
    headers.doubt()
    headers.put("v", 5, data("v"))
    headers.put("a", 6, data("b"))
    headers.drop("x", 7)
    headers.settle(8)
    assert kept(headers) == payloads([data("v"), data("b")])
    headers.settle(8)
    assert len(headers.as_of(1000)) == 2


def test_dropping_and_clearing() -> None:
    headers = Headers()
    headers.put("v", 0, data("v"))
    headers.drop("unknown", 0)
    headers.drop("v", 1)
    assert headers.as_of(1000) == ()
    headers.put("v", 0, data("v"))
    headers.clear(2)
    assert headers.as_of(1000) == ()


def test_what_the_present_publisher_has_said() -> None:
    """What is kept of its predecessor is not its own until it says the same."""
    headers = Headers()
    headers.put("v", 0, avc_header("a"))
    headers.put("a", 1, aac_header())
    headers.doubt()
    assert headers.said() == ()
    headers.put("v", 2, avc_header("a"))
    headers.put("m", 3, data("onMetaData"))
    said = payloads(header.message for header in headers.said())
    assert said == payloads([avc_header("a"), data("onMetaData")])
