"""The pool of connections, with what is counted of it."""

from __future__ import annotations

import time

from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection

from terrapod_core.metrics.definitions import POOL_IN_USE, POOL_SECONDS, POOL_SIZE


class CountedPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's own; tells how long one waited for a connection and how many are in use."""

    def connect(self) -> PoolProxiedConnection:
        """A connection; raises `sqlalchemy.exc.TimeoutError` when none became free."""
        started = time.perf_counter()
        try:
            return super().connect()
        finally:
            POOL_SECONDS.observe(time.perf_counter() - started)
            POOL_SIZE.set(self.size())
            POOL_IN_USE.set(self.checkedout())

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        super()._do_return_conn(record)
        POOL_IN_USE.set(self.checkedout())
