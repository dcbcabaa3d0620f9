from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from rtmptwist.config.access import LOOPBACK, NOBODY, Access
from rtmptwist.config.load import ConfigError, load
from rtmptwist.config.logins import Login
from rtmptwist.config.schema import EVENTS, App, Config, Limits, Listener, Server
from rtmptwist.hooks.events import DONE, Event

LEAST = """\
[listener main]
endpoint = tcp:1935
[app live]
"""


def loaded(tmp_path: Path, text: str | bytes) -> Config:
    file = tmp_path / "site.ini"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(file)


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    """What is wrong, with `site.ini` for the file's path."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")


def test_what_is_not_said_has_its_default(tmp_path: Path) -> None:
    config = loaded(tmp_path, LEAST)
    assert config == Config(
        path=tmp_path / "site.ini",
        server=Server(state=tmp_path / "var"),
        limits=Limits(),
        listeners=(Listener(name="main", endpoint=("tcp:1935",)),),
        vhosts=config.vhosts,
    )
    assert config.limits.trusted == LOOPBACK
    assert [(vhost.name, vhost.apps) for vhost in config.vhosts] == [
        ("", {"live": App(name="live", publish=NOBODY)})
    ]


def test_the_yardstick_s_configuration(tmp_path: Path) -> None:
    """What benchmarks write must stay valid."""
    config = loaded(
        tmp_path,
        f"[server]\nstate = {tmp_path}\n\n"
        "[listener main]\nendpoint = tcp:19350:interface=127.0.0.1:backlog=4096\n"
        "serve = rtmp\n\n"
        "[app live]\npublish = anyone\nplay = anyone\nmerge = 100ms\n",
    )
    assert config.server.state == tmp_path
    assert config.vhosts[0].apps["live"].merge == 0.1


def test_every_section(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """\
[server]
drain = 0
[limits]
connections = 5
[listener main]
endpoint = tcp:1935
  unix:/run/rtmp.sock
[listener other]
endpoint =
  tcp6:1936
[app live]
publish = 10.0.0.0/8
merge = 40ms
[app live/eu]
[vhost Example.ORG]
aliases = www.example.org
[vhost example.org / app live]
merge = 0
[vhost example.org/app own]
[vhost 2001:db8::1/app live]
""",
    )
    assert config.server.drain == 0
    assert config.limits.connections == 5
    assert [(listener.name, listener.endpoint) for listener in config.listeners] == [
        ("main", ("tcp:1935", "unix:/run/rtmp.sock")),
        ("other", ("tcp6:1936",)),
    ]
    plain, example, other = config.vhosts
    assert (plain.name, list(plain.apps)) == ("", ["live", "live/eu"])
    assert (example.name, example.aliases) == ("example.org", ("www.example.org",))
    assert list(example.apps) == ["live", "live/eu", "own"]
    assert example.apps["own"] == App(name="own")
    assert example.apps["live/eu"] == plain.apps["live/eu"]
    inside = Access((IPv4Network("10.0.0.0/8"),))
    assert plain.apps["live"] == App(name="live", publish=inside, merge=0.04)
    assert example.apps["live"] == App(name="live", publish=inside, merge=0)
    assert other.apps["live"] == plain.apps["live"]


def test_paths_are_seen_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stay right when the daemon changes its folder."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "site.ini").write_text("[server]\nstate = ../kept\n" + LEAST)
    monkeypatch.chdir(tmp_path)
    assert load(Path("conf/site.ini")).server.state == tmp_path / "kept"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """What they point to today is not what they point to after a renewal; folders are no help."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "cert1.pem").touch()
    (tmp_path / "live").symlink_to("archive")
    (tmp_path / "cert.pem").symlink_to("archive/cert1.pem")
    for path in ("cert.pem", "live/cert1.pem", "live"):
        text = f"{LEAST}[listener s]\nendpoint = tcp:1936\nserve = rtmps\ncertificate = {path}"
        assert loaded(tmp_path, text).listeners[1].certificate == tmp_path / path


@pytest.mark.parametrize(
    "text", [LEAST.encode("utf-8-sig"), LEAST.replace("\n", "\r\n").encode()], ids=["BOM", "CRLF"]
)
def test_files_from_other_systems(tmp_path: Path, text: bytes) -> None:
    assert loaded(tmp_path, text) == loaded(tmp_path, LEAST)


