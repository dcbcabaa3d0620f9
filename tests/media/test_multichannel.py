"""Bodies of Enhanced MultichannelConfig packets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis.strategies import binary

from rtmptwist.media.errors import MediaError
from rtmptwist.media.multichannel import ChannelOrder, MultichannelConfig
from tests.media.samples import tags


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("0002", MultichannelConfig(ChannelOrder.UNSPECIFIED, 2)),
        ("01060000003f", MultichannelConfig(ChannelOrder.NATIVE, 6, mask=0x3F)),
        ("0203000201", MultichannelConfig(ChannelOrder.CUSTOM, 3, mapping=(0, 2, 1))),
        ("0200", MultichannelConfig(ChannelOrder.CUSTOM, 0)),
    ],
)
def test_orders(body: str, expected: MultichannelConfig) -> None:
    assert MultichannelConfig.unpack(bytes.fromhex(body)) == expected


def test_what_ffmpeg_sends_for_5_1() -> None:
    body = tags("aac51-ertmp")[2].payload[5:]
    assert MultichannelConfig.unpack(body) == MultichannelConfig(ChannelOrder.NATIVE, 6, mask=0x3F)


@pytest.mark.parametrize("body", ["", "01", "0106000000", "02030002", "0302"])
def test_what_is_wrong(body: str) -> None:
    with pytest.raises(MediaError, match=f"MultichannelConfig {body}:"):
        MultichannelConfig.unpack(bytes.fromhex(body))


@given(binary())
def test_any_bytes_give_an_answer_or_a_media_error(body: bytes) -> None:
    with contextlib.suppress(MediaError):
        MultichannelConfig.unpack(body)
