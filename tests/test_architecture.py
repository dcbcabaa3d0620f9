"""
The rooms of the house and the arrows between them: imports point down only, within a room as well.

README shows the same picture. A new room needs its line in `ROOMS`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]

CORE = {"amf", "wire", "media"}
MIDDLE = CORE | {"live"}
EDGES = MIDDLE | {"net", "auth", "disk", "vod", "interfaces"}
UPPER = {"web", "inlets", "outlets", "hooks", "cluster"}

ROOMS: dict[str, set[str]] = {
    "amf": set(),
    "wire": {"amf"},
    "media": {"amf"},
    "live": CORE,
    "interfaces": MIDDLE | {"disk"},
    "net": MIDDLE | {"disk"},  # files of certificates
    "auth": MIDDLE | {"disk"},
    "disk": set(),
    "vod": MIDDLE | {"disk"},
    **dict.fromkeys(UPPER, EDGES),
    "web": EDGES | {"inspector"},
    "outlets": EDGES | {"config"},  # options of a description are written as keys of a file are
    "plugins": MIDDLE | {"interfaces"},
    "config": set(),
    "rules": MIDDLE | {"auth", "hooks", "config"},
    "doors": MIDDLE | {"net", "auth", "web", "config"},
    "plan": MIDDLE | {"net", "auth", "hooks", "interfaces", "plugins", "config", "rules", "doors"},
    "site": EDGES | UPPER | {"plugins", "config", "rules", "doors", "plan"},
    "reload": {"live", "net", "web", "config", "plan", "site"},
    "drain": MIDDLE | {"net", "site"},
    "service": EDGES | UPPER | {"plugins", "config", "site", "reload", "drain"},
    "logs": set(),
    "tap": {"service", "plan", "config", "logs"},
    "inspector": MIDDLE | {"net"},  # HTTP answers, as a client reads them
    "cli": {"auth", "inspector"},
    "__main__": {"cli"},
}
"What each room of rtmptwist may import of the others."

NO_IO = {
    *("twisted", "zope", "klein", "treq", "OpenSSL", "cryptography"),
    *("socket", "ssl", "select", "selectors", "asyncio", "threading", "subprocess"),
    *("time", "random", "secrets", "uuid", "os"),
}
"Not for the core: bytes without I/O; time and randomness are arguments."

FORBIDDEN: dict[str, set[str]] = {
    "amf": NO_IO,
    "wire": NO_IO,
    "media": NO_IO,
    "live": {"klein", "treq", "OpenSSL", "cryptography", "socket", "ssl", "select", "asyncio"},
    "net": {"klein", "twisted.web"},
    "web": {"rtmptwist.wire.session"},
}

LIVE_OF_TWISTED = {
    "twisted.internet.interfaces.IReactorTime",
    "twisted.internet.interfaces.IDelayedCall",  # what its callLater returns
    "twisted.internet.defer",
    "twisted.logger",
}

EXCEPTIONS = {
    ("wire/rtmpe.py", "cryptography"),  # RC4, which the standard library lacks
}


def imports(file: PurePosixPath, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the full name of everything that is imported, wherever it stands."""
    package = ["rtmptwist", *file.parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


class _Needed(ast.NodeTransformer):
    """What is imported when it runs, and not for types alone."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return self.generic_visit(node)


def cycle(files: Mapping[str, str]) -> list[str]:
    """Modules that need each other to run, the first once more at the end; or none."""
    graph: dict[str, set[str]] = {}
    for file, source in files.items():
        needed = _Needed().visit(ast.parse(source))
        names = {name for _, name in imports(PurePosixPath(file), needed)}
        names |= {name.rpartition(".")[0] for name in names}  # what is named, or where that is
        graph[file] = {_module(name) for name in names} & (files.keys() - {file})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def _module(name: str) -> str:
    return name.removeprefix("rtmptwist.").replace(".", "/") + ".py"


def broken(file: PurePosixPath, source: str) -> Iterator[str]:
    """The arrows of a file, seen from the package's folder, that the picture does not have."""
    room = file.parts[0].removesuffix(".py")
    if room == "__init__":
        room = ""
    elif room not in ROOMS:
        yield f"{file}:1: {room} is no room of the house"
        return
    for line, name in imports(file, ast.parse(source)):
        if why := reason(file, room, name):
            yield f"{file}:{line}: {room or 'rtmptwist'} -> {name}: {why}"


def reason(file: PurePosixPath, room: str, name: str) -> str:
    """Why a room must not import a name; empty if it may."""

    def within(names: set[str]) -> bool:
        return any(f"{name}.".startswith(f"{other}.") for other in names)

    if str(file) != "tap.py" and within({"twisted.internet.reactor"}):
        return "the reactor is an argument outside of tap"
    if name.startswith("rtmptwist."):
        other = name.split(".")[1]
        if other in ROOMS and other != room and other not in ROOMS.get(room, set()):
            return f"{other} is not below {room or 'rtmptwist'}"
    if room == "live" and within({"twisted"}) and not within(LIVE_OF_TWISTED):
        return "of Twisted, live knows only time, Deferreds and the log"
    if within(FORBIDDEN.get(room, set())) and (str(file), name.split(".")[0]) not in EXCEPTIONS:
        return f"not in {room}"
    return ""


def test_the_house_is_as_the_picture_shows() -> None:
    package = ROOT / "rtmptwist"
    found = [
        problem
        for file in sorted(package.rglob("*.py"))
        for problem in broken(PurePosixPath(file.relative_to(package)), file.read_text())
    ]
    assert found == []


def test_no_two_files_need_each_other_to_run() -> None:
    """Each can be read, tested and changed after those below it. Types may name what is above."""
    package = ROOT / "rtmptwist"
    files = {str(file.relative_to(package)): file.read_text() for file in package.rglob("*.py")}
    assert len(files) > 100
    assert cycle(files) == []


def test_files_that_need_each_other_are_found() -> None:
    above = "if TYPE_CHECKING:\n    from rtmptwist.net.c import C\nfrom . import d"
    files = {"net/a.py": above, "net/c.py": "import rtmptwist.net.a", "net/d.py": ""}
    assert cycle(files) == []
    files["net/d.py"] = "def f():\n    from rtmptwist.net.c import C"
    assert set(cycle(files)) == {"net/a.py", "net/c.py", "net/d.py"}


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("live/stream.py", "from rtmptwist.wire.message import Message", ""),
        ("live/stream.py", "from . import window\nfrom .window import Window", ""),
        ("live/stream.py", "from twisted.internet.interfaces import IReactorTime", ""),
        ("live/stream.py", "from twisted.internet import defer", ""),
        ("live/stream.py", "from twisted.internet.defer import Deferred", ""),
        ("wire/rtmpe.py", "from cryptography.hazmat import primitives", ""),
        ("wire/message.py", "from rtmptwist import __version__", ""),
        ("tap.py", "def f():\n    from twisted.internet import reactor", ""),
        ("web/api.py", "from rtmptwist.net.client import connect\nimport klein", ""),
        (
            "wire/chunk.py",
            "\nfrom rtmptwist.live import window",
            "wire/chunk.py:2: wire -> rtmptwist.live.window: live is not below wire",
        ),
        (
            "wire/chunk.py",
            "if TYPE_CHECKING:\n    from ..live.window import Window",
            "wire/chunk.py:2: wire -> rtmptwist.live.window.Window: live is not below wire",
        ),
        (
            "wire/chunk.py",
            "from rtmptwist import media",
            "wire/chunk.py:1: wire -> rtmptwist.media: media is not below wire",
        ),
        (
            "media/tag.py",
            "import rtmptwist.wire.message as m",
            "media/tag.py:1: media -> rtmptwist.wire.message: wire is not below media",
        ),
        (
            "amf/amf0.py",
            "import twisted.python.failure",
            "amf/amf0.py:1: amf -> twisted.python.failure: not in amf",
        ),
        (
            "wire/session.py",
            "def now():\n    from time import monotonic",
            "wire/session.py:2: wire -> time.monotonic: not in wire",
        ),
        (
            "wire/handshake.py",
            "import cryptography",
            "wire/handshake.py:1: wire -> cryptography: not in wire",
        ),
        (
            "live/registry.py",
            "from twisted.internet.interfaces import ITransport",
            (
                "live/registry.py:1: live -> twisted.internet.interfaces.ITransport:"
                " of Twisted, live knows only time, Deferreds and the log"
            ),
        ),
        (
            "live/registry.py",
            "from twisted.internet import reactor",
            (
                "live/registry.py:1: live -> twisted.internet.reactor:"
                " the reactor is an argument outside of tap"
            ),
        ),
        (
            "service.py",
            "import twisted.internet.reactor",
            (
                "service.py:1: service -> twisted.internet.reactor:"
                " the reactor is an argument outside of tap"
            ),
        ),
        (
            "net/turns.py",
            "from rtmptwist.auth.gate import Gate",
            "net/turns.py:1: net -> rtmptwist.auth.gate.Gate: auth is not below net",
        ),
        ("net/tunnel.py", "import klein", "net/tunnel.py:1: net -> klein: not in net"),
        (
            "web/api.py",
            "from rtmptwist.wire import session",
            "web/api.py:1: web -> rtmptwist.wire.session: not in web",
        ),
        (
            "outlets/push.py",
            "from rtmptwist.inlets.pull import Pull",
            "outlets/push.py:1: outlets -> rtmptwist.inlets.pull.Pull: inlets is not below outlets",
        ),
        (
            "config/load.py",
            "from rtmptwist.wire.limits import Limits",
            "config/load.py:1: config -> rtmptwist.wire.limits.Limits: wire is not below config",
        ),
        (
            "service.py",
            "from rtmptwist.tap import Options",
            "service.py:1: service -> rtmptwist.tap.Options: tap is not below service",
        ),
        (
            "__init__.py",
            "from rtmptwist.amf import amf0",
            "__init__.py:1: rtmptwist -> rtmptwist.amf.amf0: amf is not below rtmptwist",
        ),
        ("utils.py", "", "utils.py:1: utils is no room of the house"),
    ],
)
def test_a_broken_arrow_is_found_with_file_and_line(file: str, source: str, problem: str) -> None:
    assert list(broken(PurePosixPath(file), source)) == ([problem] if problem else [])
