"""Traces: all messages of a connection in words, for a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypedDict

from rtmptwist.web.api.connections import StepView, connection_number, find_connection, step_views
from rtmptwist.web.api.figures import when
from rtmptwist.web.api.route import PAGE, Call, Route, nothing
from rtmptwist.web.parameters import Parameter
from rtmptwist.web.traces import LONGEST, Trace, TraceLine


class TraceLineView(TypedDict):
    """A traced message. `frame`: coded sound or picture; `key`: a key frame."""

    number: int
    time: str
    way: str
    kind: str
    words: str
    timestamp: int | None
    message_stream: int | None
    size: int
    frame: bool
    key: bool


class TraceView(TypedDict):
    """A trace: its lines, and the last protocol events of the connection, `here` or gone."""

    lines: list[TraceLineView]
    newest: int
    running: bool
    until: str
    here: bool
    steps: list[StepView]


async def trace(call: Call) -> TraceView:
    """Put all messages of a connection into words for a while."""
    connection, seconds = find_connection(call), call.body["seconds"]
    begun = call.house.traces.begin(connection, seconds)
    call.note("traces {peer} for {seconds:g} s", peer=connection.peer, seconds=seconds)
    return trace_view(begun, (), here=True)


async def traced(call: Call) -> TraceView:
    """What these messages were."""
    found = call.house.traces.find(connection_number(call))
    if found is None:
        raise nothing("trace")
    here = found.connection in call.house.registry.connections
    if not here:
        found.stop()
    lines = found.since(call.query["after"])[: call.query["limit"]]
    return trace_view(found, lines, here=here)


def trace_view(trace: Trace, lines: Iterable[TraceLine], *, here: bool) -> TraceView:
    """Some lines of a trace."""
    return {
        "lines": [_trace_line_view(line) for line in lines],
        "newest": trace.newest,
        "running": trace.running,
        "until": when(trace.until),
        "here": here,
        "steps": step_views(trace.connection),
    }


def _trace_line_view(line: TraceLine) -> TraceLineView:
    message = line.message
    return {
        "number": line.number,
        "time": when(line.time),
        "way": "received" if line.received else "sent",
        "kind": line.kind,
        "words": line.words,
        "timestamp": message.timestamp if message is not None else None,
        "message_stream": message.stream_id if message is not None else None,
        "size": line.size,
        "frame": line.frame,
        "key": line.key,
    }


ROUTES: Final = (
    Route(
        "POST",
        "connections/<number>/trace",
        "Put all messages of a connection into words for a while",
        trace,
        shows=TraceView,
        body={
            "seconds": Parameter(
                words="For how long.", kind="number", default=60, least=1, most=LONGEST
            )
        },
    ),
    Route(
        "GET",
        "connections/<number>/trace",
        "Messages of a connection that is or was traced",
        traced,
        shows=TraceView,
        query={
            "after": Parameter(
                words="Only lines with greater numbers.", kind="integer", default=0, most=1e12
            ),
            "limit": PAGE["limit"],
        },
    ),
)
