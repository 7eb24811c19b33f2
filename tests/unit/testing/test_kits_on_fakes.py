"""The kits, run on the core's own fakes: a change of a contract shows here and in the plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from terrapod_core.plugin import (
    Callback,
    EngineSource,
    Handle,
    Identity,
    LoginRequest,
    ModuleSource,
    Package,
    PhaseSpec,
    PhaseState,
    Platform,
    UpstreamFailed,
)
from terrapod_core.testing import FakeAuthProvider, FakeRedirectProvider, FakeRunnerBackend, MemoryKeys, MemoryMirror, MemoryStorage
from terrapod_core.testing.auth import AuthProviderKit
from terrapod_core.testing.keys import Give, KeyProviderKit
from terrapod_core.testing.mirrors import Offer, RegistryMirrorKit, Trouble
from terrapod_core.testing.runners import LAST_WORDS, Alive, LetEnd, RunnerBackendKit, Shown, Told
from terrapod_core.testing.storage import StorageBackendKit


class TestMemoryStorage(StorageBackendKit):
    @pytest.fixture
    def backend(self) -> MemoryStorage:
        return MemoryStorage()


class MirrorKit(RegistryMirrorKit):
    @pytest.fixture
    def mirror(self, offer: Offer) -> MemoryMirror:
        made = MemoryMirror(hosts=("registry.test",))
        name = "pet.tar.gz" if offer.platform is None else "terraform_1.0.0.zip"
        made.add(offer.source, offer.version, offer.platform, Package(name, f"memory/{name}", root=offer.root), offer.content)
        return made

    @pytest.fixture
    def stopped(self, mirror: MemoryMirror) -> Trouble:
        @contextmanager
        def away() -> Iterator[None]:
            mirror.broken = UpstreamFailed("registry.test: is away")
            yield
            mirror.broken = None

        return away


class TestMemoryMirrorOfEngines(MirrorKit):
    @pytest.fixture
    def offer(self) -> Offer:
        return Offer(EngineSource("terraform"), "1.0.0", Platform("linux", "amd64"), b"zip" * 50_000)


class TestMemoryMirrorOfModules(MirrorKit):
    @pytest.fixture
    def offer(self) -> Offer:
        absent = ModuleSource("registry.test", "acme", "none", "null")
        return Offer(ModuleSource("registry.test", "acme", "pet", "null"), "1.0.0", None, b"tar", absent, root="*")


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


ADA = Identity("1", "https://idp.example", "ada@example.com", True)


async def _signed_in(provider: FakeRedirectProvider) -> Callback:
    """A whole way to the other site and back."""
    login = LoginRequest("s" * 43, "https://terrapod.example/api/v2/auth/callback", "/app")
    step = await provider.begin(login)
    values = provider.come_back(step.url, ADA)
    state = values.pop("RelayState" if provider.returns_by_post else "state")
    return Callback(values, state, login.callback_url, step.remember)


class TestFakeRedirectProvider(AuthProviderKit):
    @pytest.fixture(params=[False, True], ids=["by link", "by post"])
    def provider(self, request: pytest.FixtureRequest) -> FakeRedirectProvider:
        return FakeRedirectProvider(returns_by_post=request.param)

    @pytest.fixture
    async def good_callback(self, provider: FakeRedirectProvider) -> Callback:
        return await _signed_in(provider)

    @pytest.fixture
    async def another_good_callback(self, provider: FakeRedirectProvider) -> Callback:
        return await _signed_in(provider)

    @pytest.fixture
    async def bad_callback(self, provider: FakeRedirectProvider) -> Callback:
        return replace(await _signed_in(provider), values={"code": "forged-code"})


class TestMemoryKeys(KeyProviderKit):
    @pytest.fixture
    def provider(self) -> MemoryKeys:
        return MemoryKeys("")

    @pytest.fixture
    def give(self, provider: MemoryKeys) -> Give:
        def give(text: str) -> None:
            provider.text = text

        return give


class Obedient(FakeRunnerBackend):
    """Whose programs end when they are interrupted, unless they are deaf, or at once where that is their manner."""

    async def launch(self, phase: PhaseSpec) -> Handle:
        handle = await super().launch(phase)
        self.phases[self._number(handle)].running = phase.program[-1] in ("waiting", "deaf")
        return handle

    async def poll(self, handle: Handle) -> PhaseState:
        phase = self._phase(handle)
        state = await super().poll(handle)
        return PhaseState(False, LAST_WORDS) if phase is not None and phase.spec.program[-1] == "failing" else state

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
            return order_of(backend.phases[backend._number(handle)].spec)

        return told

    @pytest.fixture
    def shown(self) -> Shown:
        async def shown(phase: PhaseSpec) -> Mapping[str, Any]:
            return {"order": order_of(phase), "arguments": phase.program, "environment": {}}

        return shown

    @pytest.fixture
    def alive(self, backend: Obedient) -> Alive:
        return lambda phase: {
            str(number) for number, each in backend.phases.items() if each.running and each.spec.phase_id == phase.phase_id
        }

    @pytest.fixture
    def let_end(self, backend: Obedient) -> LetEnd:
        return backend.end


def order_of(spec: PhaseSpec) -> Mapping[str, Any]:
    """What a program would be told."""
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
