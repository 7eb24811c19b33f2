"""Names and labels are trust: who may take a name, rename, relabel, admit, and give away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from terrapod_core import ids
from terrapod_core.accounts import User
from terrapod_core.audit import AuditEntry
from terrapod_core.authz import Actor, Role, Rule, Scope, role_set
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import Query, Ref
from terrapod_core.workspaces.documents import UpdateWorkspace
from terrapod_core.workspaces.service import Limits
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House


async def role(house: House, name: str, permission: str = "admin", **parts: Any) -> Rule:
    """A custom role in the database."""
    empty: dict[str, Any] = {"allow_labels": {}, "allow_names": [], "deny_labels": {}, "deny_names": []}
    async with house.db.uow() as uow:
        now = uow.now()
        made = Role(
            id=ids.new("role"),
            name=name,
            description=None,
            workspace_permission=permission,
            registry_permission=None,
            pool_permission="read",
            created_at=now,
            updated_at=now,
            **(empty | parts),
        )
        uow.add(made)
        await uow.commit()
    return made.rule()


def holding(actor: Actor, *rules: Rule) -> Actor:
    """The same person with these roles."""
    return replace(actor, roles=role_set(rules))


async def change(house: House, actor: Actor, workspace_id: str, **sent: Any) -> None:
    await house.workspaces.update(actor, workspace_id, UpdateWorkspace(**sent))


async def test_a_role_lets_its_holder_see_and_change_what_it_allows_and_nothing_else(house: House) -> None:
    dev = await house.workspace(ALICE, "dev", labels={"env": "dev"})
    await house.workspace(ALICE, "prod", labels={"env": "prod"})
    bob = holding(BOB, await role(house, "developer", allow_labels={"env": "dev"}))
    assert await house.names(bob) == ["dev"]
    await change(house, bob, dev.id, auto_apply=True)
    assert await house.names(BOB) == []


async def test_a_deny_of_any_role_takes_what_every_role_gave_but_never_the_owners(house: House) -> None:
    await house.workspace(ALICE, "dev", labels={"env": "dev", "secret": None})
    await house.workspace(BOB, "bobs", labels={"env": "dev", "secret": None})
    allows = await role(house, "developer", allow_labels={"env": "dev"})
    denies = await role(house, "outsider", deny_labels={"secret": ""})
    assert await house.names(holding(BOB, allows)) == ["bobs", "dev"]
    assert await house.names(holding(BOB, allows, denies)) == ["bobs"]


async def test_access_everyone_lets_everybody_read(house: House) -> None:
    shared = await house.workspace(ALICE, "shared", labels={"access": "everyone"})
    assert await house.names(BOB) == ["shared"]
    with pytest.raises(Forbidden, match="you have read"):
        await change(house, BOB, shared.id, auto_apply=True)


async def test_a_list_is_new_after_every_change_of_what_can_be_seen(house: House) -> None:
    bob = holding(BOB, await role(house, "developer", allow_labels={"env": "dev"}, allow_names=["team-*"]))
    one = await house.workspace(ALICE, "one", labels={"env": "dev"})
    assert await house.names(bob) == ["one"]
    await house.workspace(ALICE, "two", labels={"env": "dev"})
    assert await house.names(bob) == ["one", "two"]
    await house.workspaces.tagging.replace_bindings(ALICE, one.id, [Ref(type="tag-bindings", id=None, attributes={"key": "env"})])
    assert await house.names(bob) == ["two"]
    await change(house, ALICE, one.id, labels={"env": "dev"})
    assert await house.names(bob) == ["one", "two"]
    await change(house, ALICE, one.id, labels={})
    await change(house, ROOT, one.id, name="team-1")
    assert await house.names(bob) == ["team-1", "two"]
    await house.workspaces.delete(ALICE, one.id)
    assert await house.names(bob) == ["two"]
    assert await house.names(bob, ("search[name]", "tw")) == ["two"]
    assert await house.names(bob, ("page[number]", "2"), ("page[size]", "1")) == []


async def test_the_total_of_who_reads_everything_is_new_after_every_change(house: House) -> None:
    async def total(*pairs: tuple[str, str]) -> int | None:
        return (await house.workspaces.list(ROOT, Query.parse((*pairs, ("page[size]", "1"))))).total

    one = await house.workspace(ALICE, "one", labels={"env": "dev"})
    assert [await total(), await total(("search[name]", "two"))] == [1, 0]
    two = await house.workspace(ALICE, "two")
    assert [await total(), await total(("search[name]", "two"))] == [2, 1]
    await change(house, ROOT, two.id, name="three")
    assert [await total(), await total(("search[name]", "two"))] == [2, 0]
    assert await total(("search[tags]", "env")) == 1
    await change(house, ALICE, one.id, labels={})
    assert await total(("search[tags]", "env")) == 0
    await house.workspaces.delete(ALICE, one.id)
    assert await total() == 1


async def test_a_name_that_a_role_gives_access_to_is_for_those_who_write_there_already(house: House) -> None:
    prod = await role(house, "prod", "write", allow_names=["prod-*"])
    reader = await role(house, "watcher", "read", allow_names=["seen-*"])
    for actor, name in ((ALICE, "prod-net"), (holding(ALICE, reader), "seen-1"), (ALICE, "seen-1")):
        with pytest.raises(Invalid, match="roles give access"):
            await house.workspace(actor, name)
    await house.workspace(holding(ALICE, prod), "prod-net")
    await house.workspace(ROOT, "seen-1")
    with pytest.raises(Invalid, match="roles give access"):
        denied = await role(house, "not-here", "read", deny_names=["prod-x"])
        await house.workspace(holding(ALICE, prod, denied), "prod-x")


async def test_only_its_owner_or_a_platform_admin_renames_a_workspace(house: House) -> None:
    made = await house.workspace(ALICE, "dev", labels={"env": "dev"})
    bob = holding(BOB, await role(house, "developer", allow_labels={"env": "dev"}))
    with pytest.raises(Forbidden, match="renamed by its owner"):
        await change(house, bob, made.id, name="mine")
    await change(house, ALICE, made.id, name="still-alices")
    await change(house, ROOT, made.id, name="admins")
    with pytest.raises(Invalid, match="deleted or renamed"):
        await house.workspace(BOB, "dev")


@pytest.mark.parametrize("labels", [{"env": "prod"}, {}, {"env": "dev", "access": "everyone"}, {"env": "dev", "secret": "no"}])
async def test_who_is_admin_by_a_role_changes_no_label_that_a_role_goes_by(house: House, labels: dict[str, str | None]) -> None:
    made = await house.workspace(ALICE, "dev", labels={"env": "dev"})
    bob = holding(BOB, await role(house, "developer", allow_labels={"env": ["dev", "test"]}, deny_labels={"secret": "yes"}))
    with pytest.raises(Forbidden, match="decides who may do what"):
        await change(house, bob, made.id, labels=labels, force=True)
    bindings = [Ref(type="tag-bindings", id=None, attributes={"key": key, "value": value}) for key, value in labels.items()]
    with pytest.raises(Forbidden, match="decides who may do what"):
        await house.workspaces.tagging.replace_bindings(bob, made.id, bindings)
    await change(house, bob, made.id, labels={"env": "dev", "colour": "blue"})
    await change(house, ALICE, made.id, labels=labels)


async def test_nobody_locks_themselves_out_by_accident(house: House) -> None:
    # Nothing goes by the label in the database; the actor's own roles are as old as its last request.
    made = await house.workspace(ALICE, "dev", labels={"env": "dev"})
    rule = await role(house, "developer", allow_labels={"env": "dev"})
    async with house.db.uow() as uow:
        await uow.session.delete(await uow.session.get_one(Role, (await uow.run(lambda session: session.query(Role).one())).id))
        await uow.commit()
    bob = holding(BOB, rule)
    with pytest.raises(Conflict, match="force"):
        await change(house, bob, made.id, labels={})
    await change(house, bob, made.id, labels={}, force=True)
    with pytest.raises(NotFound):
        await house.workspaces.read(bob, made.id)


async def test_only_a_platform_admin_admits_a_workspace_and_gives_it_away(house: House) -> None:
    made = await house.workspace(ALICE, "dev")
    assert made.admitted is False
    with pytest.raises(Forbidden, match="admits"):
        await change(house, ALICE, made.id, admitted=True)
    with pytest.raises(Forbidden, match="another owner"):
        await change(house, ALICE, made.id, owner=Ref(type="users", id=BOB.id))
    with pytest.raises(Forbidden, match="admits"):
        await house.workspace(ALICE, "other", admitted=True)
    with pytest.raises(Invalid, match="no such user"):
        await change(house, ROOT, made.id, owner=Ref(type="users", id=BOB.id))
    await user(house, BOB)
    await change(house, ROOT, made.id, admitted=True, owner=Ref(type="users", id=BOB.id))
    assert await house.names(ALICE) == []
    assert (await house.workspaces.read(BOB, made.id)).admitted is True


async def test_the_record_says_what_a_change_of_trust_meant(house: House) -> None:
    made = await house.workspace(ALICE, "dev", labels={"env": "dev"})
    await role(house, "developer", "plan", allow_labels={"env": "dev"})
    await role(house, "outsider", deny_names=["dev"])
    await change(house, ALICE, made.id, labels={})
    entries = await house.db.read(lambda session: session.query(AuditEntry).filter_by(action="workspace.update").all())
    assert entries[0].detail["old_grants"] == {"developer": "plan", "outsider": "deny"}
    assert entries[0].detail["new_grants"] == {"outsider": "deny"}


async def test_roles_may_be_all_that_creates_workspaces(house: House) -> None:
    few = House(house.db, limits=Limits(creators=("builder",)))
    builder = await role(house, "builder", "read")
    with pytest.raises(Forbidden, match="roles that the settings name"):
        await few.workspace(ALICE, "one")
    await few.workspace(holding(ALICE, builder), "one")


async def test_a_narrowed_token_makes_nothing_and_sees_what_it_names(house: House) -> None:
    one, _ = await house.workspace(ALICE, "one"), await house.workspace(ALICE, "two")
    for actor in (ALICE, ROOT, AUDITOR):
        narrowed = replace(actor, scope=Scope(workspace_ids=frozenset({one.id})))
        assert await house.names(narrowed) == ["one"]
        with pytest.raises(Forbidden, match="narrowed"):
            await house.workspace(narrowed, "three")


async def user(house: House, actor: Actor) -> None:
    """The person's row."""
    async with house.db.uow() as uow:
        uow.add(
            User(
                id=actor.id,
                username=actor.name,
                email=f"{actor.name}@example.com",
                email_key=f"{actor.name}@example.com",
                provider="local",
                issuer="local",
                subject=actor.id,
                created_at=uow.now(),
                email_verified=True,
            )
        )
        await uow.commit()
