"""Applications: their streams and recorders, in sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypedDict

from rtmptwist.live.application import Application
from rtmptwist.live.meters import Speed, StreamMeter
from rtmptwist.web.api.figures import RateView, rate_view
from rtmptwist.web.api.recordings import RecorderView, recorder_view
from rtmptwist.web.api.route import PAGE, VHOST, Call, Route, nothing, page, part
from rtmptwist.web.house import House
from rtmptwist.web.slices import in_slices


class ApplicationView(TypedDict):
    """An application. Sums are over the streams that it has now; bytes over all it ever had."""

    vhost: str
    name: str
    streams: int
    live: int
    viewers: int
    bytes_in: int
    bytes_out: int
    skipped: int
    bitrate_in: RateView
    bitrate_out: RateView
    recorders: list[RecorderView]


async def applications(call: Call) -> object:
    """All applications."""
    found = [
        each
        for each in call.house.registry.applications()
        if call.query["vhost"] in (None, each.host)
    ]
    return page(call, found, [await _shown(call.house, each) for each in part(call, found)])


async def application(call: Call) -> ApplicationView:
    """One application."""
    wanted = call.query["vhost"] or "", call.path["name"]
    for each in call.house.registry.applications():
        if (each.host, each.name) == wanted:
            return await _shown(call.house, each)
    raise nothing("application")


async def _shown(house: House, shown: Application) -> ApplicationView:
    streams = tuple(shown.streams.values())
    return application_view(shown, [s.meter async for s in in_slices(streams, house.reactor)])


def application_view(application: Application, meters: Sequence[StreamMeter]) -> ApplicationView:
    """`meters` are those of its streams, gathered in slices."""
    bytes_in, bytes_out, skipped = application.gone
    return {
        "vhost": application.host,
        "name": application.name,
        "streams": len(meters),
        "live": sum(meter.state == "live" for meter in meters),
        "viewers": application.film_viewers + sum(meter.viewers for meter in meters),
        "bytes_in": bytes_in + sum(meter.bytes_in for meter in meters),
        "bytes_out": bytes_out + sum(meter.bytes_out for meter in meters),
        "skipped": skipped + sum(meter.skipped for meter in meters),
        "bitrate_in": rate_view(sum((meter.bitrate_in for meter in meters), Speed())),
        "bitrate_out": rate_view(sum((meter.bitrate_out for meter in meters), Speed())),
        "recorders": [recorder_view(each.meter) for each in application.recorders],
    }


ROUTES: Final = (
    Route(
        "GET",
        "applications",
        "Applications",
        applications,
        shows=ApplicationView,
        paged=True,
        query={**PAGE, **VHOST},
    ),
    Route(
        "GET",
        "applications/<path:name>",
        "One application",
        application,
        shows=ApplicationView,
        query=VHOST,
    ),
)
