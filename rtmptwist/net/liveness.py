"""Whether a peer is still there: one that is silent is pinged, one that stays silent is dead."""

from __future__ import annotations

from typing import Final

from rtmptwist.wire.session import Session, State

PING_INTERVAL: Final = 30.0
"Seconds of silence after which a peer is pinged; nginx-rtmp waits for 60."

PING_TIMEOUT: Final = 30.0
"Seconds that it may take to answer, or to send anything at all."

_LONGEST_LOOK: Final = 5.0
"Seconds of silence that one look can count: the reactor's clock may have been set forward."


class Liveness:
    """Looks after one session, about once a second."""

    __slots__ = ("_asked", "_heard", "_interval", "_looked_at", "_session", "_silence", "_timeout")

    def __init__(
        self,
        session: Session,
        now: float,
        interval: float = PING_INTERVAL,
        timeout: float = PING_TIMEOUT,
    ) -> None:
        self._session = session
        self._interval = interval
        self._timeout = timeout
        self._looked_at = now
        self._heard = -1
        "Bytes in all."
        self._silence = 0.0
        self._asked = False

    def look(self, now: float, *, reading: bool = True) -> bool:
        """
        Give the peer its credit, and ping it if it is silent; False: it is dead.

        `reading`: its bytes are read at present; else its silence means nothing.

        Raises:
            LimitExceeded: as `Session.refill`.
        """
        session = self._session
        elapsed, self._looked_at = max(0.0, now - self._looked_at), now
        session.refill(elapsed)
        heard = session.bytes_received
        if heard != self._heard or not reading or session.state is not State.CONNECTED:
            self._heard, self._silence, self._asked = heard, 0.0, False
            return True
        self._silence += min(elapsed, _LONGEST_LOOK)
        if self._silence >= self._interval and not self._asked:
            self._asked = True
            self._silence = self._interval  # it has all of the time to answer from now on
            session.ping(int(now * 1000))
        return self._silence < self._interval + self._timeout
