"""
All viewers of one stream: when they are sent what is new, where they begin, how they leave.

What they are sent, and how the slow ones catch up, is `live.fanout`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from rtmptwist.live.fanout import Fanout
from rtmptwist.live.interfaces import EndReason, Format, Player, StreamSettings, Writer
from rtmptwist.live.pace import Pace
from rtmptwist.live.subscriber import State, Subscriber
from rtmptwist.live.window import Window

SLICE: Final = 256
"Subscribers served in one turn of the reactor: about 2 ms, in which nobody else is heard."

FEW: Final = 8
"So many subscribers cost less than to think about when to serve them."


class Audience:
    """The subscribers of one stream."""

    log = Logger()

    def __init__(
        self,
        window: Window,
        settings: StreamSettings,
        clock: IReactorTime,
        left: Callable[[], None],
    ) -> None:
        """`left` is called when the last subscriber has gone."""
        self.subscribers: dict[Subscriber, None] = {}
        self.pace = Pace(settings.merge)
        self.busy = False
        "In the middle of a sweep, which is where whoever calls now was called from."
        self._window = window
        self._settings = settings
        self._clock = clock
        self._left = left
        self._fanouts: dict[Format, Fanout] = {}
        self._unserved: list[Fanout] = []
        "Fan-outs that the present sweep is not through with."
        self._timer: IDelayedCall | None = None
        "Calls `flush` when the pace allows a sweep."
        self._slice: IDelayedCall | None = None
        "Goes on with a sweep."
        self._bytes_out = 0
        self._skipped = 0

    # ----------------------------------------------------------------- sweeps

    def flush(self) -> None:
        """Send what is new: now, or when the pace allows."""
        window = self._window
        if window.edge == window.head or self._unserved:
            return
        if not self.subscribers:
            window.edge = window.head
            return
        pace = self.pace
        if pace.merge == 0 and len(self.subscribers) < FEW:
            self._sweep(SLICE)
            return
        picture = not window.pictures or window.picture >= window.edge
        wait = pace.wait(self._clock.seconds(), picture=picture)
        if wait <= 0:
            self._sweep(SLICE)
        elif self._timer is None:
            self._timer = self._clock.callLater(wait, self._on_time)
        elif self._timer.getTime() - self._clock.seconds() > wait:
            self._timer.reset(wait)

    def drain(self) -> None:
        """Send what is new to all who keep up before returning, however many they are."""
        if not self.busy:
            self._work(len(self.subscribers) + 1, self._clock.seconds())
            self._sweep(len(self.subscribers) + 1)

    def _on_time(self) -> None:
        self._timer = None
        self.flush()

    def _on_slice(self) -> None:
        self._slice = None
        self._work(SLICE, self._clock.seconds())
        if not self._unserved:
            self.flush()

    def _sweep(self, budget: int) -> None:
        """Make a batch of what is new and send it to as many as the budget allows."""
        window = self._window
        began = self._clock.seconds()
        self.busy = True
        base, window.edge = window.edge, window.head
        fanouts = list(self._fanouts.values())
        for fanout in fanouts:
            fanout.wake(base)
        for fanout in fanouts:
            fanout.begin()
        self._unserved = fanouts
        self.pace.start(began)
        self._work(budget, began)

    def _work(self, budget: int, began: float) -> None:
        """Go on with the sweep; the rest has its turn after everybody else was heard."""
        unserved = self._unserved
        self.busy = True
        while unserved and budget:
            try:
                budget = unserved[-1].work(budget)
            except Exception:  # whatever is wrong with one viewer, the others have no part in it
                self.log.failure("a viewer failed")
                continue
            if budget:
                unserved.pop()
        self.busy = False
        self.pace.spend(self._clock.seconds() - began)
        if unserved and self._slice is None:
            self._slice = self._clock.callLater(0, self._on_slice)

    # ------------------------------------------------------------ subscribers

    def subscribe(
        self, form: Format, writer: Writer, player: Player, duration: int | None
    ) -> Subscriber:
        """Let a viewer in. It is sent nothing until its first `resume`."""
        now = self._clock.seconds()
        subscriber = Subscriber(self, form, writer, player, duration, now)
        self.subscribers[subscriber] = None
        return subscriber

    def start(self, subscriber: Subscriber) -> None:
        """Serve a new viewer from where the application wants it to begin."""
        window = self._window
        form = subscriber.format
        fanout = self._fanout(form)
        join, start, edge = self._settings.join, window.start, window.edge
        if window.begun is None:
            fanout.enter(subscriber, min(window.origin, edge))  # nothing was missed
        elif not (form.video and window.pictures):
            fanout.enter(subscriber, edge)
        elif join == "live-edge":
            self._begin_with_sound(subscriber, edge)
        elif join == "keyframe" or start is None or start > edge:
            fanout.wait(subscriber)
        else:
            fanout.enter(subscriber, start)

    def rejoin(self, subscriber: Subscriber, number: int) -> None:
        """Serve a viewer who has been elsewhere, from a message on."""
        self._fanout(subscriber.format).enter(subscriber, min(number, self._window.edge))

    def change(self, subscriber: Subscriber, form: Format) -> None:
        """Serve it in another format from here on."""
        old, subscriber.format = subscriber.format, form
        served, waits = subscriber.fanout, subscriber.state is State.WAITING
        if old == form or served is None:
            return
        window = self._window
        pictures = form.video and window.pictures
        self.detach(subscriber)
        if waits and pictures:
            self._fanout(form).wait(subscriber)
        elif waits:
            self._fanout(form).enter(subscriber, window.edge)
        elif pictures and not served.format.video:
            self._begin_with_sound(subscriber, subscriber.cursor)
        else:
            # all headers again: what was switched on needs them, the others do no harm
            self._fanout(form).enter(subscriber, subscriber.cursor)

    def detach(self, subscriber: Subscriber) -> None:
        """Serve it no more for now; its cursor tells how far it got."""
        served, wanted = subscriber.fanout, subscriber.wanted
        subscriber.fanout = subscriber.wanted = None
        if wanted is not None:
            wanted.unwait(subscriber)
            self._prune(wanted)
        if served is not None:
            served.release(subscriber)
            self._prune(served)

    def leave(self, subscriber: Subscriber) -> None:
        """It is gone."""
        self.detach(subscriber)
        subscriber.state = State.CLOSED
        del self.subscribers[subscriber]
        if not self.subscribers:
            self._left()

    def _begin_with_sound(self, subscriber: Subscriber, cursor: int) -> None:
        """Serve it the sound from `cursor` on, and everything from the next key frame on."""
        form = subscriber.format
        sound = self._fanout(form.select(video=False))
        sound.enter(subscriber, cursor)
        if subscriber.fanout is sound:
            wanted = subscriber.wanted = self._fanout(form)
            wanted.waiting[subscriber] = None

    def _fanout(self, form: Format) -> Fanout:
        fanout = self._fanouts.get(form)
        if fanout is None:
            fanout = self._fanouts[form] = Fanout(form, self._window, self._clock)
        return fanout

    def _prune(self, fanout: Fanout) -> None:
        if fanout.empty and self._fanouts.pop(fanout.format, None) is not None:
            self._bytes_out += fanout.bytes_out
            self._skipped += fanout.skipped

    # ------------------------------------------------------------ publication

    def published(self) -> None:
        """A publication begins, or goes on after a break."""
        for subscriber in tuple(self.subscribers):
            subscriber.owed = False
            if subscriber.state is not State.CLOSED:
                subscriber.player.published()

    def over(self) -> None:
        """The publication is over. Those who lag are told when they have got the rest of it."""
        for subscriber in tuple(self.subscribers):
            if subscriber.state is State.WAITING or subscriber.wanted is not None:
                # what it waits for will not come; the next publication it gets from its beginning
                self.detach(subscriber)
                self._fanout(subscriber.format).enter(subscriber, self._window.edge)
            if subscriber.state is State.LAGGING:
                subscriber.owed = True
            elif subscriber.state is not State.CLOSED:
                self.part(subscriber)

    def part(self, subscriber: Subscriber) -> None:
        """Tell one viewer so."""
        subscriber.owed = False
        subscriber.since = self._clock.seconds()
        if self._settings.after_end == "close":
            subscriber.end(EndReason.UNPUBLISHED)
        else:
            subscriber.player.unpublished()

    def close(self) -> None:
        """End everybody's subscription."""
        for subscriber in tuple(self.subscribers):
            subscriber.end(EndReason.CLOSED)
        for timer in (self._timer, self._slice):
            if timer is not None and timer.active():
                timer.cancel()

    # ------------------------------------------------------------ once a second

    def sweep(self, now: float) -> None:
        """End those that take nothing, and give back what is kept for those who join."""
        for fanout in tuple(self._fanouts.values()):
            fanout.forget()
            self._prune(fanout)
            for subscriber, since in tuple(fanout.lagging.items()):
                if now - since >= self._settings.stall_timeout:
                    subscriber.end(EndReason.STALLED)

    def expire(self, now: float) -> None:
        """Nobody publishes: end those that have waited for long enough."""
        for subscriber in tuple(self.subscribers):
            waited = now - subscriber.since
            if waited >= self._settings.wait and not subscriber.owed:
                subscriber.end(EndReason.NOT_FOUND)

    # ----------------------------------------------------------------- figures

    @property
    def lagging(self) -> int:
        """How many subscribers do not keep up at this moment."""
        return sum(len(fanout.lagging) for fanout in self._fanouts.values())

    @property
    def bytes_out(self) -> int:
        """Bytes sent to all."""
        return self._bytes_out + sum(fanout.bytes_out for fanout in self._fanouts.values())

    @property
    def skipped(self) -> int:
        """Messages left out for slow viewers."""
        return self._skipped + sum(fanout.skipped for fanout in self._fanouts.values())
