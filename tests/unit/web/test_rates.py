"""Buckets by a clock of the tests' own."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from terrapod_core.settings import Limits
from terrapod_core.web.rates import Allowance, Credential, CredentialKind, LocalMeter, RateLimited, RateLimits

TEN = Allowance("token", 10.0, 20, 10)
GOOD = Credential.of(CredentialKind.TOKEN, "good")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(clock: Clock, *, token: int = 30, address: int = 20, run: int = 1000) -> RateLimits:
    settings = Limits(requests_per_second_per_token=token, requests_per_second_per_address=address, requests_per_minute_per_run=run)
    return RateLimits(settings, LocalMeter(clock))


async def ask(rates: RateLimits, credential: Credential | None, address: str = "203.0.113.7", *, right: bool = False) -> int | None:
    """Seconds to wait, or `None` when it was let in."""
    try:
        admitted = await rates.admit(credential, address)
    except RateLimited as refused:
        return refused.retry_after
    if right:
        await rates.prove(admitted, "at-1")
    return None


async def test_a_burst_goes_and_then_so_many_a_second(clock: Clock) -> None:
    meter = LocalMeter(clock)
    assert [await meter.take("one", TEN) for _ in range(20)] == [0.0] * 20
    assert await meter.take("one", TEN) == pytest.approx(0.1)
    assert await meter.take("another", TEN) == 0.0
    clock.now += 0.35
    assert [bool(await meter.take("one", TEN)) for _ in range(4)] == [False, False, False, True]
    clock.now += 1000
    assert [bool(await meter.take("one", TEN)) for _ in range(21)] == [False] * 20 + [True]


@given(st.lists(st.floats(0.0, 0.5), max_size=200))
async def test_never_more_than_the_burst_and_the_rate_go(pauses: list[float]) -> None:
    clock, taken = Clock(), 0
    meter = LocalMeter(clock)
    for pause in pauses:
        clock.now += pause
        taken += await meter.take("one", TEN) == 0.0
        assert taken <= 20 + (clock.now - 1000.0) * 10 + 1e-6


async def test_what_is_given_back_can_be_taken_again(clock: Clock) -> None:
    meter = LocalMeter(clock)
    for _ in range(20):
        await meter.take("one", TEN)
    await meter.give_back("one", TEN)
    assert await meter.take("one", TEN) == 0.0
    assert await meter.take("one", TEN) > 0.0


async def test_nobody_fills_the_memory_with_keys(clock: Clock) -> None:
    meter = LocalMeter(clock, most=100)
    for number in range(1000):
        await meter.take(str(number), TEN)
    assert len(meter._empty_at) <= 100
    clock.now += 60
    for number in range(101):
        await meter.take(str(number), TEN)
    assert len(meter._empty_at) <= 101


async def test_nobody_fills_the_memory_with_what_proved_valid(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """One session with ever other cookies would."""
    monkeypatch.setattr("terrapod_core.web.rates.MOST_PROVED", 100)
    rates = limits(clock, address=0)
    for number in range(1000):
        await rates.prove(await rates.admit(Credential.of(CredentialKind.TOKEN, str(number)), "203.0.113.7"), "at-1")
    assert len(rates._proved) <= 100


async def test_a_subscriber_of_ipv6_has_one_limit(clock: Clock) -> None:
    rates = limits(clock)
    answers = [await ask(rates, None, f"2001:db8::{number:x}") for number in range(100)]
    assert answers.count(None) == 40
    assert await ask(rates, None, "2001:db8:0:1::1") is None


async def test_a_valid_token_has_its_own_limit_wherever_it_is_used(clock: Clock) -> None:
    rates = limits(clock)
    answers = [await ask(rates, GOOD, f"203.0.113.{number % 200}", right=True) for number in range(61)]
    assert answers == [None] * 60 + [1]


async def test_valid_tokens_behind_one_address_do_not_share_a_limit(clock: Clock) -> None:
    rates = limits(clock)
    for number in range(200):
        admitted = await rates.admit(Credential.of(CredentialKind.TOKEN, f"token {number}"), "203.0.113.7")
        await rates.prove(admitted, f"at-{number}")


async def test_a_guesser_is_stopped_and_the_neighbours_tokens_are_not(clock: Clock) -> None:
    rates = limits(clock)
    assert await ask(rates, GOOD, right=True) is None
    guesses = [await ask(rates, Credential.of(CredentialKind.TOKEN, str(number))) for number in range(100)]
    assert guesses.count(None) == 40
    assert await ask(rates, GOOD) is None
    assert await ask(rates, None) == 1
    assert await ask(rates, None, "203.0.113.8") is None
    clock.now += 1
    assert await ask(rates, None) is None


async def test_one_session_with_ever_other_cookies_gains_nothing(clock: Clock) -> None:
    rates = limits(clock)
    answers = [await ask(rates, Credential.of(CredentialKind.TOKEN, f"session=1; junk={number}"), right=True) for number in range(300)]
    assert answers.count(None) <= 60 + 40


async def test_a_token_that_was_revoked_counts_for_its_address_again(clock: Clock) -> None:
    rates = limits(clock)
    await ask(rates, GOOD, right=True)
    rates.disprove(await rates.admit(GOOD, "203.0.113.7"))
    answers = [await ask(rates, GOOD) for _ in range(50)]
    assert answers.count(None) == 40


async def test_a_run_has_a_limit_by_the_minute(clock: Clock) -> None:
    rates, phase = limits(clock), Credential.of(CredentialKind.PHASE, "phase")
    await rates.prove(await rates.admit(phase, "203.0.113.7"), None)
    taken = 0
    for _ in range(2400):
        clock.now += 0.025
        taken += await ask(rates, phase) is None
    assert 1000 <= taken + 1 <= 1000 + 34
    assert "X-RateLimit-Limit" in (await refusal(rates, phase)).headers


async def test_a_run_s_terraform_is_counted_by_the_run_and_not_as_a_person(clock: Clock) -> None:
    rates, tokens = limits(clock, token=1), [Credential.of(CredentialKind.ENGINE, text) for text in ("one", "its other")]
    for token in tokens:
        await rates.prove(await rates.admit(token, "203.0.113.7"), "plan-1")
    answers = [await ask(rates, tokens[number % 2]) for number in range(40)]
    assert answers.count(None) == 34 - 2
    assert "with this run's token" in (await refusal(rates, tokens[0])).detail


@pytest.mark.parametrize(("rate", "shown"), [(30, "30"), (29, None), (1, None), (500, "500")])
async def test_a_refusal_says_when_to_come_back_and_no_limit_that_clients_would_crawl_under(
    rate: int, shown: str | None, clock: Clock
) -> None:
    rates = limits(clock, token=rate)
    await ask(rates, GOOD, right=True)
    refused = await refusal(rates, GOOD)
    assert refused.headers["X-RateLimit-Reset"] == str(refused.retry_after) == "1"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert refused.headers.get("X-RateLimit-Limit") == shown


async def test_zero_sets_no_limit(clock: Clock) -> None:
    rates = limits(clock, token=0, address=0, run=0)
    for kind in CredentialKind:
        assert [await ask(rates, Credential.of(kind, "x"), right=True) for _ in range(200)] == [None] * 200
    assert [await ask(rates, None) for _ in range(200)] == [None] * 200


async def test_no_text_of_a_token_is_kept(clock: Clock) -> None:
    assert "good" not in repr(GOOD)


async def refusal(rates: RateLimits, credential: Credential) -> RateLimited:
    for _ in range(2000):
        try:
            await rates.admit(credential, "203.0.113.7")
        except RateLimited as refused:
            return refused
    raise AssertionError("it was never refused")
