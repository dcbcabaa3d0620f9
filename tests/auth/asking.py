"""Somebody who asks a proof."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from rtmptwist.auth.proofs import Proof
from rtmptwist.live.access import Action, Grant, Request, Visitor
from rtmptwist.live.application import Application
from rtmptwist.live.errors import Refused
from rtmptwist.live.names import parse_connect, stream_name
from rtmptwist.wire.status import StatusCode
from tests.support.live import Settings
from tests.support.memory import failure_of, result_of


def application(name: str = "live", host: str = "") -> Application:
    return Application(name, Settings(), Clock(), host=host)


LIVE = application()


def asked(
    proof: Proof,
    name: str,
    action: Action = Action.PUBLISH,
    *,
    app: str = "",
    where: Application = LIVE,
    address: str = "192.0.2.1",
    user: str = "",
) -> Deferred[Grant | None]:
    """What comes of a stream's name; `app` is what a client says in connect, with its query."""
    target = parse_connect(app or where.name)
    visitor = Visitor(address, where, target.query)
    said = stream_name(target, name)
    path = said.path.removeprefix(f"{where.name}/")
    request = Request(action, visitor, where, path, said.query, said.doubled)
    return Deferred.fromCoroutine(proof.grant(request, user))


def granted(*question: object, **more: object) -> Grant:
    """A yes."""
    grant = result_of(asked(*question, **more))  # type: ignore[arg-type]
    assert grant is not None
    return grant


def unknown(*question: object, **more: object) -> bool:
    """The proof knows nothing of it."""
    return result_of(asked(*question, **more)) is None  # type: ignore[arg-type]


def refusal(*question: object, **more: object) -> tuple[StatusCode, str]:
    """A no."""
    error = failure_of(asked(*question, **more))  # type: ignore[arg-type]
    assert isinstance(error, Refused)
    assert len(error.status.description) < 256  # FFmpeg's buffer
    return error.status.code, error.status.description
