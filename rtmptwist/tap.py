"""`twistd rtmp`: the command line. Reads the configuration before anything starts."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from twisted.application.service import IService, MultiService, Service
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from twisted.python import usage
from zope.interface import provider

from rtmptwist.config.load import ConfigError, load
from rtmptwist.config.schema import Config
from rtmptwist.logs import json_of, observer, text_of

_SOURCE: Final = Path(__file__).parents[1] / "conf" / "site.ini"
MANUAL: Final = _SOURCE if _SOURCE.exists() else Path(__file__).parent / "conf" / "site.ini"
"Beside the package in its source, within it where it is installed."


class Options(usage.Options):
    """What may follow `twistd rtmp`."""

    synopsis = "[options]"
    longdesc = (
        "A live video server. Every key of a configuration file is explained in this one, which"
        f" works as it stands; write `state = FOLDER` into your copy:\n{MANUAL}"
    )
    optParameters: ClassVar = [["config", "c", None, "The configuration file."]]
    optFlags: ClassVar = [["check", None, "Only check the file; status 1 if anything is wrong."]]

    config: Config
    "The file as read; there after `postOptions`."

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """As Twisted's own, but a mistake ends with status 1; before Twisted 26.10 it was 0."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            raise SystemExit(f"twistd rtmp: {error}") from error

    def postOptions(self) -> None:
        if self["config"] is None:
            raise usage.UsageError(f"--config FILE is missing (try a copy of {MANUAL})")
        path = Path(self["config"])
        try:
            self.config = load(path)
        except ConfigError as error:
            raise usage.UsageError(f"the configuration cannot be used:\n{error}") from error
        if self["check"]:
            self._check_files()
            sys.stdout.write(f"{path}: ok\n")
            raise SystemExit(0)

    def _check_files(self) -> None:
        from rtmptwist.plan import SiteError, check  # which brings a reactor, too early for twistd

        globalLogPublisher.addObserver(_warn)
        try:
            check(self.config)
        except SiteError as error:
            raise usage.UsageError(f"the configuration cannot be used:\n{error}") from error
        finally:
            globalLogPublisher.removeObserver(_warn)


@provider(ILogObserver)
def _warn(event: LogEvent) -> None:
    """A server would start all the same, and only say this in its log."""
    if event.get("log_level") == LogLevel.warn:
        sys.stderr.write(f"warning: {formatEvent(event)}\n")


class Top(MultiService):
    """All services; as twistd's application it says how the log is written."""

    def __init__(self, observer: ILogObserver | None) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: Any) -> None:
        """Twisted: `parent` is the application, which twistd asks when it begins to log."""
        if self._observer is not None:
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)


def makeService(options: Options) -> IService:
    """What twistd runs."""
    from twisted.internet import reactor

    from rtmptwist.plan import SiteError
    from rtmptwist.service import make_service

    twistd: Any = options.parent
    try:
        server = make_service(options.config, reactor)
    except SiteError as error:
        raise SystemExit(f"twistd rtmp: the configuration cannot be used:\n{error}") from error
    form = json_of if options.config.server.log == "json" else text_of
    parent = Top(observer(twistd, reactor, form) if twistd is not None else None)
    server.setServiceParent(parent)
    CleanExit(reactor, server.leave).setServiceParent(parent)
    Hangup(reactor, server.reloading.begin).setServiceParent(parent)
    Rotation(reactor).setServiceParent(parent)
    return parent


class CleanExit(Service):
    """
    Has the process end with status 0 when it was asked to end, by SIGTERM or Ctrl-C.

    twistd's own handlers stop in the same way, but after that the process kills itself by the very
    signal, which a supervisor takes for a crash.
    """

    log = Logger()

    def __init__(self, reactor: Any, leave: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._leave = leave

    def startService(self) -> None:
        """Twisted: replace its handlers as soon as they are there."""
        super().startService()
        self._reactor.callWhenRunning(self._listen)

    def _listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            if callable(signal.getsignal(number)):  # one that is to be ignored stays ignored
                signal.signal(number, self._heard)

    def _heard(self, number: int, frame: object) -> None:  # noqa: ARG002 - a signal handler
        self._reactor.callFromThread(self._leave, signal.Signals(number).name)


class Hangup(Service):
    """
    Has the configuration read again on SIGHUP, which would end the process otherwise.

    Twisted has no opinion about it.
    """

    log = Logger()

    def __init__(self, reactor: Any, reload: Callable[[], None]) -> None:
        self._reactor = reactor
        self._reload = reload

    def startService(self) -> None:
        """Twisted: from now on."""
        super().startService()
        # even where it is ignored (nohup): nobody is hurt by a terminal that closes
        signal.signal(signal.SIGHUP, self._heard)

    def _heard(self, number: int, frame: object) -> None:  # noqa: ARG002 - a signal handler
        self._reactor.callFromThread(self._begin)

    def _begin(self) -> None:
        self.log.info("SIGHUP: the configuration is read again")
        self._reload()


class Rotation(Service):
    """
    Has SIGUSR1, after which a new log file is begun, end no server that has none.

    Whoever sends it may not know that the log goes elsewhere, such as to the journal of systemd.
    """

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def startService(self) -> None:
        """Twisted: the log is open by now."""
        super().startService()
        if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:  # which is death
            signal.signal(signal.SIGUSR1, self._heard)

    def _heard(self, number: int, frame: object) -> None:  # noqa: ARG002 - a signal handler
        self._reactor.callFromThread(self.log.info, "SIGUSR1: there is no --logfile to begin anew")
