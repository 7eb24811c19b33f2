"""State versions over both databases: announced, whole, current; and every way in which they must not be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from terrapod_core.errors import Conflict, Forbidden, Invalid, NotFound
from terrapod_core.jsonapi import PageRequest
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.states import queries
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT
from tests.support.shelf import Shelf, all_of, pieces, torn
from tests.support.wire import LINEAGE, state

FIRST = state(1)
OTHER_LINEAGE = "00000000-0000-4000-8000-000000000000"


async def statuses(shelf: Shelf, *version_ids: str) -> list[str]:
    found = [await shelf.db.read(lambda session, one=one: queries.by_id(session, one)) for one in version_ids]  # type: ignore[misc]
    return [one.status for one in found if one is not None]


async def test_a_state_is_current_when_its_bytes_are_whole_and_not_before(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.announced(workspace, FIRST, 1, lineage=LINEAGE)
    assert version.status == "pending"
    assert version.upload_path is not None
    assert version.json_upload_path is not None
    assert version.download_path is None
    with pytest.raises(NotFound):
        await shelf.states.read_current(ALICE, workspace.id)

    await shelf.states.uploads.content(version.id, pieces(FIRST, 100), len(FIRST))

    found = await shelf.states.read_current(ALICE, workspace.id)
    assert (found.id, found.status, found.serial, found.lineage, found.size) == (version.id, "finalized", 1, LINEAGE, len(FIRST))
    assert (found.terraform_version, found.state_version, found.resource_count) == ("1.11.4", 4, 1)
    assert found.modules == {"root": {"terraform-data": 1}}
    assert await shelf.bytes_of(found) == FIRST
    row = await shelf.now(workspace)
    assert (row.current_state_version_id, row.resource_count) == (version.id, 1)
    assert await shelf.emitted("StateVersionFinalized") == [{"state_version_id": version.id, "workspace_id": workspace.id}]
    assert [one for one in await shelf.audited() if one[0].startswith("state")] == [
        ("state-version.create", "alice"),
        ("state-version.upload", "alice"),
    ]


WRONG: dict[str, tuple[bytes, str]] = {
    "other bytes": (state(2, note="x"), "the md5 of the state is"),
    "nothing": (b"", "it is empty"),
    "half": (state(2)[:-20], "cut short"),
    "no state": (b"{}", "no version"),
}


@pytest.mark.parametrize(("content", "says"), WRONG.values(), ids=WRONG.keys())
async def test_wrong_bytes_consume_nothing_and_the_right_ones_follow(shelf: Shelf, content: bytes, says: str) -> None:
    workspace = await shelf.held()
    await shelf.stated(workspace, FIRST, 1)
    version = await shelf.announced(workspace, state(2), 2)
    with pytest.raises(Invalid, match=says):
        await shelf.states.uploads.content(version.id, pieces(content))
    assert await statuses(shelf, version.id) == ["pending"]
    assert (await shelf.states.read_current(ALICE, workspace.id)).serial == 1
    assert len(shelf.storage.objects) == 1
    await shelf.states.uploads.content(version.id, pieces(state(2)))
    assert (await shelf.states.read_current(ALICE, workspace.id)).serial == 2


async def test_bytes_with_another_serial_or_lineage_than_declared_are_refused(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.announced(workspace, FIRST, 5)
    with pytest.raises(Invalid, match="serial 1, and 5 was declared"):
        await shelf.states.uploads.content(version.id, pieces(FIRST))
    version = await shelf.announced(workspace, FIRST, 1, lineage=OTHER_LINEAGE)
    with pytest.raises(Invalid, match="lineage"):
        await shelf.states.uploads.content(version.id, pieces(FIRST))
    assert shelf.storage.objects == {}


async def test_a_torn_upload_leaves_nothing_behind(shelf: Shelf) -> None:
    version = await shelf.announced(await shelf.held(), FIRST, 1)
    with pytest.raises(asyncio.CancelledError):
        await shelf.states.uploads.content(version.id, torn(FIRST))
    assert shelf.storage.objects == {}
    assert await statuses(shelf, version.id) == ["pending"]
    await shelf.states.uploads.content(version.id, pieces(FIRST))
    assert await statuses(shelf, version.id) == ["finalized"]


async def test_the_same_bytes_again_are_fine_and_others_are_not(shelf: Shelf) -> None:
    version = await shelf.stated(await shelf.held(), FIRST, 1)
    await shelf.states.uploads.content(version.id, pieces(FIRST), len(FIRST))
    with pytest.raises(Conflict):
        await shelf.states.uploads.content(version.id, pieces(FIRST[:-1] + b" "))
    body = pieces(state(1, note="longer"))
    with pytest.raises(Conflict):
        await shelf.states.uploads.content(version.id, body, len(FIRST) + 6)
    assert await all_of(body)  # not a byte of it was read
    assert len(shelf.storage.objects) == 1


async def test_when_its_time_is_over_not_a_byte_is_read(shelf: Shelf) -> None:
    workspace = await shelf.held()
    final, pending = await shelf.stated(workspace, FIRST, 1), await shelf.announced(workspace, state(2), 2)
    shelf.clock.advance(minutes=31)
    for version_id in (final.id, pending.id, "sv-1111111111111111"):
        body = pieces(FIRST)
        with pytest.raises(NotFound, match="no upload is waited for"):
            await shelf.states.uploads.content(version_id, body)
        assert await all_of(body) == FIRST
    assert await shelf.db.read(lambda session: queries.pending_state(session, workspace.id))
    await shelf.states.discard_overdue()
    assert await statuses(shelf, final.id, pending.id) == ["finalized", "discarded"]
    assert not await shelf.db.read(lambda session: queries.pending_state(session, workspace.id))


async def test_only_the_holder_of_the_lock_writes(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    with pytest.raises(Conflict, match="the workspace is not locked"):
        await shelf.announced(workspace, FIRST, 1)
    await shelf.workspaces.locks.lock(ALICE, workspace.id, None)
    with pytest.raises(Conflict, match="is locked by User alice"):
        await shelf.announced(workspace, FIRST, 1, ROOT)
    with pytest.raises(NotFound):
        await shelf.announced(workspace, FIRST, 1, BOB)
    with pytest.raises(Forbidden):
        await shelf.announced(workspace, FIRST, 1, AUDITOR)
    await shelf.given_to_run(workspace, "run-2uPXtbAVfmCkwGsT")
    with pytest.raises(Conflict, match="is locked by Run run-2uPXtbAVfmCkwGsT"):
        await shelf.announced(workspace, FIRST, 1)


async def test_a_lock_lost_on_the_way_makes_the_bytes_come_too_late(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.announced(workspace, FIRST, 1)
    await shelf.workspaces.locks.force_unlock(ALICE, workspace.id)
    await shelf.workspaces.locks.lock(ROOT, workspace.id, None)
    with pytest.raises(Conflict, match="is locked by User root"):
        await shelf.states.uploads.content(version.id, pieces(FIRST))
    assert await statuses(shelf, version.id) == ["discarded"]
    assert shelf.storage.objects == {}


async def test_serials_grow_and_the_lineage_stays_unless_forced(shelf: Shelf) -> None:
    workspace = await shelf.held()
    await shelf.stated(workspace, state(5), 5)
    with pytest.raises(Conflict, match="hash does not match the one known for serial 5"):
        await shelf.announced(workspace, state(5, note="x"), 5, lineage=LINEAGE)
    with pytest.raises(Conflict, match="serial 4 is not greater than the known one, 5"):
        await shelf.announced(workspace, state(4), 4)
    with pytest.raises(Conflict, match="lineage .* does not match"):
        await shelf.announced(workspace, state(6, lineage=OTHER_LINEAGE), 6, lineage=OTHER_LINEAGE)
    hidden = await shelf.announced(workspace, state(6, lineage=OTHER_LINEAGE), 6)
    with pytest.raises(Conflict, match="lineage"):
        await shelf.states.uploads.content(hidden.id, pieces(state(6, lineage=OTHER_LINEAGE)))
    forced = await shelf.stated(workspace, state(2, lineage=OTHER_LINEAGE), 2, lineage=OTHER_LINEAGE, force=True)
    found = await shelf.states.read_current(ALICE, workspace.id)
    assert (found.id, found.serial, found.lineage) == (forced.id, 2, OTHER_LINEAGE)


async def test_announcing_the_same_state_again_gives_the_same_version(shelf: Shelf) -> None:
    workspace = await shelf.held()
    pending = await shelf.announced(workspace, FIRST, 1, lineage=LINEAGE)
    assert (await shelf.announced(workspace, FIRST, 1, lineage=LINEAGE)).id == pending.id
    await shelf.states.uploads.content(pending.id, pieces(FIRST))
    shelf.clock.advance(days=30)
    again = await shelf.announced(workspace, FIRST, 1, lineage=LINEAGE)
    assert (again.id, again.status) == (pending.id, "finalized")
    assert again.upload_path is not None
    await shelf.states.uploads.content(again.id, pieces(FIRST), len(FIRST))
    assert len(shelf.storage.objects) == 1


async def test_of_two_states_with_one_serial_the_first_whole_one_wins(shelf: Shelf) -> None:
    workspace = await shelf.held()
    contents = [state(1), state(1, note="x")]
    versions = [await shelf.announced(workspace, content, 1) for content in contents]
    uploads = [shelf.states.uploads.content(one.id, pieces(content, 200)) for one, content in zip(versions, contents, strict=True)]
    results = await asyncio.gather(*uploads, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    winner = 0 if results[0] is None else 1
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == versions[winner].id
    assert await shelf.bytes_of(await shelf.states.read(ALICE, versions[winner].id)) == contents[winner]
    assert await statuses(shelf, versions[1 - winner].id) == ["discarded"]
    assert len(shelf.storage.objects) == 1


async def test_two_uploads_of_the_same_bytes_at_once_both_succeed(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.announced(workspace, FIRST, 1)
    await asyncio.gather(*(shelf.states.uploads.content(version.id, pieces(FIRST, 200)) for _ in range(3)))
    assert len(shelf.storage.objects) == 1
    assert len(await shelf.emitted("StateVersionFinalized")) == 1


async def test_an_announcement_that_was_overtaken_no_longer_keeps_the_workspace_locked(shelf: Shelf) -> None:
    workspace = await shelf.held()
    abandoned = await shelf.announced(workspace, FIRST, 1)
    later = await shelf.announced(workspace, state(9), 9)
    await shelf.stated(workspace, state(2), 2)
    assert await statuses(shelf, abandoned.id, later.id) == ["discarded", "pending"]
    await shelf.stated(workspace, state(10), 10)
    assert not await shelf.db.read(lambda session: queries.pending_state(session, workspace.id))


async def test_of_bytes_that_are_too_many_only_what_shows_it_is_read(shelf: Shelf) -> None:
    version = await shelf.stated(await shelf.held(), FIRST, 1)
    body = pieces(FIRST + bytes(4 << 20))
    with pytest.raises(Conflict):
        await shelf.states.uploads.content(version.id, body)
    assert len(await all_of(body)) > 3 << 20


async def test_a_crash_before_the_commit_leaves_no_half_state(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await shelf.held()
    version = await shelf.announced(workspace, FIRST, 1)

    def crash(*_arguments: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(shelf.workspaces, "set_current_state", crash)
        with pytest.raises(RuntimeError):
            await shelf.states.uploads.content(version.id, pieces(FIRST))
    assert await statuses(shelf, version.id) == ["pending"]
    assert (await shelf.states.outputs(ALICE, version.id, PageRequest())).total == 0
    assert shelf.storage.objects == {}
    await shelf.states.uploads.content(version.id, pieces(FIRST))
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == version.id


async def test_a_client_that_goes_during_the_commit_finds_it_done(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await shelf.held()
    version = await shelf.announced(workspace, FIRST, 1)
    reached, go_on = asyncio.Event(), asyncio.Event()
    real: Callable[..., Awaitable[object]] = shelf.states.uploads._arrived

    async def slow(*arguments: object) -> object:
        reached.set()
        await go_on.wait()
        return await real(*arguments)

    monkeypatch.setattr(shelf.states.uploads, "_arrived", slow)
    upload = asyncio.create_task(shelf.states.uploads.content(version.id, pieces(FIRST)))
    await reached.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    [settling] = shelf.states.uploads._claims._running
    go_on.set()
    await settling
    assert (await shelf.states.read_current(ALICE, workspace.id)).id == version.id
    assert len(shelf.storage.objects) == 1


async def test_pending_versions_are_for_those_who_write(shelf: Shelf) -> None:
    workspace = await shelf.held()
    final = await shelf.stated(workspace, FIRST, 1)
    pending = await shelf.announced(workspace, state(2), 2)

    async def listed(actor: object, status: str | None = None) -> set[str]:
        return {one.id for one in (await shelf.states.list(actor, workspace.id, PageRequest(), status)).items}  # type: ignore[arg-type]

    assert await listed(ALICE) == {final.id, pending.id}
    assert await listed(AUDITOR) == {final.id}
    assert await listed(AUDITOR, "pending") == set()
    assert await listed(ALICE, "pending") == {pending.id}
    with pytest.raises(NotFound):
        await shelf.states.read(AUDITOR, pending.id)
    seen = await shelf.db.read(lambda session: shelf.states.load(session, AUDITOR, [final.id, pending.id]))
    assert [one.id for one in seen] == [final.id]
    assert await shelf.db.read(lambda session: shelf.states.load(session, BOB, [final.id])) == []


async def test_readers_get_no_link_to_the_bytes(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.stated(workspace, FIRST, 1)
    assert (await shelf.states.read(ALICE, version.id)).download_path is not None
    assert (await shelf.states.read(AUDITOR, version.id)).download_path is None
    with pytest.raises(Forbidden):
        await shelf.states.download_link(AUDITOR, version.id)
    link = shelf.capabilities.verify((await shelf.states.download_link(ALICE, version.id)).removeprefix("/c/"), "GET")
    chunks, size = await shelf.states.open(link.object_id)
    assert (await all_of(chunks), size) == (FIRST, len(FIRST))


async def test_outputs_are_kept_with_their_types_and_secrets_stay_secret(shelf: Shelf) -> None:
    workspace = await shelf.held()
    assert await shelf.states.current_outputs(ALICE, workspace.id) == []
    version = await shelf.stated(workspace, state(1, outputs={"said": "hello", "hidden": "xyzzy"}), 1)
    outputs = await shelf.states.current_outputs(ALICE, workspace.id)
    assert [(one.name, one.sensitive, one.type, one.detailed_type, one.shown_value) for one in outputs] == [
        ("hidden", True, "string", "string", None),
        ("said", False, "string", "string", outputs[1].shown_value),
    ]
    assert bytes(outputs[1].shown_value or b"") == b'"hello"'
    assert list(version.output_ids) == [one.id for one in outputs]
    assert b"xyzzy" not in (outputs[0].value or b"")
    assert bytes((await shelf.states.output(ALICE, outputs[0].id)).shown_value or b"") == b'"xyzzy"'
    assert bytes((await shelf.states.output(AUDITOR, outputs[1].id)).shown_value or b"") == b'"hello"'
    with pytest.raises(Forbidden):
        await shelf.states.output(AUDITOR, outputs[0].id)
    with pytest.raises(NotFound):
        await shelf.states.output(BOB, outputs[1].id)
    page = await shelf.states.outputs(ALICE, version.id, PageRequest(2, 1))
    assert ([one.name for one in page.items], page.total) == (["said"], 2)
    loaded = await shelf.db.read(lambda session: shelf.states.load_outputs(session, AUDITOR, list(version.output_ids)))
    assert {one.name: one.shown_value is None for one in loaded} == {"hidden": True, "said": False}


async def test_the_parsed_view_comes_before_or_after_the_state(shelf: Shelf) -> None:
    workspace = await shelf.held()
    uploads, view = shelf.states.uploads, b'{"format_version": "1.0"}'
    version = await shelf.announced(workspace, FIRST, 1)
    await asyncio.gather(uploads.parsed(version.id, pieces(view), linked=True), uploads.content(version.id, pieces(FIRST)))
    await uploads.parsed(version.id, pieces(view), linked=False)
    with pytest.raises(Conflict):
        await uploads.parsed(version.id, pieces(b"{}"), linked=True)
    found = await shelf.states.read(ALICE, version.id)
    assert found.json_download_path is not None
    chunks, size = await shelf.states.open(version.id, parsed=True)
    assert (await all_of(chunks), size) == (view, len(view))


async def test_nobody_plants_a_parsed_view_under_the_id_of_a_final_version(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.stated(workspace, FIRST, 1)
    with pytest.raises(NotFound):
        await shelf.states.uploads.parsed(version.id, pieces(b"{}"), linked=False)
    await shelf.states.uploads.parsed(version.id, pieces(b""), linked=True)
    with pytest.raises(Invalid, match="parsed state is refused"):
        await shelf.states.uploads.parsed(version.id, pieces(b"[1]"), linked=True)
    assert (await shelf.states.read(ALICE, version.id)).json_download_path is None
    assert len(shelf.storage.objects) == 1


async def test_a_run_named_with_a_state_must_be_the_workspaces_own(shelf: Shelf) -> None:
    from terrapod_core.jsonapi import Ref

    workspace = await shelf.held()
    shelf.runs = {"run-mine": workspace.id, "run-theirs": "ws-other"}
    for run_id in ("run-theirs", "run-none"):
        with pytest.raises(Invalid, match="there is no such run in this workspace"):
            await shelf.announced(workspace, FIRST, 1, run=Ref("runs", run_id))
    assert (await shelf.announced(workspace, FIRST, 1, run=Ref("runs", "run-mine"))).run_id == "run-mine"


@pytest.mark.parametrize(("serial", "md5"), [(-1, "0" * 32), (2**63, "0" * 32), (1, "x"), (1, "0" * 31), (1, "0" * 33)])
async def test_an_announcement_of_nonsense_is_refused(shelf: Shelf, serial: int, md5: str) -> None:
    from terrapod_core.states import CreateStateVersion

    workspace = await shelf.held()
    with pytest.raises(Invalid):
        await shelf.states.create(ALICE, workspace.id, CreateStateVersion(serial=serial, md5=md5))


async def test_a_deleted_workspace_takes_its_states_along(shelf: Shelf) -> None:
    workspace = await shelf.held()
    version = await shelf.stated(workspace, FIRST, 1)
    await shelf.states.uploads.parsed(version.id, pieces(b"{}"), linked=True)
    pending = await shelf.announced(workspace, state(2), 2)
    kept = await shelf.stated(await shelf.held(name="other"), FIRST, 1)
    await shelf.workspaces.locks.force_unlock(ALICE, workspace.id)
    await shelf.workspaces.delete(ALICE, workspace.id)
    for attempt in (shelf.states.open(version.id), shelf.states.uploads.content(pending.id, pieces(state(2)))):
        with pytest.raises(NotFound):
            await attempt
    for _ in range(2):
        await shelf.states.remove_workspace(WorkspaceDeleted(workspace.id))
    assert await statuses(shelf, version.id, pending.id) == []
    assert list(shelf.storage.objects) == [kept.object_key]
    assert (await shelf.states.outputs(ALICE, kept.id, PageRequest())).total == 1
