from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.authz import SYSTEM, ClaimedRole, GuardKind, Level, PlatformRole, Role
from terrapod_core.authz.reserved import label_keys_of_roles, roles_allowing
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Query
from terrapod_core.roles import service
from terrapod_core.roles.documents import CreateRole, UpdateRole
from tests.db.roles.conftest import Access


async def names(access: Access, *pairs: tuple[str, str]) -> list[str]:
    return [role.name for role in (await access.roles.list(SYSTEM, Query.parse(pairs))).items]


async def test_a_role_is_shown_as_it_was_made(access: Access) -> None:
    await access.role("developer", description="Development", allow_labels={"env": ["dev", "test"], "shared": None}, deny_names=["prod"])
    shown = await access.roles.read(SYSTEM, "developer")
    assert (shown.description, shown.workspace_permission, shown.built_in) == ("Development", "write", False)
    assert (shown.registry_permission, shown.pool_permission) == (None, "read")
    assert (shown.allow_labels, shown.allow_names) == ({"env": ["dev", "test"], "shared": ""}, ["dev-*"])
    assert (shown.deny_labels, shown.deny_names) == ({}, ["prod"])


async def test_the_list_begins_with_the_built_in_roles_and_its_pages_hold_everything_once(access: Access) -> None:
    for name in ("c", "a", "B", "d"):
        await access.role(name)
    everything = ["admin", "audit", "everyone", "B", "a", "c", "d"]
    assert await names(access) == everything
    paged = [await names(access, ("page[size]", "2"), ("page[number]", str(number))) for number in (1, 2, 3, 4, 5)]
    assert paged == [["admin", "audit"], ["everyone", "B"], ["a", "c"], ["d"], []]
    assert (await access.roles.list(SYSTEM, Query.parse([("page[size]", "2")]))).total == 7


async def test_texts_are_stored_composed_so_that_one_spelling_means_the_other(access: Access) -> None:
    await access.role("accents", allow_names=["re\u0301seau-*"], deny_labels={"e\u0301tage": "de\u0301v"})
    shown = await access.roles.read(SYSTEM, "accents")
    assert (shown.allow_names, shown.deny_labels) == (["r\u00e9seau-*"], {"\u00e9tage": "d\u00e9v"})
    rules = await access.db.read(lambda session: roles_allowing(session, "re\u0301seau-1"))
    assert [rule.name for rule in rules] == ["accents"]


async def test_a_name_is_given_once_whatever_its_case(access: Access) -> None:
    await access.role("Developer")
    for taken in ("Developer", "developer", "DEVELOPER"):
        with pytest.raises(Conflict, match="named Developer already"):
            await access.role(taken)


async def test_of_two_who_make_the_same_role_at_once_one_is_told(access: Access) -> None:
    results = await asyncio.gather(*(access.role(name) for name in ("dev", "Dev", "DEV")), return_exceptions=True)
    assert sum(isinstance(result, Conflict) for result in results) == 2
    assert len(await names(access)) == 4


async def test_only_what_is_sent_changes_and_the_audit_holds_both_values(access: Access) -> None:
    await access.role(description="old", allow_labels={"env": "dev"})
    changed = await access.roles.update(SYSTEM, "developer", UpdateRole(workspace_permission="read", allow_labels={"env": "dev"}))
    assert (changed.description, changed.workspace_permission, changed.allow_names) == ("old", "read", ["dev-*"])
    assert await access.audited("role.update") == [{"old": {"workspace_permission": "write"}, "new": {"workspace_permission": "read"}}]


async def test_a_change_that_changes_nothing_is_not_audited(access: Access) -> None:
    await access.role()
    await access.roles.update(SYSTEM, "developer", UpdateRole(name="developer", workspace_permission="write", pool_permission=None))
    assert await access.audited("role.update") == []


async def test_null_takes_what_is_not_sent_back_to_its_default(access: Access) -> None:
    await access.role(registry_permission="write", pool_permission="admin", description="x")
    nulls = UpdateRole(registry_permission=None, pool_permission=None, description=None, allow_names=None)
    changed = await access.roles.update(SYSTEM, "developer", nulls)
    assert (changed.registry_permission, changed.pool_permission, changed.description, changed.allow_names) == (None, "read", None, [])


async def test_a_role_keeps_its_name(access: Access) -> None:
    await access.role()
    with pytest.raises(Invalid, match="keeps its name") as refused:
        await access.roles.update(SYSTEM, "developer", UpdateRole(name="dev"))
    assert refused.value.problems[0].pointer == "/data/attributes/name"


@pytest.mark.parametrize("name", ["admin", "audit", "everyone"])
async def test_built_in_roles_are_shown_and_neither_changed_nor_deleted(access: Access, name: str) -> None:
    assert (await access.roles.read(SYSTEM, name)).built_in
    with pytest.raises(Conflict, match="cannot be changed"):
        await access.roles.update(SYSTEM, name, UpdateRole(description="mine"))
    with pytest.raises(Conflict, match="cannot be deleted"):
        await access.roles.delete(SYSTEM, name)


