"""
A file to a `Config`, or everything that is wrong with it at once.

Knows which sections there are and how the narrower changes the wider; what a key means is in
`schema`, how text is written in `ini`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from rtmptwist.config import ini
from rtmptwist.config.addresses import host_name
from rtmptwist.config.convert import BadValue, meant, wrong
from rtmptwist.config.ini import Entry, Problem, Section, quoted
from rtmptwist.config.logins import LOGIN_FILES, Login
from rtmptwist.config.schema import App, Config, Hook, Limits, Listener, Server, VirtualHost, keys

T = TypeVar("T")

SECTIONS: Final[list[tuple[str, str, type[Any]]]] = [
    ("[server]", r"server", Server),
    ("[limits]", r"limits", Limits),
    ("[listener NAME]", r"listener (?P<listener>\S+)", Listener),
    ("[app NAME]", r"app (?P<app>\S+)", App),
    ("[hook NAME]", r"hook (?P<hook>[^\s,]+)", Hook),
    ("[vhost HOST]", r"vhost (?P<host>[^\s/]+)", VirtualHost),
    ("[vhost HOST / app NAME]", r"vhost (?P<host>[^\s/]+) ?/ ?app (?P<app>\S+)", App),
]
"What may stand in a file: how messages and the manual write it, its pattern, its keys."


_TLS: Final = frozenset({"rtmps", "rtmpts", "https"})

NEEDS: Final = {
    **dict.fromkeys(("certificate", "key", "tls_max", "client_ca", "client_certificate"), _TLS),
    "proxies": frozenset({"rtmpt", "rtmpte", "rtmpts"}),
    "api": frozenset({"http", "https"}),
}
"Keys of a listener that only some of what it may serve gives a meaning."

HOOK_NEEDS: Final = {
    **dict.fromkeys(("format", "secret", "ca", "verify"), "url"),
    **dict.fromkeys(("kill_after", "restart", "restarts"), "run"),
}
"Keys of a hook that have a meaning beside one other only."

PATIENCE: Final = 25.0
"Seconds that somebody who wants in can wait for a hook: many encoders give up after 30."


NEED_FILES: Final = (
    ("keys", "keys", ("publish",), "a file: keys = FILE"),
    ("signed", "signing", ("publish", "play"), "a file: signing = FILE"),
    ("users", "logins", ("publish", "play"), "somebody who knows them: logins = file:FILE"),
)
"Proofs, the keys that name their files, where the proofs may be asked for, what they need."


class ConfigError(Exception):
    """A file cannot be used. As text: one line for each problem."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        super().__init__(path, problems)
        self.path = path
        self.problems = sorted(problems, key=lambda problem: problem.line)

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}:{problem.line}: {problem}" if problem.line else f"{self.path}: {problem}"
            for problem in self.problems
        )


