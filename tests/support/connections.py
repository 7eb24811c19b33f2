"""VCS connections that no forge was asked about: for tests of who may do what with one."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from terrapod_core import ids
from terrapod_core.vcs.models import Connection
from terrapod_core.vcs.opening import Forges
from tests.support import wire
from tests.support.server import Server, free_port


def plant_connection(server: Server, *, provider: str = "gitlab") -> str:
    """The id of a connection in the server's SQLite, to a forge that never answers."""
    forges, connection_id, now = Forges({}, server.keyring), ids.new("vcs"), datetime.now(UTC)
    engine = create_engine(f"sqlite:///{server.data / 'terrapod.db'}", connect_args={"timeout": 30})
    try:
        with Session(engine) as session:
            session.add(
                Connection(
                    id=connection_id,
                    name=wire.fresh("forge"),
                    provider=provider,
                    base_url=f"https://localhost:{free_port()}",
                    values={},
                    secrets=forges.sealed(connection_id, {"token": "a token of the tests"}),
                    webhook_secret=forges.sealed_webhook_secret(connection_id, "a secret of the tests"),
                    repositories=["*"],
                    roles=[],
                    project_ids=[],
                    account="nobody",
                    created_at=now,
                    updated_at=now,
                )
            )
            session.commit()
    finally:
        engine.dispose()
    return connection_id
