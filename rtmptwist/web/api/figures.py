"""Times and rates, as the API has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from rtmptwist.live.meters import Speed


class RateView(TypedDict):
    """Per second, over so many of the last seconds."""

    over_1s: float
    over_10s: float
    over_60s: float


def rate_view(speed: Speed) -> RateView:
    """Rounded: nobody needs more digits."""
    return {
        "over_1s": round(speed.second, 3),
        "over_10s": round(speed.ten, 3),
        "over_60s": round(speed.minute, 3),
    }


def when(seconds: float) -> str:
    """A time, by RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
