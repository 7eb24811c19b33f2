"""The kits, run on the core's own fakes: a change of a contract shows here and in the plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from terrapod_core.plugin import Callback, Handle, Identity, PhaseSpec
from terrapod_core.testing import FakeAuthProvider, FakeRunnerBackend, MemoryStorage
from terrapod_core.testing.auth import AuthProviderKit
from terrapod_core.testing.runners import LetEnd, RunnerBackendKit, Told
from terrapod_core.testing.storage import StorageBackendKit


class TestMemoryStorage(StorageBackendKit):
    @pytest.fixture
    def backend(self) -> MemoryStorage:
        return MemoryStorage()


class TestFakeAuthProvider(AuthProviderKit):
    @pytest.fixture
    def provider(self) -> FakeAuthProvider:
        return FakeAuthProvider({"sesame": Identity("1", "fake", "ada@example.com", True)})

    @pytest.fixture
    def good_callback(self) -> Callback:
        return Callback({"word": "sesame"}, "state")

    @pytest.fixture
    def bad_callback(self) -> Callback:
        return Callback({"word": "thistle"}, "state")


class Obedient(FakeRunnerBackend):
    """Whose programs end when they are interrupted, unless they are deaf."""

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        await super().cancel(handle, force=force)
        phase = self._phase(handle)
        if phase is not None and phase.spec.program[-1] != "deaf":
            phase.running = False


class TestFakeRunnerBackend(RunnerBackendKit):
    @pytest.fixture
    def backend(self) -> Obedient:
        return Obedient()

    @pytest.fixture
    def told(self, backend: Obedient) -> Told:
        async def told(handle: Handle) -> Mapping[str, Any]:
            spec: PhaseSpec = backend.phases[backend._number(handle)].spec
            return {
                "url": spec.url,
                "token": spec.token,
                "phase-id": spec.phase_id,
                "run-id": spec.run_id,
                "certificate": spec.certificate,
                "engines-dir": spec.engines_dir,
                "work-dir": "/nowhere",
                "state-transport": "http",
            }

        return told

    @pytest.fixture
    def let_end(self, backend: Obedient) -> LetEnd:
        return backend.end
