"""
When the messages that came in may go out: a send costs the same however much it carries.

One write to one viewer costs 7 to 20 µs whether it carries a packet of sound or a picture, so under
load it pays to send less often. How often is decided here, for a stream as a whole, by what its
last sweep over all viewers has cost; the figures are in tests/bench/test_fanout.py.
"""

from __future__ import annotations

from typing import Final

EASE: Final = 2.0
"Sweeps begin at least so many times their own cost apart: a stream takes half of the core at most."

MAX_EASE: Final = 0.050
"Seconds that this may hold messages back."

PATIENCE: Final = 50.0
"Messages without a picture wait for the next one, up to so many times the cost of a sweep."

MAX_PATIENCE: Final = 0.045
"Seconds that this may take. Players render sound with its picture; 30 pictures/s are 33 ms apart."

TRIFLE: Final = 0.000_1
"A sweep that cost less than this is not worth a timer: some ten viewers."


class Pace:
    """Tells how long to wait. Times in seconds, by whatever clock the caller has."""

    __slots__ = ("_since", "_started", "cost", "merge")

    def __init__(self, merge: float) -> None:
        self.merge = merge
        self._started = float("-inf")
        self._since: float | None = None
        "When the oldest message that has not been sent yet was first asked about."
        self.cost = 0.0
        "What the last sweep took."

    def wait(self, now: float, *, picture: bool) -> float:
        """
        Seconds until what there is may be sent; not more than 0: now.

        `picture`: there is one among it, or there never will be.
        """
        if self._since is None or now < self._since:
            self._since = now
        if now < self._started:
            self._started = now  # the clock was set back
        due = self._started + self.merge
        if self.cost >= TRIFLE:
            due = max(due, self._started + min(EASE * self.cost, MAX_EASE))
            if not picture:
                due = max(due, self._since + min(PATIENCE * self.cost, MAX_PATIENCE))
        return due - now

    def start(self, now: float) -> None:
        """A sweep starts: all that was waiting goes out."""
        self._started = now
        self._since = None
        self.cost = 0.0

    def spend(self, seconds: float) -> None:
        """The sweep worked for so long; it may do so in several slices."""
        self.cost += max(seconds, 0.0)
