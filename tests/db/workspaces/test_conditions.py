"""What is wrong with a workspace: written down, shown, dealt with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from terrapod_core.errors import Forbidden, NotFound
from terrapod_core.workspaces import Workspace, queries
from terrapod_core.workspaces.conditions import Condition, Conditions, Severity, raise_on, settle
from tests.support.rooms import ALICE, AUDITOR, BOB, House

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def condition(code: str = "state-diverged", since: datetime = SINCE, detail: str = "something happened") -> Condition:
    return Condition(code=code, severity=Severity.ERROR, detail=detail, remedy="look at it", since=since, run_id="run-1")


async def raised(house: House, workspace: Workspace, *conditions: Condition) -> None:
    async with house.db.uow() as uow:
        row = await uow.run(lambda session: queries.for_update(session, workspace.id))
        assert row is not None
        for each in conditions:
            raise_on(uow, row, each)
        await uow.commit()


async def settled(house: House, workspace: Workspace, code: str, before: datetime | None = None) -> bool:
    async with house.db.uow() as uow:
        row = await uow.run(lambda session: queries.for_update(session, workspace.id))
        assert row is not None
        changed = settle(uow, row, code, "a test", before=before)
        await uow.commit()
    return changed


async def test_a_condition_says_what_happened_since_when_and_what_to_do(house: House) -> None:
    workspace = await house.workspace()
    await raised(house, workspace, condition())
    assert (await house.workspaces.read(ALICE, workspace.id)).conditions == [
        {
            "code": "state-diverged",
            "severity": "error",
            "detail": "something happened",
            "remedy": "look at it",
            "since": "2026-01-02T03:04:05Z",
            "run-id": "run-1",
        }
    ]
    assert (await house.audited())[-1] == ("workspace.condition", "Terrapod")


async def test_the_newest_of_a_code_counts(house: House) -> None:
    workspace = await house.workspace()
    await raised(house, workspace, condition(detail="first"), condition(code="another"), condition(detail="second"))
    found = (await house.workspaces.read(ALICE, workspace.id)).conditions
    assert [(each["code"], each["detail"]) for each in found] == [("another", "something happened"), ("state-diverged", "second")]


async def test_a_condition_is_settled_by_what_began_after_it(house: House) -> None:
    workspace = await house.workspace()
    await raised(house, workspace, condition())
    assert not await settled(house, workspace, "state-diverged", before=SINCE - timedelta(seconds=1))
    assert not await settled(house, workspace, "another")
    assert await settled(house, workspace, "state-diverged", before=SINCE + timedelta(seconds=1))
    assert (await house.workspaces.read(ALICE, workspace.id)).conditions == []


async def test_an_admin_acknowledges_a_condition_and_nobody_else(house: House) -> None:
    workspace = await house.workspace()
    await raised(house, workspace, condition())
    for actor, refusal in ((BOB, NotFound), (AUDITOR, Forbidden)):
        with pytest.raises(refusal):
            await house.workspaces.acknowledging.acknowledge(actor, workspace.id, "state-diverged", None)
    with pytest.raises(NotFound, match="no condition no-isolation"):
        await house.workspaces.acknowledging.acknowledge(ALICE, workspace.id, "no-isolation", None)
    shown = await house.workspaces.acknowledging.acknowledge(ALICE, workspace.id, "state-diverged", "looked at it")
    assert shown.conditions == []
    assert (await house.audited())[-1] == ("workspace.acknowledge-condition", "alice")


async def test_what_is_written_down_and_what_is_worked_out_come_together(house: House) -> None:
    workspace = await house.workspace()
    await raised(house, workspace, condition())
    found = Conditions([lambda _workspace: None, lambda each: condition(code=f"about-{each.name}")]).of(
        await house.workspaces.read(ALICE, workspace.id)
    )
    assert [each["code"] for each in found] == ["state-diverged", f"about-{workspace.name}"]
