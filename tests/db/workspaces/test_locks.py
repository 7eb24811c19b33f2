from __future__ import annotations

import asyncio

import pytest

from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.workspaces import LockKind, Workspace, queries
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT, House

RUN = "run-2uPXtbAVfmCkwGsT"


async def hold(house: House, workspace: Workspace, run_id: str = RUN) -> None:
    """Let a run take the workspace, as the runs' room does."""
    async with house.db.uow() as uow:
        row = await uow.run(lambda session: queries.for_update(session, workspace.id))
        assert row is not None
        house.workspaces.take_for_run(uow, row, run_id)
        await uow.commit()


async def release(house: House, workspace: Workspace, run_id: str = RUN) -> bool:
    async with house.db.uow() as uow:
        row = await uow.run(lambda session: queries.for_update(session, workspace.id))
        assert row is not None
        released = house.workspaces.release_from_run(uow, row, run_id)
        await uow.commit()
    return released


async def test_a_lock_says_who_has_it_and_why(house: House) -> None:
    workspace = await house.workspace()
    locked = await house.workspaces.locks.lock(ALICE, workspace.id, "Locked by Terraform")
    assert (locked.lock_kind, locked.lock_holder_id, locked.lock_reason) == (LockKind.USER, ALICE.id, "Locked by Terraform")
    assert (await house.workspaces.read(ALICE, workspace.id)).locked


async def test_a_locked_workspace_is_locked_by_nobody_else(house: House) -> None:
    workspace = await house.workspace()
    tried = await asyncio.gather(*(house.workspaces.locks.lock(who, workspace.id, None) for who in (ALICE, ROOT)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in tried) == ["Conflict", "Workspace"]


async def test_its_holder_unlocks_it_and_that_is_told(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    unlocked = await house.workspaces.locks.unlock(ALICE, workspace.id)
    assert not unlocked.locked
    assert unlocked.lock_holder_id is None
    assert await house.events() == ["WorkspaceLocked", "WorkspaceUnlocked"]
    assert [action for action, _ in await house.audited()][1:] == ["workspace.lock", "workspace.unlock"]


async def test_unlocking_what_is_not_locked_is_refused_in_words_that_name_no_holder(house: House) -> None:
    workspace = await house.workspace()
    for unlock in (house.workspaces.locks.unlock, house.workspaces.locks.force_unlock):
        with pytest.raises(Conflict) as refused:
            await unlock(ALICE, workspace.id)
        assert "is locked by" not in refused.value.detail


async def test_another_persons_lock_is_refused_in_go_tfes_words(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    with pytest.raises(Conflict, match="is locked by User alice"):
        await house.workspaces.locks.unlock(ROOT, workspace.id)


async def test_a_runs_lock_is_refused_in_go_tfes_words_and_force_does_not_take_it(house: House) -> None:
    workspace = await house.workspace()
    await hold(house, workspace)
    with pytest.raises(Conflict, match=f"is locked by Run {RUN}"):
        await house.workspaces.locks.unlock(ALICE, workspace.id)
    with pytest.raises(Invalid, match="cancel or discard that run"):
        await house.workspaces.locks.force_unlock(ALICE, workspace.id)
    assert (await house.workspaces.read(ALICE, workspace.id)).is_held_by(RUN)


async def test_a_pending_state_is_told_without_a_409(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    house.pending.add(workspace.id)
    with pytest.raises(Invalid, match="^latest state version is still pending"):
        await house.workspaces.locks.unlock(ALICE, workspace.id)
    house.pending.clear()
    await house.workspaces.locks.unlock(ALICE, workspace.id)


async def test_an_admin_takes_a_lock_by_force_and_the_record_says_whose(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    assert not (await house.workspaces.locks.force_unlock(ROOT, workspace.id)).locked
    assert (await house.audited())[-1] == ("workspace.force-unlock", "root")


async def test_readers_and_strangers_lock_nothing(house: House) -> None:
    workspace = await house.workspace()
    with pytest.raises(Forbidden):
        await house.workspaces.locks.lock(AUDITOR, workspace.id, None)
    with pytest.raises(NotFound):
        await house.workspaces.locks.lock(BOB, workspace.id, None)
    with pytest.raises(Forbidden):
        await house.workspaces.locks.force_unlock(AUDITOR, workspace.id)


async def test_a_run_takes_a_free_workspace_and_becomes_its_current_run(house: House) -> None:
    workspace = await house.workspace()
    await hold(house, workspace)
    await hold(house, workspace)
    found = await house.workspaces.read(ALICE, workspace.id)
    assert (found.lock_kind, found.lock_holder_id, found.current_run_id) == (LockKind.RUN, RUN, RUN)


async def test_a_run_never_takes_a_persons_lock_nor_another_runs(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    with pytest.raises(Conflict):
        await hold(house, workspace)
    await house.workspaces.locks.unlock(ALICE, workspace.id)
    await hold(house, workspace)
    with pytest.raises(Conflict):
        await hold(house, workspace, "run-other")


async def test_a_run_that_ends_frees_its_own_hold_only(house: House) -> None:
    workspace = await house.workspace()
    await house.workspaces.locks.lock(ALICE, workspace.id, None)
    assert not await release(house, workspace)
    assert (await house.workspaces.read(ALICE, workspace.id)).locked
    await house.workspaces.locks.unlock(ALICE, workspace.id)
    await hold(house, workspace)
    assert not await release(house, workspace, "run-other")
    assert await release(house, workspace)
    found = await house.workspaces.read(ALICE, workspace.id)
    assert (found.locked, found.current_run_id) == (False, RUN)


async def test_a_reason_has_an_end(house: House) -> None:
    workspace = await house.workspace()
    with pytest.raises(Invalid):
        await house.workspaces.locks.lock(ALICE, workspace.id, "x" * 2000)
