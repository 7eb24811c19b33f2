"""The same bytes in two state versions of a workspace are one object of the store."""

from __future__ import annotations

import asyncio

from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.states import StateVersion
from terrapod_core.storage import ObjectKind
from terrapod_core.storage.rotation import Rotation
from terrapod_core.workspaces import Workspace
from tests.support.rooms import ALICE
from tests.support.shelf import Shelf, pieces
from tests.support.wire import state

OLD, NEWER = state(1), state(2)
VIEW = b'{"format_version": "1.0"}'


async def pushed_back(shelf: Shelf) -> tuple[Workspace, StateVersion, StateVersion]:
    """A workspace whose first state was pushed over the second one."""
    workspace = await shelf.held()
    first = await shelf.stated(workspace, OLD, 1)
    await shelf.stated(workspace, NEWER, 2)
    return workspace, first, await shelf.stated(workspace, OLD, 1, force=True)


async def again(shelf: Shelf, version: StateVersion) -> StateVersion:
    return await shelf.states.read(ALICE, version.id)


async def test_a_state_that_comes_again_is_a_version_of_its_own_and_no_object(shelf: Shelf) -> None:
    workspace, first, back = await pushed_back(shelf)
    assert back.id != first.id
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == back.id
    assert len(shelf.storage.objects) == 2
    assert [await shelf.bytes_of(each) for each in (first, back)] == [OLD, OLD]
    third = await shelf.stated(workspace, NEWER, 2)
    assert (len(shelf.storage.objects), await shelf.bytes_of(third)) == (2, NEWER)


async def test_another_workspace_has_bytes_of_its_own(shelf: Shelf) -> None:
    for name in ("one", "two"):
        await shelf.stated(await shelf.held(name=name), OLD, 1)
    assert len(shelf.storage.objects) == 2


async def test_a_parsed_view_that_stays_the_same_is_stored_once(shelf: Shelf) -> None:
    workspace = await shelf.held()
    versions = [await shelf.stated(workspace, state(serial), serial) for serial in (1, 2, 3)]
    for version, view in zip(versions, (VIEW, VIEW, b"{}"), strict=True):
        await shelf.states.uploads.parsed(version.id, pieces(view), linked=True)
    assert len(shelf.storage.objects) == 3 + 2
    for version, view in zip(versions, (VIEW, VIEW, b"{}"), strict=True):
        chunks, size = await shelf.states.open(version.id, parsed=True)
        assert (b"".join([chunk async for chunk in chunks]), size) == (view, len(view))


async def test_both_go_on_to_read_it_when_it_was_encrypted_anew(shelf: Shelf) -> None:
    _, first, back = await pushed_back(shelf)
    rotation = Rotation(shelf.db, shelf.keyring, shelf.objects, pause=lambda seconds: asyncio.sleep(0))
    before = set(shelf.storage.objects)
    done = await rotation.run(lambda what, more: None, data=True)
    assert done.objects == 2
    assert not before & set(shelf.storage.objects)
    assert [await shelf.bytes_of(await again(shelf, each)) for each in (first, back)] == [OLD, OLD]


async def test_a_version_that_comes_to_share_while_it_is_encrypted_anew_names_the_new_object(shelf: Shelf) -> None:
    workspace = await shelf.held()
    first = await shelf.stated(workspace, OLD, 1)
    await shelf.stated(workspace, NEWER, 2)
    announced = await shelf.announced(workspace, OLD, 1, force=True)
    began, go_on = asyncio.Event(), asyncio.Event()
    plain = shelf.objects.get

    async def held_back(kind: ObjectKind, object_id: str, key: str, start: int = 0, end: int | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN202
        async for chunk in plain(kind, object_id, key, start, end):
            yield chunk
        if object_id == first.id:
            began.set()
            await go_on.wait()

    shelf.objects.get = held_back  # type: ignore[method-assign]
    rotation = Rotation(shelf.db, shelf.keyring, shelf.objects, pause=lambda seconds: asyncio.sleep(0))
    rotating = asyncio.create_task(rotation.run(lambda what, more: None, data=True))
    await began.wait()
    await shelf.states.uploads.content(announced.id, pieces(OLD))
    go_on.set()
    await rotating
    shelf.objects.get = plain  # type: ignore[method-assign]
    found = [await again(shelf, each) for each in (first, announced)]
    assert found[0].object_key == found[1].object_key
    assert [await shelf.bytes_of(each) for each in found] == [OLD, OLD]


async def test_a_deleted_workspace_leaves_nothing_of_it(shelf: Shelf) -> None:
    workspace, *_ = await pushed_back(shelf)
    await shelf.workspaces.locks.unlock(ALICE, workspace.id)
    await shelf.workspaces.delete(ALICE, workspace.id)
    await shelf.states.remove_workspace(WorkspaceDeleted(workspace.id))
    assert not shelf.storage.objects
