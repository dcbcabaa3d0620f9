"""The status page in a real browser: the same truth as the API, and what operators do there."""

from __future__ import annotations

import base64
import re
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from rtmptwist.auth.tokenfile import hash_of
from tests.interop.test_operation import ADMIN, Desk, forever
from tests.support.browser import Browser, pictures
from tests.support.logins import password_file, user
from tests.support.programs import (
    AT_ONCE,
    PATIENCE,
    SAMPLES,
    Programs,
    ffmpeg9,
    free_port,
    player,
    serve,
    serve_file,
)
from tests.support.statuspage import open_page, streams_shown, variants_shown
from tests.support.variants import LISTENERS, VARIANTS, url

pytestmark = pytest.mark.interop

HOSTILE = "<b>x</b>"
"A name that is shown in full. Longer ones are cut, as in the log."

EVIL = "<img/src=x/onerror=document.title='evil'>"

TOKEN = "0123456789abcdef0123456789abcdef"


def row(name: str, button: str) -> str:
    """What a screen reader says of a button in the table of streams."""
    return {"Who": f"Who is connected to {name}", "Kick": f"Kick the publisher of {name}"}[button]


def test_it_shows_what_the_api_says(
    started: Programs, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    site = serve(started, listeners=LISTENERS + ADMIN)
    desk = Desk(site)
    for variant in VARIANTS:
        started.start(*forever(variant, url(site, variant, f"live/{variant}")))
    hostile = forever("rtmp", site.url(f"live/{HOSTILE}"))
    started.start(*hostile[:-1], "-rtmp_flashver", EVIL, hostile[-1])
    started.start(*forever("rtmp", site.url(f"live/{EVIL}")))
    count = len(VARIANTS) + 2
    site.wait_for("publishes live/", times=count)
    for variant in ("rtmp", "rtmps", "rtmpt"):
        started.start(*player(ffmpeg9(), url(site, variant, "live/rtmp")))
    site.wait_for("plays live/rtmp", times=3)
    open_page(browser, site)
    browser.until(lambda: len(streams_shown(browser)) == count, "all streams")
    browser.until(lambda: browser.text("#state") == "Ready")
    streams = {stream["name"]: stream for stream in desk.api("streams")["items"]}
    browser.until(
        lambda: all("2.0 s" in cells for cells in streams_shown(browser).values()), "key frames"
    )
    shown = streams_shown(browser)
    assert shown.keys() == {f"live/{name}" for name in streams}
    for name, stream in streams.items():
        bitrate, viewers, video, interval, audio, publisher, _ = shown[f"live/{name}"]
        assert bitrate.endswith("kbit/s")
        assert viewers == str(stream["viewers"]) == ("3" if name == "rtmp" else "0")
        track = stream["tracks"][0]
        assert video.startswith(f"H.264 {track['profile']} {track['level']} · 320×180")
        assert video.endswith(" fps")
        assert (interval, audio) == ("2.0 s", "AAC LC")
        variant = name if name in VARIANTS else "rtmp"
        assert publisher.startswith(f"{variant.upper()} #{stream['publisher']} · ")
    server = desk.api("server")
    assert variants_shown(browser) == server["by_variant"]
    assert browser.text("[data-figure=live]") == str(server["streams"]) == str(count)
    assert browser.text("[data-figure=viewers]") == str(server["viewers"]) == "3"
    assert server["version"] in browser.text("#build")

    # the last two minutes are drawn
    line = "#streams tbody tr:first-child .spark .line"
    before = str(browser.one(line).get_attribute("d"))
    points = before.count("L")
    browser.until(lambda: str(browser.one(line).get_attribute("d")).count("L") > points, "a point")

    # what strangers say is text
    assert HOSTILE in {name.removeprefix("live/") for name in shown}
    assert browser.all("#streams b, tbody img, #warnings img") == []
    browser.until(lambda: EVIL in browser.text("#connections tbody"), "the program's name")
    assert "evil" not in browser.driver.title
    with pytest.raises(Exception, match="TrustedHTML"):
        browser.run(f'document.querySelector("#done").innerHTML = "{HOSTILE}"')
    assert browser.complaints() != []  # which the browser notes, and so would of any other

    # who is connected to a stream
    browser.until(lambda: len(browser.all("#connections tbody tr")) == count + 3)
    browser.run("window.violations.length = 0")
    browser.tab_to(row("live/rtmp", "Who"))
    browser.press(Keys.ENTER)
    browser.until(lambda: browser.text("#connections-title") == "Connected to live/rtmp")
    browser.until(lambda: len(browser.all("#connections tbody tr")) == 4)
    assert browser.text("#connections tbody").count("plays live/rtmp") == 3
    browser.click("#everybody")
    browser.until(lambda: len(browser.all("#connections tbody tr")) == count + 3)
    browser.one("#variant").send_keys("RTMPS")
    browser.until(lambda: len(browser.all("#connections tbody tr")) == 2)
    browser.one("#variant").send_keys("all")

    folder = pictures(request, tmp_path)
    for scheme in ("light", "dark"):
        browser.scheme(scheme, still=True)
        assert browser.poor_contrast() == []
        browser.keep(folder / f"status-{scheme}.png")
    browser.size(360, 740, phone=True)
    assert browser.run("return document.documentElement.scrollWidth") == 360
    assert browser.poor_contrast() == []
    spoken = browser.spoken()
    assert {"banner", "main", "log", "table", "columnheader", "rowheader"} <= {r for r, _ in spoken}
    assert {name for role, name in spoken if role == "region"} == {
        *("Server", "Warnings", "Streams", "Connections"),
    }
    assert all(name for role, name in spoken if role in ("button", "combobox", "table", "region"))
    browser.keep(folder / "status-phone.png")
    assert browser.complaints() == []


def test_an_operator_ends_things_by_keyboard(started: Programs, browser: Browser) -> None:
    site = serve(started, listeners=LISTENERS + ADMIN)
    desk = Desk(site)
    for name in ("one", "two"):
        started.start(*forever("rtmp", site.url(f"live/{name}")))
    viewer = started.start(*player(ffmpeg9(), url(site, "rtmps", "live/two")))
    site.wait_for("publishes live/", times=2)
    site.wait_for("plays live/two")
    open_page(browser, site)
    browser.until(lambda: len(streams_shown(browser)) == 2)
    browser.tab_to(row("live/one", "Kick"))
    browser.press(Keys.ENTER)
    browser.until_seen("#confirm", "publishes live/one")
    assert browser.focused() == "Cancel"
    browser.press(Keys.ENTER)
    assert not browser.seen("#confirm")
    assert browser.focused() == row("live/one", "Kick")
    assert desk.api("streams")["total"] == 2
    browser.press(Keys.ENTER)
    browser.until_seen("#confirm")
    browser.press(Keys.ESCAPE)
    browser.until(lambda: not browser.seen("#confirm"))
    browser.press(Keys.ENTER)
    browser.until_seen("#confirm")
    browser.back()
    browser.press("Not now, please.", Keys.ENTER)
    site.wait_for("no longer publishes live/one: Not now, please")
    browser.until_seen("#done", "Kicked #")
    browser.until(lambda: len(streams_shown(browser)) == 1)
    browser.until(lambda: browser.focused() == "Streams")  # where the row was
    browser.tab_to("Close live/two")
    browser.press(Keys.SPACE)
    browser.until_seen("#confirm", "all its viewers")
    browser.press(Keys.TAB, Keys.ENTER)
    assert viewer.wait() == 0
    browser.until(lambda: streams_shown(browser) == {})
    browser.until_seen("#streams .none")
    assert browser.complaints() == []


def test_a_refusal_is_said_in_words(started: Programs, browser: Browser) -> None:
    """Somebody else was faster."""
    site = serve(started, listeners=LISTENERS + ADMIN)
    publisher = started.start(*forever("rtmp", site.url("live/one")))
    site.wait_for("publishes live/one")
    open_page(browser, site)
    browser.click("#connections tbody .grave")
    browser.until_seen("#confirm", "It publishes live/one.")
    publisher.kill()
    site.wait_for("no longer publishes live/one")
    browser.click("#confirm [type=submit]")
    browser.until_seen("#confirm .problem", "There is no such connection, or no longer.")
    assert browser.focused() == "Cancel"
    browser.until(lambda: browser.all("#connections tbody tr") == [])
    browser.press(Keys.ESCAPE)
    browser.until(lambda: browser.focused() == "Connections")  # the button is gone
    browser.until_seen("#connections .none", "Nobody is connected.")
    assert browser.complaints() == []


def watching(desk: Desk) -> dict[str, int]:
    """How many watch each stream."""
    return {each["name"]: each["viewers"] for each in desk.api("streams")["items"]}


def test_what_is_wrong_is_told_until_it_is_over(started: Programs, browser: Browser) -> None:
    site = serve(started, AT_ONCE + "warn_gop = 1s\n", LISTENERS + ADMIN)
    publisher = started.start(*forever("rtmp", site.url("live/show")))
    open_page(browser, site)
    browser.until_seen("#warnings li.on", "key frame")
    assert browser.text("#warnings li.on .path") == "live/show"
    browser.until_seen("#streams .troubles", "key frame")
    browser.scheme("light", still=True)
    assert browser.poor_contrast() == []
    publisher.kill()
    browser.until_seen("#warnings li .end", "until")
    assert not browser.seen("#warnings li.on")
    browser.driver.refresh()
    browser.until_seen("#warnings li", "live/show")  # whoever comes later reads of it, too
    assert browser.complaints() == []


def test_warnings_are_text(started: Programs, browser: Browser) -> None:
    """The page does not trust what events say."""
    site = serve(started, listeners=LISTENERS + ADMIN)
    open_page(browser, site)
    browser.until_seen("#warnings .none", "None.")
    event = {
        "time": "2030-01-02T03:04:05.678Z",
        "words": f"key frames {EVIL} are 12 s apart",
        "vhost": "",
        "application": "live",
        "stream": "0123456789abcdef",
        "name": HOSTILE,
        "peer": "#7 192.0.2.7:50123",
        "code": "long_gop",
    }

    def tell(event: dict[str, str | None]) -> None:
        browser.call("/status/warnings.js", "it.warn(args[0]);", event)

    tell({**event, "turn": ""})
    assert browser.texts("#warnings .path") == [f"live/{HOSTILE}"]
    assert EVIL in browser.text("#warnings .words")
    assert browser.all("#warnings img, #warnings b") == []
    assert not browser.seen("#warnings .none")
    tell({**event, "turn": "begin"})
    browser.until(lambda: "until" in browser.text("#warnings li:first-child .end"))
    assert browser.all("#warnings li.on") == []  # no stream has it any more
    tell({**event, "stream": None, "name": None, "turn": ""})
    assert browser.texts("#warnings .path")[0] == "#7 192.0.2.7:50123"
    browser.tab_to("Clear")
    browser.press(Keys.ENTER)
    browser.until_seen("#warnings .none")
    assert browser.focused() == "Warnings"
    assert browser.complaints() == []


def test_an_operator_has_a_look_at_a_stream(
    started: Programs, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    site = serve(started, listeners=LISTENERS + ADMIN)
    desk = Desk(site)
    started.start(*forever("rtmps", url(site, "rtmps", "live/show")))
    unknown = SAMPLES / "vvc-aac-ertmp.flv"
    started.start(*forever("rtmp", site.url("live/vvc"), unknown))
    site.wait_for("publishes live/", times=2)
    desk.once("streams", lambda page: all(len(each["tracks"]) == 2 for each in page["items"]))
    open_page(browser, site)
    browser.until(lambda: len(streams_shown(browser)) == 2)
    browser.tab_to("Watch live/vvc")
    browser.press(Keys.ENTER)
    browser.until_seen("#screen [role=status]", "cannot decode its picture")
    browser.tab_to("Watch live/show")
    browser.press(Keys.ENTER)
    assert browser.focused() == "Watching live/show"
    browser.until(lambda: browser.run("return document.querySelector('canvas').width") == 320)
    assert browser.run("return document.querySelector('canvas').height") == 180
    pixels = "const canvas = document.querySelector('canvas'); return canvas.toDataURL()"
    browser.until(lambda: len(browser.run(pixels)) > 10_000, "a picture")
    assert watching(desk) == {"show": 1, "vvc": 0}
    browser.tab_to("Sound")
    browser.press(Keys.SPACE)
    assert browser.one("#screen [aria-pressed]").get_attribute("aria-pressed") == "true"
    first = browser.run(pixels)
    browser.until(lambda: browser.run(pixels) != first, "other pictures")
    browser.scheme("dark", still=True)
    browser.keep(pictures(request, tmp_path) / "status-watching.png")
    browser.tab_to("Stop")
    browser.press(Keys.ENTER)
    assert browser.focused() == "Watch live/show"
    browser.until(lambda: watching(desk) == {"show": 0, "vvc": 0})
    assert browser.complaints() == []


def test_many_connections_come_in_pages(started: Programs, browser: Browser) -> None:
    patient = AT_ONCE + "[limits]\nhandshake_timeout = 5m\n"
    site = serve(started, patient, LISTENERS + ADMIN)
    with ExitStack() as stack:
        for _ in range(30):
            guest = socket.create_connection(("127.0.0.1", site.ports["main"]), PATIENCE)
            stack.enter_context(guest).sendall(b"\x03")  # RTMP, with all the time it may take
        Desk(site).once("connections", lambda page: page["total"] == 30)
        open_page(browser, site)
        browser.until_seen("#connections nav", "1 to 25 of 30")
        assert len(browser.all("#connections tbody tr")) == 25
        assert not browser.one("#earlier").is_enabled()
        browser.tab_to("Next")
        browser.press(Keys.ENTER)
        browser.until_seen("#connections nav", "26 to 30 of 30")
        assert len(browser.all("#connections tbody tr")) == 5
        assert not browser.one("#later").is_enabled()
        assert browser.focused() == "Previous"
        browser.click("#earlier")
        browser.until_seen("#connections nav", "1 to 25 of 30")
        browser.click("#later")
        browser.until_seen("#connections nav", "26 to 30 of 30")
    browser.until_seen("#connections .none", "Nobody is connected.")  # not a page of nothing
    assert not browser.seen("#connections nav")
    assert browser.complaints() == []


LOGINS = """
[listener admin]
endpoint = tcp:0:interface=127.0.0.1:backlog=20
serve = http
api = token:{0}/tokens
    file:{0}/passwd
"""


def test_who_operates_logs_in(
    started: Programs, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "tokens").write_text(f"anna sha256:{hash_of(TOKEN)}\n")
    password_file(tmp_path / "passwd", user("bruno", b"geheim"))
    site = serve(started, listeners=LISTENERS + LOGINS.format(tmp_path))
    open_page(browser, site)
    browser.until_seen("#login", "Log in")
    assert browser.text("#login .problem") == ""
    for wrong in ("not a token", "f" * 32):
        browser.one("[name=token]").clear()
        browser.one("[name=token]").send_keys(wrong, Keys.ENTER)
        browser.until_seen("#login .problem", "token")
    browser.keep(pictures(request, tmp_path) / "status-login.png")
    browser.press(Keys.ESCAPE)
    assert browser.seen("#login")
    browser.one("[name=token]").clear()
    browser.one("[name=token]").send_keys(TOKEN, Keys.ENTER)
    browser.until(lambda: browser.text("#state") == "Ready")
    assert not browser.seen("#login")
    assert TOKEN not in browser.driver.current_url
    assert browser.run("return [localStorage.length, document.cookie]") == [0, ""]
    assert TOKEN in browser.run("return Object.values(sessionStorage).join()")
    browser.driver.refresh()
    browser.until(lambda: browser.text("#state") == "Ready")
    browser.click("#reload")
    browser.click("#confirm [type=submit]")
    browser.until_seen("#done", "nothing has changed")
    site.wait_for("operator anna has the configuration read again")
    browser.click("#logout")
    browser.until_seen("#login")
    assert browser.run("return sessionStorage.length") == 0
    browser.run("sessionStorage.setItem('rtmptwist.authorization', 'Bearer withdrawn')")
    browser.driver.refresh()
    browser.until_seen("#login .problem", "no such token")
    assert browser.run("return sessionStorage.length") == 0
    browser.click("#kinds label:last-child")
    browser.one("[name=user]").send_keys("bruno")
    browser.one("[name=password]").send_keys("geheim", Keys.ENTER)
    browser.until(lambda: browser.text("#state") == "Ready")
    browser.click("#reload")
    browser.click("#confirm [type=submit]")
    site.wait_for("operator bruno has the configuration read again")
    password_file(tmp_path / "passwd", user("carla", b"geheim"))
    browser.until_seen("#login .problem", "no such user")
    site.wait_for("operator bruno sees no more: no such user")
    assert browser.complaints() == []


def test_what_the_page_is_made_of(started: Programs, browser: Browser) -> None:
    """Its figures, and how it reads what comes in pieces."""
    open_page(browser, serve(started, listeners=LISTENERS + ADMIN))
    figures = {
        "it.bitrate(0)": "0 bit/s",
        "it.bitrate(999_940)": "1.00 Mbit/s",
        "it.bitrate(2_600_000)": "2.60 Mbit/s",
        "it.bitrate(25_600)": "25.6 kbit/s",
        "it.bitrate(null)": "–",
        "it.size(123_456_789)": "123 MB",
        "it.count(1234567)": "1\u202f234\u202f567",
        "it.seconds(0.0001)": "< 1 ms",
        "it.seconds(-0.021)": "-21 ms",
        "it.seconds(2)": "2.0 s",
        "it.duration(59.9)": "59 s",
        "it.duration(3600)": "1 h 0 min",
        "it.duration(200_000)": "2 d 7 h",
    }
    words = f"return [{', '.join(figures)}].map((text) => text.replaceAll('\u00a0', ' '))"
    assert browser.call("/status/figures.js", words) == [*figures.values()]
    text = ': hello\n\nid: 7\nevent: warning\ndata: {"a":\ndata: 1}\r\n\r\ndata: 2\n\n'
    pieces = """
        const every = [...args[0]].map((_, cut) => {
          const heard = [];
          const hear = (name, value) => heard.push([name, value]);
          const parse = it.parser(hear, (id) => heard.push(id));
          parse(args[0].slice(0, cut));
          parse(args[0].slice(cut));
          return JSON.stringify(heard);
        });
        return [...new Set(every)];
    """
    assert browser.call("/status/live.js", pieces, text) == [
        '["7",["warning",{"a":1}],["message",2]]'
    ]
    packets = """
        const bytes = Uint8Array.from(atob(args[0]), (c) => c.charCodeAt(0));
        return [bytes.length, 1009, 7].map((size) => {
          const flv = new it.Flv();
          const found = [];
          for (let at = 0; at < bytes.length; at += size) {
            for (const packet of flv.feed(bytes.slice(at, at + size))) {
              const { kind, config, data, key, time, shown } = packet;
              found.push(config ? kind : [kind, data.length, key, time, shown].join(" "));
            }
          }
          return found.join();
        });
    """
    data = base64.b64encode((SAMPLES / "h264-b-aac.flv").read_bytes()[:60_000]).decode()
    whole, *others = browser.call("/status/flv.js", packets, data)
    assert others == [whole] * 2
    assert len(re.findall(r"\bvideo \d+ (true|false) (\d+) \d+", whole)) > 20
    assert browser.complaints() == []


RESTARTED = """
[server]
state = {folder}
drain = 4s

[listener admin]
endpoint = tcp:{port}:interface=127.0.0.1:backlog=20
serve = http, rtmp
api = loopback

[app live]
publish = anyone
"""


def test_it_reloads_and_drains_and_finds_the_next_server(
    started: Programs, browser: Browser, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = started.folder()
    config = folder / "site.ini"
    text = RESTARTED.format(folder=folder, port=free_port())
    config.write_text(text)
    site = serve_file(started, config)
    open_page(browser, site)
    browser.until(lambda: browser.text("#state") == "Ready")
    config.write_text(f"{text}grace = long\nmrege = 1\n")
    browser.click("#reload")
    browser.until_seen("#confirm", "A mistake changes nothing")
    browser.click("#confirm [type=submit]")
    browser.until_seen("#confirm .problem", 'did you mean "merge"?')
    assert "grace" in browser.text("#confirm .problem")
    browser.keep(pictures(request, tmp_path) / "status-mistake.png")
    config.write_text(f"{text}grace = 5s\n")
    browser.click("#confirm [type=submit]")
    browser.until_seen("#done", "Reloaded: [app live]")
    browser.run("document.querySelector('#build').textContent = ''")
    browser.until(lambda: browser.text("#build"), "figures after a reload")
    assert not browser.seen("#lost")
    source = SAMPLES / "h264-longgop-aac.flv"  # a publication ends with a whole GOP, if it may
    started.start(*forever("rtmp", site.url("live/one", listener="admin"), source))
    browser.until(lambda: "live/one" in streams_shown(browser))
    browser.run(
        """
        window.states = [];
        const state = document.querySelector("#state");
        const note = () => states.push(state.textContent);
        new MutationObserver(note).observe(state, { childList: true });
        """
    )
    browser.tab_to("Drain")
    browser.press(Keys.ENTER)
    browser.until_seen("#confirm", "Drain and stop the server?")
    browser.press(Keys.TAB, Keys.ENTER)
    browser.until(lambda: browser.focused().startswith("rtmptwist"))  # the button has had its time
    assert site.run.wait() == 0
    assert "Draining" in browser.run("return states")
    browser.until_seen("#lost", "Connection lost since")
    assert browser.text("#state") == "Connection lost"
    browser.keep(pictures(request, tmp_path) / "status-lost.png")
    browser.click("#lost button")
    browser.until_seen("#lost", "The server does not answer. Trying again in")
    again = serve_file(started, config)
    browser.until(lambda: browser.text("#state") == "Ready", "the next server")
    assert not browser.seen("#lost")
    assert re.search(r"up \d+ s", browser.text("#build"))
    started.start(*forever("rtmp", again.url("live/two", listener="admin")))
    browser.until(lambda: "live/two" in streams_shown(browser))
    assert browser.complaints() == []
