"""
The log, in twistd's own form or, where the key `log` says so, as lines of JSON for those who gather
many logs. Both go where twistd would have written.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from io import FileIO
from pathlib import Path
from string import Formatter
from typing import Any, Final, TextIO, cast

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    eventAsText,
    formatEvent,
    formatTime,
)
from twisted.python.failure import Failure

_SPECIAL: Final = frozenset({"log_failure", "log_flattened", "log_system"})
"What gives an event another form."

_PLAIN: Final = (str, int, float, bool, type(None))


def text_of(event: LogEvent) -> str | None:
    """
    One event as twistd writes it: when, who says it and how serious it is, what.

    The interpreter's own `format` fills in what is plain, in 2 µs a line; Twisted's, which can
    do more, takes 25, and each viewer has four lines.
    """
    try:
        text = _plain(event)
    except Exception:  # Twisted's form of what is not plain, or cannot be said at all
        text = eventAsText(event)
    return text.replace("\n", "\n\t") + "\n" if text else None


def _plain(event: LogEvent) -> str:
    """Raises: all sorts of errors, where an event is anything else."""
    if not _SPECIAL.isdisjoint(event):
        raise ValueError(event)
    words = event["log_format"].format_map(event)
    when, source, level = int(event["log_time"]), event["log_namespace"], event["log_level"].name
    return f"{_stamp(when)} [{source}#{level}] {words}" if words else ""


@lru_cache(maxsize=1)
def _stamp(second: int) -> str:
    """The same for many lines; 6 µs for the first."""
    return formatTime(second)


def json_of(event: LogEvent) -> str:
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


Form = Callable[[LogEvent], str | None]
"What makes a line of an event, or nothing."


def observer(options: Any, reactor: Any, form: Form) -> ILogObserver | None:
    """
    Write where twistd, by its `options`, would have written.

    None: that is its own business, for an operator's `--logger` goes first, syslog has a form of
    its own, and a daemon has no standard output.
    """
    name, nodaemon = options.get("logfile"), options.get("nodaemon")
    if options.get("logger") or options.get("syslog") or (name == "-" and not nodaemon):
        return None
    if nodaemon and name in (None, "-"):
        return observing(sys.stdout, form)
    file = LogFile(Path(name or "twistd.log").absolute())
    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(file.reopen))
    return observing(file, form)


class LogFile:
    """
    A file that others may move away or empty while it is written: logrotate does either.

    Twisted's own ends at a megabyte and is moved by itself, whoever else does; and after somebody
    has emptied it, it goes on where it was, behind as many zeros.
    """

    log = Logger()

    def __init__(self, path: Path) -> None:
        """
        Raises:
            OSError: nothing can be written there.
        """
        self._path = path
        self._file = self._open()

    def _open(self) -> FileIO:
        return self._path.open("ab", buffering=0)

    def write(self, text: str) -> None:
        """Add it, wherever the end is now."""
        self._file.write(text.encode(errors="backslashreplace"))

    def flush(self) -> None:
        """Nothing waits."""

    def reopen(self) -> None:
        """Go on in the file that has the name now, or in a new one."""
        old = self._file
        try:
            self._file = self._open()
        except OSError as error:  # perhaps it was begun as another user
            self.log.error(
                "the log goes on where it was: {path}: {error}",
                path=str(self._path),
                error=error.strerror,
            )
        else:
            old.close()


def observing(file: TextIO | LogFile, form: Form) -> ILogObserver:
    """Write lines into a file."""

    def line(event: LogEvent) -> str | None:
        return None if _is_noise(event) else form(event)

    return cast("ILogObserver", FileLogObserver(cast("TextIO", file), line))


def _is_noise(event: LogEvent) -> bool:
    """Twisted tells by which factory a port is served: our own lines say what is there."""
    words = event.get("log_format")
    if words == "{log_text}":  # of Twisted's older parts
        return bool(_PORT.fullmatch(str(event.get("log_text"))))
    return words in _FACTORIES


_FACTORIES: Final = ("Starting factory {factory!r}", "Stopping factory {factory!r}")
_PORT: Final = re.compile(r"\w+ starting on \S+|\((?:\w+ )?Port \S+ Closed\)")
