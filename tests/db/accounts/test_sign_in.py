from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from terrapod_core.accounts import LoginState, Refused, SignedIn, User, Visitor
from terrapod_core.audit import AuditEntry
from terrapod_core.audit.refusals import A_MINUTE
from terrapod_core.authz import SYSTEM
from terrapod_core.errors import BadGateway, BadRequest, Conflict, NotFound, TerrapodError, TooManyRequests
from terrapod_core.plugin import Identity
from terrapod_core.testing import FakeClock
from tests.support.people import BASE, PASSWORD, People

VISITOR = Visitor(browser="this browser", address="192.0.2.1", user_agent="Firefox")


async def begin(people: People, visitor: Visitor = VISITOR, provider: str = "local") -> str:
    return (await people.services.sign_in.begin(provider, visitor, return_to="/app/settings/tokens", base_url=BASE)).state


async def attempt(people: People, email: str, password: str, visitor: Visitor = VISITOR) -> str:
    values = {"state": await begin(people, visitor), "email": email, "password": password}
    return (await people.services.sign_in.finish(visitor, values)).text


async def through_elsewhere(people: People, identity: Identity) -> User:
    people.elsewhere.person = identity
    state = await begin(people, provider="corporate")
    return (await people.services.sign_in.finish(VISITOR, {"state": state})).user


async def test_signing_in_gives_a_session_that_is_also_good_as_bearer(people: People) -> None:
    alice = await people.user("alice")
    actor = await people.actor(await attempt(people, "ALICE@example.com", PASSWORD))
    assert actor.user_id == alice
    assert actor.session_id is not None
    assert actor.token_id is None


async def test_an_unknown_address_a_wrong_password_and_none_are_told_the_same(people: People) -> None:
    await people.user("alice")
    await people.services.accounts.create_user(SYSTEM, "without@example.com")
    told = set()
    for email in ("alice@example.com", "nobody@example.com", "without@example.com"):
        with pytest.raises(Refused) as refused:
            await attempt(people, email, "wrong")
        told.add(refused.value.detail)
    assert len(told) == 1


