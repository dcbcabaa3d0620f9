"""
The hooks of one application: asked one after the other, and told in the end.

A hook that has said yes hears of the end even when another one then said no, so that whoever counts
need not guess.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

from twisted.logger import Logger

from rtmptwist.amf.values import Value
from rtmptwist.hooks.answer import Answer
from rtmptwist.hooks.events import END_OF, RECORDED, Event
from rtmptwist.hooks.hook import Hook
from rtmptwist.hooks.question import Client, Question, outcome_of, outcome_of_recording
from rtmptwist.live.access import FREE, Terms, Usage
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import redacted
from rtmptwist.live.recordings import RecordEvent
from rtmptwist.wire.status import StatusCode

_REFUSALS: Final = {
    Event.CONNECT: (StatusCode.CONNECT_REJECTED, "You may not connect."),
    Event.PUBLISH: (StatusCode.PUBLISH_DENIED, "You may not publish this stream."),
    Event.PLAY: (StatusCode.PLAY_FAILED, "You may not watch this stream."),
}
"How a client hears it, and in which words if the hook has none."


@dataclass(frozen=True, slots=True)
class Consent:
    """All have agreed."""

    name: str
    "Of the stream: perhaps another one than was asked for."

    terms: Terms

    over: Callable[[Usage], None]
    "To be called once, when it has ended."


class Chain:
    """The hooks of an application, in their order."""

    log = Logger()

    def __init__(self, hooks: Sequence[Hook], now: Callable[[], float]) -> None:
        """`now`: seconds since the epoch."""
        self._hooks = hooks
        self._now = now

    async def agree(self, question: Question) -> Consent:
        """
        Ask all; each hears of the name that the one before it gave.

        Raises:
            Refused: one said no, or could not be asked.
        """
        agreed: list[Hook] = []
        terms = FREE
        try:
            for hook in self._hooks:
                if hook.decides(question.event):
                    answer = await hook.ask(question)
                    if not answer.allowed:
                        raise _refusal(question, answer)
                    agreed.append(hook)
                    terms = terms.narrowed(answer.limits)
                    question = self._renamed(question, answer, hook)
        except BaseException as error:
            self._end(agreed, question, Usage(why(error)))
            raise
        stops = [stop for hook in self._hooks if (stop := hook.attend(question)) is not None]

        def over(usage: Usage) -> None:
            for stop in stops:
                stop()
            self._end(self._hooks, question, usage)

        return Consent(question.name, terms, over)

    def recorded(self, app: str, host: str, event: RecordEvent) -> None:
        """Tell what a recorder of the application has done."""
        told = Question(
            RECORDED[event.turn],
            new_id(),
            self._now(),
            Client(0, ""),
            "",
            app,
            host,
            event.name,
            outcome=outcome_of_recording(event),
        )
        for hook in self._hooks:
            hook.tell(told)

    def _end(self, hooks: Iterable[Hook], question: Question, usage: Usage) -> None:
        end = replace(
            question,
            event=END_OF[question.event],
            id=new_id(),
            time=self._now(),
            outcome=outcome_of(usage),
        )
        for hook in hooks:
            hook.tell(end)

    def _renamed(self, question: Question, answer: Answer, hook: Hook) -> Question:
        if not answer.name or answer.name == question.name:
            return question
        self.log.info(
            "hook {name}: {old} of {address} is {new}",
            name=hook.name,
            old=redacted(question.name),
            address=question.client.address,
            new=redacted(answer.name),
        )
        return replace(question, name=answer.name)


def new_id() -> str:
    """Of one question."""
    return secrets.token_hex(16)


def why(error: BaseException) -> str:
    """Why something ended before it began, for whoever keeps records."""
    if isinstance(error, Refused):
        return error.status.description
    return "The connection ended before it was decided."


def _refusal(question: Question, answer: Answer) -> Refused:
    code, text = _REFUSALS[question.event]
    if not answer.redirect:
        return Refused(code, answer.reason or text)
    url = answer.redirect
    words = f"Please go to {redacted(url)}."
    # as AMS, Wowza and SRS say it; clients that do not know it show the text and end
    ex: dict[str, Value] = {"code": 302.0, "redirect": url}
    if question.event is not Event.CONNECT:
        ex["redirect"], ex["redirect2"] = _two_urls(url, question.name)
    return Refused(code, words, ex=ex)


def _two_urls(url: str, name: str) -> tuple[str, str]:
    """
    What SRS says to a publisher or a player: the URL to connect to, and that of the stream.

    `url` may be either; then the stream has the same name there.
    """
    parts = urlsplit(url)
    app, slash, stream = parts.path.strip("/").rpartition("/")
    if not slash:
        return url, urlunsplit(parts._replace(path=f"/{stream}/{quote(name)}"))
    return urlunsplit(parts._replace(path=f"/{app}", query="")), url
