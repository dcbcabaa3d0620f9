"""When a sign amounts to a trouble, and when that is over."""

from __future__ import annotations

from rtmptwist.live.health import QUIET, Health, Sign


def turns(health: Health, now: float, *signs: Sign) -> list[tuple[Sign, bool]]:
    """What a look tells of at which these show."""
    for sign in signs:
        health.see(sign, f"seen at {now:g}")
    return [(trouble.sign, begins) for trouble, begins in health.look(now)]


def test_a_sign_that_has_to_show_for_a_while() -> None:
    health = Health()
    told = [turns(health, now, Sign.SKEW) for now in range(7)]
    assert told == [[], [], [], [], [], [(Sign.SKEW, True)], []]
    (trouble,) = health.troubles.values()
    assert (trouble.since, trouble.words) == (5, "seen at 6")


def test_a_sign_that_breaks_off() -> None:
    health = Health()
    for now in range(5):
        assert turns(health, now, Sign.SKEW) == []
    assert turns(health, 5) == []
    for now in range(6, 11):
        assert turns(health, now, Sign.SKEW) == []
    assert turns(health, 11, Sign.SKEW) == [(Sign.SKEW, True)]


def test_a_trouble_that_comes_and_goes_is_one() -> None:
    health = Health()
    assert turns(health, 0, Sign.LONG_GOP) == [(Sign.LONG_GOP, True)]
    for now in range(1, 50):
        assert turns(health, now, *[Sign.LONG_GOP] * (now % 9 == 0)) == []
    for now in range(50, 56):
        assert turns(health, now) == []
    assert turns(health, 56) == [(Sign.LONG_GOP, False)]
    assert health.troubles == {}


def test_what_begins_again_need_not_fill_the_log() -> None:
    health = Health()
    again = []
    for now in range(int(3 * QUIET)):
        if now % 30 == 0:
            health.see(Sign.LONG_GOP, "long")
        again += [trouble.again for trouble, begins in health.look(now) if begins]
    assert again == [False, True, False, True, False, True]


def test_several_at_once() -> None:
    health = Health()
    begun = turns(health, 0, Sign.LONG_GOP, Sign.NO_AUDIO)
    assert begun == [(Sign.LONG_GOP, True), (Sign.NO_AUDIO, True)]
    assert turns(health, 1, Sign.LONG_GOP) == []
    assert turns(health, 4, Sign.LONG_GOP) == [(Sign.NO_AUDIO, False)]
    assert list(health.troubles) == [Sign.LONG_GOP]
