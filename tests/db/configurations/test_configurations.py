"""Configuration versions over both databases: from the announcement to the archive that a run unpacks, and away again."""

from __future__ import annotations

import asyncio

import pytest

from terrapod_core.configurations import queries, service
from terrapod_core.errors import Conflict, Forbidden, Invalid, InvalidTransition, NotFound
from terrapod_core.jsonapi import PageRequest
from terrapod_core.plugin.events import WorkspaceDeleted
from terrapod_core.storage import Purpose
from terrapod_core.storage.discards import remove_discarded
from tests.support.faults import Deaths, check_store
from tests.support.rooms import ALICE, AUDITOR, BOB, ROOT
from tests.support.shelf import Shelf, all_of, pieces, torn
from tests.support.wire import archive, entry, packed

ARCHIVE = archive({"main.tf": "locals {}\n", "modules/net/main.tf": "# net\n"})
OTHER = archive({"main.tf": "locals { a = 1 }\n"})


async def test_an_archive_becomes_a_usable_version_in_the_upload_itself(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    version = await shelf.configuration(workspace)
    assert version.status == "pending"
    assert version.upload_path is not None
    link = shelf.capabilities.verify(version.upload_path.removeprefix("/c/"), "PUT")
    assert (link.purpose, link.object_id) == (Purpose.CONFIGURATION_UPLOAD, version.id)

    await shelf.configurations.upload(version.id, pieces(ARCHIVE, 100), len(ARCHIVE))

    found = await shelf.configurations.read(ALICE, version.id)
    assert (found.status, found.size, found.trusted, found.upload_path) == ("uploaded", len(ARCHIVE), True, None)
    assert set(found.status_timestamps) == {"uploaded-at"}
    assert await all_of(shelf.configurations.content(found)) == ARCHIVE
    chunks, size = await shelf.configurations.content_of(version.id)
    assert (await all_of(chunks), size) == (ARCHIVE, len(ARCHIVE))
    assert await shelf.emitted("ConfigurationUploaded") == [{"configuration_version_id": version.id, "workspace_id": workspace.id}]
    assert [one for one in await shelf.audited() if one[0].startswith("configuration")] == [
        ("configuration-version.create", "alice"),
        ("configuration-version.upload", "alice"),
    ]


async def test_only_who_may_write_gets_a_link_and_only_who_may_read_sees_the_version(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    version = await shelf.configuration(workspace)
    assert (await shelf.configurations.read(AUDITOR, version.id)).upload_path is None
    assert (await shelf.configurations.read(ROOT, version.id)).upload_path is not None
    assert (await shelf.configurations.list(AUDITOR, workspace.id, PageRequest())).items[0].upload_path is None
    for attempt in (
        shelf.configurations.read(BOB, version.id),
        shelf.configurations.download_link(BOB, version.id),
        shelf.configurations.archive(BOB, version.id),
        shelf.configuration(workspace, BOB),
        shelf.configurations.list(BOB, workspace.id, PageRequest()),
    ):
        with pytest.raises(NotFound):
            await attempt
    for attempt in (
        shelf.configuration(workspace, AUDITOR),
        shelf.configuration(workspace, AUDITOR, speculative=True),
        shelf.configurations.download_link(AUDITOR, version.id),
        shelf.configurations.archive(AUDITOR, version.id),
    ):
        with pytest.raises(Forbidden):
            await attempt


async def test_a_bad_archive_consumes_nothing(shelf: Shelf) -> None:
    version = await shelf.configuration(await shelf.workspace())
    hostile = packed([entry("../evil.tf", b"x")])
    with pytest.raises(Invalid, match="'../evil.tf' leaves"):
        await shelf.configurations.upload(version.id, pieces(hostile))
    assert (await shelf.configurations.read(ALICE, version.id)).status == "pending"
    assert shelf.storage.objects == {}
    await shelf.configurations.upload(version.id, pieces(ARCHIVE))
    assert (await shelf.configurations.read(ALICE, version.id)).status == "uploaded"


async def test_a_client_that_vanishes_leaves_nothing_behind(shelf: Shelf) -> None:
    version = await shelf.configuration(await shelf.workspace())
    with pytest.raises(asyncio.CancelledError):
        await shelf.configurations.upload(version.id, torn(ARCHIVE))
    assert shelf.storage.objects == {}
    assert (await shelf.configurations.read(ALICE, version.id)).status == "pending"


async def test_the_same_archive_again_is_fine_and_another_is_not(shelf: Shelf) -> None:
    version = await shelf.uploaded(await shelf.workspace(), ARCHIVE)
    await shelf.configurations.upload(version.id, pieces(ARCHIVE), len(ARCHIVE))
    await shelf.configurations.upload(version.id, pieces(ARCHIVE), None)
    for other in (OTHER, ARCHIVE[:-1] + b"x", ARCHIVE + b"x"):
        with pytest.raises(Conflict):
            await shelf.configurations.upload(version.id, pieces(other))
    assert len(shelf.storage.objects) == 1
    assert len(await shelf.emitted("ConfigurationUploaded")) == 1


async def test_of_an_archive_of_another_size_not_a_byte_is_read(shelf: Shelf) -> None:
    version = await shelf.uploaded(await shelf.workspace(), ARCHIVE)
    body = pieces(OTHER)
    with pytest.raises(Conflict):
        await shelf.configurations.upload(version.id, body, len(ARCHIVE) + 1)
    assert await all_of(body) == OTHER


async def test_of_two_uploads_at_once_one_wins(shelf: Shelf) -> None:
    version = await shelf.configuration(await shelf.workspace())
    uploads = [shelf.configurations.upload(version.id, pieces(content, 50)) for content in (ARCHIVE, OTHER)]
    results = await asyncio.gather(*uploads, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    assert len(shelf.storage.objects) == 1
    found = await shelf.configurations.read(ALICE, version.id)
    assert await all_of(shelf.configurations.content(found)) == (ARCHIVE if results[0] is None else OTHER)


async def test_an_upload_that_comes_too_late_is_refused_with_a_sentence(shelf: Shelf) -> None:
    version = await shelf.configuration(await shelf.workspace())
    shelf.clock.advance(hours=2)
    with pytest.raises(NotFound, match="over"):
        shelf.capabilities.verify(str(version.upload_path).removeprefix("/c/"), "PUT")
    with pytest.raises(NotFound, match="make a new configuration version"):
        await shelf.configurations.upload(version.id, pieces(ARCHIVE))
    await shelf.configurations.expire()
    found = await shelf.configurations.read(ALICE, version.id)
    assert (found.status, found.error, found.upload_path) == ("errored", "upload_expired", None)
    with pytest.raises(Conflict, match="is errored"):
        await shelf.configurations.upload(version.id, pieces(ARCHIVE))


async def test_a_run_takes_the_newest_that_is_whole_and_meant_for_it(shelf: Shelf) -> None:
    workspace = await shelf.workspace()

    async def latest() -> str | None:
        found = await shelf.db.read(lambda session: queries.latest_usable(session, workspace.id))
        return found.id if found is not None else None

    assert await latest() is None
    first = await shelf.uploaded(workspace)
    assert await latest() == first.id
    await shelf.uploaded(workspace, speculative=True)
    await shelf.uploaded(workspace, provisional=True)
    await shelf.configuration(workspace)
    assert await latest() == first.id
    second = await shelf.uploaded(workspace)
    assert await latest() == second.id


async def test_what_is_only_tried_does_not_become_current(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    version = await shelf.configuration(workspace)
    assert (await shelf.now(workspace)).current_configuration_version_id == version.id
    await shelf.configuration(workspace, speculative=True)
    await shelf.configuration(workspace, provisional=True)
    assert (await shelf.now(workspace)).current_configuration_version_id == version.id


async def test_an_archive_goes_when_nobody_needs_it(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    old = await shelf.uploaded(workspace)
    with pytest.raises(InvalidTransition, match="because it is current"):
        await shelf.configurations.archive(ALICE, old.id)
    await shelf.uploaded(workspace, OTHER)
    shelf.in_use.add(old.id)
    with pytest.raises(InvalidTransition, match="a run that has not ended uses it"):
        await shelf.configurations.archive(ALICE, old.id)
    shelf.in_use.clear()
    await shelf.configurations.archive(ALICE, old.id)
    found = await shelf.configurations.read(ALICE, old.id)
    assert (found.status, found.object_key) == ("archived", None)
    assert len(shelf.storage.objects) == 1
    with pytest.raises(NotFound, match="it is archived"):
        await shelf.configurations.download_link(ALICE, old.id)
    with pytest.raises(InvalidTransition):
        await shelf.configurations.archive(ALICE, old.id)


async def test_an_object_that_archiving_left_is_removed_by_the_clock(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = await shelf.workspace()
    old = await shelf.uploaded(workspace)
    await shelf.uploaded(workspace, OTHER)

    async def crash(_key: str) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(shelf.objects, "delete", crash)
        with pytest.raises(OSError):
            await shelf.configurations.archive(ALICE, old.id)
    assert len(shelf.storage.objects) == 2
    await remove_discarded(shelf.db, shelf.objects)
    assert len(shelf.storage.objects) == 1
    assert (await shelf.configurations.read(ALICE, old.id)).object_key is None


async def test_lists_are_pages_newest_first(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    made = []
    for _ in range(3):
        made.append((await shelf.configuration(workspace)).id)
        shelf.clock.advance(seconds=1)
    page = await shelf.configurations.list(ALICE, workspace.id, PageRequest(1, 2))
    assert ([one.id for one in page.items], page.total) == ([made[2], made[1]], 3)
    assert [one.id for one in (await shelf.configurations.list(ALICE, workspace.id, PageRequest(2, 2))).items] == [made[0]]


async def test_includes_show_only_what_the_actor_may_read(shelf: Shelf) -> None:
    version = await shelf.configuration(await shelf.workspace())
    for actor, visible in ((ALICE, True), (BOB, False), (AUDITOR, True)):
        found = await shelf.db.read(lambda session, actor=actor: shelf.configurations.load(session, actor, [version.id]))  # type: ignore[misc]
        assert bool(found) is visible


async def test_a_deleted_workspace_takes_its_archives_along(shelf: Shelf) -> None:
    workspace, other = await shelf.workspace(), await shelf.workspace(name="other")
    version = await shelf.uploaded(workspace)
    kept = await shelf.uploaded(other)
    await shelf.workspaces.delete(ALICE, workspace.id)
    with pytest.raises(NotFound):
        await shelf.configurations.content_of(version.id)
    event = WorkspaceDeleted(workspace.id)
    await shelf.configurations.remove_workspace(event)
    await shelf.configurations.remove_workspace(event)
    assert await shelf.db.read(lambda session: queries.by_id(session, version.id)) is None
    assert list(shelf.storage.objects) == [kept.object_key]


async def test_an_upload_into_a_workspace_that_was_just_deleted_leaves_nothing(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    version = await shelf.configuration(workspace)
    await shelf.workspaces.delete(ALICE, workspace.id)
    with pytest.raises(NotFound):
        await shelf.configurations.upload(version.id, pieces(ARCHIVE))
    assert shelf.storage.objects == {}


async def test_old_configurations_that_nothing_needs_are_archived(shelf: Shelf) -> None:
    workspace = await shelf.workspace()
    unused, used = [await shelf.uploaded(workspace) for _ in range(2)]
    shelf.in_use.add(used.id)
    newest = await shelf.uploaded(workspace)
    speculative = await shelf.uploaded(workspace, speculative=True)
    waiting = await shelf.configuration(workspace)  # current, and not usable before its archive is there
    shelf.clock.advance(days=10)
    young = await shelf.uploaded(workspace, provisional=True)
    await shelf.configurations.archive_old(9)
    statuses = {one.id: (await shelf.configurations.read(ALICE, one.id)).status for one in (unused, used, newest, speculative, young)}
    assert statuses == {
        unused.id: "archived",
        used.id: "uploaded",
        newest.id: "uploaded",
        speculative.id: "archived",
        young.id: "uploaded",
    }
    assert len(shelf.storage.objects) == 3
    assert (await shelf.configurations.read(ALICE, waiting.id)).status == "pending"
    with pytest.raises(NotFound, match="its archive was removed"):
        await shelf.configurations.download_link(ALICE, unused.id)


async def test_archiving_old_configurations_survives_a_death_at_any_moment(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    workspace = await shelf.workspace()
    versions = [await shelf.uploaded(workspace) for _ in range(6)]
    shelf.clock.advance(days=2)
    died = await Deaths(monkeypatch).everywhere(lambda: shelf.configurations.archive_old(1), lambda: check_store(shelf.db, shelf.storage))
    assert died > 4
    statuses = [(await shelf.configurations.read(ALICE, one.id)).status for one in versions]
    assert statuses == ["archived"] * 5 + ["uploaded"]
    assert len(shelf.storage.objects) == 1
