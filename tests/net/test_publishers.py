"""Publishers who leave, vanish, return and take over, with viewers who stay, over real sockets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint

from rtmptwist.config.schema import Limits
from tests.support.guests import Guest, Host, Serving, eventually, live, reactor, refused
from tests.support.live import aac_header, avc_header, gop, headers, metadata, payloads, video
from tests.support.reactor import reactor_test


async def from_elsewhere(host: Host, address: str = "127.0.0.2") -> Guest:
    """A guest with another IP address."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", host.port, bindAddress=(address, 0))
    return await host.guest(await host.connect(endpoint=endpoint))


async def lost(host: Host, publisher: Guest) -> None:
    """Break a publisher's connection; the server has noticed when this returns."""
    await host.cut_off(publisher)
    await eventually(lambda: host.stream("show").meter.state == "grace")


@reactor_test
async def test_a_publisher_that_lost_its_connection_goes_on_within_grace(serving: Serving) -> None:
    """Viewers stay, hear nothing of it, and see time go on; what they cannot decode is left out."""
    async with serving(live(grace=10.0)) as host:
        first = await host.publish()
        await first.feed(*headers(), *gop(5000))
        viewer = await host.play()
        await lost(host, first)
        second = await host.publish()
        again = [avc_header("other"), aac_header()]
        await second.feed(metadata(), *again, video(0), video(40), *gop(80, name="second"))
        await viewer.settle()
        assert viewer.payloads == payloads(
            [
                *headers()[1:],
                *gop(5000),
                avc_header("other"),  # the sound's is the same as before
                *gop(80, name="second"),
            ]
        )
        start = viewer.times[8]
        assert start == viewer.times[7] + 40  # one picture after the last
        assert viewer.times[9:] == [start + t for t in (0, 0, 40, 40, 80, 80)]
        assert viewer.told == ["Play.PublishNotify"]
        assert not viewer.gone


@reactor_test
async def test_time_takes_no_step_back_however_often_a_publisher_returns(serving: Serving) -> None:
    async with serving(live(grace=10.0)) as host:
        publisher = await host.publish()
        viewer = await host.play()
        for start in (100_000, 0, 4_000_000_000, 7):
            await publisher.feed(*headers(), *gop(start))
            await lost(host, publisher)
            publisher = await host.publish()
        await viewer.settle()
        assert len(viewer.times) == 2 + 4 * 6
        assert all(0 <= later - earlier <= 40 for earlier, later in pairwise(viewer.times[2:]))
        assert viewer.times[2] == 100_000


@reactor_test
async def test_after_the_grace_time_the_stream_is_over(serving: Serving) -> None:
    async with serving(live(grace=0.2)) as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        await host.cut_off(publisher)
        await viewer.until_told("Play.UnpublishNotify")
        assert not viewer.gone
        second = await host.publish()
        await second.feed(*headers(), *gop(9000))
        await viewer.until_told("Play.PublishNotify")
        await viewer.settle()
        assert viewer.payloads[8:] == payloads([*headers()[1:], *gop(9000)])


@reactor_test
async def test_the_same_publisher_takes_over_while_its_dead_connection_lives_on(
    serving: Serving,
) -> None:
    """An encoder that reconnects is faster than the network that tells us of its loss."""
    async with serving(live(grace=10.0)) as host:
        first = await host.publish()
        await first.feed(*headers(), *gop(0))
        viewer = await host.play()
        first.fall_silent()
        second = await host.publish()
        await second.feed(*headers(), video(33), *gop(70, name="second"))
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0), *gop(70, name="second")])
        assert viewer.times[8:10] == [120, 120]
        first.wake()
        await first.until(lambda: first.gone)
        (info,) = first.infos
        assert info["code"] == "NetStream.Publish.BadName"
        assert info["description"] == "show was taken over by the same publisher"


