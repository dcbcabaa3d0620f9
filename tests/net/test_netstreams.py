"""Several NetStreams on one connection, calls, names and hosts, over real sockets."""

from __future__ import annotations

import gc
from weakref import ref

import pytest

from rtmptwist.config.schema import VirtualHost
from tests.support.guests import Serving, eventually, live, refused
from tests.support.live import gop, headers, payloads
from tests.support.logs import Logs
from tests.support.reactor import reactor_test


@reactor_test
async def test_one_connection_publishes_and_plays_its_own_stream(serving: Serving) -> None:
    async with serving() as host:
        connection = await host.connect()
        viewer = await host.play(on=connection)
        publisher = await host.publish(on=connection)
        assert viewer.stream.stream_id != publisher.stream.stream_id
        await publisher.feed(*headers(), *gop(0))
        late = await host.play(on=connection)
        await publisher.feed(*gop(120))
        for guest in viewer, late:
            assert guest.payloads == payloads([*headers()[1:], *gop(0), *gop(120)])
        publisher.stream.close()
        await publisher.settle()
        assert not viewer.gone


@reactor_test
async def test_one_connection_publishes_two_streams_and_plays_two(serving: Serving) -> None:
    async with serving() as host:
        sending, watching = await host.connect(), await host.connect()
        names = "one", "two"
        viewers = {name: await host.play(name, on=watching) for name in names}
        publishers = {name: await host.publish(name, on=sending) for name in names}
        for start in 0, 120:
            for name, publisher in publishers.items():
                publisher.send(*(headers() if start == 0 else ()), *gop(start, name=name))
                await publisher.settle()
        await viewers["one"].settle()
        for name, viewer in viewers.items():
            sent = [*headers()[1:], *gop(0, name=name), *gop(120, name=name)]
            assert viewer.payloads == payloads(sent)
        # the end of one is not the end of the other
        viewers["one"].stream.close()
        publishers["one"].stream.close()
        await publishers["two"].feed(*gop(240, name="two"))
        await viewers["two"].settle()
        assert viewers["two"].payloads[-6:] == payloads(gop(240, name="two"))


@reactor_test
async def test_a_refused_publication_leaves_the_other_streams_alone(serving: Serving) -> None:
    """A connection that did nothing else is closed: librtmp would wait for 30 s."""
    async with serving(live(takeover="reject")) as host:
        first = await host.publish("taken")
        connection = await host.connect()
        publisher = await host.publish(on=connection)
        second = await host.guest(connection)
        refusal = await refused(second.stream.publish("taken"))
        assert refusal.code == "NetStream.Publish.BadName"
        await publisher.feed(*headers(), *gop(0))
        assert not first.gone
        alone = await host.guest()
        await refused(alone.stream.publish("taken"))
        await alone.until(lambda: alone.gone)


@reactor_test
async def test_takeover_of_one_stream_leaves_the_others_of_its_connection(serving: Serving) -> None:
    async with serving(live(takeover="any")) as host:
        connection = await host.connect()
        one = await host.publish("one", on=connection)
        two = await host.publish("two", on=connection)
        await (await host.publish("one")).settle()
        await one.until_told("Publish.BadName")
        await two.feed(*headers(), *gop(0))
        viewer = await host.play("two")
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])


@reactor_test
async def test_a_netstream_whose_use_the_server_ended_is_as_good_as_new(serving: Serving) -> None:
    """Whoever was told that it is over need not close it."""
    async with serving(live(wait=0.0, takeover="any", grace=0.0, after_end="close")) as host:
        guest = await host.guest()
        other = await host.publish("other", on=guest.connection)
        await refused(guest.stream.play("show"))
        await guest.stream.publish("show")
        await (await host.publish("show")).settle()
        await guest.until_told("Publish.BadName")
        await guest.stream.play("other")
        other.stream.close()
        await guest.until_told("Play.UnpublishNotify")
        await guest.stream.publish("mine")
        await guest.feed(*headers())
        assert host.application().is_live("mine")


@reactor_test
async def test_an_unknown_call_is_answered_in_words(serving: Serving) -> None:
    async with serving() as host:
        connection = await host.connect()
        refusal = await refused(connection.call("dropEverything", 1.0, {"now": True}))
        assert refusal.code == "NetConnection.Call.Failed"
        assert "(dro…" in refusal.description  # the log has it, too, and it may be a secret
        assert (await connection.call("getStreamLength", "show"))[-1] == 0.0


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("live", "a/b/s"),
        ("live/a", "b/s"),
        ("live/a/b", "s"),
        ("live/a/b/", "/s"),
        ("live/_definst_/a", "b/s"),
        ("live/a", "mp4:b/s.mp4"),
        ("live/a?k=v", "b/s?token=x"),
        ("live", "a%2Fb/s"),
    ],
)
@reactor_test
async def test_one_stream_wherever_a_client_cuts_its_address(
    serving: Serving, app: str, name: str
) -> None:
    async with serving() as host:
        publisher = await host.publish("a/b/s")
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play(name, 0.0, app=app)
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])
        viewer.stream.close()
        publisher.stream.close()
        await publisher.settle()
        publisher = await host.publish(name, app=app)
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play("a/b/s", 0.0)
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])


BAD_NAMES = [
    ("", "the stream name is empty (expected a stream key after the application)"),
    ("a/../b", 'the stream name has a part ".."'),
    ("a//b", "the stream name has an empty part (two slashes, or nothing after a prefix)"),
    ("a\nb", "the stream name contains the character U+000A"),
    ("a\\b", "the stream name contains the character U+005C"),
    ("x" * 201, "the part of the stream name is 201 bytes long (expected at most 200)"),
    ("%ff", "the stream name is not UTF-8"),
]


