"""
A live stream: from one publisher to the next.

It outlives its inlet: viewers stay through a takeover or the grace time, on one timeline. What
comes in is the inlet's business, whom it goes to the audience's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from rtmptwist.live.audience import Audience
from rtmptwist.live.errors import Refused
from rtmptwist.live.health import Sign, Trouble
from rtmptwist.live.inlet import Inlet, Phase
from rtmptwist.live.interfaces import Outlet, Publisher, StreamSettings, Supplier
from rtmptwist.live.meters import StreamMeter
from rtmptwist.live.names import redacted
from rtmptwist.live.programme import Programme
from rtmptwist.live.rates import Rates
from rtmptwist.live.timeline import Timeline
from rtmptwist.live.vitals import Vitals
from rtmptwist.live.window import Window
from rtmptwist.wire.status import StatusCode


class LiveStream:
    """A named stream, for as long as anybody publishes, watches or may come back to it."""

    log = Logger()

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        clock: IReactorTime,
        vanished: Callable[[LiveStream], None],
        outlets: Iterable[Outlet] = (),
        suppliers: Iterable[Supplier] = (),
    ) -> None:
        """
        `vanished` is called when nobody needs it any more, `outlets` at every turn it takes,
        `suppliers` when somebody watches what nobody publishes.
        """
        self.name = name
        self.settings = settings
        self.window = Window(
            int(settings.window * 1000), settings.window_size, int(settings.max_lag * 1000)
        )
        self.timeline = Timeline(self.window.interval)
        self.audience = Audience(self.window, settings, clock, self._leave_if_unneeded)
        self.inlet: Inlet | None = None
        self._vitals: Vitals | None = None
        "Of what the inlet brings."
        now = clock.seconds()
        self._bytes_in, self._bytes_out, self._frames = Rates(now), Rates(now), Rates(now)
        self.programme = Programme(self.window)
        self._clock = clock
        self._vanished = vanished
        self._outlets = outlets
        self._suppliers = suppliers
        self._taken = False
        "Outlets have been told of a publication, and not of its end."
        self._dropped = 0
        "By inlets that have gone."
        self._grace: IDelayedCall | None = None
        "Ends the publication, unless its publisher, or another, comes first."
        self._owner: tuple[Hashable] | None = None
        "For whom the name is kept meanwhile."
        self._concluding = False
        "Nobody is to come back."

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What is wrong with what its publisher sends."""
        vitals = self._vitals
        return () if vitals is None else tuple(vitals.health.troubles.values())

    def see(self, sign: Sign, words: str) -> None:
        """Somebody else has seen that something is wrong, since the last sweep."""
        if self._vitals is not None:
            self._vitals.health.see(sign, words)

    @property
    def live(self) -> bool:
        """Whether somebody publishes it, or may still come back."""
        return self.inlet is not None or self._grace is not None

    @property
    def supplied(self) -> bool:
        """Whether what comes is none of a publisher's."""
        return self.inlet is not None and self.inlet.publisher.stands_in

    @property
    def state(self) -> str:
        """
        `live`; `supplied`: only something that stands in; `grace`: its publisher may come back;
        `idle`: only viewers, who wait.
        """
        if self.inlet is not None:
            return "supplied" if self.supplied else "live"
        return "grace" if self._grace is not None else "idle"

    def publish(self, publisher: Publisher, identity: Hashable) -> Inlet:
        """
        Let somebody feed the stream: as its first publisher, again, or in another one's place.

        Raises:
            Refused: `NetStream.Publish.BadName`, for the name is somebody else's.
        """
        stands_in = publisher.stands_in
        if not stands_in:
            self._check_name(identity)
        self._concluding = False
        old = self.inlet
        if old is not None:
            self._stop(old)
        if self._grace is not None and not stands_in:
            self._grace.cancel()
            self._grace = None
        if not self._needed:
            self._forget()
        window = self.window
        self.timeline.restart()
        window.headers.doubt()
        phase = Phase.NEW if window.begun is None else Phase.HELD
        self.inlet = inlet = Inlet(
            publisher, identity, window, self.timeline, self.audience, phase, self._left
        )
        self._vitals = Vitals(inlet, self.timeline, self.settings, self._clock.seconds())
        if old is not None:
            same = "the same publisher" if identity == old.identity else "another publisher"
            old.publisher.displaced(f"{redacted(self.name)} was taken over by {same}")
        if not stands_in:
            self._tell_outlets(live=True)
        return inlet

    def supply(self) -> bool:
        """Somebody watches it: have it fed, if nobody publishes. False: there is nothing for it."""
        wanted = self.inlet is None and not self._concluding
        for supplier in tuple(self._suppliers) if wanted else ():
            try:
                if supplier.supply(self):
                    break
            except Exception:  # whatever is wrong with it, those who watch have no part in it
                self.log.failure("a supplier of {name} failed", name=redacted(self.name))
        return self.inlet is not None

    def conclude(self, *, now: bool = False) -> None:
        """
        End the publication for good, and tell viewers when they have all of it.

        It ends before its next key frame, or at once if nobody takes it, or it has to be `now`. Its
        publisher is not told: what else it sends is not taken.
        """
        self._concluding = True
        inlet = self.inlet
        if inlet is not None and not self.supplied:
            if now or not self._needed:
                inlet.end(release=True)
            else:
                inlet.conclude()
        elif self.live:
            if inlet is not None:
                self._displace(inlet, "nothing is supplied any more")
            if self._grace is not None:
                self._grace.cancel()
            self._over()

    def close(self, reason: str) -> None:
        """End it at once, for its publisher and for all viewers."""
        if self.inlet is not None:
            self._displace(self.inlet, reason)
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self._tell_outlets(live=False)
        self.audience.close()
        self._leave_if_unneeded()

    def sweep(self, now: float) -> None:
        """Once a second: end what takes too long."""
        window, audience = self.window, self.audience
        self._bytes_in.sample(now, window.total_size)
        self._bytes_out.sample(now, audience.bytes_out)
        self._frames.sample(now, window.frames)
        self.audience.sweep(now)
        if self.inlet is not None and self._vitals is not None:
            self._vitals.look(now)
            publisher = self.inlet.publisher
            for trouble, begins in self._vitals.health.look(now):
                publisher.troubled(trouble, begins=begins)
        if not self.live:
            self.audience.expire(now)
            if not self.audience.lagging:
                self.window.clear()

    @property
    def meter(self) -> StreamMeter:
        """What went in and out so far."""
        window, audience = self.window, self.audience
        skew = window.skew()
        return StreamMeter(
            name=self.name,
            state=self.state,
            viewers=len(audience.subscribers),
            lagging=audience.lagging,
            messages_in=window.head,
            bytes_in=window.total_size,
            bytes_out=audience.bytes_out,
            dropped=self._dropped + (self.inlet.meter.dropped if self.inlet is not None else 0),
            skipped=audience.skipped,
            window_messages=window.head - window.first,
            window_bytes=window.size,
            sweep_cost=audience.pace.cost,
            headers=len(window.headers),
            frames=window.frames,
            bitrate_in=self._bytes_in.speed * 8,
            bitrate_out=self._bytes_out.speed * 8,
            frame_rate=self._frames.speed,
            keyframe_interval=None if window.gop is None else window.gop / 1000,
            skew=None if skew is None else skew / 1000,
            window_duration=window.duration / 1000,
        )

    def _check_name(self, identity: Hashable) -> None:
        takeover = self.settings.takeover
        if takeover == "any":
            return
        if self.inlet is not None and not self.supplied:
            if takeover != "same":
                why = "is live already, and may not be taken over here"
            elif identity != self.inlet.identity:
                why = "is live already, and only its own publisher may take it over"
            else:
                return
        elif self._grace is not None and self._owner not in (None, (identity,)):
            why = f"is kept for its publisher, who may return within {self.settings.grace:g} s"
        else:
            return
        raise Refused(StatusCode.PUBLISH_BAD_NAME, f"{redacted(self.name)} {why}.")

    def _stop(self, inlet: Inlet) -> None:
        """Take it from its publisher."""
        inlet.stop()
        self._dropped += inlet.meter.dropped
        self.inlet = self._vitals = None

    def _displace(self, inlet: Inlet, reason: str) -> None:
        """Take it from its publisher, for good."""
        self._stop(inlet)
        inlet.publisher.displaced(reason)

    def _left(self, inlet: Inlet, release: bool) -> None:
        """An inlet's publisher has gone. Viewers may not notice, if it or another one returns."""
        self._dropped += inlet.meter.dropped
        self.inlet = self._vitals = None
        audience = self.audience
        audience.drain()
        if not inlet.publisher.stands_in:
            self._owner = None if release else (inlet.identity,)
            if not self._needed:
                self._forget()
            grace = 0.0 if self._concluding else self.settings.grace
            if audience.busy or (grace > 0 and (audience.subscribers or not release)):
                self._grace = self._clock.callLater(grace, self._over)
            if audience.subscribers and self.supply():
                self._tell_outlets(live=False)
                return
        elif self.window.begun is None and not inlet.meter.messages:
            self._leave_if_unneeded()  # nobody has seen anything that could be over
            return
        if self._grace is None:
            self._over()

    def _over(self) -> None:
        """The grace time is over, or there is none."""
        self._grace = self._owner = None
        if self.inlet is not None:  # something stands in: only the name was kept
            return
        self._tell_outlets(live=False)
        self.window.end()
        self.audience.over()
        self._leave_if_unneeded()

    @property
    def _needed(self) -> bool:
        """Whether somebody takes it and is not to notice when its publisher returns."""
        return bool(self.audience.subscribers or self.window.takers)

    def _tell_outlets(self, *, live: bool) -> None:
        if not live and not self._taken:
            return
        begins, self._taken = not self._taken, live
        for outlet in tuple(self._outlets):
            try:
                if live:
                    outlet.published(self, begins=begins)
                else:
                    outlet.ended(self)
            except Exception:  # whatever is wrong with it, the stream has no part in it
                self.log.failure("an outlet of {name} failed", name=redacted(self.name))

    def _forget(self) -> None:
        """Nobody takes it, so there is nothing to go on with: the next publication is the first."""
        self.window.end()
        self.window.clear()
        self.timeline = Timeline(self.window.interval)

    def _leave_if_unneeded(self) -> None:
        if self.audience.subscribers:
            return
        if self.inlet is not None and self.supplied:
            self._displace(self.inlet, "nobody watches it")
        if not self.live:
            self.audience.close()
            self.window.clear()  # what is in cycles waits for the garbage collector
            self._vanished(self)
