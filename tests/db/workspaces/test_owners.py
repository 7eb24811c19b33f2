"""What becomes of workspaces and projects whose owner was deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.audit import AuditEntry
from terrapod_core.authz import GuardKind, visibility
from terrapod_core.errors import NotFound
from terrapod_core.jobs import Jobs
from terrapod_core.plugin import UserDeleted
from terrapod_core.projects import handlers as projects_handlers
from terrapod_core.projects.documents import CreateProject
from terrapod_core.workspaces import handlers as workspaces_handlers, owners
from tests.support.rooms import ALICE, BOB, ROOT, House


async def test_what_a_deleted_user_owned_belongs_to_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "BATCH", 2)
    theirs = [await house.workspace(name=f"net-{number}") for number in range(5)]
    other = await house.workspace(BOB, name="other")
    before = await house.db.read(lambda session: visibility.generation(session, GuardKind.WORKSPACE))
    await house.workspaces.disown(UserDeleted(user_id=ALICE.id))
    for each in theirs:
        assert (await house.workspaces.read(ROOT, each.id)).owner_id is None
        with pytest.raises(NotFound):
            await house.workspaces.read(ALICE, each.id)
    assert (await house.workspaces.read(BOB, other.id)).owner_id == BOB.id
    noted = await told(house, "workspace.disown")
    assert sorted(one for each in noted for one in each["workspaces"]) == sorted(each.id for each in theirs)
    assert await house.db.read(lambda session: visibility.generation(session, GuardKind.WORKSPACE)) > before


@pytest.mark.parametrize("owned", [0, 1, 2, 3, 4])
async def test_every_batch_is_taken_however_many_there_are(house: House, monkeypatch: pytest.MonkeyPatch, owned: int) -> None:
    monkeypatch.setattr(owners, "BATCH", 2)
    for number in range(owned):
        await house.workspace(name=f"net-{number}")
    assert await owners.disown(house.db, ALICE.id) == owned
    assert await owners.disown(house.db, ALICE.id) == 0


async def test_a_deleted_users_projects_are_left_to_admins(house: House) -> None:
    project = await house.projects.create(ALICE, CreateProject(name="net team"))
    await house.projects.disown(UserDeleted(user_id=ALICE.id))
    assert (await house.projects.read(ROOT, project.id)).owner_id is None
    assert await told(house, "project.disown") == [{"projects": [project.id]}]
    with pytest.raises(NotFound):
        await house.projects.read(ALICE, project.id)


async def told(house: House, action: str) -> list[dict[str, Any]]:
    """The details of the entries of this action."""
    query = select(AuditEntry.detail).where(AuditEntry.action == action)
    return await house.db.read(lambda session: list(session.execute(query).scalars()))


def test_both_rooms_listen_for_it(house: House) -> None:
    jobs = Jobs()
    workspaces_handlers.handlers(jobs, house.workspaces)
    projects_handlers.handlers(jobs, house.projects)
    assert sorted(jobs.listeners["UserDeleted"]) == ["projects.disown", "workspaces.disown"]