def test_all_errors_at_once_each_with_its_place(tmp_path: Path) -> None:
    text = """\
junk
[servr]
x = 1
[server]
drian = 5s
merge = 1s
colour = blue
drain = 5 # seconds
[listener main]
endpoint = tpc:1935
  tcp:1935
  tcp:99999
serve = rtmp, rtmsp
[listener]
[listener two]
[listener three]
endpoint = tcp:1935
[listener four]
endpoint =
[app live]
publish = anyone
  play = nobody
mrege = 0
takeover = sam
takeover = any
[app a//b]
[app my live]
[vhost a_/b / app live]
[vhost bad! / app live]
[app live]
"""
    endpoint = (
        "expected a Twisted endpoint such as tcp6:1935, tcp:1935:interface=127.0.0.1"
        " or unix:/run/rtmp.sock, with \\: for a colon in it"
    )
    sections = (
        "[server], [limits], [listener NAME], [app NAME], [hook NAME], [vhost HOST],"
        " [vhost HOST / app NAME]"
    )
    assert problems(tmp_path, text) == [
        (
            "site.ini:1: 'junk': neither a [section] nor key = value"
            " (a value goes on in lines indented deeper than its key)"
        ),
        f'site.ini:2: [servr]: unknown section; expected {sections}; did you mean "server"?',
        'site.ini:5: [server] drian: unknown key; did you mean "drain"?',
        (
            "site.ini:6: [server] merge: unknown key here; it belongs in"
            " [app NAME] or [vhost HOST / app NAME]"
        ),
        (
            "site.ini:7: [server] colour: unknown key; expected state, drain, drain_to, log,"
            " chunk_size, gather, stream_metrics, disk_threads"
        ),
        (
            "site.ini:8: [server] drain: '5 # seconds'; expected a duration such as"
            " 250ms, 10s, 2m, 1h or 0 (a comment after a value begins with ;)"
        ),
        (
            "site.ini:10: [listener main] endpoint: 'tpc:1935': Unknown endpoint type: 'tpc';"
            f' {endpoint}; did you mean "tcp"?'
        ),
        "site.ini:12: [listener main] endpoint: '99999'; expected a port from 0 to 65535",
        (
            "site.ini:13: [listener main] serve: 'rtmsp'; expected rtmp, rtmpe, rtmps, rtmpt,"
            ' rtmpte, rtmpts, http or https; did you mean "rtmp"?'
        ),
        "site.ini:14: [listener]: unknown section; expected [listener NAME]",
        (
            "site.ini:15: [listener two] endpoint: missing;"
            " expected endpoints such as tcp6:1935, one on a line"
        ),
        f"site.ini:19: [listener four] endpoint: '': Unknown endpoint type: ''; {endpoint}",
        (
            "site.ini:21: [app live] publish: 'anyone\\nplay = nobody'; expected anyone to"
            " stand alone (an indented line continues the value above it)"
        ),
        'site.ini:23: [app live] mrege: unknown key; did you mean "merge"?',
        "site.ini:25: [app live] takeover: key stands twice; the first is in line 24",
        (
            "site.ini:26: [app a//b]: 'a//b'; expected a name such as live or live/eu,"
            " without . .. ? # : \\ and empty parts"
        ),
        "site.ini:27: [app my live]: unknown section; expected [app NAME], [vhost HOST / app NAME]",
        (
            "site.ini:28: [vhost a_/b / app live]: unknown section;"
            " expected [vhost HOST], [vhost HOST / app NAME]"
        ),
        (
            "site.ini:29: [vhost bad! / app live]: 'bad!';"
            " expected a host name such as example.org, or an address"
        ),
        "site.ini:30: [app live]: section stands twice; the first is in line 20",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[app x]", "site.ini: no [listener NAME]: there is nothing to listen on"),
        ("[listener x]\nendpoint=tcp:1", "site.ini: no [app NAME]: there is nothing to serve"),
        (
            LEAST + "[listener two]\nendpoint = tcp:1936\n  tcp:1935",
            "site.ini:5: [listener two] endpoint: 'tcp:1935' is in [listener main] too",
        ),
        (
            LEAST + "[listener two]\nendpoint = tcp:1936\ntls_max = 1.2",
            (
                "site.ini:6: [listener two] tls_max: means nothing:"
                " serve names neither https nor rtmps nor rtmpts"
            ),
        ),
        (
            LEAST + "[listener two]\nendpoint = tcp:1936\nserve = rtmps\nkey = key.pem",
            "site.ini:7: [listener two] key: means nothing without certificate = FILE",
        ),
        (
            LEAST + "[listener x]\nendpoint = tcp:1\nserve = rtmps\nclient_certificate = required",
            (
                "site.ini:7: [listener x] client_certificate: required means nothing"
                " without client_ca = FILE"
            ),
        ),
        (
            LEAST + "max_lag = 11s",
            "site.ini:4: [app live] max_lag: max_lag (11s) is more than window (10s)",
        ),
        (
            LEAST + "merge = 4s\n[vhost a.b / app live]\nmax_lag = 4s\n",
            "site.ini:4: [app live] merge: merge (4s) is more than max_lag (3s)",
        ),
        (
            LEAST + "max_lag = 9s\n[vhost a.b / app live]\nwindow = 8s\n",
            "site.ini:6: [vhost a.b / app live] window: max_lag (9s) is more than window (8s)",
        ),
        (
            LEAST + "[vhost a.b]\n[vhost c.d]\naliases = A.b",
            "site.ini:6: [vhost c.d] aliases: 'a.b' belongs to [vhost a.b]",
        ),
        (
            LEAST + "[vhost a.b]\naliases = x.y\n[vhost c.d]\naliases = x.y",
            "site.ini:7: [vhost c.d] aliases: 'x.y' belongs to [vhost a.b]",
        ),
        (
            LEAST + "[vhost a.b/app x]\n[vhost A.b / app x]",
            "site.ini:5: [vhost A.b / app x]: the same as [vhost a.b/app x] in line 4",
        ),
        (
            LEAST + "window = 1x\n[vhost a.b / app live]\n[vhost c.d / app live]",
            (
                "site.ini:4: [app live] window: '1x';"
                " expected a duration such as 250ms, 10s, 2m, 1h or 0"
            ),
        ),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]


