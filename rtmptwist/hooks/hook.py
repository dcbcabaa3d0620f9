"""One hook with all that belongs to it: whom it asks, how patiently, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from rtmptwist.hooks.answer import Answer
from rtmptwist.hooks.asking import Asking, Patience
from rtmptwist.hooks.carrier import Carrier
from rtmptwist.hooks.events import DONE, END_OF, Event
from rtmptwist.hooks.execution import Kept, ProgramCarrier
from rtmptwist.hooks.question import Question
from rtmptwist.hooks.telling import Telling


class Settings(Patience, Protocol):
    """What is configured of a hook; `config.schema.Hook` fits."""

    @property
    def on(self) -> Collection[str]:
        """Words: events, and `done`."""

    @property
    def mode(self) -> str:
        """`ask`, `tell` or `keep`."""

    @property
    def credentials(self) -> str:
        """`yes` or `no`: whether it gets the secrets that the server checks itself."""

    @property
    def restart(self) -> float:
        """Seconds before a program that is kept is started again."""

    @property
    def restarts(self) -> int:
        """How often in a row."""


class Hook:
    """Somebody outside who decides, or is told, or a program that keeps something company."""

    def __init__(self, settings: Settings, carrier: Carrier, clock: IReactorTime) -> None:
        self.name = settings.name
        self._settings = settings
        self._carrier = carrier
        self._clock = clock
        self._asking = Asking(settings, carrier, clock)
        self._telling = Telling(settings, carrier, clock)
        ends = set(END_OF.values()) if DONE in settings.on else set()
        self._events = ends.union(event for event in Event if event in settings.on)

    def decides(self, event: Event) -> bool:
        """Whether it has to be asked."""
        return self._settings.mode == "ask" and event in self._events

    async def ask(self, question: Question) -> Answer:
        """Its answer, or what stands for it."""
        return await self._asking.ask(self._fit(question))

    def tell(self, question: Question) -> None:
        """Something is over; it may want to know."""
        if question.event in self._events:
            self._telling.tell(self._fit(question))

    def attend(self, question: Question) -> Callable[[], None] | None:
        """Something begins that was allowed by all. What is to be called when it is over."""
        settings = self._settings
        if settings.mode == "tell":
            self.tell(question)
        elif settings.mode == "keep" and question.event in self._events:
            assert isinstance(self._carrier, ProgramCarrier)  # configuration allows no other
            return Kept(
                self.name,
                self._carrier.programs,
                self._fit(question).environment(),
                self._clock,
                pause=settings.restart,
                restarts=settings.restarts,
            ).stop
        return None

    def _fit(self, question: Question) -> Question:
        return question if self._settings.credentials == "yes" else question.public()

    async def close(self, drain: float) -> None:
        """Tell what there is to tell within `drain` seconds; then leave nothing behind."""
        await self._telling.close(drain)
        await self._carrier.close(drain)


class Hooks:
    """All hooks of a site."""

    log = Logger()

    def __init__(self, hooks: Collection[Hook]) -> None:
        self._hooks = hooks

    def close(self, drain: float) -> Deferred[Any]:
        """The server has stopped: tell of it, and leave nothing behind. Fires when done."""
        return DeferredList([Deferred.fromCoroutine(self._close(h, drain)) for h in self._hooks])

    async def _close(self, hook: Hook, drain: float) -> None:
        try:
            await hook.close(drain)
        except Exception:  # the others have to be closed as well
            self.log.failure("hook {name} could not be closed", name=hook.name)
