"""The API's document: what people read of it, and that all of the API is in it."""

from __future__ import annotations

import json

from rtmptwist.live.journal import EventKind
from rtmptwist.web.api.openapi import ENDLESS, document
from rtmptwist.web.api.resource import PREFIX, ROUTES

DOCUMENT = document(ROUTES, PREFIX)


def test_every_route_is_there_once() -> None:
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) == len(ROUTES)
    assert all(operation["summary"] for operation in operations)


def test_what_may_be_null_says_so() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    stream = schemas["Stream"]
    assert stream["properties"]["skew"] == {"type": ["number", "null"]}
    assert stream["properties"]["frame_rate"] == {"$ref": "#/components/schemas/Rate"}
    assert stream["properties"]["tracks"]["items"] == {"$ref": "#/components/schemas/Track"}
    assert schemas["Server"]["properties"]["by_variant"]["additionalProperties"] == {
        "type": "integer"
    }
    assert stream["required"] == list(stream["properties"])


def test_a_body_is_described() -> None:
    body = DOCUMENT["paths"]["/bans"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["required"] == ["kind", "who"]
    assert body["schema"]["properties"]["kind"]["enum"] == ["address", "account"]
    assert "default" not in body["schema"]["properties"]["seconds"]
    assert json.dumps(DOCUMENT)


def test_events_are_described() -> None:
    events = DOCUMENT["paths"]["/events"]["get"]
    assert events["tags"] == [ENDLESS]
    (content,) = events["responses"]["200"]["content"].items()
    assert content[0] == "text/event-stream"
    assert "connect" in content[1]["schema"]["description"]
    kinds, *_, last = events["parameters"]
    assert (kinds["name"], kinds["style"], kinds["explode"]) == ("kinds", "form", False)
    assert kinds["schema"]["items"]["enum"] == list(EventKind)
    assert last["name"] == "Last-Event-ID"
    schemas = DOCUMENT["components"]["schemas"]
    assert schemas["Gap"]["properties"] == {"missed": {"type": ["integer", "null"]}}
    assert schemas["Statistics"]["properties"]["streams"]["items"] == {
        "$ref": "#/components/schemas/Glance"
    }
