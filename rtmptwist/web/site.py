"""One HTTP listener: a Klein app that has the routes of everything that is served there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from klein import Klein
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.http import Request as HTTPRequest
from twisted.web.server import Site as WebSite

from rtmptwist.net.tunnels import Tunnels
from rtmptwist.web.channel import Channel
from rtmptwist.web.express import ExpressChannel

Mount = Callable[[Klein], None]
"Adds its routes to a listener's app."


class Site(WebSite):
    """The factory of a listener's HTTP connections."""

    noisy = False

    def __init__(
        self, clock: IReactorTime, mounts: Iterable[Mount], tunnels: Tunnels | None = None
    ) -> None:
        """With `tunnels`, which one of `mounts` serves, their requests take the express lane."""
        app = Klein()
        app.url_map.merge_slashes = False  # what is not there is not there: no redirections
        for mount in mounts:
            mount(app)
        super().__init__(app.resource(), reactor=clock, parsePOSTFormSubmission=False)
        self._channel: Callable[[], Channel] = (
            partial(Channel, self, clock)
            if tunnels is None
            else partial(ExpressChannel, self, clock, tunnels)
        )

    def buildProtocol(  # type: ignore[override]  # what twisted.web wraps, without its wrapper
        self,
        addr: IAddress | None,  # noqa: ARG002 - Twisted's
    ) -> Channel:
        """HTTP/1 only: nobody wants to wait for a choice of HTTP/2 that we do not offer."""
        return self._channel()

    def startFactory(self) -> None:
        """No access log: a viewer makes 40 requests a second."""

    def stopFactory(self) -> None:
        """No access log."""

    def log(self, request: HTTPRequest) -> None:
        """No access log."""
