"""
The bans of a server, kept in a file that survives it and that an operator may change.

As with other files, one with a mistake changes nothing: all bans stay that were in force, and the
file stays as it is, but for what is banned or lifted meanwhile. A server that starts has nothing
that could stay: there, what can be read of it is in force, for better than nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from rtmptwist.auth.bans import MOST, Ban, Bans, Kind, read_line
from rtmptwist.auth.files import INTERVAL, BadFile, BadLine, read_text, rewrite
from rtmptwist.disk.reading import Changes

HEADER: Final = """\
# Bans of rtmptwist: a line for each, of an address, a network or an account, such as
#
#     address 192.0.2.0/24 until=2030-12-31T23:59:59Z note=why, which they get to read
#     account alice
#
# The server reads this file again within seconds, ends what is banned and lets in what is not, and
# writes it anew now and then. Without until= it is for good. A blank in a name is %20.
"""

_ALL_THE_SAME: Final = "the bans are in force all the same"
_AS_BEFORE: Final = "what was read before stays in use"
_IN_PART: Final = "its other lines are in force"
_NOT_AT_ALL: Final = "nobody is banned by it until it can be read"

_AS_THEY_ARE: Final = "surrogateescape"
"Bytes that are no UTF-8: they spoil their own line only."

_Key = tuple[Kind, str]


class _Text(NamedTuple):
    """What a file says."""

    comments: str
    bans: Sequence[Ban]

    broken: str
    "Lines of which no use can be made, as they stand."

    problem: str


class _Found(NamedTuple):
    """What follows from it."""

    bans: Sequence[Ban]
    problem: str


class BanFile:
    """Bans in memory and in a file, which soon say the same, wherever they are changed."""

    log = Logger()

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        """`now`: seconds since the epoch. The file need not be there."""
        self.path = path
        self.bans = Bans(now)
        self.changed: list[Callable[[], None]] = []
        "Each is called after there are other bans; not when one is lifted or has ended."

        self._now = now
        self._changes = Changes()
        self._changes.note(path)
        self._unsaid: dict[_Key, Ban | None] = {}
        "Made or lifted here, which the file does not say yet."
        self._trouble = ""
        "Of which the log knows."

    def ban(self, ban: Ban) -> None:
        """
        Ban somebody from now on.

        Raises:
            TooManyBans: there are as many as may be.
        """
        self.bans.add(ban)
        self._unsaid[ban.key] = ban
        self.log.info("{words}", words=ban.words)
        self._tell()

    def unban(self, kind: Kind, who: str) -> bool:
        """
        Lift a ban; whether there was one.

        Raises:
            BadLine: nobody can be called so.
        """
        key = Ban.of(kind, who, 0).key
        if not self.bans.remove(*key):
            return False
        self._unsaid[key] = None
        self.log.info("{who} is not banned any more", who=key[1])
        return True

    def load(self) -> None:
        """Read the file for the first time. May block."""
        self._settle({}, None, _NOT_AT_ALL)

    def flush(self) -> None:
        """Write what the file does not say yet. May block."""
        if self._unsaid:
            self._settle(self._unsaid, tuple(self.bans), _ALL_THE_SAME)

    async def sync(self, reactor: Any) -> None:
        """Once a second: have file and memory agree. The work is done in a thread."""
        unsaid, self._unsaid = self._unsaid, {}
        try:
            found = await deferToThreadPool(
                reactor, reactor.getThreadPool(), self._look, unsaid, tuple(self.bans)
            )
        except BadFile as error:
            self._unsaid = {**unsaid, **self._unsaid}
            self._complain(f"{error}; {_ALL_THE_SAME}")
        except Exception:  # whatever it is, the next second is another chance
            self._unsaid = {**unsaid, **self._unsaid}
            self.log.failure("{path} could not be looked at", path=self.path)
        else:
            if found is not None:
                self._take(found)

    def _settle(
        self, unsaid: Mapping[_Key, Ban | None], known: Sequence[Ban] | None, otherwise: str
    ) -> None:
        try:
            found = self._agree(unsaid, known)
        except BadFile as error:
            self._complain(f"{error}; {otherwise}")
        else:
            self._unsaid = {}
            self._take(found)

    # ------------------------------------------------------------------- in a thread

    def _look(self, unsaid: Mapping[_Key, Ban | None], known: Sequence[Ban]) -> _Found | None:
        """What the file says, if that is new; `known` is in memory, `unsaid` not in the file."""
        changed = self._changes.look(self.path)
        return self._agree(unsaid, known) if changed or unsaid else None

    def _agree(self, unsaid: Mapping[_Key, Ban | None], known: Sequence[Ban] | None) -> _Found:
        """`known`: None: it was never read."""
        try:
            return self._merge(unsaid, known)
        except OSError as error:
            raise BadFile(self.path, [(0, error.strerror or str(error))]) from error

    def _merge(self, unsaid: Mapping[_Key, Ban | None], known: Sequence[Ban] | None) -> _Found:
        now = self._now()
        text = self._read(now)
        bans = {ban.key: ban for ban in text.bans if not ban.over(now)}
        for key, ban in unsaid.items():
            bans.pop(key, None)
            if ban is not None and not ban.over(now):
                bans[key] = ban
        if unsaid:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{ban.line}\n" for ban in bans.values())
            rewrite(self.path, lambda _: text.comments + text.broken + lines, _AS_THEY_ARE)
            self._changes.note(self.path)
        if text.problem and known is not None:
            return _Found(known, f"{text.problem}; {_AS_BEFORE}")
        return _Found(tuple(bans.values()), text.problem and f"{text.problem}; {_IN_PART}")

    def _read(self, now: float) -> _Text:
        """
        All of it, and what is wrong with it.

        Raises:
            BadFile: it cannot be read at all.
        """
        if not self.path.exists():
            return _Text(HEADER, (), "", "")
        comments, broken = "", ""
        bans: list[Ban] = []
        wrong: list[tuple[int, str]] = []
        lines = read_text(self.path, _AS_THEY_ARE).split("\n")
        for number, line in enumerate(map(str.strip, lines), 1):
            if line.startswith("#"):
                comments += f"{line}\n"
            elif line:
                try:
                    ban = read_line(line, now)
                    if len(bans) >= MOST:
                        raise BadLine(f"{MOST} bans are as many as may be: ban networks")
                    bans.append(ban)
                except BadLine as error:
                    wrong.append((number, str(error)))
                    broken += f"{line}\n"
        return _Text(comments, bans, broken, str(BadFile(self.path, wrong)) if wrong else "")

    # -------------------------------------------------------------------- in memory

    def _take(self, found: _Found) -> None:
        if found.problem:
            self._complain(found.problem)
        else:
            self._trouble = ""
        before = set(self.bans)
        unsaid = self._unsaid  # changed while the file was read
        made = [ban for ban in unsaid.values() if ban is not None]
        self.bans.replace([*made, *(ban for ban in found.bans if ban.key not in unsaid)])
        if set(self.bans) != before:
            self.log.info("bans in force: {count}", count=len(self.bans))
            self._tell()

    def _complain(self, trouble: str) -> None:
        """Once, for what goes on."""
        if trouble != self._trouble:
            self._trouble = trouble
            self.log.error("{trouble}", trouble=trouble)

    def _tell(self) -> None:
        for tell in self.changed:
            tell()


class Keeping(TimerService):
    """Has a file of bans and the memory agree, from the start to the end."""

    def __init__(self, file: BanFile, reactor: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # Twisted's
            INTERVAL, lambda: Deferred.fromCoroutine(file.sync(reactor))
        )
        self.clock = reactor
        self._file = file

    def startService(self) -> None:
        """Read it before anybody is let in."""
        self._file.load()
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's

    def stopService(self) -> Deferred[None]:
        """Leave nothing unsaid."""
        stopped: Deferred[None] = super().stopService()  # type: ignore[no-untyped-call]
        return stopped.addCallback(lambda _: self._file.flush())
