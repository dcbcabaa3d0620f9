"""Streams: the truth about each, and their end."""

from __future__ import annotations

import json

from tests.support.manned import Manned, watched


def test_a_stream_its_publisher_and_its_viewer(manned: Manned) -> None:
    watched(manned)
    stream = manned.only("streams")
    assert (stream["application"], stream["name"], stream["state"]) == ("live", "show", "live")
    assert (stream["viewers"], stream["publisher"], stream["variant"]) == (1, 1, "rtmp")
    video, audio = stream["tracks"]
    assert (video["profile"], video["width"], video["height"]) == ("High", 320, 180)
    assert (audio["parameters"], video["sample_rate"]) == ("mp4a.40.2", None)
    assert stream["frame_rate"]["over_1s"] == stream["frames"] > 0
    assert manned.ask("GET", f"streams/{stream['id']}") == (200, stream)
    viewer = manned.only(f"streams/{stream['id']}/viewers")
    (use,) = viewer["uses"]
    assert (use["action"], use["stream"], use["name"]) == ("play", stream["id"], "live/show")
    assert (use["state"], use["queue_bytes"], use["skips"]) == ("flowing", 0, 0)
    assert use["first_frame"] is not None
    assert use["bytes"] == stream["bytes_out"]
    status, publisher = manned.ask("GET", f"connections/{stream['publisher']}")
    assert status == 200
    assert (publisher["variant"], publisher["handshake"], publisher["application"]) == (
        "rtmp",
        "digest",
        "live",
    )
    assert publisher["uses"][0]["bytes"] == stream["bytes_in"]
    assert publisher["uses"][0]["state"] is None
    assert publisher["steps"][0] == {
        "number": 1,
        "time": publisher["since"],
        "way": "here",
        "words": "handshake digest",
    }
    assert (publisher["steps"][-1]["way"], publisher["steps"][-1]["words"]) == (
        "sent",
        "NetStream.Publish.Start",
    )
    application = manned.ask("GET", "applications/live")[1]
    for name in ("bytes_in", "bytes_out", "viewers", "bitrate_in"):
        assert application[name] == stream[name]
    server = manned.ask("GET", "server")[1]
    assert (server["connections"], server["by_variant"]) == (2, {"rtmp": 2})
    assert (server["streams"], server["viewers"], server["ready"]) == (1, 1, True)
    assert server["bytes_in"] == viewer["bytes_in"] + publisher["bytes_in"]
    assert server["bytes_out"] == viewer["bytes_out"] + publisher["bytes_out"]


def test_names_that_may_be_secrets_are_cut(manned: Manned) -> None:
    manned.site.publish("a-secret-that-is-a-name")
    for path in ("streams", "connections", "applications", "server"):
        assert "a-secret" not in json.dumps(manned.ask("GET", path))
    assert manned.only("streams?name=a-secret-that-is-a-name")["name"].startswith("a-s…")


def test_a_stream_is_closed(manned: Manned) -> None:
    publisher, viewer = watched(manned)
    name = manned.only("streams")["id"]
    assert manned.ask("POST", f"streams/{name}/close", {}) == (204, None)
    manned.site.pump()
    assert viewer.told[-1] == "Play.Stop"
    assert publisher.connection.closed
    assert manned.ask("POST", f"streams/{name}/close", {})[0] == 404
