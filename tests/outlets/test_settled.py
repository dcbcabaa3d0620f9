"""Which messages begin another file, where one takes no other headers."""

from __future__ import annotations

import pytest

from rtmptwist.outlets.settled import Settled
from rtmptwist.wire.message import Message, MessageType
from tests.support.live import aac_header, audio, avc_header, data, gop

BOTH = (MessageType.AUDIO, MessageType.VIDEO)
OTHER = avc_header("other")


def test_what_comes_with_the_first_frames_belongs_to_the_file() -> None:
    settled = Settled(BOTH)
    assert settled.news([avc_header(), data("onMetaData"), *gop(0), aac_header()]) is None
    assert settled.news([*gop(1000), avc_header(), aac_header()]) is None


def test_a_header_that_changes_is_news() -> None:
    settled = Settled(BOTH)
    assert settled.news([avc_header(), OTHER, aac_header(), *gop(0)]) is None
    assert settled.news([*gop(1000), OTHER, avc_header()]) == len(gop(1000)) + 1


def test_even_among_the_first_frames() -> None:
    assert Settled(BOTH).news([avc_header(), *gop(0), OTHER]) == 1 + len(gop(0))


def test_so_is_one_of_a_new_track() -> None:
    settled = Settled(BOTH)
    assert settled.news([avc_header(), *gop(0)]) is None
    assert settled.news([*gop(1000), aac_header()]) == len(gop(1000))


def test_before_the_first_frames_there_is_time() -> None:
    settled = Settled(BOTH)
    assert settled.news([avc_header()]) is None
    assert settled.news([aac_header()]) is None
    assert settled.news([audio(0)]) is None
    assert settled.news([avc_header(), aac_header("other")]) == 1


@pytest.mark.parametrize(("kind", "header"), [(0, OTHER), (1, aac_header("other"))])
def test_what_is_not_recorded_is_no_news(kind: int, header: Message) -> None:
    settled = Settled([BOTH[kind]])
    assert settled.news([avc_header(), aac_header(), *gop(0), audio(0)]) is None
    assert settled.news([header]) is None