def test_a_wide_value_may_be_set_right_by_a_narrow_one_only_for_its_host(tmp_path: Path) -> None:
    found = problems(tmp_path, LEAST + "max_lag = 20s\n[vhost a.b / app live]\nwindow = 30s\n")
    assert found == ["site.ini:4: [app live] max_lag: max_lag (20s) is more than window (10s)"]


@pytest.mark.parametrize("name", [".", "..", "a/../b", "/a", "a/", "a?b", "a:b", "a\\b", "a\x7f"])
def test_names_that_no_url_can_say(tmp_path: Path, name: str) -> None:
    (found,) = problems(tmp_path, LEAST + f"[app {name}]\n")
    assert f"[app {name}]: {name!r}; expected a name such as live or live/eu" in found


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.ini")
    assert str(caught.value) == f"{tmp_path}/none.ini: No such file or directory"
    with pytest.raises(ConfigError, match=r": Is a directory$"):
        load(tmp_path)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    assert problems(tmp_path, "[a]\n# caf\xe9\n".encode("latin-1")) == [
        "site.ini:2: byte 0xe9 is not UTF-8; save the file as UTF-8"
    ]


def test_files_of_proofs(tmp_path: Path) -> None:
    text = LEAST + "publish = keys, signed\nplay = signed\nkeys = a.keys\nsigning = /s\n"
    app = loaded(tmp_path, text).vhosts[0].apps["live"]
    assert (app.keys, app.signing) == (tmp_path / "a.keys", Path("/s"))


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("publish = keys", "4: [app live] publish: 'keys' needs a file: keys = FILE is missing"),
        ("play = signed", "4: [app live] play: 'signed' needs a file: signing = FILE is missing"),
        ("keys = a", "4: [app live] keys: means nothing: publish = … without 'keys'"),
        (
            "signing = a",
            "4: [app live] signing: means nothing: publish and play = … without 'signed'",
        ),
    ],
)
def test_proofs_and_files_belong_together(tmp_path: Path, said: str, text: str) -> None:
    assert problems(tmp_path, LEAST + said) == [f"site.ini:{text}"]


def test_logins(tmp_path: Path) -> None:
    text = LEAST + (
        "publish = users\nlogins = file:a.passwd\n  token:/t\n  memory:alice:geheim\n"
        "[vhost h / app live]\nlogins = file:b"
    )
    plain, narrow = loaded(tmp_path, text).vhosts
    assert plain.apps["live"].logins == (
        Login("file", str(tmp_path / "a.passwd")),
        Login("token", "/t"),
        Login("memory", "alice:geheim"),
    )
    assert narrow.apps["live"].logins == (Login("file", str(tmp_path / "b")),)
    assert "geheim" not in repr(plain)


KINDS = "file:FILE, token:FILE, http:URL, certificate, or memory or unix"


@pytest.mark.parametrize(
    ("said", "line", "text"),
    [
        (
            "publish = users",
            4,
            "publish: 'users' needs somebody who knows them: logins = file:FILE is missing",
        ),
        (
            "logins = memory:a:b\n  fiel:x\n  file:",
            5,
            f"logins: 'fiel'; expected {KINDS}; did you mean \"file\"?",
        ),
        (
            "logins = memory:a:b\n  certificate",
            4,
            "logins: 'certificate' needs a listener that asks for one: client_ca is missing",
        ),
    ],
)
def test_logins_that_are_of_no_use(tmp_path: Path, said: str, line: int, text: str) -> None:
    assert problems(tmp_path, LEAST + said)[0] == f"site.ini:{line}: [app live] {text}"


