"""A storage backend with its operations counted."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from typing import Any

from terrapod_core import traces
from terrapod_core.metrics.definitions import STORAGE_BYTES, STORAGE_OPERATIONS, STORAGE_SECONDS
from terrapod_core.plugin import ObjectInfo, ObjectMissing, StorageBackend


def measured(backend: StorageBackend) -> StorageBackend:
    """`backend`, counted. Whatever it can beyond the five operations it still can, and says so to `isinstance`."""
    more = [name for name in dir(backend) if not name.startswith("_") and name not in dir(_Measured)]
    kind = type("Measured", (_Measured,), {name: _of_backend(name) for name in more})
    chosen: StorageBackend = kind(backend)
    return chosen


def _of_backend(name: str) -> property:
    return property(lambda self: getattr(self._backend, name))


class _Measured:
    """The five operations."""

    def __init__(self, backend: StorageBackend) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        """The backend's own."""
        return self._backend.name

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        """As the backend does it, and so are all the others."""
        with self._operation("write"):
            return await self._backend.write(key, self._passed(chunks))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes as they come."""
        size = STORAGE_BYTES.labels(self.name, "read")
        with self._operation("read"):
            async with _closing(self._backend.read(key, start, end)) as chunks:
                async for chunk in chunks:
                    size.inc(len(chunk))
                    yield chunk

    async def info(self, key: str) -> ObjectInfo:
        """Size and age."""
        with self._operation("info"):
            return await self._backend.info(key)

    async def delete(self, key: str) -> None:
        """Remove it."""
        with self._operation("delete"):
            await self._backend.delete(key)

    async def list(self, prefix: str) -> AsyncGenerator[ObjectInfo]:
        """Those whose key begins so."""
        with self._operation("list"):
            async with _closing(self._backend.list(prefix)) as found:
                async for each in found:
                    yield each

    async def _passed(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        size = STORAGE_BYTES.labels(self.name, "write")
        async for chunk in chunks:
            size.inc(len(chunk))
            yield chunk

    @contextmanager
    def _operation(self, operation: str) -> Iterator[None]:
        started, outcome = time.perf_counter(), "stopped"
        try:
            yield
            outcome = "done"
        except ObjectMissing:
            outcome = "missing"
            raise
        except Exception:
            outcome = "failed"
            raise
        finally:
            STORAGE_OPERATIONS.labels(self.name, operation, outcome).inc()
            taken = time.perf_counter() - started
            STORAGE_SECONDS.labels(self.name, operation).observe(taken)
            if traces.are_on():
                told = {"terrapod.backend": self.name, "terrapod.outcome": outcome}
                traces.within(f"storage {operation}", taken, told, failed=outcome == "failed")


def _closing(chunks: Any) -> Any:
    """A backend's iterator need not be a generator."""
    return aclosing(chunks) if hasattr(chunks, "aclose") else nullcontext(chunks)
