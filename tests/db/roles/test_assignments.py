from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from terrapod_core.accounts import User
from terrapod_core.authz import SYSTEM, PlatformRole, RoleAssignment
from terrapod_core.authz.locking import Lock, exclusive
from terrapod_core.errors import Conflict, Invalid, NotFound
from terrapod_core.jsonapi import Query
from terrapod_core.plugin import LoginRefused
from tests.db.roles.conftest import Access

ALICE = "alice@example.com"


async def names_held(access: Access, user_id: str) -> set[str]:
    held = await access.held(user_id)
    return {rule.name for rule in held.roles.rules if rule.name != "everyone"} | {role.value for role in held.platform}


async def test_a_user_who_is_there_holds_the_roles_at_once(access: Access) -> None:
    alice = await access.people.user("alice")
    await access.role("dev")
    given = await access.set("ALICE@example.com", "dev", "audit")
    assert (given.id, given.email, given.roles, given.user_id) == (f"local:{ALICE}", ALICE, ("audit", "dev"), alice)
    assert await names_held(access, alice) == {"dev", "audit"}
    assert await access.audited("role-assignment.set") == [{"old": [], "new": ["audit", "dev"], "user": alice}]


async def test_a_set_is_exact(access: Access) -> None:
    alice = await access.people.user("alice")
    for name in ("dev", "ops", "net"):
        await access.role(name)
    await access.set(ALICE, "dev", "ops")
    kept = {row.role: row.id for row in await access.rows()}["ops"]
    given = await access.set(ALICE, "net", "ops", "net")
    assert given.roles == ("net", "ops")
    assert {row.role: row.id for row in await access.rows()}["ops"] == kept
    assert await names_held(access, alice) == {"net", "ops"}
    assert (await access.set(ALICE)).roles == ()
    assert (await access.rows(), await names_held(access, alice)) == ([], set())


async def test_setting_what_is_set_says_nothing_to_the_audit(access: Access) -> None:
    await access.role("dev")
    await access.set(ALICE, "dev")
    await access.set(ALICE, "dev")
    assert len(await access.audited("role-assignment.set")) == 1


async def test_roles_wait_for_the_first_who_shows_the_address_verified(access: Access) -> None:
    await access.role("dev")
    waiting = await access.set(ALICE, "dev", provider="corporate")
    assert (waiting.user_id, waiting.bound) == (None, False)
    unverified = await access.signs_in("1", ALICE, verified=False)
    assert await names_held(access, unverified.id) == set()
    assert not (await access.set(ALICE, "dev", provider="corporate")).bound
    first = await access.signs_in("2", "Alice@Example.com")
    assert await names_held(access, first.id) == {"dev"}
    with pytest.raises(LoginRefused):
        await access.signs_in("3", ALICE)
    assert [(one.id, one.user_id) for one in await access.listed()] == [("corporate:alice@example.com", first.id)]


async def test_a_new_local_user_finds_what_waited(access: Access) -> None:
    await access.role("dev")
    await access.set(ALICE, "dev")
    assert await names_held(access, await access.people.user("alice")) == {"dev"}


async def test_equal_addresses_of_two_providers_are_two_people(access: Access) -> None:
    local, corporate = await access.people.user("alice"), await access.signs_in("1", ALICE)
    await access.role("dev")
    await access.role("ops")
    await access.set(ALICE, "dev")
    await access.set(ALICE, "ops", provider="corporate")
    assert await names_held(access, local) == {"dev"}
    assert await names_held(access, corporate.id) == {"ops"}


async def test_a_role_under_an_older_address_is_part_of_the_set_and_moves_to_the_present_one(access: Access) -> None:
    for name in ("dev", "ops"):
        await access.role(name)
    alice = await access.signs_in("1", ALICE)
    await access.set(ALICE, "dev", "ops", provider="corporate")
    await access.signs_in("1", "a.smith@example.com")
    assert [(one.id, one.roles) for one in await access.listed()] == [("corporate:a.smith@example.com", ("dev", "ops"))]
    # What was meant for the new address before anybody knew whose it is.
    given = await access.set("a.smith@example.com", "dev", provider="corporate")
    assert (given.roles, given.user_id) == (("dev",), alice.id)
    assert [(row.email, row.email_key, row.user_id) for row in await access.rows()] == [("a.smith@example.com",) * 2 + (alice.id,)]
    assert await names_held(access, alice.id) == {"dev"}


async def test_a_role_held_under_two_addresses_is_one_and_goes_at_once(access: Access) -> None:
    await access.role("dev")
    alice = await access.signs_in("1", ALICE)
    await access.set(ALICE, "dev", provider="corporate")
    await access.set("new@example.com", "dev", provider="corporate")
    await access.signs_in("1", "new@example.com")
    assert len(await access.rows()) == 2
    assert [one.roles for one in await access.listed()] == [("dev",)]
    assert (await access.set("new@example.com", "dev", provider="corporate")).roles == ("dev",)
    assert [row.email_key for row in await access.rows()] == ["new@example.com"]
    await access.assignments.remove(SYSTEM, "corporate", "new@example.com", "dev")
    assert await names_held(access, alice.id) == set()


