"""The keys in force, and how a running process learns of new ones.

What is in force is one immutable value that is replaced whole: whoever computes with it never sees half of a change.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final

import structlog

from terrapod_core.plugin import KeyProvider, KeyringError, Keys

ASKED_AGAIN_AFTER: Final = 1.0
"""Seconds between two looks for keys that are missing: values under a key that nobody has must not keep the source busy."""

log = structlog.get_logger("terrapod.secrets")


@dataclass(frozen=True)
class Force:
    """Keys, and which of them seals."""

    keys: Mapping[str, bytes] = field(repr=False)
    """By id, newest first."""
    settling: Mapping[str, datetime] = field(default_factory=dict)
    """Keys that seal only from a moment on, when every other process knows them too."""
    derived: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, keys: Keys, settling: Mapping[str, datetime] | None = None) -> Force:
        """The keys of a provider."""
        return cls({key.id: key.secret for key in keys}, settling or {})

    def newest(self, now: Callable[[], datetime]) -> str:
        """Id of the key that seals: the newest that has settled, or the newest of all when none has."""
        if not self.settling:
            return next(iter(self.keys))
        moment = now()
        settled = (key_id for key_id in self.keys if key_id not in self.settling or self.settling[key_id] <= moment)
        return next(settled, next(iter(self.keys)))


class Asker:
    """Asks a provider in a thread of its own, one call at a time, and remembers when it last did."""

    def __init__(self, provider: KeyProvider) -> None:
        self.provider = provider
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")
        self._guard = threading.Lock()
        self._again: Future[None] | None = None
        self._asked = 0.0

    def ask(self) -> Keys:
        """Its keys. Blocks. Raises `KeyringError`, whatever the provider raised."""
        return self._thread.submit(self._keys).result()

    def again(self, adopt: Callable[[Keys], None]) -> Future[None] | None:
        """Begin a look for new keys, or join the one that is going on; `None` when it is too early for another.

        The future never fails: what goes wrong is logged, and the keys in force stay.
        """
        with self._guard:
            if self._again is not None and not self._again.done():
                return self._again
            if not self.provider.live or monotonic() - self._asked < ASKED_AGAIN_AFTER:
                return None
            self._asked = monotonic()
            self._again = self._thread.submit(self._look, adopt)
            return self._again

    def _look(self, adopt: Callable[[Keys], None]) -> None:
        try:
            adopt(self._keys())
        except KeyringError as error:
            log.warning("the keys could not be read again; those in force stay", error=str(error))

    def _keys(self) -> Keys:
        try:
            keys: object = self.provider.keys()
        except KeyringError:
            raise
        except Exception as error:  # noqa: BLE001 - a provider may raise anything, and the text may hold what it has read
            raise KeyringError(f"The key provider {self.provider.name!r} failed with {type(error).__name__}.") from None
        if not isinstance(keys, Keys):
            raise KeyringError(f"The key provider {self.provider.name!r} returned {type(keys).__name__}, which is no Keys.")
        return keys