@pytest.mark.parametrize(("name", "words"), BAD_NAMES)
@reactor_test
async def test_names_that_cannot_be_are_refused_with_words(
    serving: Serving, name: str, words: str
) -> None:
    async with serving() as host:
        for what, code in ("publish", "Publish.BadName"), ("play", "Play.StreamNotFound"):
            guest = await host.guest()
            refusal = await refused(getattr(guest.stream, what)(name))
            assert refusal.code == f"NetStream.{code}"
            assert refusal.description == words
            assert not host.application().streams


@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("nosuch", "There is no application 'nosuch' on 127.0.0.1."),
        ("LIVE", "There is no application 'LIVE' on 127.0.0.1."),
        ("lives/x", "There is no application 'lives/x' on 127.0.0.1."),
        ("", "the application name is empty (expected rtmp://host/application)"),
        ("live/..", 'the application name has a part ".."'),
    ],
)
@reactor_test
async def test_applications_that_are_not_there(serving: Serving, app: str, words: str) -> None:
    async with serving() as host:
        refusal = await refused(host.connect(app))
        assert refusal.code == "NetConnection.Connect.InvalidApp"
        assert refusal.description == words


# ------------------------------------------------------------------------------------- hosts


@reactor_test
async def test_hosts_see_nothing_of_each_other(serving: Serving) -> None:
    """By the host of tcUrl, or by what the query of app or name says."""
    own = VirtualHost(
        name="one.example",
        aliases=("www.one.example",),
        apps={"live": live(), "extra": live("extra")},
    )
    async with serving(hosts=(own,)) as host:

        async def told(tc_host: str, app: str, name: str) -> list[bytes]:
            """What a viewer gets who does not wait."""
            connection = await host.connect(app, tcUrl=f"rtmp://{tc_host}/{app}")
            viewer = await host.play(name, 0.0, on=connection)
            await viewer.settle()
            return viewer.payloads

        sent = {}
        for name in "one.example", "127.0.0.1":
            connection = await host.connect(tcUrl=f"rtmp://{name}:1935/live")
            publisher = await host.publish(on=connection)
            sent[name] = [*headers(), *gop(0, name=name)]
            await publisher.feed(*sent[name])
        for tc_host, app, name in [
            ("one.example", "live", "show"),
            ("ONE.example.:1935", "live", "show"),
            ("www.one.example", "live", "show"),
            ("127.0.0.1", "live?vhost=one.example", "show"),
            ("127.0.0.1", "live", "show?vhost=one.example"),
        ]:
            assert await told(tc_host, app, name) == payloads(sent["one.example"][1:])
        for tc_host in "127.0.0.1", "localhost", "two.example", "[::1]":
            assert await told(tc_host, "live", "show") == payloads(sent["127.0.0.1"][1:])
        await host.connect("extra", tcUrl="rtmp://one.example/extra")
        assert (await refused(host.connect("extra"))).code == "NetConnection.Connect.InvalidApp"


# -------------------------------------------------------------------------------------- logs


@reactor_test
async def test_no_secret_is_logged(serving: Serving, logs: Logs) -> None:
    """Queries may hold tokens, and a long name is what other services call a stream key."""
    key = "sk-SECRET-0123456789"
    async with serving(live(takeover="reject", grace=0.0, wait=0.1)) as host:
        app = "live?password=SECRET"
        publisher = await host.publish(f"{key}?token=SECRET", app=app)
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play(f"{key}?token=SECRET", app=app)
        guest = await host.guest(app=app)
        await refused(guest.stream.publish(f"{key}?token=SECRET"))
        guest = await host.guest(app=app)
        await refused(guest.stream.publish("a/../SECRET?token=SECRET"))
        guest = await host.guest(app=app)
        await refused(guest.stream.play(f"{key}-none?token=SECRET", 0.0))
        await refused(guest.connection.call("SECRET"))
        await refused(host.connect("nosuch?password=SECRET"))
        publisher.stream.close()
        await viewer.until_told("Play.UnpublishNotify")
    text = "\n".join(logs.about(""))
    assert "publishes live/sk-…" in text
    assert "plays live/sk-…" in text
    assert text.count("refused") >= 4
    assert "SECRET" not in text


@pytest.mark.parametrize("after_end", ["stay", "close"])
@reactor_test
async def test_what_waited_for_those_who_left_is_freed_at_once(
    serving: Serving, after_end: str
) -> None:
    """Not when the garbage collector finds the cycle: hundreds of megabytes can wait by then."""
    async with serving(live(after_end=after_end, grace=0.0)) as host:
        connection = await host.connect()
        publisher = await host.publish(on=connection)
        await host.play(on=connection)
        await publisher.feed(*headers(), *gop(0))
        uses = [ref(use) for server in host.connections for use in server.uses.values()]
        assert len(uses) == 2
        gc.disable()
        try:
            publisher.vanish()
            await eventually(lambda: not host.registry.connections)
            assert [use() for use in uses] == [None, None]
        finally:
            gc.enable()


@reactor_test
async def test_a_viewer_whose_own_publication_ends_with_it_leaves_once(
    serving: Serving, logs: Logs
) -> None:
    async with serving(live(after_end="close", grace=0.0)) as host:
        connection = await host.connect()
        publisher = await host.publish(on=connection)
        viewer = await host.play(on=connection)
        await publisher.feed(*headers(), *gop(0))
        assert viewer.payloads
        publisher.vanish()
        await eventually(lambda: not host.registry.connections)
        assert len(logs.about("no longer plays")) == 1