def load(path: Path) -> Config:
    """
    Read and check a file. Paths in it are seen from its own folder.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(path, [Problem(error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ConfigError(path, [Problem(found, line)]) from error
    sections, problems = ini.read(text)
    loader = _Loader(path, problems)
    config = loader.config(sections)
    if loader.problems:
        raise ConfigError(path, loader.problems)
    return config


class _Found(NamedTuple):
    """A section and those of its values that are right."""

    section: Section
    values: dict[str, Any]


class _Loader:
    """Goes over the sections of one file and gathers what is wrong."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path = path
        self.problems = dict.fromkeys(problems)
        "A set in the order of insertion: a wide section is seen once for each host."

        self.found: dict[tuple[type[Any], str, str], _Found] = {}
        "By kind, host and name."

    def config(self, sections: list[Section]) -> Config:
        for section in sections:
            self._take(section)
        config = Config(
            path=self.path,
            server=self._make(Server, self.found.get((Server, "", ""))),
            limits=self._make(Limits, self.found.get((Limits, "", ""))),
            listeners=tuple(self._listeners()),
            vhosts=tuple(self._vhosts()),
            hooks=tuple(self._hooks()),
            lines=dict(self._lines()),
        )
        self._check_names_of_hooks()
        if not config.listeners:
            self._problem(Problem("no [listener NAME]: there is nothing to listen on"))
        if not any(vhost.apps for vhost in config.vhosts):
            self._problem(Problem("no [app NAME]: there is nothing to serve"))
        return config

    def _problem(self, problem: Problem) -> None:
        self.problems[problem] = None

    def _lines(self) -> Iterator[tuple[tuple[str, str], tuple[int, ...]]]:
        for (kind, host, name), (section, _) in self.found.items():
            heading = f"vhost {host} / app {name}" if host and kind is App else section.name
            yield (heading, ""), (section.line,)
            for key, entry in section.entries.items():
                text = entry.value.split("\n")
                said = [line for line, part in zip(entry.lines, text, strict=True) if part]
                yield (heading, key), tuple(said or entry.lines[:1])

    # --- from text to values

    def _take(self, section: Section) -> None:
        """Find out what a section is, and convert what stands in it."""
        for _, pattern, kind in SECTIONS:
            if header := re.fullmatch(pattern, section.name):
                try:
                    place = kind, *_host_and_name(header.groupdict())
                except BadValue as error:
                    self._problem(section.problem(str(error)))
                else:
                    self._keep(section, place)
                return
        self._problem(section.problem(_unknown_section(section.name)))

    def _keep(self, section: Section, place: tuple[type[Any], str, str]) -> None:
        if place in self.found:
            first = self.found[place].section
            self._problem(section.problem(f"the same as [{first.name}] in line {first.line}"))
        self.found[place] = _Found(section, self._values(section, place[0]))

    def _values(self, section: Section, kind: type[Any]) -> dict[str, Any]:
        known = keys(kind)
        values: dict[str, Any] = {}
        for entry in section.entries.values():
            if entry.key not in known:
                self._problem(entry.problem(_unknown_key(entry.key, kind)))
                continue
            try:
                values[entry.key] = known[entry.key].converter.read(entry.value)
            except* BadValue as group:
                for error in group.exceptions:
                    part = getattr(error, "part", 0)
                    self._problem(entry.problem(f"{error}{_hint(entry)}", part))
        return values

    # --- from values to what the file says

    def _make(self, kind: type[T], *found: _Found | None, **given: object) -> T:
        """Put values together, the narrower ones last."""
        for section in found:
            given |= section.values if section else {}
        folder = self.path.absolute().parent.resolve()
        for key in keys(kind).values():
            value = given.get(key.name, key.default)
            given[key.name] = _seen_from(folder, value)
        return kind(**given)

    def _named(self, kind: type[Any], host: str = "") -> dict[str, _Found]:
        """The sections of a kind, and for applications of a host, by their names."""
        return {
            name: found
            for (other, at, name), found in self.found.items()
            if (other, at) == (kind, host)
        }

    def _listeners(self) -> Iterator[Listener]:
        taken: dict[str, str] = {}
        for name, found in self._named(Listener).items():
            listener = self._make(Listener, found, name=name)
            if "endpoint" not in found.section.entries:
                text = "missing; expected endpoints such as tcp6:1935, one on a line"
                self._problem(found.section.problem(text, "endpoint"))
            for endpoint in listener.endpoint:
                if taken.setdefault(endpoint, name) != name:
                    text = f"{quoted(endpoint)} is in [listener {taken[endpoint]}] too"
                    self._problem(found.section.entries["endpoint"].problem(text))
            for key, needed in NEEDS.items():
                if key == "api" and listener.api is None:
                    continue  # nobody need be allowed anything
                if key in found.section.entries and not listener.serve & needed:
                    text = f"means nothing: serve names neither {' nor '.join(sorted(needed))}"
                    self._problem(found.section.entries[key].problem(text))
            if listener.key is not None and listener.certificate is None:
                text = "means nothing without certificate = FILE"
                self._problem(found.section.entries["key"].problem(text))
            if listener.client_certificate == "required" and listener.client_ca is None:
                text = "required means nothing without client_ca = FILE"
                self._problem(found.section.entries["client_certificate"].problem(text))
            yield listener

    def _hooks(self) -> Iterator[Hook]:
        for name, found in self._named(Hook).items():
            hook = self._make(Hook, found, name=name)
            entries = found.section.entries
            said = [
                key
                for key in ("url", "run")
                if key in entries and found.values.get(key, "wrong") is not None
            ]
            if len(said) == 1:
                self._check_hook(hook, entries, said[0])
            elif said:
                self._problem(entries["run"].problem("stands beside url; a hook is one of them"))
            else:
                text = "expected url, such as https://example.org/hook, or run, a program"
                self._problem(found.section.problem(text))
            yield hook

    def _check_hook(self, hook: Hook, entries: dict[str, Entry], kind: str) -> None:
        """Does what a hook says fit together?"""
        for key, needed in HOOK_NEEDS.items():
            if key in entries and needed != kind:
                self._problem(entries[key].problem(f"means nothing without {needed}"))
        if hook.mode == "keep" and kind != "run":
            self._problem(entries["mode"].problem("keep is for programs, which run names"))
        for key in ("ca", "verify"):
            if key in entries and hook.url and not hook.url.startswith("https:"):
                self._problem(entries[key].problem("means nothing: url is without TLS"))
        if hook.ca is not None and hook.verify == "no":
            self._problem(entries["ca"].problem("means nothing where verify = no"))
        if hook.mode == "ask" and hook.timeout > PATIENCE and "timeout" in entries:
            text = f"nobody who is made to wait has more than {PATIENCE:g}s (mode = tell has)"
            self._problem(entries["timeout"].problem(text))

    def _check_names_of_hooks(self) -> None:
        known = self._named(Hook)
        for (kind, _, _), found in self.found.items():
            for name in found.values.get("hooks", ()) if kind is App else ():
                if name not in known:
                    text = f"there is no [hook {name}]{meant(name, known)}"
                    self._problem(found.section.entries["hooks"].problem(text))

    def _vhosts(self) -> Iterator[VirtualHost]:
        wide = self._named(App)
        yield VirtualHost(name="", apps={name: self._app(name, at) for name, at in wide.items()})
        hosts = dict.fromkeys(host for _, host, _ in self.found if host)
        taken = {host: host for host in hosts}
        for host in hosts:
            narrow = self._named(App, host)
            apps = {
                name: self._app(name, wide.get(name), narrow.get(name)) for name in wide | narrow
            }
            found = self.found.get((VirtualHost, host, ""))
            vhost = self._make(VirtualHost, found, name=host, apps=apps)
            for alias in vhost.aliases:
                if taken.setdefault(alias, host) != host and found:
                    text = f"{quoted(alias)} belongs to [vhost {taken[alias]}]"
                    self._problem(found.section.entries["aliases"].problem(text))
            yield vhost

    def _app(self, name: str, *found: _Found | None) -> App:
        app = self._make(App, *found, name=name)
        self._check_proofs(app, [at.section for at in found if at])
        self._check_logins([at for at in found if at])
        known = keys(App)
        for less, more in (("merge", "max_lag"), ("max_lag", "window")):
            if getattr(app, less) > getattr(app, more):
                pair = {key: known[key].converter.show(getattr(app, key)) for key in (less, more)}
                text = f"{less} ({pair[less]}) is more than {more} ({pair[more]})"
                said = [
                    at.section.entries[key]
                    for at in found
                    if at
                    for key in pair
                    if key in at.values
                ]
                self._problem(said[-1].problem(text))
        return app

    def _check_logins(self, said: list[_Found]) -> None:
        """Certificates need a listener that asks for them."""
        asked = any(
            found.values.get("client_ca")
            for (kind, _, _), found in self.found.items()
            if kind is Listener
        )
        for at in said:
            kinds = [login.kind for login in at.values.get("logins") or ()]
            if "certificate" in kinds and not asked:
                text = "'certificate' needs a listener that asks for one: client_ca is missing"
                self._problem(at.section.entries["logins"].problem(text))

    def _check_proofs(self, app: App, said: list[Section]) -> None:
        """What speaks for somebody needs its file, and a file needs somebody to ask for it."""
        for word, key, actions, needs in NEED_FILES:
            asking = [action for action in actions if word in getattr(app, action).proofs]
            named = getattr(app, key) is not None
            if asking and not named:
                entry = next(
                    section.entries[action]
                    for section in reversed(said)
                    for action in asking
                    if action in section.entries
                )
                self._problem(entry.problem(f"{word!r} needs {needs} is missing"))
            elif named and not asking and key in said[-1].entries and word != "users":
                text = f"means nothing: {' and '.join(actions)} = … without {word!r}"
                self._problem(said[-1].entries[key].problem(text))