async def test_roles_of_one_user_never_become_anothers(access: Access) -> None:
    await access.role("dev")
    alice = await access.signs_in("1", ALICE)
    await access.set(ALICE, "dev", provider="corporate")
    await access.signs_in("1", "a.smith@example.com")
    # Another has the address now; known, but not let in.
    async with access.db.uow() as uow:
        other = User(id="user-other", username="other", email=ALICE, email_key=ALICE, email_verified=True, provider="corporate")
        other.issuer, other.subject, other.created_at = "https://idp.example", "2", uow.now()
        uow.add(other)
        await uow.commit()
    for attempt in (
        access.set(ALICE, "dev", provider="corporate"),
        access.set(ALICE, provider="corporate"),
        access.assignments.remove(SYSTEM, "corporate", ALICE, "dev"),
    ):
        with pytest.raises(Conflict, match=rf"belong to {alice.id} \(a.smith@example.com\)"):
            await attempt
    assert await names_held(access, alice.id) == {"dev"}
    # By the address that they have now they are set, and then the other one's are free.
    await access.set("a.smith@example.com", "dev", provider="corporate")
    assert (await access.set(ALICE, "dev", provider="corporate")).user_id == "user-other"
    assert (await names_held(access, alice.id), await names_held(access, "user-other")) == ({"dev"}, {"dev"})


async def test_an_address_of_two_users_of_a_provider_is_refused_with_both_ids(access: Access) -> None:
    await access.role("dev")
    first, second = await access.signs_in("1", ALICE), await access.signs_in("2", ALICE)
    with pytest.raises(Conflict) as refused:
        await access.set(ALICE, "dev", provider="corporate")
    assert first.id in refused.value.detail
    assert second.id in refused.value.detail
    assert await access.rows() == []


async def test_everything_wrong_is_said_at_once(access: Access) -> None:
    await access.role("dev")
    with pytest.raises(Invalid) as refused:
        await access.set("nobody", "dev", "Dev", "everyone", "admin", "x" * 300, provider="elsewhere")
    found = {problem.pointer: problem.detail for problem in refused.value.problems}
    assert set(found) == {
        "/data/attributes/provider-name",
        "/data/attributes/email",
        *(f"/data/attributes/roles/{at}" for at in (1, 2, 4)),
    }
    assert "'elsewhere'; there are corporate, local, service" in found["/data/attributes/provider-name"]
    assert found["/data/attributes/roles/1"] == "there is no role 'Dev'; there are admin, audit, dev"
    assert "everybody holds" in found["/data/attributes/roles/2"]
    assert len(found["/data/attributes/roles/4"]) < 200
    assert await access.rows() == []


async def test_one_person_holds_only_so_many_roles(access: Access) -> None:
    with pytest.raises(Invalid, match="at most 100 roles, not 101"):
        await access.set(ALICE, *["admin"] * 101)


async def test_a_provider_that_users_came_through_stays_known(access: Access) -> None:
    alice = await access.signs_in("1", ALICE)
    access.holders = type(access.holders)([], access.people.services.authentication)
    access.assignments = type(access.assignments)(access.db, access.assignments._authz, access.holders)
    assert (await access.set(ALICE, "audit", provider="corporate")).user_id == alice.id


async def test_a_single_role_is_taken_away_and_only_where_it_is(access: Access) -> None:
    alice = await access.people.user("alice")
    await access.role("dev")
    await access.set(ALICE, "dev", "audit")
    await access.assignments.remove(SYSTEM, "local", "ALICE@example.com", "dev")
    assert await names_held(access, alice) == {"audit"}
    assert await access.audited("role-assignment.remove") == [{"old": ["audit", "dev"], "new": ["audit"], "user": alice}]
    for provider, email, role in (("local", ALICE, "dev"), ("corporate", ALICE, "audit"), ("local", "x@example.com", "audit")):
        with pytest.raises(NotFound):
            await access.assignments.remove(SYSTEM, provider, email, role)


async def test_the_last_platform_admin_stays_one(access: Access) -> None:
    root = await access.people.user("root", PlatformRole.ADMIN)
    await access.set("waits@example.com", "admin")
    await access.set("robot@example.com", "admin", provider="service")
    for attempt in (
        access.set("root@example.com"),
        access.set("root@example.com", "audit"),
        access.assignments.remove(SYSTEM, "local", "root@example.com", "admin"),
    ):
        with pytest.raises(Conflict, match="last platform admin"):
            await attempt
    assert await names_held(access, root) == {"admin"}
    await access.people.user("second", PlatformRole.ADMIN)
    actor = await access.people.actor(await access.people.token(root))
    assert (await access.set("root@example.com", "audit", actor=actor)).roles == ("audit",)
    assert await names_held(access, root) == {"audit"}


async def test_a_disabled_admin_is_nobody_to_rely_on(access: Access) -> None:
    await access.people.user("root", PlatformRole.ADMIN)
    gone = await access.people.user("gone", PlatformRole.ADMIN)
    await access.people.services.accounts.disable(SYSTEM, gone)
    with pytest.raises(Conflict, match="last platform admin"):
        await access.set("root@example.com")
    assert (await access.set("gone@example.com")).roles == ()


