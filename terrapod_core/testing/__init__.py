"""For the tests of plugins: fakes of what a plugin meets, and kits that say whether it keeps its contract.

Installed together with terrapod-core, the pytest plugin offers the fixtures `clock` and `plugin_context`.
"""

from __future__ import annotations

from terrapod_core.testing.fakes import (
    FakeAuthProvider,
    FakeClock,
    FakeCoordination,
    FakeCoordinationService,
    FakeRedirectProvider,
    FakeRunnerBackend,
    MemoryKeys,
    MemoryMirror,
    MemoryOnce,
    MemoryPasswords,
    MemoryStorage,
)

__all__ = [
    "FakeAuthProvider",
    "FakeClock",
    "FakeCoordination",
    "FakeCoordinationService",
    "FakeRedirectProvider",
    "FakeRunnerBackend",
    "MemoryKeys",
    "MemoryMirror",
    "MemoryOnce",
    "MemoryPasswords",
    "MemoryStorage",
]
