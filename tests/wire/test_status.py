"""Statuses."""

from __future__ import annotations

import pytest

from rtmptwist.wire.status import Status, StatusCode


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (StatusCode.PUBLISH_START, "status"),
        (StatusCode.PUBLISH_BAD_NAME, "error"),
        (StatusCode.PLAY_INSUFFICIENT_BW, "warning"),
        (StatusCode.RECORD_FAILED, "warning"),
    ],
)
def test_level_follows_from_the_code(code: StatusCode, level: str) -> None:
    """FFmpeg ends on any status of level error, so it must not be chosen freely."""
    assert Status(code, "").level == level


def test_information_object() -> None:
    status = Status(StatusCode.PLAY_START, "Playing.", {"details": "a"})
    assert status.info() == {
        "level": "status",
        "code": "NetStream.Play.Start",
        "description": "Playing.",
        "details": "a",
    }
