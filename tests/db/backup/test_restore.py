"""What was backed up is there again in a database of the other kind; what was handed out before is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from terrapod_core.accounts.models import APIToken, SignedIn
from terrapod_core.app import Terrapod
from terrapod_core.audit import CheckpointKeys, verify
from terrapod_core.audit.models import AuditEntry, AuditSegment
from terrapod_core.audit.sealer import Sealer
from terrapod_core.backup import BackupError, Options, Passphrase
from terrapod_core.backup.epoch import Kept
from terrapod_core.backup.records import FORMAT, Header, RecordWriter
from terrapod_core.backup.sealing import Sealing
from terrapod_core.backup.tables import tables_of
from terrapod_core.db.migrate import SchemaNewer
from terrapod_core.errors import NotFound, Unauthorized
from terrapod_core.runs import Phase, Run
from terrapod_core.secrets.models import Instance
from terrapod_core.storage import Purpose
from terrapod_core.testing import FakeClock, MemoryStorage
from terrapod_core.workspaces import Workspace
from tests.db.backup.conftest import PASSPHRASE, Install, backed_up, opened, restored
from tests.support.planted import Planted, pieces


async def sealed(terrapod: Terrapod) -> None:
    await Sealer(terrapod.db, CheckpointKeys(terrapod.keyring)).run()


async def test_everything_is_there_in_the_other_kind_of_database(
    planted: Planted, install: Install, other_url: str, tmp_path: Path
) -> None:
    made = await backed_up(planted.terrapod, tmp_path / "a")
    assert made.footer.missing == []
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    there = install(other_url)
    await restored(tmp_path / "a", there)
    found = await planted.found(there)
    assert [of for of, is_there in found.items() if not is_there] == ["sign-in"]  # sign-ins that were under way died
    names = {table.name: table.rows for table in made.header.tables}
    assert names["state_versions"] == 1
    assert names["phases"] == 2
    assert names["variables"] == 2
    assert made.footer.objects == made.header.objects >= 6


async def test_what_was_handed_out_before_is_refused_after(
    planted: Planted, install: Install, other_url: str, tmp_path: Path, clock: FakeClock
) -> None:
    before = planted.terrapod
    path = before.capabilities.url_path(Purpose.STATE_DOWNLOAD, "GET", "sv-1", expires=clock.now() + timedelta(days=1))
    token = before.phase_tokens.issue("run-1", "plan-1", "plan", 1, clock.now() + timedelta(hours=1))
    link = path.removeprefix("/c/")
    assert before.capabilities.verify(link, "GET").object_id == "sv-1"
    await backed_up(before, tmp_path / "a")
    there = install(other_url)
    await restored(tmp_path / "a", there)
    await there.key_watch.look()
    with pytest.raises(NotFound):
        there.capabilities.verify(link, "GET")
    with pytest.raises(Unauthorized):
        there.phase_tokens.verify(token)
    assert await there.tokens.authenticate(planted.token) is None
    again = there.capabilities.url_path(Purpose.STATE_DOWNLOAD, "GET", "sv-1", expires=clock.now() + timedelta(days=1))
    assert there.capabilities.verify(again.removeprefix("/c/"), "GET").object_id == "sv-1"
    async with there.db.uow() as uow:
        assert (await uow.session.scalar(select(func.count()).select_from(SignedIn))) == 0
        assert (await uow.session.scalar(select(func.count()).select_from(APIToken))) == 0


async def test_api_tokens_stay_when_they_are_to(planted: Planted, install: Install, other_url: str, tmp_path: Path) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    there = install(other_url)
    await restored(tmp_path / "a", there, Options(Kept(tokens=True)))
    actor = await there.tokens.authenticate(planted.token)
    assert actor is not None
    assert actor.user_id == planted.user.id


async def test_a_run_that_was_going_on_is_errored_and_its_workspace_says_what_is_not_known(
    planted: Planted, install: Install, other_url: str, tmp_path: Path
) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    there = install(other_url)
    assert (await restored(tmp_path / "a", there)).ended.runs == 1
    async with there.db.uow() as uow:
        run = (await uow.session.execute(select(Run))).scalar_one()
        workspace = (await uow.session.execute(select(Workspace))).scalar_one()
        apply = await uow.session.get_one(Phase, run.apply_id)
    assert run.status == "errored"
    assert run.failure is not None
    assert "restored from a backup" in run.failure
    assert not workspace.locked
    assert [each["code"] for each in workspace.conditions] == ["state-diverged"]
    assert apply.is_final
    assert apply.lease_expires_at is None
    assert apply.epoch > 0
    log = await there.logs.read(apply.id, 0, 1 << 20)
    assert b"restored from a backup" in log
    assert log.endswith(b"\x03")


async def test_the_audit_chain_goes_on_in_a_new_segment(planted: Planted, install: Install, other_url: str, tmp_path: Path) -> None:
    await sealed(planted.terrapod)
    await backed_up(planted.terrapod, tmp_path / "a")
    there = install(other_url)
    await restored(tmp_path / "a", there)
    await sealed(there)
    async with there.db.uow() as uow:
        segments = (await uow.session.execute(select(AuditSegment.segment).order_by(AuditSegment.segment))).scalars().all()
        actions = (await uow.session.execute(select(AuditEntry.action).where(AuditEntry.seal_no.is_not(None)))).scalars().all()
    assert segments == [1, 2]
    assert {"backup.create", "instance.restored"} <= set(actions)
    found = await verify(there.db, there.objects, CheckpointKeys(there.keyring))
    assert found.broken is None
    assert found.entries == len(actions)


async def test_two_restores_of_one_archive_are_two_lives(
    planted: Planted, install: Install, other_url: str, empty_url: str, tmp_path: Path
) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    epochs, names = set(), set()
    for url in (other_url, empty_url):
        there = install(url)
        await restored(tmp_path / "a", there)
        async with there.db.uow() as uow:
            instance = (await uow.session.execute(select(Instance))).scalar_one()
        epochs.add(instance.epoch)
        names.add(instance.name)
    assert len(epochs) == 2
    assert "" not in epochs
    assert len(names) == 1


async def test_a_database_with_tables_is_refused_and_replaced_when_it_is_meant(
    planted: Planted, install: Install, empty_url: str, tmp_path: Path
) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    store = MemoryStorage()
    there = install(empty_url, store)
    await restored(tmp_path / "a", there)
    later = install(empty_url, store)
    with pytest.raises(BackupError, match="other connections|has tables already"):
        await restored(tmp_path / "a", later)
    await there.db.close()
    with pytest.raises(BackupError, match="has tables already"):
        await restored(tmp_path / "a", later)
    before = {info.key async for info in store.list("")}
    await store.write("state-versions/sv-old/state.0", pieces(b"old"))
    await later.db.close()
    last = install(empty_url, store)
    await restored(tmp_path / "a", last, Options(replace=True))
    assert {info.key async for info in store.list("")} == before
    assert (await planted.found(last))["state"]


async def test_other_keys_are_refused_before_anything_is_written(
    planted: Planted, install: Install, other_url: str, tmp_path: Path
) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    there = install(other_url, keys="k2")
    with pytest.raises(BackupError, match="needs the keys k1, which are not given"):
        await restored(tmp_path / "a", there)
    async with there.db.engine.connect() as connection:
        assert await connection.run_sync(lambda sync: tables_of(sync, ())) == []


async def test_the_archive_holds_keys_only_when_it_is_to(planted: Planted, tmp_path: Path) -> None:
    await backed_up(planted.terrapod, tmp_path / "a")
    await backed_up(planted.terrapod, tmp_path / "b", with_keys=True)
    with opened(tmp_path / "a") as without, opened(tmp_path / "b") as restore:
        assert without.header.key_text is None
        header = restore.header
    assert header.key_text is not None
    assert header.key_text.startswith("k1:")
    assert list(header.keys) == ["k1"]
    assert len(header.keys["k1"]) == 64


@pytest.mark.parametrize(
    ("revisions", "says"),
    [
        ({"core": "9999"}, "made by a newer Terrapod"),
        ({"core": "0016", "sync": "1"}, "plugins that are not loaded here: sync"),
    ],
)
async def test_an_archive_that_this_installation_cannot_hold_is_refused_before_anything_is_written(
    install: Install, other_url: str, tmp_path: Path, clock: FakeClock, revisions: dict[str, str | None], says: str
) -> None:
    header = Header(FORMAT, clock.now(), "1", "i", "sqlite", "local", revisions, {}, [], 0)
    with (tmp_path / "a").open("wb") as file:
        sealing = Sealing(file, Passphrase(PASSPHRASE))
        RecordWriter(sealing).write(header)
        sealing.finish()
    there = install(other_url)
    with pytest.raises((BackupError, SchemaNewer), match=says):
        await restored(tmp_path / "a", there)
    async with there.db.engine.connect() as connection:
        assert await connection.run_sync(lambda sync: tables_of(sync, ())) == []