def _seen_from(folder: Path, value: Any) -> Any:
    """A value with its paths seen from the folder of the file."""
    match value:  # no link is followed: certbot renews by having them point to other files
        case Path():
            return Path(os.path.normpath(folder / value))
        case Login() if value.kind in LOGIN_FILES:
            return Login(value.kind, os.path.normpath(folder / value.argument))
        case tuple():
            return tuple(_seen_from(folder, each) for each in value)
        case _:
            return value


def _host_and_name(header: dict[str, str]) -> tuple[str, str]:
    """Check the names in a section's header."""
    host, app = header.get("host"), header.get("app")
    if app and ({"", ".", ".."} & set(app.split("/")) or re.search(r"[\x00-\x1f\x7f?#:\\]", app)):
        raise wrong(app, r"a name such as live or live/eu, without . .. ? # : \ and empty parts")
    return host_name(host) if host else "", app or header.get("listener") or header.get("hook", "")


def _unknown_section(name: str) -> str:
    known = dict.fromkeys(re.split(r"\W", heading)[1] for heading, _, _ in SECTIONS)
    word = name.partition(" ")[0]
    headings = [heading for heading, _, _ in SECTIONS if word not in known or word in heading]
    near = "" if word in known else meant(word, known)
    return f"unknown section; expected {', '.join(headings)}{near}"


def _unknown_key(key: str, kind: type[Any]) -> str:
    if near := meant(key, keys(kind)):
        return f"unknown key{near}"
    elsewhere = [heading for heading, _, other in SECTIONS if key in keys(other)]
    if elsewhere:
        return f"unknown key here; it belongs in {' or '.join(elsewhere)}"
    return f"unknown key; expected {', '.join(keys(kind))}"


def _hint(entry: Entry) -> str:
    """What may have made a value what it is, where that is easily overlooked."""
    if re.search(r"\s#", entry.value):
        return " (a comment after a value begins with ;)"
    if re.search(r"\n\w+ *=", entry.value):
        return " (an indented line continues the value above it)"
    return ""
