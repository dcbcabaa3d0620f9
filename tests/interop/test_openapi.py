"""The API does what its document says, whatever schemathesis thinks of."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from rtmptwist.web.api.openapi import ENDLESS, document
from rtmptwist.web.api.resource import PREFIX, ROUTES
from tests.interop.test_operation import ADMIN, forever
from tests.support.programs import LISTENER, PATIENCE, Site, programs, serve

pytestmark = pytest.mark.interop

DOCUMENT = document(ROUTES, PREFIX)
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"Others are not let in: the first byte of a connection says that it is HTTP."

ALLOWED = ["2xx", "404", "422"]
"""
Of requests that fit the document: things come and go, and not every text is the address of somebody
to be banned.
"""

DRAIN = "/drain"
"Ends the server, which is not what the requests after it want: test_drain has it."

SCHEMA = (
    schemathesis.openapi.from_dict(
        DOCUMENT,
        config=schemathesis.Config.from_dict(
            {
                "phases": {"coverage": {"unexpected-methods": METHODS}},
                "checks": {"positive_data_acceptance": {"expected-statuses": ALLOWED}},
            }
        ),
    )
    .exclude(path=DRAIN)
    .exclude(tag=ENDLESS)
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server with something to show."""
    with programs() as started:
        site = serve(started, listeners=LISTENER + ADMIN)
        started.start(*forever("rtmp", site.url("live/show")))
        site.wait_for("publishes live/show")
        yield site
        log = site.log()
        assert "failed" not in log, log[-4000:]
        assert "Traceback" not in log, log[-4000:]


def test_the_server_has_its_document(site: Site) -> None:
    address = site.url("api/v1/openapi.json", "http", "admin")
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        assert json.loads(answer.read()) == json.loads(json.dumps(DOCUMENT))


@SCHEMA.parametrize()
@settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_request_is_answered_as_the_document_says(
    case: schemathesis.Case[Any], site: Site
) -> None:
    case.call_and_validate(
        base_url=site.url("api/v1", "http", "admin"),
        headers={"X-Requested-With": "schemathesis"},
        timeout=PATIENCE,
    )