async def test_a_role_that_is_not_there_is_not_found(access: Access) -> None:
    await access.role("dev")
    for attempt in (
        access.roles.read(SYSTEM, "Dev"),
        access.roles.update(SYSTEM, "Dev", UpdateRole(description="x")),
        access.roles.delete(SYSTEM, "Dev"),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_deleted_role_is_taken_from_everybody_and_never_comes_back_by_its_name(access: Access) -> None:
    alice = await access.people.user("alice")
    await access.role()
    await access.role("other")
    await access.set("alice@example.com", "developer", "other")
    await access.set("later@example.com", "developer")
    carol = await access.signs_in("carol", "carol@example.com", groups=["staff"], role_mapping={"corporate": {"staff": ["developer"]}})
    assert (await access.held(carol.id)).roles.rules[1:] != ()
    await access.roles.delete(SYSTEM, "developer")
    (entry,) = await access.audited("role.delete")
    assert (entry["assignments"], entry["claimed"], entry["old"]["allow_names"]) == (2, 1, ["dev-*"])
    await access.role()
    assert {rule.name for rule in (await access.held(alice)).roles.rules} == {"everyone", "other"}
    assert {rule.name for rule in (await access.held(carol.id)).roles.rules} == {"everyone"}
    assert [row.role for row in await access.rows()] == ["other"]
    assert await access.db.read(lambda session: session.execute(select(ClaimedRole)).all()) == []


async def test_there_is_an_end_to_the_number_of_roles(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_ROLES", 2)
    await access.role("a")
    await access.role("b")
    with pytest.raises(Invalid, match="at most 2 roles"):
        await access.role("c")


async def test_auditors_look_and_others_do_not(access: Access) -> None:
    await access.role()
    auditor = await access.people.actor(await access.people.token(await access.people.user("audrey", PlatformRole.AUDIT)))
    alice = await access.people.actor(await access.people.token(await access.people.user("alice")))
    assert (await access.roles.read(auditor, "developer")).name == "developer"
    looks: list[Any] = [access.roles.list(alice, Query()), access.roles.read(alice, "developer"), access.assignments.list(alice, Query())]
    for actor in (alice, auditor):
        looks += [
            access.roles.create(actor, CreateRole(name="mine", workspace_permission="admin")),
            access.roles.update(actor, "developer", UpdateRole(workspace_permission="admin")),
            access.roles.delete(actor, "developer"),
            access.set("alice@example.com", "admin", actor=actor),
            access.assignments.remove(actor, "local", "alice@example.com", "admin"),
        ]
    for attempt in looks:
        with pytest.raises(Forbidden):
            await attempt


async def test_a_changed_role_counts_at_the_next_request(access: Access) -> None:
    """The clock stands still, so nothing that was remembered grows old by itself."""
    token = await access.people.token(await access.people.user("alice"))
    await access.role(registry_permission="read", pool_permission="write")
    await access.set("alice@example.com", "developer")

    async def levels() -> list[Level]:
        actor = await access.people.actor(token)
        return [actor.roles.level(kind, "dev-1", {}) for kind in (GuardKind.WORKSPACE, GuardKind.REGISTRY, GuardKind.POOL)]

    assert await levels() == [Level.WRITE, Level.READ, Level.WRITE]
    await access.roles.update(SYSTEM, "developer", UpdateRole(workspace_permission="plan", registry_permission=None))
    assert await levels() == [Level.PLAN, Level.READ, Level.WRITE]
    await access.roles.delete(SYSTEM, "developer")
    assert await levels() == [Level.NONE, Level.NONE, Level.NONE]


async def test_keys_that_roles_use_are_reserved_and_names_that_they_allow_are_known(access: Access) -> None:
    assert await access.db.read(label_keys_of_roles) == {"access"}
    await access.role("a", allow_labels={"env": "dev"}, deny_labels={"tier": ["0", "1"]}, allow_names=["prod-*"])
    await access.role("b", allow_names=["*-net"], deny_names=["prod-db"])
    assert await access.db.read(label_keys_of_roles) == {"access", "env", "tier"}

    async def allowing(name: str) -> list[str]:
        return [rule.name for rule in await access.db.read(lambda session: roles_allowing(session, name))]

    assert [await allowing(name) for name in ("prod-net", "prod-db", "Prod-db", "test-net")] == [["a", "b"], ["a"], [], ["b"]]


async def test_what_is_wrong_leaves_nothing_behind(access: Access) -> None:
    with pytest.raises(Invalid):
        await access.role("bad", workspace_permission="owner")
    assert await access.db.read(lambda session: session.execute(select(Role)).all()) == []
    assert await access.audited("role.create") == []
