"""Which network an address belongs to."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from rtmptwist.live.networks import holder, place, within

NETWORKS = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("fe80::/10")]


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:11.1.2.3", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("fe80::1%eth0", True),
        ("unix", False),
        ("", False),
    ],
)
def test_within(host: str, inside: bool) -> None:
    assert within(host, NETWORKS) is inside
    assert not within(host, [])


@pytest.mark.parametrize(
    ("host", "counts_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff::1%eth0", "2001:db8::/64"),
        ("2001:db8:0:1::", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(host: str, counts_as: str) -> None:
    assert place(host) == counts_as


@pytest.mark.parametrize(
    ("host", "answers"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::1", "2001:db8::/48"),
        ("2001:db8:7:ffff::1%eth0", "2001:db8:7::/48"),
        ("unix", "unix"),
    ],
)
def test_who_answers_for_an_address(host: str, answers: str) -> None:
    assert holder(host) == answers
