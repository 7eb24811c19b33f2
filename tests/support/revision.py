"""Writes the next core migration: the newest schema is made in an empty database and compared with the models."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import terrapod_core.app  # noqa: F401 - loads every room, and with it every table
from terrapod_core.db import Base, Database
from terrapod_core.db.migrate import upgrade, write_revision


async def main(revision: str, message: str) -> None:
    """Make the file; it is read and mended by hand before it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        db = Database(f"sqlite+aiosqlite:///{Path(folder) / 'schema.db'}")
        await upgrade(db)
        async with db.engine.connect() as connection:
            await connection.run_sync(lambda sync: write_revision(sync, Base.metadata, message, revision))
        await db.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
