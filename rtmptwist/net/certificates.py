"""
The certificates of a listener: by host name, and read again when their files change.

Where they come from:

| source | for |
|---|---|
| `SelfMade` | a server without a certificate of its own: signs one for itself, once |
| `OneFile` | one PEM file with key and chain in any order, or the key in a second file |
| `Folder` | one such file, or two, for each host name |
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from twisted.logger import Logger

from rtmptwist.disk.reading import Changes
from rtmptwist.net.certificate import (
    SELF_MADE_FOR,
    Certificate,
    CertificateError,
    KeyMismatch,
    make_certificate,
    pem_certificates,
    read_certificate,
)

DAY: Final = 86400.0

REMINDER: Final = 21 * DAY
"Seconds before its end from which on a certificate is warned of: ACME renews 30 days before."

MISMATCH: Final = 10.0
"""
Seconds that key and certificate may belong to different ones before the log complains: they are
replaced one after the other.
"""

SELF_MADE_NAME: Final = "certificate.pem"

Pair = tuple[Path, Path]
"The file with the certificate and the one with its key; often the same."


class Source(Protocol):
    """Where certificates come from."""

    def pairs(self) -> Sequence[Pair]:
        """
        The files to read, that of the default certificate first. Asked again and again.

        Raises:
            CertificateError: there are none.
        """


@dataclass(frozen=True, slots=True)
class OneFile:
    """One certificate, for every host name."""

    path: Path
    key_path: Path | None = None

    def pairs(self) -> Sequence[Pair]:
        """That file."""
        return [(self.path, self.key_path or self.path)]


@dataclass(frozen=True, slots=True)
class Folder:
    """
    One certificate with its chain for each host name.

    | file | its key |
    |---|---|
    | `NAME.pem` | in the same file |
    | `NAME.pem` | `NAME.key`, if there is such a file |
    | `NAME/fullchain.pem` | `NAME/privkey.pem`: what certbot keeps in its folder `live` |

    A client gets the one for the host name that it asks for, whatever its file is called; without a
    name, or for an unknown one, that of `default`, or if there is none, the first by the alphabet.
    """

    path: Path

    def pairs(self) -> Sequence[Pair]:
        """Its files."""
        try:
            with os.scandir(self.path) as entries:
                names = {entry.name for entry in entries if not entry.name.startswith(".")}
        except OSError as error:
            raise CertificateError(f"{self.path}: {error.strerror}") from error
        found: dict[str, Pair] = {}
        for name in names:
            path = self.path / name
            if path.suffix == ".pem":
                key = path.with_suffix(".key")
                found[path.stem] = path, key if key.name in names else path
            elif _is_there(path / "fullchain.pem"):
                found.setdefault(name, (path / "fullchain.pem", path / "privkey.pem"))
        if not found:
            raise CertificateError(
                f"{self.path}: no file NAME.pem or NAME/fullchain.pem in this folder"
            )
        return [found[name] for name in sorted(found, key=lambda name: (name != "default", name))]


class SelfMade:
    """A certificate that this server signed for itself, kept in its state folder."""

    log = Logger()

    def __init__(self, folder: Path, names: Iterable[str], clock: Callable[[], float]) -> None:
        """`names`: those of this machine beside `localhost` and its addresses; `clock`: as time."""
        self.path = folder / SELF_MADE_NAME
        self._names = tuple(dict.fromkeys(("localhost", *names, "127.0.0.1", "::1")))
        self._clock = clock
        self._expires_at = 0.0

    def pairs(self) -> Sequence[Pair]:
        """Its file, which is made when there is none, and again before it expires."""
        now = self._clock()
        if not self.path.exists():
            self._make(now)
        elif not self._expires_at:
            try:
                leaf = pem_certificates(self.path)[0]
            except CertificateError as error:
                raise CertificateError(f"{error}. Delete it, and a new one is made") from error
            self._expires_at = leaf.not_valid_after_utc.timestamp()
        if now > self._expires_at - DAY:
            self._make(now)
        return [(self.path, self.path)]

    def _make(self, now: float) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write_secret(self.path, make_certificate(self._names, now))
        except OSError as error:
            raise CertificateError(
                f"{self.path}: cannot keep a self-made certificate there: {error.strerror}"
                " ([server] state says where)"
            ) from error
        self._expires_at = now + SELF_MADE_FOR
        self.log.info(
            "made a self-signed certificate for {names}, in {path}. Clients that check certificates"
            " refuse it unless they are told to trust it; for that give them what `openssl x509 -in"
            " {path}` prints, not this file, which has the key too",
            names=", ".join(self._names),
            path=self.path,
        )


class Certificates:
    """What a listener can show: by host name, always the newest that can be used."""

    log = Logger()

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float],
        named: Callable[[Path], str] = lambda _: "",
    ) -> None:
        """
        Read everything. `clock` tells seconds since 1970; `named`, what the log says of who names a
        file, to end a line with.

        Raises:
            CertificateError: with all that is wrong, a line each.
        """
        self._source = source
        self._clock = clock
        self.named = named
        self._changes = Changes()
        self._held: dict[Path, Certificate] = {}
        "By the file of the certificate; the default first."

        self._missing: set[Path] = set()
        "Those of them whose files were gone when we last looked."

        self._mismatches: dict[Path, tuple[float, str]] = {}
        "When to complain of one, and how."

        self._by_name: dict[str, Certificate] = {}
        self._reminded: dict[Path, int] = {}
        self._complaint = ""
        errors = []
        for pair in source.pairs():
            try:
                self._read(pair)
            except CertificateError as error:
                errors.append(str(error))
        if errors:
            raise CertificateError("\n".join(errors))
        self._keep(self._held)
        self._remind()

    @property
    def all(self) -> tuple[Certificate, ...]:
        """Those in use, the default first; `expires_at` of each is a number worth watching."""
        return tuple(self._held.values())

    def for_name(self, name: str | None) -> Certificate:
        """Find what fits the name that a client asks for; the default if there is none."""
        if name:
            name = name.lower().removesuffix(".")
            wildcard = "*." + name.partition(".")[2]
            found = self._by_name.get(name) or self._by_name.get(wildcard)
            if found is not None:
                return found
        return next(iter(self._held.values()))

    def refresh(self) -> bool:
        """
        Look at the files; return whether `all` has changed.

        What cannot be used is logged once, and what was there before stays. A change is taken over
        when it is seen a second time; so is the end of a file.
        """
        changed = self._refresh()
        self._remind()
        return changed

    def _refresh(self) -> bool:
        try:
            pairs = self._source.pairs()
        except CertificateError as error:
            if str(error) != self._complaint:
                self.log.error(
                    "{error}; what was read stays in use{named}",
                    error=str(error),
                    named=self.named(self.all[0].path),
                )
            self._complaint = str(error)
            return False
        self._complaint = ""
        before = self.all
        for pair in pairs:
            if self._changes.look(*pair):
                self._read_again(pair)
        self._changes.forget_others(pairs)
        paths = [path for path, _ in pairs]
        self._complain(paths)
        missing = self._held.keys() - set(paths)
        self._keep(paths if missing <= self._missing else [*self._held, *paths])
        self._missing = missing
        return self.all != before

    def _read_again(self, pair: Pair) -> None:
        path = pair[0]
        self._mismatches.pop(path, None)
        try:
            self._read(pair)
        except KeyMismatch as error:
            self._mismatches[path] = self._clock() + MISMATCH, str(error)
        except CertificateError as error:
            self._say_unused(path, str(error))

    def _complain(self, paths: Iterable[Path]) -> None:
        """Of those that are still there and have not become right by themselves."""
        now = self._clock()
        for path in paths:
            due, words = self._mismatches.get(path, (now + 1, ""))
            if now >= due:
                del self._mismatches[path]
                self._say_unused(path, words)

    def _say_unused(self, path: Path, words: str) -> None:
        what = "the old one stays in use" if path in self._held else "it is not used"
        self.log.error("{error}; {what}{named}", error=words, what=what, named=self.named(path))

    def _read(self, pair: Pair) -> None:
        self._changes.note(*pair)
        certificate = read_certificate(*pair, now=self._clock())
        self._held[certificate.path] = certificate
        self.log.info(
            "certificate {path} for {names}, until {end:%Y-%m-%d}",
            path=certificate.path,
            names=", ".join(certificate.names) or "no host name",
            end=certificate.leaf.not_valid_after_utc,
        )
        for warning in certificate.warnings:
            self.log.warn("{warning}", warning=warning)

    def _keep(self, paths: Iterable[Path]) -> None:
        """Keep those of `paths`, in their order; and all if none would be left."""
        kept = {path: self._held[path] for path in paths if path in self._held}
        for path in self._held.keys() - kept.keys() if kept else ():
            self.log.info("certificate {path} is gone; it is no longer used", path=path)
        self._held = kept or self._held
        self._by_name = {
            name: certificate
            for certificate in sorted(self.all, key=lambda each: each.expires_at)
            for name in certificate.names
        }

    def _remind(self) -> None:
        """Once a day, speak of what expires."""
        now = self._clock()
        today = int(now // DAY)
        for certificate in self.all:
            left = certificate.expires_at - now
            if left > REMINDER or self._reminded.get(certificate.path) == today:
                continue
            self._reminded[certificate.path] = today
            if left < 0:
                self.log.error("certificate {path} has expired", path=certificate.path)
            else:
                self.log.warn(
                    "certificate {path} expires in {days:.0f} days",
                    path=certificate.path,
                    days=left / DAY,
                )


def _write_secret(path: Path, data: bytes) -> None:
    """Write a file that only we may read, and that is never seen in part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # has mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


def _is_there(file: Path) -> bool:
    """Also if we may not look: who reads it says why."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
