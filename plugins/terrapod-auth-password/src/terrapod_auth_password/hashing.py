"""argon2id in threads of its own: hashing is made to be slow, and the event loop has no time for it."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from terrapod_auth_password.settings import PasswordAuthSettings
from terrapod_core.plugin import LoginRefused

T = TypeVar("T")

MOST_WAITING: Final = 32
BUSY_SECONDS: Final = 2


class Hashing:
    """Hashes and checks passwords. Every method raises `LoginRefused` with `retry_after` when too many wait already."""

    def __init__(self, settings: PasswordAuthSettings) -> None:
        # One lane each: several sign-ins at once already use the cores there are.
        self._hasher = PasswordHasher(
            time_cost=settings.passes, memory_cost=settings.memory_mib * 1024, parallelism=1, type=Type.ID, hash_len=32, salt_len=16
        )
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="passwords")
        self._most = settings.threads + MOST_WAITING
        self._busy = 0

    async def hash(self, password: str) -> str:
        """The hash with its parameters and salt, as it is stored."""
        return await self.apart(lambda: self._hasher.hash(spelled(password)))

    async def verify(self, stored: str, password: str) -> bool:
        """Whether this is the password; a stored text that is no hash fits none."""
        return await self.apart(lambda: self._verify(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    async def apart(self, work: Callable[[], T]) -> T:
        """Run slow work in one of the threads."""
        if self._busy >= self._most:
            raise LoginRefused("too many people are signing in at this moment; try again in a few seconds", retry_after=BUSY_SECONDS)
        self._busy += 1
        job = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # Counted until the thread is done with it, also when nobody waits for the answer any more.
        job.add_done_callback(self._done)
        return await asyncio.shield(job)

    def _done(self, _job: asyncio.Future[T]) -> None:
        self._busy -= 1

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, spelled(password))
        except (VerificationError, InvalidHashError):
            return False


def spelled(password: str) -> str:
    """The password in Unicode's compatible spelling: keyboards differ in how they compose an accent."""
    return unicodedata.normalize("NFKC", password)
