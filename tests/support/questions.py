"""Questions of hooks, and hooks that answer as a test wants, without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from rtmptwist.config.schema import Hook as Settings
from rtmptwist.hooks.answer import Answer, NoAnswer
from rtmptwist.hooks.events import Event
from rtmptwist.hooks.question import Client, Question

CLIENT = Client(4711, "192.0.2.1", "FMLE/3.0", "rtmp://example.org/live", "", "https://a.example/")


def question(event: Event = Event.PUBLISH, name: str = "show", **more: Any) -> Question:
    """Somebody wants to publish, or whatever."""
    more = {
        "id": "0123",
        "time": 1_800_000_000.5,
        "client": CLIENT,
        "account": "alice",
        "app": "live",
        **more,
    }
    if event not in (Event.CONNECT, Event.DISCONNECT):
        more["name"] = name
    return Question(event, **more)


def settings(name: str = "backend", **keys: Any) -> Settings:
    """A hook's section."""
    if "on" in keys:
        keys["on"] = frozenset(keys["on"].split())
    return Settings(**{"name": name, "url": "http://example.org/", **keys})


class FakeCarrier:
    """`hooks.carrier.Carrier`: every question waits for the test to `answer` it."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.waiting: list[Deferred[Answer]] = []
        self.given_up = 0
        self.closed = False
        self.at_once: Callable[[Question], Answer] | None = None
        "How questions are answered that need not wait."

    async def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        if self.at_once is not None:
            return self.at_once(question)
        waiting: Deferred[Answer] = Deferred(self._cancel)
        self.waiting.append(waiting)
        return await waiting

    async def close(self, patience: float) -> None:
        self.closed = True

    def _cancel(self, waiting: Deferred[Answer]) -> None:
        self.given_up += 1
        self.waiting.remove(waiting)

    def answer(self, answer: Answer | None = None) -> None:
        """Answer the oldest question that waits."""
        self.waiting.pop(0).callback(answer or Answer())

    def fail(self, why: str = "it is broken") -> None:
        """Do not."""
        self.waiting.pop(0).errback(NoAnswer(why))
