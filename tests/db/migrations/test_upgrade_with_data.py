"""A database that the first schema has filled, brought up to date: whoever upgrades keeps everything, and it works as before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from terrapod_core.accounts.models import APIToken, LoginState, SignedIn, User
from terrapod_core.accounts.texts import SESSION_PREFIX, Pepper
from terrapod_core.app import Terrapod, prepare
from terrapod_core.audit import AuditEntry, CheckpointKeys, Sealer, verify
from terrapod_core.authz import PlatformRole
from terrapod_core.authz.models import ClaimedRole
from terrapod_core.db import Database, OutboxRow
from terrapod_core.db.migrate import _sources, upgrade
from terrapod_core.plugin import KeyringError, Migrations
from terrapod_core.secrets import Keyring
from terrapod_core.settings import Database as DatabaseSettings, Secrets, Settings
from terrapod_core.testing.keys import key_text
from terrapod_core.variables.models import Variable

FIRST: Final = "0001"
NOW: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER: Final = datetime(2999, 1, 1, tzinfo=UTC)
TOKEN: Final = "terrapod-at-2uPXtbAVfmCkwGsT-of-the-first-schema"
SESSION: Final = f"{SESSION_PREFIX}of-the-first-schema"
ENTRIES: Final = 1234
"""More than a batch of the sealer, and more than one checkpoint covers."""

FILLING: Final[dict[str, object]] = {
    "BOOLEAN": False,
    "INTEGER": 0,
    "BIGINT": 0,
    "TEXT": "{}",
    "VARCHAR": "",
    "DATETIME": NOW,
    "TIMESTAMP": NOW,
}
"""What stands in columns of which a test says nothing."""


def first_schema(connection: Connection) -> None:
    """The schema of the first version."""
    command.upgrade(_sources({})[0].config(connection), FIRST)


def insert(connection: Connection, name: str, *rows: dict[str, object]) -> None:
    """Rows as that version wrote them, without its models: those are of today."""
    table = Table(name, MetaData(), autoload_with=connection)
    kinds = {column.name: str(column.type).partition("(")[0].split(" ")[0] for column in table.columns if not column.nullable}
    for row in rows:
        values = {**{column: FILLING[kind] for column, kind in kinds.items() if column not in row}, **row}
        if connection.dialect.name == "sqlite":  # its own type takes no zone; that of the models does
            values = {key: value.replace(tzinfo=None) if isinstance(value, datetime) else value for key, value in values.items()}
        connection.execute(table.insert(), values)


def people(connection: Connection, keyring: Keyring) -> None:
    """An admin and an auditor, a token and a session, and a sign-in under way."""
    for name, provider in (("ana", "local"), ("bob", "local"), ("eve", "oidc")):
        insert(
            connection,
            "users",
            {
                "id": f"user-{name}", "username": name, "email": f"{name}@example.com", "email_key": f"{name}@example.com",
                "provider": provider, "issuer": provider, "subject": name,
            },
        )  # fmt: skip
    insert(
        connection,
        "platform_role_assignments",
        {"id": "pra-1", "user_id": "user-ana", "role": "admin"},
        {"id": "pra-2", "user_id": "user-ana", "role": "audit"},
        {"id": "pra-3", "user_id": "user-bob", "role": "audit"},
    )
    digest, used = Pepper(keyring).digest, datetime.now(UTC) - timedelta(hours=1)
    insert(connection, "api_tokens", {"id": "at-1", "user_id": "user-ana", "hash": str(digest(TOKEN)), "origin": "api"})
    insert(
        connection,
        "sessions",
        {"id": "session-1", "user_id": "user-bob", "hash": str(digest(SESSION)), "last_used_at": used, "expires_at": LATER},
    )
    insert(connection, "login_states", {"hash": "h", "provider": "local", "expires_at": LATER})


def things(connection: Connection, keyring: Keyring) -> None:
    """A workspace with a variable, and what was written down about them."""
    insert(connection, "projects", {"id": "prj-1", "name": "default"})
    insert(connection, "workspaces", {"id": "ws-1", "name": "net", "project_id": "prj-1", "owner_id": "user-eve", "admitted": True})
    sealed = keyring.seal(b"hunter2", column="variables.value", row="var-1")
    insert(connection, "variables", {"id": "var-1", "workspace_id": "ws-1", "category": "env", "key": "PASSWORD", "value_sealed": sealed})
    entries: list[dict[str, object]] = [
        {
            "id": f"audit-{number:05}", "at": NOW + timedelta(seconds=number // 2), "actor_kind": "user", "actor_id": "user-ana",
            "actor_name": "ana", "action": "workspace.update", "resource_type": "workspaces", "resource_id": "ws-1",
            "outcome": "allowed", "detail": '{"name":"né\\u0020t"}',
        }
        for number in range(ENTRIES)
    ]  # fmt: skip
    insert(connection, "audit_entries", *entries)
    told = [{"id": f"event-{9 - number}", "event": f"Event{number}", "created_at": NOW + timedelta(seconds=number)} for number in range(3)]
    insert(connection, "outbox", *told)


@pytest.fixture
async def upgraded(database_url: str, tmp_path: Path) -> AsyncIterator[Terrapod]:
    """The server of today over that database, prepared as at its start."""
    db = Database(database_url)
    keyring = Keyring(key_text("k1"))
    async with db.engine.begin() as connection:
        for fill in (first_schema, lambda sync: people(sync, keyring), lambda sync: things(sync, keyring)):
            await connection.run_sync(fill)
    await db.close()
    settings = Settings(data_dir=tmp_path, database=DatabaseSettings(url=database_url), secrets=Secrets(keys=key_text("k1").strip()))
    await prepare(settings, bootstrap=False)
    terrapod = Terrapod(settings, jobs=False)
    yield terrapod
    await terrapod.people.authentication.settle()
    await terrapod.db.close()


async def every(terrapod: Terrapod, entity: Any) -> list[Any]:
    """All rows of a table."""
    return list(await terrapod.db.read(lambda session: session.execute(select(entity)).scalars().all()))


async def test_people_keep_their_roles_and_what_they_prove_themselves_with(upgraded: Terrapod) -> None:
    ana = await upgraded.tokens.authenticate(TOKEN)
    bob = await upgraded.tokens.authenticate(SESSION)
    assert ana is not None
    assert bob is not None
    assert ana.platform == frozenset({PlatformRole.ADMIN, PlatformRole.AUDIT})
    assert bob.platform == frozenset({PlatformRole.AUDIT})
    assert ana.scope is None, "a token of before is not narrowed"
    # Whoever was signed in by another provider says again that the address is theirs.
    verified = {user.username: user.email_verified for user in await every(upgraded, User)}
    assert verified == {"ana": True, "bob": True, "eve": False}
    assert await every(upgraded, LoginState) == []


async def test_news_that_waited_is_told_in_its_order(upgraded: Terrapod) -> None:
    waiting = await upgraded.db.read(lambda session: session.execute(select(OutboxRow).order_by(OutboxRow.number)).scalars().all())
    assert [(each.event, each.id, each.payload, each.created_at) for each in waiting] == [
        (f"Event{number}", f"event-{9 - number}", {}, NOW + timedelta(seconds=number)) for number in range(3)
    ]


async def test_the_key_of_an_old_hash_is_not_known_until_it_is_used(upgraded: Terrapod) -> None:
    assert [each.hash_key for entity in (APIToken, SignedIn) for each in await every(upgraded, entity)] == [None, None]
    assert (await upgraded.key_uses.standing()).unknown == {"API tokens": 1, "sessions": 1}
    for text in (TOKEN, SESSION):
        assert await upgraded.tokens.authenticate(text) is not None
    await upgraded.people.authentication.settle()
    standing = await upgraded.key_uses.standing()
    assert (standing.unknown, standing.keys[0].hashed) == ({}, {"API tokens": 1, "sessions": 1})


async def test_a_migration_that_makes_a_table_anew_keeps_what_refers_to_it(
    upgraded: Terrapod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "anew" / "migrations"
    package.mkdir(parents=True)
    for directory in (package.parent, package):
        (directory / "__init__.py").touch()
    (package / "a001.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n\nrevision = 'a001'\ndown_revision = None\n\n\n"
        "def upgrade():\n    with op.batch_alter_table('users', recreate='auto') as users:\n"
        "        users.alter_column('username', existing_type=sa.String(), type_=sa.Text())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    await upgrade(upgraded.db, {"anew": Migrations("anew.migrations", "anew_version")})
    assert [each.id for each in await every(upgraded, APIToken)] == ["at-1"]
    with pytest.raises(IntegrityError):
        async with upgraded.db.uow() as uow:
            uow.add(ClaimedRole(user_id="user-nobody", role="r"))
            await uow.commit()


async def test_sealed_values_open(upgraded: Terrapod) -> None:
    [variable] = await every(upgraded, Variable)
    assert upgraded.keyring.open(variable.value_sealed, column="variables.value", row=variable.id) == b"hunter2"


async def test_old_audit_entries_are_sealed_in_their_order_and_from_then_on_guarded(upgraded: Terrapod) -> None:
    keys = CheckpointKeys(upgraded.keyring)
    await Sealer(upgraded.db, keys).run()
    found = await verify(upgraded.db, upgraded.objects, keys)
    assert (found.broken, found.unsealed, found.checkpoints) == (None, 0, 1)
    old = [each for each in await every(upgraded, AuditEntry) if each.id.startswith("audit-0")]
    assert found.entries >= ENTRIES == len(old)
    assert [each.id for each in sorted(old, key=lambda each: each.seal_no)] == sorted(each.id for each in old)
    with pytest.raises(DBAPIError, match="never changed"):
        async with upgraded.db.engine.begin() as connection:
            await connection.exec_driver_sql("UPDATE audit_entries SET actor_name = 'mallory' WHERE id = 'audit-00001'")


async def test_a_wrong_key_is_refused_although_the_first_schema_kept_no_fingerprints(database_url: str, tmp_path: Path) -> None:
    db = Database(database_url)
    async with db.engine.begin() as connection:
        await connection.run_sync(first_schema)
        await connection.run_sync(lambda sync: things(sync, Keyring(key_text("k1"))))
    await db.close()
    settings = Settings(data_dir=tmp_path, database=DatabaseSettings(url=database_url), secrets=Secrets(keys=key_text("k2").strip()))
    with pytest.raises(KeyringError, match=r"need keys that are not given: 'k1' \(1 values of variables.value\)"):
        await prepare(settings, bootstrap=False)
