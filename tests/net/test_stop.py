"""The end of a server, as its clients see it, over real sockets."""

from __future__ import annotations

import signal
import socket

import pytest

from rtmptwist.wire.message import Message, MessageType
from tests.support.guests import Guest, Serving, live, reactor, visiting
from tests.support.live import gop, headers, payloads
from tests.support.programs import LISTENER, programs, serve
from tests.support.reactor import reactor_test


def statuses(guest: Guest) -> list[str]:
    """Where statuses about a guest's connection will stand."""
    codes: list[str] = []
    guest.connection.on_status = lambda info: codes.append(str(info["code"]))
    return codes


@reactor_test
async def test_everybody_is_told_and_gets_what_is_on_its_way(serving: Serving) -> None:
    async with serving(live(grace=10.0)) as host:
        publisher, viewer = await host.publish(), await host.play()
        early, idle = await host.play("none"), await host.guest()
        guests = publisher, viewer, early, idle
        heard = [statuses(guest) for guest in guests]
        publisher.send(*headers(), *gop(0))
        await publisher.settle()
        await host.stop()
        for guest in guests:
            await guest.connection.when_closed()  # in good order, or it raises
        assert heard == [["NetConnection.Connect.AppShutdown"]] * 4
        assert viewer.payloads == payloads([*headers()[1:], *gop(0)])
        assert viewer.told == ["Play.PublishNotify", "Play.UnpublishNotify", "Play.Stop"]
        assert early.told == ["Play.Stop"]
        assert publisher.told == []


@reactor_test
async def test_who_does_not_read_does_not_hold_the_server_up(serving: Serving) -> None:
    async with serving(drain=0.3) as host:
        publisher, stalled = await host.publish(), await host.play()
        stalled.fall_silent()
        while host.stream("show").meter.lagging == 0:
            big = Message(MessageType.VIDEO, 0, 0, b"\x17\x01\0\0\0" + bytes(1 << 20))
            await publisher.feed(big)
        began = reactor.seconds()
        await host.stop()
        assert 0.2 < reactor.seconds() - began < 5.0


@reactor_test
async def test_nobody_is_let_in_any_more(serving: Serving) -> None:
    async with serving() as host:
        port = host.port
        await host.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@reactor_test
async def test_signals_end_the_process_with_status_0(number: signal.Signals) -> None:
    with programs() as started:
        site = serve(started, "grace = 10s\n", "drain = 60s\n" + LISTENER)
        async with visiting(site.url("").rstrip("/")) as guests:
            publisher, viewer = await guests.publish(), await guests.play()
            heard = [statuses(publisher), statuses(viewer)]
            await publisher.feed(*headers(), *gop(0))
            await viewer.settle()
            site.run.process.send_signal(number)
            site.wait_for("end with their next key frame")
            await publisher.feed(*gop(120))
            await viewer.until(lambda: viewer.gone)
            await publisher.until(lambda: publisher.gone)
            assert site.run.wait(50) == 0
            assert heard == [["NetConnection.Connect.AppShutdown"]] * 2
            assert viewer.payloads == payloads([*headers()[1:], *gop(0)])
        assert f"{number.name}: the server stops" in site.log()
        assert "Traceback" not in site.log()
