"""Rooms, each with so many places, and who is in them. Empty rooms are forgotten."""

from __future__ import annotations

from collections.abc import Hashable


class Full(Exception):
    """There is no place left."""


class Places:
    """
    All rooms. A guest who is in a room already needs no further place there.

    So a publisher who takes a stream's name over finds its place, although its predecessor has not
    left yet.
    """

    def __init__(self) -> None:
        self._rooms: dict[Hashable, dict[Hashable, int]] = {}

    def __len__(self) -> int:
        """Rooms in which somebody is."""
        return len(self._rooms)

    def taken(self, room: Hashable) -> int:
        """Guests in a room."""
        return len(self._rooms.get(room, ()))

    def full(self, room: Hashable, guest: Hashable, places: int | None) -> bool:
        """Whether others have taken all places. None: there is always one."""
        guests = self._rooms.get(room, {})
        return places is not None and len(guests) >= places and guest not in guests

    def take(self, room: Hashable, guest: Hashable, places: int | None) -> None:
        """
        Let a guest in, once more if it is there.

        Raises:
            Full: there is no place.
        """
        if places is not None and self.full(room, guest, places):
            raise Full
        guests = self._rooms.get(room)
        if guests is None:
            self._rooms[room] = {guest: 1}
        else:
            guests[guest] = guests.get(guest, 0) + 1

    def leave(self, room: Hashable, guest: Hashable) -> None:
        """The guest leaves, as often as it came."""
        guests = self._rooms[room]
        guests[guest] -= 1
        if not guests[guest]:
            del guests[guest]
        if not guests:
            del self._rooms[room]


class Seat:
    """One guest's places in several rooms, given back together and once."""

    __slots__ = ("_guest", "_places", "_rooms")

    def __init__(self, places: Places, guest: Hashable = None) -> None:
        """`guest`: who it is; None: somebody who is nobody else."""
        self._places = places
        self._guest = self if guest is None else guest
        self._rooms: list[Hashable] = []

    def take(self, room: Hashable, places: int | None) -> None:
        """
        Take a place in one more room; see `Places.take`.

        Raises:
            Full: there is none. All that this guest has taken so far is given back.
        """
        try:
            self._places.take(room, self._guest, places)
        except Full:
            self.leave()
            raise
        self._rooms.append(room)

    def leave(self) -> None:
        """Give all back; may be called again."""
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            self._places.leave(room, self._guest)