async def test_a_state_serves_once_in_its_own_browser_and_for_ten_minutes(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    good = {"email": "alice@example.com", "password": PASSWORD}
    finish = people.services.sign_in.finish
    state = await begin(people)
    for visitor in (replace(VISITOR, browser="another browser"), replace(VISITOR, browser=None)):
        with pytest.raises(BadRequest, match="another browser"):
            await finish(visitor, {**good, "state": state})
    assert (await finish(VISITOR, {**good, "state": state})).text
    with pytest.raises(BadRequest):
        await finish(VISITOR, {**good, "state": state})
    state = await begin(people)
    clock.advance(minutes=10)
    with pytest.raises(BadRequest):
        await finish(VISITOR, {**good, "state": state})
    for missing in ({}, {"state": ""}, {"state": "x"}):
        with pytest.raises(BadRequest):
            await finish(VISITOR, {**good, **missing})


async def test_a_state_is_spent_by_a_failed_attempt(people: People) -> None:
    await people.user("alice")
    state = await begin(people)
    with pytest.raises(Refused):
        await people.services.sign_in.finish(VISITOR, {"state": state, "email": "alice@example.com", "password": "wrong"})
    with pytest.raises(BadRequest):
        await people.services.sign_in.finish(VISITOR, {"state": state, "email": "alice@example.com", "password": PASSWORD})


async def test_ten_wrong_passwords_close_an_account_for_everybody_for_some_minutes(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    for number in range(10):
        with pytest.raises(Refused):
            await attempt(people, "alice@example.com", "wrong", replace(VISITOR, address=f"192.0.2.{number}"))
    asked = people.passwords.asked
    for spelling in ("alice@example.com", "ALICE@example.com"):
        with pytest.raises(TooManyRequests) as refused:
            await attempt(people, spelling, PASSWORD, replace(VISITOR, address="198.51.100.1"))
        assert refused.value.retry_after
    assert people.passwords.asked == asked, "nothing is judged while it is closed"
    clock.advance(minutes=5)
    assert await attempt(people, "alice@example.com", PASSWORD)


async def test_an_unknown_account_closes_just_like_a_known_one(people: People) -> None:
    for _ in range(10):
        with pytest.raises(Refused):
            await attempt(people, "nobody@example.com", "wrong")
    with pytest.raises(TooManyRequests):
        await attempt(people, "nobody@example.com", "wrong")


async def test_an_address_that_tries_many_accounts_has_to_wait(people: People) -> None:
    for number in range(60):
        with pytest.raises(Refused):
            await attempt(people, f"somebody{number}@example.com", "wrong")
    await people.user("alice")
    with pytest.raises(TooManyRequests):
        await attempt(people, "alice@example.com", PASSWORD)
    assert await attempt(people, "alice@example.com", PASSWORD, replace(VISITOR, address="198.51.100.1"))


async def test_attempts_made_at_once_are_counted_at_once(people: People) -> None:
    await people.user("alice")
    attempts = [attempt(people, "alice@example.com", "wrong") for _ in range(15)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, Refused) for result in results) == 10
    assert sum(isinstance(result, TooManyRequests) for result in results) == 5


async def test_the_right_password_opens_the_account_again(people: People) -> None:
    await people.user("alice")
    for _ in range(3):
        for _ in range(9):
            with pytest.raises(Refused):
                await attempt(people, "alice@example.com", "wrong")
        assert await attempt(people, "alice@example.com", PASSWORD)


async def test_what_was_not_judged_is_no_failure(people: People) -> None:
    await people.user("alice")
    people.passwords.busy = True
    for _ in range(12):
        with pytest.raises(TooManyRequests, match="at once") as refused:
            await attempt(people, "alice@example.com", PASSWORD)
        assert refused.value.retry_after == 2
    people.passwords.busy = False
    assert await attempt(people, "alice@example.com", PASSWORD)


async def test_a_broken_provider_is_502_and_no_failure_of_the_person(people: People) -> None:
    people.elsewhere.broken = True
    for _ in range(12):
        state = await begin(people, provider="corporate")
        with pytest.raises(BadGateway, match="Corporate sign-in"):
            await people.services.sign_in.finish(VISITOR, {"state": state})


async def test_a_disabled_user_is_not_let_in(people: People) -> None:
    alice = await people.user("alice")
    await people.services.accounts.disable(SYSTEM, alice)
    with pytest.raises(Refused, match="disabled"):
        await attempt(people, "alice@example.com", PASSWORD)
    assert not await people.db.read(lambda session: session.execute(select(SignedIn)).all())


async def test_a_session_ends_after_twelve_idle_hours_and_not_before(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    text = await attempt(people, "alice@example.com", PASSWORD)
    clock.advance(hours=11, minutes=59)
    await people.actor(text)
    await people.services.authentication.settle()
    clock.advance(hours=11, minutes=59)
    assert await people.services.tokens.authenticate(text) is not None, "it was used in between"
    await people.services.authentication.settle()
    clock.advance(hours=12)
    assert await people.services.tokens.authenticate(text) is None


async def test_a_session_ends_after_seven_days_however_much_it_is_used(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    text = await attempt(people, "alice@example.com", PASSWORD)
    end = clock.now() + timedelta(days=7)
    while clock.now() + timedelta(hours=6) < end:
        clock.advance(hours=6)
        await people.actor(text)
        await people.services.authentication.settle()
    clock.set(end)
    assert await people.services.tokens.authenticate(text) is None


async def test_a_new_sign_in_takes_the_place_of_the_browsers_old_session(people: People) -> None:
    await people.user("alice")
    first = await attempt(people, "alice@example.com", PASSWORD)
    second = await attempt(people, "alice@example.com", PASSWORD, replace(VISITOR, session=first))
    assert first != second
    assert await people.services.tokens.authenticate(first) is None
    assert await people.services.tokens.authenticate(second) is not None


async def test_signing_out_ends_this_session_and_no_other(people: People) -> None:
    await people.user("alice")
    first, second = [await attempt(people, "alice@example.com", PASSWORD) for _ in range(2)]
    actor = await people.actor(first)
    assert len(await people.services.sessions.list(actor)) == 2
    await people.services.sessions.end(actor)
    assert await people.services.tokens.authenticate(first) is None
    assert await people.services.tokens.authenticate(second) is not None


async def test_a_token_cannot_be_signed_out(people: People) -> None:
    actor = await people.actor(await people.token(await people.user("alice")))
    with pytest.raises(Conflict, match="API token"):
        await people.services.sessions.end(actor)


async def test_the_sweep_takes_what_ended_and_nothing_else(people: People, clock: FakeClock) -> None:
    await people.user("alice")
    await attempt(people, "alice@example.com", PASSWORD)
    await begin(people)
    clock.advance(hours=12)
    living = await attempt(people, "alice@example.com", PASSWORD)
    state = await begin(people)
    await people.services.sessions.sweep()
    kept = await people.db.read(lambda session: (session.query(SignedIn).count(), session.query(LoginState).count()))
    assert kept == (1, 1)
    assert await people.services.tokens.authenticate(living) is not None
    assert (await people.services.sign_in.finish(VISITOR, {"state": state, "email": "alice@example.com", "password": PASSWORD})).text


# -- who somebody is


async def test_a_first_sign_in_makes_a_user_and_the_next_finds_them(people: People) -> None:
    person = Identity("42", "https://idp.example", "carol@example.com", True, "carol")
    first = await through_elsewhere(people, person)
    again = await through_elsewhere(people, replace(person, email="carol.smith@example.com", username="other"))
    assert again.id == first.id
    assert (again.username, again.email) == ("carol", "carol.smith@example.com")


async def test_an_equal_address_of_another_provider_or_subject_is_another_person(people: People) -> None:
    local = await people.user("alice")
    person = Identity("42", "https://idp.example", "alice@example.com", True, "alice")
    ids = {local}
    for each in (person, replace(person, subject="43"), replace(person, issuer="https://other.example")):
        ids.add((await through_elsewhere(people, each)).id)
    assert len(ids) == 4
    names = await people.db.read(lambda session: list(session.execute(select(User.username)).scalars()))
    assert len(set(names)) == 4


async def test_a_first_sign_in_made_twice_at_once_makes_one_user(people: People) -> None:
    person = Identity("42", "https://idp.example", "carol@example.com", True, "carol")
    first, second = await asyncio.gather(through_elsewhere(people, person), through_elsewhere(people, person))
    assert first.id == second.id


async def test_groups_of_a_directory_give_no_role(people: People) -> None:
    person = Identity("42", "https://idp.example", "carol@example.com", True, "carol", groups=frozenset({"admin", "audit"}))
    user = await through_elsewhere(people, person)
    assert not (await people.actor(await people.token(user.id))).platform


async def test_a_provider_that_is_not_there_is_named(people: People) -> None:
    with pytest.raises(NotFound, match="local, corporate"):
        await begin(people, provider="nowhere")


async def test_beginning_is_limited_per_address(people: People) -> None:
    with pytest.raises(TooManyRequests):
        for _ in range(200):
            await begin(people)


async def test_a_flood_of_failures_from_many_addresses_is_counted_and_not_written_one_by_one(people: People) -> None:
    for number in range(A_MINUTE + 5):
        with pytest.raises(Refused):
            await attempt(people, f"{number}@example.com", "wrong", replace(VISITOR, address=f"192.0.2.{number}"))
    await people.refusals.flush(all_of_it=True)
    entries = await people.db.read(lambda session: session.execute(select(AuditEntry)).scalars().all())
    assert sum(entry.action == "session.create" for entry in entries) == A_MINUTE
    assert [entry.detail["count"] for entry in entries if entry.action == "request.refuse"] == [5]


async def test_failures_are_recorded_with_their_number_and_without_what_was_typed(people: People) -> None:
    await people.user("alice")
    secret = "my-password-in-the-wrong-field@example.com"
    for _ in range(2):
        with pytest.raises(TerrapodError):
            await attempt(people, secret, "wrong")
    await attempt(people, "alice@example.com", PASSWORD)
    rows = await people.audited()
    assert rows[:3] == [("session.create", "alice", "allowed"), *[("session.create", "anonymous", "refused")] * 2]
    entries = await people.db.read(lambda session: session.execute(select(AuditEntry)).scalars().all())
    assert secret not in repr([vars(entry) for entry in entries])
    assert sorted(entry.detail.get("failures", 0) for entry in entries) == [0, 0, 1, 2]
