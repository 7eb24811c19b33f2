from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from terrapod_core.errors import Conflict, Forbidden, NotFound
from terrapod_core.workspaces import queries
from terrapod_core.workspaces.models import Label, Workspace
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House


async def test_a_deleted_workspace_is_seen_by_nobody_and_that_is_told(house: House) -> None:
    workspace = await house.workspace(labels={"env": "dev"})
    await house.workspaces.delete(ALICE, workspace.id)
    for actor in (ALICE, ROOT):
        with pytest.raises(NotFound):
            await house.workspaces.read(actor, workspace.id)
        assert await house.names(actor) == []
    assert await house.events() == ["WorkspaceDeleted"]
    assert (await house.audited())[-1] == ("workspace.delete", "alice")
    assert await house.db.read(lambda session: session.get(Workspace, workspace.id)) is not None


async def test_deleting_by_force_minds_no_lock_and_no_resources(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    await hold_resources(house, workspace)
    await house.workspaces.delete(ALICE, workspace.id)


async def test_deleting_safely_is_refused_in_go_tfes_words(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    with pytest.raises(Conflict, match="locked"):
        await house.workspaces.safe_delete(ALICE, workspace.id)
    await house.workspaces.locks.unlock(ALICE, workspace.id)
    house.pending.add(workspace.id)
    with pytest.raises(Conflict, match="being processed"):
        await house.workspaces.safe_delete(ALICE, workspace.id)
    house.pending.clear()
    await hold_resources(house, workspace)
    with pytest.raises(Conflict, match="manages 3 resources") as refused:
        await house.workspaces.safe_delete(ALICE, workspace.id)
    assert "locked" not in refused.value.detail
    assert "being processed" not in refused.value.detail


async def test_an_empty_free_workspace_is_deleted_safely(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.safe_delete(ALICE, workspace.id)
    with pytest.raises(NotFound):
        await house.workspaces.read(ALICE, workspace.id)


async def test_only_an_admin_of_the_workspace_deletes_it(house: House) -> None:
    workspace = await house.workspace()
    for delete in (house.workspaces.delete, house.workspaces.safe_delete):
        with pytest.raises(Forbidden):
            await delete(AUDITOR, workspace.id)
        with pytest.raises(NotFound):
            await delete(BOB, workspace.id)


async def test_the_row_is_purged_a_day_later(house: House) -> None:
    old, fresh = await house.workspace(ALICE, "old"), await house.workspace(ALICE, "fresh")
    kept = await house.workspace(ALICE, "kept", labels={"env": "dev"})
    for one in (old, fresh):
        await house.workspaces.delete(ALICE, one.id)
    async with house.db.uow() as uow:
        long_ago = datetime.now(UTC) - timedelta(days=2)
        await uow.session.execute(update(Workspace).where(Workspace.id == old.id).values(deleted_at=long_ago))
        await uow.commit()
    assert await house.workspaces.purge() == 1
    ids = await house.db.read(lambda session: set(session.execute(select(Workspace.id)).scalars()))
    assert ids == {fresh.id, kept.id}
    assert await house.db.read(lambda session: session.execute(select(func.count()).select_from(Label)).scalar_one()) == 1


async def hold_resources(house: House, workspace: Workspace) -> None:
    async with house.db.uow() as uow:
        row = await uow.run(lambda session: queries.for_update(session, workspace.id))
        assert row is not None
        house.workspaces.set_current_state(uow, row, "sv-2uPXtbAVfmCkwGsT", 3)
        await uow.commit()
