from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmptwist.amf.values import Value
from rtmptwist.hooks.events import END_OF, Event
from rtmptwist.hooks.question import OWN, Client, outcome_of
from rtmptwist.live.access import Usage, Visitor
from tests.support.live import Stage
from tests.support.questions import CLIENT, question

OUTCOME = outcome_of(Usage("It was over.", 12.3456, 1000, 20, 3))

FIELDS = {
    "call": "publish",
    "id": "0123",
    "time": 1_800_000_000,
    "app": "live",
    "vhost": "",
    "name": "show",
    "addr": "192.0.2.1",
    "clientid": 4711,
    "account": "alice",
    "flashver": "FMLE/3.0",
    "swfurl": "",
    "tcurl": "rtmp://example.org/live",
    "pageurl": "https://a.example/",
}


def test_as_json() -> None:
    said = json.loads(question(query={"token": "ä & ö"}).json())
    assert said == {**FIELDS, "args": {"token": "ä & ö"}}


def test_as_a_form() -> None:
    """nginx-rtmp puts the client's query among the fields: what was written for it looks there."""
    said = dict(parse_qsl(question(query={"token": "ä & ö"}).form().decode(), True, True))
    fields = {name: str(value) for name, value in FIELDS.items()}
    assert said == {**fields, "args": "token=%C3%A4+%26+%C3%B6", "token": "ä & ö"}


def test_as_an_environment() -> None:
    said = question(query={"token": "a b"}, name="sh\0ow").environment()
    assert said[b"RTMP_CALL"] == b"publish"
    assert said[b"RTMP_NAME"] == b"show"
    assert said[b"RTMP_CLIENTID"] == b"4711"
    assert said[b"RTMP_ARGS"] == b"token=a+b"
    assert len(said) == len(FIELDS) + 1


def test_what_came_of_it() -> None:
    said = question(Event.PUBLISH_DONE, outcome=OUTCOME).fields()
    assert (said["reason"], said["seconds"]) == ("It was over.", 12.346)
    assert (said["bytes"], said["messages"], said["dropped"]) == (1000, 20, 3)


def test_a_connection_has_no_name() -> None:
    assert "name" not in question(Event.CONNECT).fields()
    said = question(Event.DISCONNECT, outcome=OUTCOME).fields()
    assert said["seconds"] == 12.346
    assert {"name", "reason", "bytes", "messages", "dropped"}.isdisjoint(said)


@pytest.mark.parametrize("event", Event)
def test_no_field_can_be_said_by_a_client(event: Event) -> None:
    assert (
        question(event, outcome=OUTCOME if event in END_OF.values() else {}).fields().keys() < OWN
    )


QUERIES = st.dictionaries(
    st.sampled_from([*sorted(OWN), "token", "äö", "a&b="]) | st.text(), st.text()
)


@given(query=QUERIES, event=st.sampled_from(Event))
def test_nobody_speaks_in_the_server_s_name(query: dict[str, str], event: Event) -> None:
    """Of a form PHP takes the last of several fields, Python the first: there is only one."""
    asked = question(event, query=query)
    said = parse_qs(asked.form().decode(), keep_blank_values=True, errors="strict")
    for name, value in asked.fields().items():
        assert said[name] == [str(value)]
    assert (OWN - asked.fields().keys() - {"args"}).isdisjoint(said)


@given(query=st.dictionaries(st.text(), st.text()), name=st.text())
def test_whatever_is_said_can_be_sent(query: dict[str, str], name: str) -> None:
    asked = question(query=query, name=name)
    assert json.loads(asked.json())["args"] == query
    assert asked.form().isascii()
    assert not any(b"\0" in value for value in asked.environment().values())


def test_the_same_question_again() -> None:
    asked = question(query={"a": "1", "b": "2"})
    again = question(
        query={"b": "2", "a": "1"}, id="4567", time=2e9, client=replace(CLIENT, id=815)
    )
    assert asked.fingerprint() == again.fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        {"name": "other"},
        {"account": "bob"},
        {"app": "vod"},
        {"host": "example.org"},
        {"query": {"a": "2"}},
        {"event": Event.PLAY},
        {"client": replace(CLIENT, address="192.0.2.2")},
    ],
    ids=", ".join,
)
def test_another_question(other: dict[str, Any]) -> None:
    assert question(**other).fingerprint() != question().fingerprint()


def test_what_a_client_says_of_itself() -> None:
    said: dict[str, Value] = {
        "flashVer": "FMLE/3.0\r\nX: y",
        "tcUrl": "rtmp://example.org/live" + "x" * 2000,
        "pageUrl": 17.0,
    }
    visitor = Visitor("192.0.2.1", Stage().application, properties=said)
    client = Client.of(visitor, 5)
    assert (client.id, client.address) == (5, "192.0.2.1")
    assert client.flash_version == "FMLE/3.0\ufffd\ufffdX: y"
    assert len(client.tc_url) == 1024
    assert (client.swf_url, client.page_url) == ("", "")


SECRETS = frozenset({"key", "password"})


def test_what_the_server_checks_itself_is_left_out() -> None:
    asked = question(
        query={"key": "geheim", "user": "alice", "more": "1"},
        client=Client(
            1,
            "192.0.2.1",
            "FMLE/3.0",
            "rtmp://alice:geheim@h/live/key_geheim/x?password=geheim",
            "http://h/key_geheim",
            "http://h/?p%61ssword=geheim",
        ),
        secrets=SECRETS,
    ).public()
    assert asked.query == {"user": "alice", "more": "1"}
    said = asked.fields()
    assert [said[key] for key in ("tcurl", "swfurl", "pageurl")] == [
        "rtmp://h/live/key_…/x",
        "http://h/key_…",
        "http://h/",
    ]
    assert (said["flashver"], said["clientid"]) == ("FMLE/3.0", 1)
    for words in (asked.json(), asked.form(), b"".join(asked.environment().values())):
        assert b"geheim" not in words


def test_what_it_does_not_check_is_there_but_for_logins() -> None:
    client = replace(CLIENT, tc_url="rtmp://a:geheim@h/live?key=1", page_url="http://h/@home?a@b")
    public = question(query={"key": "1"}, client=client).public()
    assert public.query == {"key": "1"}
    assert public.client.tc_url == "rtmp://h/live?key=1"
    assert public.client.page_url == "http://h/@home?a@b"


def test_where_nothing_is_secret_nothing_is_made_anew() -> None:
    asked = question(query={"more": "1"}, secrets=SECRETS)
    assert asked.public() is asked


def test_no_secrets_in_logs() -> None:
    asked = question(
        name="geheimnis",
        query={"token": "geheimnis"},
        client=Client(1, "192.0.2.1", "", *3 * ("rtmp://a:geheimnis@b/c?geheimnis",)),
    )
    assert "geheimnis" not in repr(asked)
