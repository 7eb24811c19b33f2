"""A backend whose operations are counted is the same backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Literal

import pytest

from terrapod_core.metrics.definitions import REGISTRY
from terrapod_core.plugin import ObjectMissing, StorageBackend, SupportsSignedURLs
from terrapod_core.storage.measured import measured
from terrapod_core.testing import MemoryStorage


class Signing(MemoryStorage):
    async def signed_url(self, key: str, method: Literal["GET", "PUT"], expires: timedelta) -> str:
        return f"https://store.example.com/{key}"


async def piece() -> AsyncIterator[bytes]:
    yield b"twelve bytes"


def counted(operation: str, outcome: str) -> float:
    labels = {"backend": "memory", "operation": operation, "outcome": outcome}
    return REGISTRY.get_sample_value("terrapod_storage_operations_total", labels) or 0.0


async def test_operations_outcomes_and_bytes_are_counted() -> None:
    store = measured(MemoryStorage())
    done, missing = counted("write", "done"), counted("info", "missing")
    await store.write("a/b", piece())
    with pytest.raises(ObjectMissing):
        await store.info("a/c")
    read = REGISTRY.get_sample_value("terrapod_storage_bytes_total", {"backend": "memory", "operation": "read"}) or 0.0
    assert b"".join([chunk async for chunk in store.read("a/b")]) == b"twelve bytes"
    assert [each.key async for each in store.list("a/")] == ["a/b"]
    await store.delete("a/b")
    assert (counted("write", "done"), counted("info", "missing")) == (done + 1, missing + 1)
    assert REGISTRY.get_sample_value("terrapod_storage_bytes_total", {"backend": "memory", "operation": "read"}) == read + 12


async def test_a_reader_who_leaves_early_is_no_failure() -> None:
    store = measured(MemoryStorage())
    await store.write("a/b", piece())
    stopped, failed = counted("read", "stopped"), counted("read", "failed")
    chunks = store.read("a/b")
    async for _ in chunks:
        break
    await chunks.aclose()  # type: ignore[attr-defined]
    assert (counted("read", "stopped"), counted("read", "failed")) == (stopped + 1, failed)


async def test_what_a_backend_can_beyond_is_kept() -> None:
    plain, signing = measured(MemoryStorage()), measured(Signing())
    assert isinstance(plain, StorageBackend)
    assert not isinstance(plain, SupportsSignedURLs)
    assert isinstance(signing, SupportsSignedURLs)
    assert await signing.signed_url("a/b", "GET", timedelta(minutes=1)) == "https://store.example.com/a/b"
