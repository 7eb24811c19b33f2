"""One thread for all XML signatures: they are slow, and libxmlsec keeps some of its state for the whole process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from terrapod_core.plugin import LoginRefused

T = TypeVar("T")

MOST_WAITING: Final = 32
BUSY_SECONDS: Final = 2

ALONE: Final = threading.Lock()
"""Held by whoever calls into xmlsec."""


class Bench:
    """Does slow work one after the other, apart from the event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="saml")
        self._busy = 0

    async def apart(self, work: Callable[[], T]) -> T:
        """The work's answer; `LoginRefused` with `retry_after` when too many wait already."""
        if self._busy > MOST_WAITING:
            raise LoginRefused("too many people are signing in at this moment; try again in a few seconds", retry_after=BUSY_SECONDS)
        self._busy += 1
        job = asyncio.get_running_loop().run_in_executor(self._thread, _alone, work)
        # Counted until the thread is done with it, also when nobody waits for the answer any more.
        job.add_done_callback(self._done)
        return await asyncio.shield(job)

    def _done(self, _job: asyncio.Future[T]) -> None:
        self._busy -= 1


def _alone(work: Callable[[], T]) -> T:
    with ALONE:
        return work()
