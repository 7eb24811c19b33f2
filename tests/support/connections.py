"""VCS connections that no forge was asked about, and what there is of one after a while: for tests of pages, and of who may do what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from terrapod_core import ids
from terrapod_core.db import Base
from terrapod_core.ingress.models import Change, ChangeKind, ChangeStatus
from terrapod_core.vcs.models import Connection, Repository
from terrapod_core.vcs.opening import Forges
from tests.support import wire
from tests.support.server import Server, free_port


def plant_connection(server: Server, *, provider: str = "gitlab", installation: dict[str, Any] | None = None) -> str:
    """The id of a connection in the server's database, to a forge that never answers; an app's, with where it is installed."""
    forges, connection_id, now = Forges({}, server.keyring), ids.new("vcs"), datetime.now(UTC)
    made = Connection(
        id=connection_id,
        name=wire.fresh("forge"),
        provider=provider,
        base_url=f"https://localhost:{free_port()}",
        values={},
        secrets=forges.sealed(connection_id, {"token": "a-token-of-the-tests"}),
        webhook_secret=forges.sealed_webhook_secret(connection_id, "a secret of the tests"),
        repositories=["*"],
        roles=[],
        project_ids=[],
        account="nobody",
        installation=installation,
        created_at=now,
        updated_at=now,
    )
    plant(server, [made])
    return connection_id


def plant_repositories(server: Server, connection_id: str, count: int) -> None:
    """So many repositories of a connection that are looked at in a hundred years."""
    made = [
        Repository(
            id=ids.new("vcsrepo"),
            connection_id=connection_id,
            path=f"planted/{number:03}",
            default_branch="main",
            http_url="javascript:alert(1)",
            clone_url="",
            wanted="branch",
            next_poll_at=datetime(2126, 1, 1, tzinfo=UTC),
            created_at=datetime.now(UTC),
        )
        for number in range(count)
    ]
    plant(server, made)


def plant_changes(server: Server, workspace_id: str, count: int) -> None:
    """So many pushes that a workspace has skipped."""
    now = datetime.now(UTC)
    made = [
        Change(
            id=ids.new("vcschg"),
            workspace_id=workspace_id,
            repository_id="vcsrepo-planted",
            kind=ChangeKind.PUSH.value,
            ref="planted",
            sha=f"{number:040x}",
            about={},
            status=ChangeStatus.SKIPPED.value,
            reason="it was planted",
            created_at=now,
            updated_at=now,
        )
        for number in range(count)
    ]
    plant(server, made)


def plant(server: Server, rows: Sequence[Base]) -> None:
    """Write rows into the server's database, whichever it has. In a thread: a browser's driver has a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _written(server.database_url, rows)).result()


async def _written(url: str, rows: Sequence[Base]) -> None:
    engine = create_async_engine(url, connect_args={"timeout": 30})
    async with engine.begin() as connection:
        for row in rows:
            values = {each.key: getattr(row, each.key) for each in inspect(type(row)).column_attrs if each.key in row.__dict__}
            await connection.execute(insert(type(row)).values(values))
    await engine.dispose()