@pytest.mark.parametrize("way", ["set", "withdraw", "disable", "delete"])
async def test_two_admins_who_go_at_once_do_not_both_go(access: Access, way: str) -> None:
    accounts, (one, two) = access.people.services.accounts, [await access.people.user(name, PlatformRole.ADMIN) for name in ("one", "two")]
    other: Any = {
        "set": lambda: access.set("two@example.com"),
        "withdraw": lambda: accounts.withdraw(SYSTEM, two, PlatformRole.ADMIN),
        "disable": lambda: accounts.disable(SYSTEM, two),
        "delete": lambda: accounts.delete(SYSTEM, two),
    }[way]
    results = await asyncio.gather(access.set("one@example.com"), other(), return_exceptions=True)
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True], results
    first_stays, second_stays = (isinstance(result, Conflict) for result in results)
    assert ("admin" in await names_held(access, one)) is first_stays
    user = await access.db.read(lambda session: session.get(User, two))
    assert (user is not None and user.disabled_at is None and "admin" in await names_held(access, two)) is second_stays


async def test_a_role_that_is_deleted_while_it_is_given_is_held_by_nobody(access: Access) -> None:
    alice = await access.people.user("alice")
    for _ in range(5):
        await access.role("dev")
        results = await asyncio.gather(access.set(ALICE, "dev"), access.roles.delete(SYSTEM, "dev"), return_exceptions=True)
        assert results[1] is None
        assert not isinstance(results[0], BaseException) or isinstance(results[0], Invalid)
        assert await access.rows() == []
    assert await names_held(access, alice) == set()


async def test_two_sets_at_once_leave_one_of_them(access: Access) -> None:
    for name in ("dev", "ops"):
        await access.role(name)
    for _ in range(5):
        await asyncio.gather(access.set(ALICE, "dev"), access.set(ALICE, "ops"))
        assert len(await access.rows()) == 1
        await access.set(ALICE)


async def test_the_list_is_paged_by_person_and_filtered(access: Access) -> None:
    for name in ("dev", "ops"):
        await access.role(name)
    bound = await access.people.user("bob")
    for name, roles in {"anna": ("dev", "ops"), "bob": ("dev",), "carol": ("ops", "audit")}.items():
        await access.set(f"{name}@example.com", *roles)
    await access.set("bob@example.com", "ops", provider="corporate")
    everybody = ["local:anna@example.com", "corporate:bob@example.com", "local:bob@example.com", "local:carol@example.com"]
    assert sorted(one.id for one in await access.listed()) == sorted(everybody)
    pages = [await access.listed(("page[size]", "3"), ("page[number]", str(number))) for number in (1, 2)]
    assert [len(page) for page in pages] == [3, 1]
    assert sorted(one.id for page in pages for one in page) == sorted(everybody)
    assert (await access.assignments.list(SYSTEM, Query.parse([("page[size]", "1")]))).total == 4
    assert {one.id for one in await access.listed(("filter[email]", "BOB@example.com"))} == {everybody[1], everybody[2]}
    assert [one.user_id for one in await access.listed(("filter[email]", "bob@example.com"), ("filter[provider-name]", "local"))] == [bound]
    by_role = {one.id: one.roles for one in await access.listed(("filter[role]", "dev"))}
    assert by_role == {"local:anna@example.com": ("dev", "ops"), "local:bob@example.com": ("dev",)}
    assert await access.listed(("filter[role]", "none")) == []


async def test_roles_that_are_given_while_somebody_signs_in_first_are_theirs_at_once(access: Access) -> None:
    async with access.db.uow() as uow:
        await exclusive(uow, Lock.ASSIGNMENTS)
        uow.add(
            RoleAssignment(id="ra-x", provider="corporate", email=ALICE, email_key=ALICE, role="audit", user_id=None, created_at=uow.now())
        )
        await uow.flush()
        sign_in = asyncio.create_task(access.signs_in("1", ALICE))
        while not (sign_in.done() or access.db.is_sqlite or await access.db.read(_somebody_waits)):
            await asyncio.wait({sign_in}, timeout=0.01)
        await uow.commit()
    assert await names_held(access, (await sign_in).id) == {"audit"}


async def test_who_is_shut_out_while_they_sign_in_stays_out(access: Access) -> None:
    alice = await access.signs_in("1", ALICE)
    async with access.db.uow() as uow:
        (await uow.session.get_one(User, alice.id)).disabled_at = uow.now()
        await uow.flush()
        sign_in = asyncio.create_task(access.signs_in("1", ALICE))
        while not (sign_in.done() or access.db.is_sqlite or await access.db.read(_somebody_waits)):
            await asyncio.wait({sign_in}, timeout=0.01)
        await uow.commit()
    with pytest.raises(LoginRefused, match="disabled"):
        await sign_in


def _somebody_waits(session: Session) -> bool:
    """For a lock of PostgreSQL's, in this database."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return bool(session.execute(text(waiting)).scalar_one())
