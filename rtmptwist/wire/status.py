"""
Status codes and their information objects (RTMP 1.0, section 7.2; Adobe's tables of onStatus).

A status is what people at the other end get to read: OBS shows code and description, FFmpeg prints
the description. So descriptions are sentences that help, below 256 bytes (FFmpeg cuts there).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rtmptwist.amf.values import Value


class StatusCode(StrEnum):
    """Codes of `_result`, `_error`, `onStatus` and `onPlayStatus`."""

    __hash__ = str.__hash__  # Enum's own is Python code: 0.2 µs, twice for each status

    CONNECT_SUCCESS = "NetConnection.Connect.Success"
    CONNECT_REJECTED = "NetConnection.Connect.Rejected"
    CONNECT_INVALID_APP = "NetConnection.Connect.InvalidApp"
    CONNECT_FAILED = "NetConnection.Connect.Failed"
    CONNECT_CLOSED = "NetConnection.Connect.Closed"
    CONNECT_APP_SHUTDOWN = "NetConnection.Connect.AppShutdown"
    CONNECT_RECONNECT_REQUEST = "NetConnection.Connect.ReconnectRequest"
    CALL_FAILED = "NetConnection.Call.Failed"

    FAILED = "NetStream.Failed"
    PUBLISH_START = "NetStream.Publish.Start"
    PUBLISH_BAD_NAME = "NetStream.Publish.BadName"
    PUBLISH_DENIED = "NetStream.Publish.Denied"
    PUBLISH_WARNING = "NetStream.Publish.Warning"
    UNPUBLISH_SUCCESS = "NetStream.Unpublish.Success"
    RECORD_START = "NetStream.Record.Start"
    RECORD_STOP = "NetStream.Record.Stop"
    RECORD_NO_ACCESS = "NetStream.Record.NoAccess"
    RECORD_FAILED = "NetStream.Record.Failed"
    RECORD_DISK_QUOTA_EXCEEDED = "NetStream.Record.DiskQuotaExceeded"
    PLAY_RESET = "NetStream.Play.Reset"
    PLAY_START = "NetStream.Play.Start"
    PLAY_STOP = "NetStream.Play.Stop"
    PLAY_COMPLETE = "NetStream.Play.Complete"
    PLAY_SWITCH = "NetStream.Play.Switch"
    PLAY_PUBLISH_NOTIFY = "NetStream.Play.PublishNotify"
    PLAY_UNPUBLISH_NOTIFY = "NetStream.Play.UnpublishNotify"
    PLAY_STREAM_NOT_FOUND = "NetStream.Play.StreamNotFound"
    PLAY_FAILED = "NetStream.Play.Failed"
    PLAY_INSUFFICIENT_BW = "NetStream.Play.InsufficientBW"
    SEEK_NOTIFY = "NetStream.Seek.Notify"
    SEEK_FAILED = "NetStream.Seek.Failed"
    PAUSE_NOTIFY = "NetStream.Pause.Notify"
    UNPAUSE_NOTIFY = "NetStream.Unpause.Notify"


_WARNINGS: Final = frozenset(
    {
        StatusCode.PLAY_INSUFFICIENT_BW,
        StatusCode.PUBLISH_WARNING,
        # errors by Adobe's table: but the stream goes on, and FFmpeg ends when it is told an error
        StatusCode.RECORD_NO_ACCESS,
        StatusCode.RECORD_FAILED,
        StatusCode.RECORD_DISK_QUOTA_EXCEEDED,
    }
)

_ERRORS: Final = frozenset(
    {
        StatusCode.CONNECT_REJECTED,
        StatusCode.CONNECT_INVALID_APP,
        StatusCode.CONNECT_FAILED,
        StatusCode.CONNECT_APP_SHUTDOWN,
        StatusCode.CALL_FAILED,
        StatusCode.FAILED,
        StatusCode.PUBLISH_BAD_NAME,
        StatusCode.PUBLISH_DENIED,
        StatusCode.PLAY_STREAM_NOT_FOUND,
        StatusCode.PLAY_FAILED,
        StatusCode.SEEK_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Status:
    """One information object: a code, a sentence, and what else the code carries."""

    code: StatusCode
    description: str
    more: dict[str, Value] = field(default_factory=dict)
    "Further properties, such as `details` (a stream name)."

    @property
    def level(self) -> str:
        """`status`, `warning` or `error`, by the code."""
        if self.code in _ERRORS:
            return "error"
        return "warning" if self.code in _WARNINGS else "status"

    def info(self) -> dict[str, Value]:
        """The information object as AMF values."""
        return {
            "level": self.level,
            "code": str(self.code),
            "description": self.description,
            **self.more,
        }
