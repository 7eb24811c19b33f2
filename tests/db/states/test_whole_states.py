"""States that come in one piece: in the document, by rolling back, and from the runners of applies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from terrapod_core.authz import Actor
from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import PageRequest, Query, Ref
from terrapod_core.states import CreateStateVersion, RollBack, StateVersion
from terrapod_core.states.phases import Standing
from terrapod_core.workspaces import Workspace, queries as workspaces_queries
from tests.support.rooms import ALICE, AUDITOR, BOB
from tests.support.shelf import APPLY, Shelf, pieces, torn
from tests.support.wire import LINEAGE, md5, state

RUN = "run-2uPXtbAVfmCkwGsT"


def back_to(version: StateVersion) -> RollBack:
    return RollBack(rollback_state_version=Ref("state-versions", version.id))


async def put(
    shelf: Shelf, workspace: Workspace, content: bytes, serial: int, *, standing: Standing = Standing.HOLDER, lineage: str = LINEAGE
) -> StateVersion:
    shelf.clock.advance(seconds=1)
    return await deposit(shelf, workspace, pieces(content, 100), content, serial, standing=standing, lineage=lineage)


async def deposit(
    shelf: Shelf,
    workspace: Workspace,
    chunks: AsyncIterator[bytes],
    content: bytes,
    serial: int,
    *,
    actor: Actor = APPLY,
    standing: Standing = Standing.HOLDER,
    lineage: str = LINEAGE,
    run: str = RUN,
) -> StateVersion:
    return await shelf.states.deposits.put(
        workspace.id, run, actor, serial=serial, lineage=lineage, md5=md5(content), chunks=chunks, standing=lambda _session: standing
    )


# -- in the document


async def test_a_state_in_the_document_is_current_at_once(shelf: Shelf) -> None:
    workspace, content = await shelf.held(), state(1)
    new = CreateStateVersion(serial=1, md5=md5(content).upper(), lineage=LINEAGE)
    version = await shelf.states.create_whole(ALICE, workspace.id, pieces(content), lambda: new)
    assert (version.status, version.md5) == ("finalized", md5(content))
    assert len(version.output_ids) == 1
    assert await shelf.bytes_of(await shelf.states.read_current(ALICE, workspace.id)) == content
    again = await shelf.states.create_whole(ALICE, workspace.id, pieces(content), lambda: new)
    assert again.id == version.id
    assert len(shelf.storage.objects) == 1


async def test_a_state_in_the_document_obeys_the_same_rules_and_leaves_nothing(shelf: Shelf) -> None:
    workspace = await shelf.held()
    await shelf.stated(workspace, state(5), 5)
    stale = CreateStateVersion(serial=4, md5=md5(state(4)))
    with pytest.raises(Conflict, match="not greater"):
        await shelf.states.create_whole(ALICE, workspace.id, pieces(state(4)), lambda: stale)
    with pytest.raises(Invalid, match="md5"):
        await shelf.states.create_whole(ALICE, workspace.id, pieces(state(6)), lambda: CreateStateVersion(serial=6, md5="0" * 32))
    with pytest.raises(NotFound):
        await shelf.states.create_whole(BOB, workspace.id, pieces(state(6)), lambda: stale)
    assert len(shelf.storage.objects) == 1
    assert (await shelf.states.list(ALICE, workspace.id, PageRequest())).total == 1


# -- rolling back


async def test_rolling_back_writes_the_old_content_under_the_next_serial(shelf: Shelf) -> None:
    workspace = await shelf.held()
    first = await shelf.stated(workspace, state(3, note="old"), 3)
    await shelf.stated(workspace, state(9, note="new"), 9)
    version = await shelf.states.roll_back(ALICE, workspace.id, back_to(first))
    assert (version.serial, version.status, version.rollback_of_id) == (10, "finalized", first.id)
    assert await shelf.bytes_of(version) == state(10, note="old")
    assert version.md5 == md5(state(10, note="old"))
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == version.id
    assert ("state-version.rollback", "alice") in await shelf.audited()
    # What terraform writes next follows.
    await shelf.stated(workspace, state(11), 11, lineage=LINEAGE)


async def test_rolling_back_needs_the_lock_and_a_state_of_the_workspace(shelf: Shelf) -> None:
    workspace, other = await shelf.held(), await shelf.held(name="other")
    first, theirs = await shelf.stated(workspace, state(1), 1), await shelf.stated(other, state(1), 1)
    pending = await shelf.announced(workspace, state(2), 2)
    for source in (theirs, pending):
        with pytest.raises(Invalid, match="there is no such state version in this workspace"):
            await shelf.states.roll_back(ALICE, workspace.id, back_to(source))
    with pytest.raises(Forbidden):
        await shelf.states.roll_back(AUDITOR, workspace.id, back_to(first))
    await shelf.given_to_run(workspace, RUN)
    with pytest.raises(Conflict, match="locked by Run"):
        await shelf.states.roll_back(ALICE, workspace.id, back_to(first))


async def test_a_state_that_moves_meanwhile_stops_the_rolling_back(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await shelf.held()
    first = await shelf.stated(workspace, state(1), 1)
    await shelf.stated(workspace, state(2), 2)
    real, moved = shelf.objects.put, False

    async def put_and_move(*arguments: object, **named: object) -> object:
        nonlocal moved
        stored = await real(*arguments, **named)  # type: ignore[arg-type]
        if not moved:
            moved = True
            await shelf.stated(workspace, state(3), 3)
        return stored

    monkeypatch.setattr(shelf.objects, "put", put_and_move)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await shelf.states.roll_back(ALICE, workspace.id, back_to(first))
    assert (await shelf.states.read_current(ALICE, workspace.id)).serial == 3
    assert len(shelf.storage.objects) == 3


# -- from runs


async def test_a_run_that_holds_the_workspace_leaves_its_state(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    await shelf.given_to_run(workspace, RUN)
    first = await put(shelf, workspace, state(1), 1)
    assert (first.status, first.run_id, first.created_by_id) == ("finalized", RUN, None)
    second = await put(shelf, workspace, state(2), 2)
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == second.id
    assert await shelf.bytes_of(second) == state(2)
    assert (await put(shelf, workspace, state(2), 2)).id == second.id
    assert (await put(shelf, workspace, state(1), 1)).id == first.id
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == second.id
    assert len(shelf.storage.objects) == 2
    assert [one for one in await shelf.audited() if one[0].startswith("state")] == [("state-version.create", APPLY.name)] * 2


async def test_a_run_leaves_only_what_may_follow(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    await shelf.given_to_run(workspace, RUN)
    await put(shelf, workspace, state(5), 5)
    with pytest.raises(Conflict, match="not greater"):
        await put(shelf, workspace, state(4), 4)
    with pytest.raises(Conflict, match="hash"):
        await put(shelf, workspace, state(5, note="x"), 5)
    with pytest.raises(Conflict, match="lineage"):
        await put(shelf, workspace, state(6, lineage="l"), 6, lineage="l")
    with pytest.raises(Invalid, match="serial"):
        await put(shelf, workspace, state(6), 7)
    with pytest.raises(Conflict, match="locked by Run"):
        await deposit(shelf, workspace, pieces(state(6)), state(6), 6, run="run-other")
    with pytest.raises(Forbidden):
        await deposit(shelf, workspace, pieces(b""), b"", 6, actor=ALICE)
    assert len(shelf.storage.objects) == 1


async def test_a_runner_that_dies_while_it_sends_leaves_nothing(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    await shelf.given_to_run(workspace, RUN)
    with pytest.raises(asyncio.CancelledError):
        await deposit(shelf, workspace, torn(state(1)), state(1), 1)
    assert shelf.storage.objects == {}
    with pytest.raises(NotFound):
        await shelf.states.read_current(ALICE, workspace.id)


async def test_a_repeated_deposit_at_the_same_moment_is_one_version(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    await shelf.given_to_run(workspace, RUN)
    versions = await asyncio.gather(*(put(shelf, workspace, state(1), 1) for _ in range(3)))
    assert len({one.id for one in versions}) == 1
    assert len(shelf.storage.objects) == 1


async def test_a_rescued_state_is_kept_and_not_current_until_an_admin_brings_it_back(shelf: Shelf) -> None:
    workspace = await shelf.held()
    current = await shelf.stated(workspace, state(1), 1)
    rescued = await put(shelf, workspace, state(2, note="rescued"), 2, standing=Standing.LOST)
    assert (rescued.rescued, rescued.intermediate) == (True, False)
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == current.id
    assert len(await shelf.emitted("StateVersionFinalized")) == 1
    assert ("state-version.rescue", APPLY.name) in await shelf.audited()
    version = await shelf.states.roll_back(ALICE, workspace.id, back_to(rescued))
    assert await shelf.bytes_of(version) == state(3, note="rescued")


async def test_a_rescued_state_raises_a_condition_that_its_promotion_ends(shelf: Shelf) -> None:
    workspace = await shelf.held()
    await shelf.stated(workspace, state(1), 1)
    rescued = await put(shelf, workspace, state(5, note="rescued"), 5, standing=Standing.LOST)
    [condition] = (await shelf.now(workspace)).conditions
    assert (condition["code"], condition["run-id"]) == ("state-diverged", RUN)
    assert rescued.id in condition["detail"]
    assert rescued.id in condition["remedy"]
    await shelf.workspaces.locks.unlock(ALICE, workspace.id)
    version = await shelf.states.promote(ALICE, rescued.id)
    assert (version.serial, version.rollback_of_id) == (6, rescued.id)  # above both
    assert await shelf.bytes_of(version) == state(6, note="rescued")
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == version.id
    assert (await shelf.now(workspace)).conditions == []
    assert ("state-version.promote", "alice") in await shelf.audited()


async def test_only_an_admin_promotes_and_only_what_was_rescued_while_nobody_else_has_the_lock(shelf: Shelf) -> None:
    workspace = await shelf.held()
    current = await shelf.stated(workspace, state(1), 1)
    rescued = await put(shelf, workspace, state(2, note="rescued"), 2, standing=Standing.LOST)
    with pytest.raises(Conflict, match="only a state that was rescued"):
        await shelf.states.promote(ALICE, current.id)
    for actor, refusal in ((BOB, NotFound), (AUDITOR, Forbidden)):
        with pytest.raises(refusal):
            await shelf.states.promote(actor, rescued.id)
    with pytest.raises(NotFound):
        await shelf.states.promote(ALICE, "sv-nowhere")
    await shelf.given_to_run(workspace, "run-other")
    with pytest.raises(Conflict, match="locked by Run run-other"):
        await shelf.states.promote(ALICE, rescued.id)
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == current.id
    assert len(shelf.storage.objects) == 2


async def test_the_late_state_of_a_cancelled_run_becomes_current_while_it_holds_the_workspace_and_follows(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    await shelf.given_to_run(workspace, RUN)
    await put(shelf, workspace, state(5), 5)
    assert (await put(shelf, workspace, state(6, note="too early"), 6, standing=Standing.CANCELED)).rescued  # the run goes on
    async with shelf.db.uow() as uow:
        row = await uow.run(lambda session: workspaces_queries.for_update(session, workspace.id))
        assert row is not None
        assert shelf.workspaces.hold_for_state(uow, row, RUN, uow.now() + timedelta(minutes=10))
        await uow.commit()
    kept = await put(shelf, workspace, state(7), 7, standing=Standing.CANCELED)
    assert (kept.rescued, (await shelf.now(workspace)).current_state_version_id) == (False, kept.id)
    for content, serial, lineage in ((state(6, note="older"), 6, LINEAGE), (state(8, lineage="another"), 8, "another")):
        assert (await put(shelf, workspace, content, serial, standing=Standing.CANCELED, lineage=lineage)).rescued
    await shelf.given_to_run(workspace, "run-next")
    assert (await put(shelf, workspace, state(9), 9, standing=Standing.CANCELED)).rescued
    assert (await shelf.now(workspace)).current_state_version_id == kept.id


async def test_states_during_an_apply_are_current_and_intermediate_until_it_ends(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    await shelf.given_to_run(workspace, RUN)
    versions = [await put(shelf, workspace, state(serial), serial) for serial in (1, 3, 4)]
    assert all(one.intermediate for one in versions)
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == versions[-1].id
    async with shelf.db.uow() as uow:
        row = await uow.run(lambda session: workspaces_queries.for_update(session, workspace.id))
        assert row is not None
        await shelf.states.deposits.end(uow, row, "run-other")
        await shelf.states.deposits.end(uow, row, RUN)
        await uow.commit()
    listed = (await shelf.states.list(ALICE, workspace.id, PageRequest())).items
    assert [one.intermediate for one in listed] == [False, True, True]


async def test_the_current_state_is_there_for_rooms_above(shelf: Shelf) -> None:
    workspace = await shelf.held()
    assert await shelf.db.read(lambda session: shelf.states.current(session, workspace.id)) is None
    version = await shelf.stated(workspace, state(1), 1)
    current = await shelf.db.read(lambda session: shelf.states.current(session, workspace.id))
    assert current is not None
    assert current.id == version.id


# -- what is in the current state


def instances(*indices: int | str | None) -> list[dict[str, Any]]:
    return [{"attributes": {}, **({} if index is None else {"index_key": index})} for index in indices]


def with_resources(serial: int, *resources: dict[str, Any]) -> bytes:
    provider = 'provider["registry.terraform.io/hashicorp/null"]'
    listed = [{"mode": "managed", "type": "null_resource", "provider": provider, **one} for one in resources]
    return json.dumps({**json.loads(state(serial)), "resources": listed}).encode()


async def test_resources_are_listed_one_by_one_with_their_addresses(shelf: Shelf) -> None:
    workspace = await shelf.held()
    assert (await shelf.states.resources(ALICE, workspace.id, Query())).total == 0
    content = with_resources(
        1,
        {"name": "plain", "instances": instances(None)},
        {"name": "counted", "instances": instances(0, 1)},
        {"name": "keyed", "module": 'module.net["a"]', "instances": instances('x "y"')},
        {"name": "read", "mode": "data", "instances": instances(None)},
        {"name": "gone", "instances": []},
    )
    version = await shelf.stated(workspace, content, 1)
    found = await shelf.states.resources(ALICE, workspace.id, Query())
    assert [(one.address, one.name_index, one.module) for one in found.items] == [
        ("null_resource.plain", None, "root"),
        ("null_resource.counted[0]", "0", "root"),
        ("null_resource.counted[1]", "1", "root"),
        ('module.net["a"].null_resource.keyed["x \\"y\\""]', 'x "y"', 'module.net["a"]'),
        ("data.null_resource.read", None, "root"),
    ]
    assert {(one.provider, one.provider_type, one.version.id) for one in found.items} == {("hashicorp/null", "null_resource", version.id)}
    assert len({one.id for one in found.items}) == 5
    assert (await shelf.now(workspace)).resource_count == 4
    with pytest.raises(NotFound):
        await shelf.states.resources(BOB, workspace.id, Query())


async def test_resources_are_searched_sorted_and_paged(shelf: Shelf) -> None:
    workspace = await shelf.held()
    await shelf.stated(workspace, with_resources(1, *({"name": name, "instances": instances(None)} for name in ("b", "a", "ab"))), 1)

    async def names(**asked: str) -> list[str]:
        query = Query.parse({key.replace("page_", "page[") + "]" if "page_" in key else key: value for key, value in asked.items()})
        return [one.name for one in (await shelf.states.resources(ALICE, workspace.id, query)).items]

    assert await names(sort="name") == ["a", "ab", "b"]
    assert await names(sort="-name") == ["b", "ab", "a"]
    assert await names(q="RESOURCE.A") == ["a", "ab"]
    assert await names(page_size="2", page_number="2") == ["ab"]
