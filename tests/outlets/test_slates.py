"""Recordings of streams for which a file stands in while nobody publishes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmptwist.live.recordings import CannotRecord
from rtmptwist.media.flv import AUDIO, VIDEO
from tests.support.guests import Host, eventually, live, serving
from tests.support.live import aac_header, avc_header, gop
from tests.support.programs import SAMPLES
from tests.support.reactor import reactor_test
from tests.support.recordings import tags_of

SLATE = SAMPLES / "h264-base-aac-25.flv"


async def shown(host: Host) -> None:
    """Somebody publishes for two seconds."""
    publisher = await host.publish()
    await publisher.feed(avc_header(), aac_header(), *gop(0, 25), *gop(1000, 25))
    await publisher.leave()
    await eventually(lambda: host.stream("show").supplied)


def check(folder: Path) -> None:
    """Each file has what was published, from 0 on, and no slate."""
    expected = [avc_header(), aac_header(), *gop(0, 25), *gop(1000, 25)]
    for path in folder.iterdir():
        tags = [tag for tag in tags_of(path) if tag.type in (AUDIO, VIDEO)]
        assert [tag.payload for tag in tags] == [message.payload for message in expected]
        assert [tag.timestamp for tag in tags] == [message.timestamp for message in expected]


@pytest.mark.parametrize("grace", [0.0, 30.0])
@reactor_test
async def test_publications_between_slates_are_recorded_each_and_nothing_else(
    tmp_path: Path, grace: float
) -> None:
    outlet = f"record:{tmp_path}/{{name}}-{{part}}.flv"
    app = live(outlets=(outlet,), inlet=(f"file:{SLATE}?loop",), grace=grace)
    async with serving(app) as host:
        viewer = await host.play()
        await viewer.until(lambda: len(viewer.media) > 5)
        for number in (1, 2):
            await shown(host)
            await eventually(lambda: len(list(tmp_path.glob("*.flv"))) == number)  # noqa: B023
            viewer.messages.clear()
            await viewer.until(lambda: len(viewer.media) > 5)
    check(tmp_path)


@reactor_test
async def test_a_slate_is_not_recorded_by_hand_either(tmp_path: Path) -> None:
    app = live(
        outlets=(f"record:{tmp_path}/{{name}}.flv:when=command",), inlet=(f"file:{SLATE}?loop",)
    )
    async with serving(app) as host:
        viewer = await host.play()
        await viewer.until(lambda: len(viewer.media) > 5)
        (recorder,) = host.application().recorders
        with pytest.raises(CannotRecord, match="nobody publishes show"):
            recorder.start("show")
        assert not recorder.meter.recordings
