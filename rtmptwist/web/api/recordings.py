"""Recordings of streams, and what operators may have recorded: where and how, outlets say."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, TypedDict

from rtmptwist.live.application import Application
from rtmptwist.live.recordings import CannotRecord, RecorderMeter, RecordingMeter, StreamRecorder
from rtmptwist.web.answers import Problem
from rtmptwist.web.parameters import Parameter

QUERY: Final = {
    "outlet": Parameter(
        words="Only by this outlet, as the configuration has it; else by all that record.",
        least=1,
        most=2000,
    )
}


class RecordingView(TypedDict):
    """
    A stream on its way to files: `outlet`, by which of them; `path`, `seconds` and `bytes` of the
    present one.
    """

    outlet: str
    state: str
    path: str | None
    part: int
    seconds: float
    bytes: int
    waiting_bytes: int
    error: str | None


class RecorderView(TypedDict):
    """An outlet that records: what it did since the start."""

    outlet: str
    recordings: int
    files: int
    bytes: int
    failures: int
    removed: int


def start(application: Application, name: str, outlet: str | None) -> None:
    """
    Record a stream from its newest key frame on, wherever it is not recorded yet.

    Raises:
        Problem: that cannot be.
    """
    idle = [each for each in _chosen(application, outlet) if not each.records(name)]
    if not idle:
        raise Problem(HTTPStatus.CONFLICT, "It is recorded already.")
    try:
        for recorder in idle:
            recorder.start(name)
    except CannotRecord as error:
        raise Problem(HTTPStatus.CONFLICT, f"{error}.") from error


def stop(application: Application, name: str, outlet: str | None) -> None:
    """
    Record it no more, until it is published again.

    Raises:
        Problem: it is not recorded.
    """
    busy = [each for each in _chosen(application, outlet) if each.records(name)]
    if not busy:
        raise Problem(HTTPStatus.NOT_FOUND, "It is not recorded.")
    for recorder in busy:
        recorder.stop(name)


def _chosen(application: Application, outlet: str | None) -> list[StreamRecorder]:
    if not application.recorders:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The application {application.name} has nowhere to record to: give it a line such as"
            " outlets = record:recordings/{app}/{name}.flv:when=command.",
        )
    chosen = [each for each in application.recorders if outlet in (None, each.meter.description)]
    if not chosen:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The application {application.name} has no such outlet that records.",
        )
    return chosen


def recorder_view(meter: RecorderMeter) -> RecorderView:
    return {
        "outlet": meter.description,
        "recordings": len(meter.recordings),
        "files": meter.counts.files,
        "bytes": meter.counts.size,
        "failures": meter.counts.failures,
        "removed": meter.counts.removed,
    }


def recording_view(meter: RecordingMeter) -> RecordingView:
    return {
        "outlet": meter.outlet,
        "state": meter.state,
        "path": meter.path or None,
        "part": meter.part,
        "seconds": meter.seconds,
        "bytes": meter.size,
        "waiting_bytes": meter.waiting,
        "error": meter.error or None,
    }