@reactor_test
async def test_takeover_of_the_same_publisher_only(serving: Serving) -> None:
    async with serving(live(grace=10.0, takeover="same")) as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        stranger = await from_elsewhere(host)
        refusal = await refused(stranger.stream.publish("show"))
        assert refusal.code == "NetStream.Publish.BadName"
        assert refusal.description == (
            "show is live already, and only its own publisher may take it over."
        )
        await stranger.until(lambda: stranger.gone)  # librtmp would wait for 30 s
        viewer = await host.play()
        await lost(host, publisher)
        stranger = await from_elsewhere(host)
        refusal = await refused(stranger.stream.publish("show"))
        assert refusal.description == "show is kept for its publisher, who may return within 10 s."
        await (await host.publish()).feed(*headers(), *gop(0))
        await viewer.settle()
        assert len(viewer.payloads) == 2 + 6 + 6


@reactor_test
async def test_takeover_of_anybody(serving: Serving) -> None:
    async with serving(live(grace=10.0, takeover="any")) as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        stranger = await from_elsewhere(host)
        await stranger.stream.publish("show")
        await stranger.feed(*headers(), *gop(0, name="other"))
        await viewer.settle()
        assert viewer.payloads[8:] == payloads(gop(0, name="other"))
        await publisher.until(lambda: publisher.gone)
        assert publisher.infos[-1]["description"] == "show was taken over by another publisher"


@reactor_test
async def test_no_takeover_at_all(serving: Serving) -> None:
    """The publisher that is there is not disturbed."""
    async with serving(live(takeover="reject")) as host:
        publisher = await host.publish()
        viewer = await host.play()
        refusal = await refused(host.publish())
        assert refusal.code == "NetStream.Publish.BadName"
        assert refusal.description == ("show is live already, and may not be taken over here.")
        await publisher.feed(*headers(), *gop(0))
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])


@reactor_test
async def test_a_publisher_that_vanished_without_a_word_frees_its_name(serving: Serving) -> None:
    """Its cable was pulled: no FIN comes, no answer. One that is only quiet stays."""
    async with serving(
        live(grace=0.0, takeover="reject"), limits=Limits(ping_interval=0.5, ping_timeout=0.5)
    ) as host:
        quiet = await host.publish("quiet")
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        publisher.fall_silent()
        await refused(host.publish())
        await viewer.until_told("Play.UnpublishNotify")
        second = await host.publish()
        await second.feed(*headers(), *gop(0))
        assert not quiet.gone
        await quiet.settle()


@reactor_test
async def test_a_publisher_that_says_goodbye_gives_its_name_away_at_once(serving: Serving) -> None:
    async with serving(live(grace=10.0)) as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play()
        publisher.stream.close()
        await publisher.settle()
        stranger = await from_elsewhere(host)
        await stranger.stream.publish("show")
        await stranger.feed(*headers(), *gop(0, name="other"))
        await viewer.settle()
        assert viewer.payloads[8:] == payloads(gop(0, name="other"))


@pytest.mark.parametrize("kind", ["closeStream", "deleteStream", "FCUnpublish"])
@reactor_test
async def test_a_publisher_is_told_that_it_was_heard(serving: Serving, kind: str) -> None:
    """And may publish again with the same NetStream, unless it deleted it."""
    async with serving(live(grace=0.0)) as host:
        publisher = await host.publish()
        await publisher.feed(*headers(), *gop(0))
        session, stream_id = publisher.connection.session, publisher.stream.stream_id
        if kind == "closeStream":
            session.close_stream(stream_id)
        elif kind == "deleteStream":
            session.delete_stream(stream_id)
        else:
            session.unpublish("show")
        await publisher.settle()
        assert publisher.told == ["Unpublish.Success"]
        assert not host.application().is_live("show")
        if kind == "deleteStream":
            publisher = await host.guest(publisher.connection)
            assert publisher.stream.stream_id == stream_id  # free again
        await publisher.stream.publish("again")
        await publisher.feed(*headers(), *gop(0))
        viewer = await host.play("again", on=publisher.connection)
        await viewer.settle()
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])
