"""A copy of the database and of the store tells nothing: one secret of every sort is planted, then everything is looked through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from terrapod_core.db import Database
from terrapod_core.testing import MemoryKeys, MemoryStorage
from tests.db.secrets.conftest import Serve
from tests.support.planted import MARK, Planted


@pytest.fixture
async def planted(serve: Serve, keys: MemoryKeys) -> Planted:
    planted = Planted(serve(keys))
    await planted.plant()
    return planted


async def rows(db: Database) -> list[tuple[str, Any]]:
    """Every value of every table, with its place; an outsider's way to read, which knows nothing of our types."""
    async with db.engine.connect() as connection:
        tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        found = []
        for table in tables:
            result = await connection.execute(text(f'SELECT * FROM "{table}"'))
            names = list(result.keys())
            found += [(f"{table}.{name}", value) for row in result for name, value in zip(names, row, strict=True)]
    return found


def spelled(value: object) -> Iterator[bytes]:
    """A value as bytes, in the ways it could hide a text."""
    raw = bytes(value) if isinstance(value, (bytes, memoryview)) else str(value).encode()
    yield raw
    try:
        yield bytes.fromhex(raw.decode())
    except ValueError:
        return


async def test_every_planted_secret_is_there_to_be_found(planted: Planted) -> None:
    assert len(planted.secrets) == 14
    assert all((await planted.found()).values())


async def test_no_value_of_any_table_holds_a_secret(planted: Planted) -> None:
    values = await rows(planted.terrapod.db)
    assert {place.partition(".")[0] for place, _ in values} >= {"variables", "runs", "log_chunks", "state_version_outputs", "audit_entries"}
    needles = [MARK.encode(), planted.token.encode()]
    leaks = [place for place, value in values for raw in spelled(value) if any(needle in raw for needle in needles)]
    assert leaks == []


async def test_the_files_of_sqlite_hold_no_secret_anywhere(planted: Planted) -> None:
    if not planted.terrapod.db.is_sqlite:
        pytest.skip("PostgreSQL's files are the server's")
    path = Path(planted.terrapod.db.url.database or "")
    files = [each for each in path.parent.glob(f"{path.name}*") if each.is_file()]
    assert files
    for file in files:
        content = file.read_bytes()
        assert MARK.encode() not in content, file.name
        assert planted.token.encode() not in content, file.name


async def test_no_object_of_the_store_holds_a_secret_or_its_name(planted: Planted, store: MemoryStorage) -> None:
    assert {key.rpartition("/")[2].partition(".")[0] for key in store.objects} == {
        "archive", "json", "log", "plan-file", "plan-json", "provider-schemas", "state",
    }  # fmt: skip
    assert not [key for key, content in store.objects.items() if MARK.encode() in content or MARK in key]


async def test_events_and_jobs_hold_ids_alone(planted: Planted) -> None:
    payloads = [value for place, value in await rows(planted.terrapod.db) if place in ("outbox.payload", "jobs.payload")]
    assert not [payload for payload in payloads if MARK in str(payload)]