def test_logins_where_nobody_needs_one(tmp_path: Path) -> None:
    """They are checked all the same, and say who somebody is."""
    assert loaded(tmp_path, LEAST + "logins = memory:a:b").vhosts[0].apps["live"].logins


def test_certificates_where_somebody_asks_for_them(tmp_path: Path) -> None:
    text = LEAST.replace("[app", "serve = rtmps\nclient_ca = ca.pem\n[app") + "logins = certificate"
    assert loaded(tmp_path, text).vhosts[0].apps["live"].logins == (Login("certificate"),)


def test_files_of_proofs_may_differ_by_host(tmp_path: Path) -> None:
    text = LEAST + "publish = keys\nkeys = a\n[vhost h / app live]\n"
    plain, narrow = loaded(tmp_path, text + "publish = anyone").vhosts
    assert narrow.apps["live"].keys == plain.apps["live"].keys == tmp_path / "a"
    assert problems(tmp_path, text + "keys = none") == [
        "site.ini:4: [app live] publish: 'keys' needs a file: keys = FILE is missing"
    ]
    assert problems(tmp_path, text + "publish = anyone\nkeys = b") == [
        "site.ini:8: [vhost h / app live] keys: means nothing: publish = … without 'keys'"
    ]


HOOK = "[hook a]\nurl = https://b/\n"


def test_hooks(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        f"{LEAST}hooks = b, a\n{HOOK}on = connect, done\nsecret = a.secret\n"
        "[hook b]\nrun = ./b 'c d'\nmode = keep\nrestart = 1s\n"
        "[vhost h / app live]\nhooks = a\n",
    )
    a, b = config.hooks
    assert (a.name, a.url, a.run) == ("a", "https://b/", None)
    assert a.on == {"connect", "done"}
    assert a.secret == tmp_path / "a.secret"
    assert (b.name, b.url, b.run, b.mode) == ("b", None, ("./b", "c d"), "keep")
    wide, narrow = config.vhosts
    assert wide.apps["live"].hooks == ("b", "a")
    assert narrow.apps["live"].hooks == ("a",)
    assert "https" not in repr(a), "an URL may hold a password"


@pytest.mark.parametrize(
    ("said", "line", "text"),
    [
        ("hooks = b\n" + HOOK, 4, "[app live] hooks: there is no [hook b]"),
        ("hooks = aa\n" + HOOK, 4, 'live] hooks: there is no [hook aa]; did you mean "a"?'),
        ("[hook a]\n", 4, "[hook a]: expected url, such as https://example.org/hook, or run, a"),
        ("[hook a]\nurl = none\nrun = none\n", 4, "[hook a]: expected url"),
        (HOOK + "run = true\n", 6, "[hook a] run: stands beside url; a hook is one of them"),
        (HOOK + "restart = 1s\n", 6, "[hook a] restart: means nothing without run"),
        ("[hook a]\nrun = b\nverify = no\n", 6, "[hook a] verify: means nothing without url"),
        (HOOK + "mode = keep\n", 6, "[hook a] mode: keep is for programs, which run names"),
        (HOOK + "ca = b\nverify = no\n", 6, "[hook a] ca: means nothing where verify = no"),
        ("[hook a]\nurl = http://b/\nca = b\n", 6, "[hook a] ca: means nothing: url is without"),
        (HOOK + "timeout = 26s\n", 6, "timeout: nobody who is made to wait has more than 25s"),
        (HOOK + "on = start\n", 6, "[hook a] on: 'start'; expected connect, publish, play,"),
        ("[hook a, b]\nurl = http://b/\n", 4, "[hook a, b]: unknown section; expected [hook NAME]"),
    ],
)
def test_hooks_that_make_no_sense(tmp_path: Path, said: str, line: int, text: str) -> None:
    (problem,) = problems(tmp_path, LEAST + said)
    assert problem.startswith(f"site.ini:{line}: ")
    assert text in problem


def test_a_url_that_is_wrong_is_one_mistake(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, f"{LEAST}[hook a]\nurl = b\nverify = no\n")
    assert "url: 'b'; expected an URL" in problem


def test_who_is_only_told_may_have_all_the_time(tmp_path: Path) -> None:
    (hook,) = loaded(tmp_path, f"{LEAST}{HOOK}mode = tell\ntimeout = 1h\n").hooks
    assert hook.timeout == 3600


def test_the_words_are_those_of_the_events() -> None:
    assert {*EVENTS} == {*map(str, Event), DONE}
    assert len(EVENTS) == len(Event) + 1


def test_an_example_suits_its_key(tmp_path: Path) -> None:
    inlet, outlet = problems(tmp_path, LEAST + "inlet = slate.flv\noutlets = a.flv\n")
    assert inlet.endswith("such as file:slate.flv?loop")
    assert outlet.endswith("such as record:DIR/{name}.flv")
