"""The log as lines of JSON, where the key `log` says so: for those who gather many logs."""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from string import Formatter
from typing import Any, Final, TextIO, cast

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

_PLAIN: Final = (str, int, float, bool, type(None))


def line_of(event: LogEvent) -> str:
    """
    One event as a line: when, how serious, who says what, and the parts of that by their names.

    Only what the text shows is there, for the text is made so that it holds no secrets.
    """
    found: dict[str, object] = {
        "time": datetime.fromtimestamp(event.get("log_time", 0.0), UTC).isoformat(),
        "level": getattr(event.get("log_level"), "name", "info"),
        "source": str(event.get("log_namespace", "")),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        found["traceback"] = failure.getTraceback()
    parts = {name: event[name] for name in _names(event.get("log_format")) if name in event}
    if parts:
        found["parts"] = {
            name: value if isinstance(value, _PLAIN) else str(value)
            for name, value in parts.items()
        }
    return json.dumps(found) + "\n"


def _names(text: object) -> list[str]:
    if not isinstance(text, str):
        return []
    try:
        return [name for _, name, _, _ in Formatter().parse(text) if name and name.isidentifier()]
    except ValueError:  # some other library's
        return []


def observer(options: Any, reactor: Any) -> ILogObserver:
    """Write where twistd, by its `options`, would have written."""
    name = options.get("logfile")
    if options.get("nodaemon") and name in (None, "-"):
        return observing(sys.stdout)
    file: Any = LogFile.fromFullPath(name or "twistd.log")
    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(file.rotate))
    return observing(file)


def observing(file: TextIO) -> ILogObserver:
    """Write lines into a file."""
    return cast("ILogObserver", FileLogObserver(file, line_of))
