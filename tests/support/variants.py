"""All six variants of RTMP, as one server offers them on two ports."""

from __future__ import annotations

from typing import Final

from tests.support.programs import Site

VARIANTS: Final = ("rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts")

LISTENERS: Final = """
[listener main]
endpoint = tcp:0:interface=127.0.0.1
serve = rtmp, rtmpe, rtmpt, rtmpte

[listener secure]
endpoint = tcp:0:interface=127.0.0.1:backlog=50
serve = rtmps, rtmpts
"""

UNSENT: Final = 10
"""
Packets that FFmpeg keeps back in a tunnel until it has so many (`rtmp_flush_interval`).

When its input ends it forgets them: a publication is a beginning of the file.
"""


def url(site: Site, variant: str, path: str) -> str:
    """Where `LISTENERS` serve a variant."""
    return site.url(path, variant, "secure" if variant.endswith("s") else "main")


UNSENT_NOTE: Final = (
    f"when its input ends, FFmpeg never sends the last packets of a tunnel, up to {UNSENT}"
)
"For tables."


def tunnelled(variant: str) -> bool:
    """Whether it goes through HTTP."""
    return "t" in variant[4:]
