"""The simplest things that keep the contracts: for tests of whoever uses them. The kits run on these too."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from terrapod_core.coordination import Leases
from terrapod_core.plugin import (
    Callback,
    Clock,
    CoordinationAway,
    Form,
    FormField,
    Handle,
    Hear,
    Identity,
    Index,
    Keys,
    Lease,
    LoginRefused,
    LoginRequest,
    ObjectExists,
    ObjectInfo,
    ObjectMissing,
    Offered,
    Package,
    PhaseSpec,
    PhaseState,
    Platform,
    ProviderUnavailable,
    Redirect,
    Source,
    StoredPassword,
    UpstreamMissing,
    Wakeup,
    check_key,
)

START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta | None = None, **parts: float) -> None:
        """Move on: `clock.advance(hours=1)`."""
        self._now += by if by is not None else timedelta(**parts)

    def set(self, now: datetime) -> None:
        """Jump, also backwards."""
        self._now = now


class MemoryOnce:
    """A `OnceStore` in a dict: `claimed` by key."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.claimed: dict[str, datetime] = {}
        self._clock = clock or FakeClock()

    async def claim(self, key: str, until: datetime) -> bool:
        known = self.claimed.get(key)
        if known is not None and known > self._clock.now():
            return False
        self.claimed[key] = until
        return True


class MemoryStorage:
    """A `StorageBackend` in a dict: `objects` by key."""

    name = "memory"

    def __init__(self, clock: Clock | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self._modified: dict[str, datetime] = {}
        self._clock = clock or FakeClock()

    async def write(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        check_key(key)
        content = b"".join([chunk async for chunk in chunks])
        self.objects[key] = content
        self._modified[key] = self._clock.now()
        return self._info(key)

    async def create(self, key: str, chunks: AsyncIterable[bytes]) -> ObjectInfo:
        check_key(key)
        content = b"".join([chunk async for chunk in chunks])
        if key in self.objects:
            raise ObjectExists(key)
        self.objects[key] = content
        self._modified[key] = self._clock.now()
        return self._info(key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        content = self._content(key)[start:end]
        for at in range(0, len(content), 1 << 16):
            yield content[at : at + (1 << 16)]

    async def info(self, key: str) -> ObjectInfo:
        self._content(key)
        return self._info(key)

    async def delete(self, key: str) -> None:
        self.objects.pop(check_key(key), None)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for key in [each for each in self.objects if each.startswith(prefix)]:
            yield self._info(key)

    def _content(self, key: str) -> bytes:
        if check_key(key) not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key]

    def _info(self, key: str) -> ObjectInfo:
        return ObjectInfo(key, len(self.objects[key]), self._modified[key])


class MemoryKeys:
    """A `KeyProvider` over `text`: `id:base64key` lines, newest first. `broken` is what it raises instead."""

    name = "memory"
    where = "a test"

    def __init__(self, text: str, *, live: bool = True) -> None:
        self.text = text
        self.live = live
        self.broken: Exception | None = None
        self.asked = 0

    def keys(self) -> Keys:
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        return Keys.read(self.text, self.where)


class FakeCoordinationService:
    """What `FakeCoordination`s of one installation share. `away` is why it does not answer, as long as it does not; set it by `turn`."""

    def __init__(self) -> None:
        self.away: str | None = None
        self.leases = Leases()
        self.started: list[FakeCoordination] = []

    def turn(self, away: str | None) -> None:
        """It goes away, or (`None`) comes back, and everybody notices at once."""
        self.away = away
        for each in self.started:
            each.turned()


class FakeCoordination:
    """A `CoordinationBackend` in memory: `told` is all that it was asked to tell others."""

    def __init__(self, service: FakeCoordinationService, name: str = "fake") -> None:
        self.name = name
        self.told: list[Wakeup] = []
        self._service = service
        self._hear: Hear = lambda _wakeup: None
        self.turned: Callable[[], None] = lambda: None

    @property
    def trouble(self) -> str | None:
        return "it is not started" if self not in self._service.started else self._service.away

    def start(self, hear: Hear, turned: Callable[[], None]) -> None:
        self._hear, self.turned = hear, turned
        self._service.started.append(self)
        turned()

    async def close(self) -> None:
        if self in self._service.started:
            self._service.started.remove(self)

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        self.told += wakeups
        if self.trouble is None:
            for other in self._service.started:
                for each in wakeups if other is not self else ():
                    other._hear(each)

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        self._check()
        return self._service.leases.grant(name, seconds) if self._service.leases.holder(name) is None else None

    async def renew(self, lease: Lease, seconds: float) -> bool:
        self._check()
        return self._service.leases.renew(lease, seconds)

    async def release(self, lease: Lease) -> None:
        self._check()
        self._service.leases.release(lease)

    def _check(self) -> None:
        if self.trouble is not None:
            raise CoordinationAway(self.trouble)


class FakeAuthProvider:
    """An `AuthProvider` with one form field: whoever is in `people` under the word they type is signed in."""

    name = "fake"
    display_name = "Fake"

    def __init__(self, people: dict[str, Identity] | None = None) -> None:
        self.people = people or {}

    async def begin(self, login: LoginRequest) -> Form:
        return Form((FormField("word", "Password", "password"),))

    async def finish(self, callback: Callback) -> Identity:
        person = self.people.get(callback.values.get("word", ""))
        if person is None:
            raise LoginRefused("That did not work. Check what you typed.")
        return person


class FakeRedirectProvider:
    """An `AuthProvider` that sends people to another site, which the test plays: `come_back` is what it does with them."""

    def __init__(self, name: str = "elsewhere", display_name: str = "Elsewhere", *, returns_by_post: bool = False) -> None:
        self.name = name
        self.display_name = display_name
        self.returns_by_post = returns_by_post
        self.away: str | None = None
        """Why it cannot be reached, as long as it cannot."""
        self.callbacks: list[Callback] = []
        """All that came back, the latest last."""
        self._codes: dict[str, tuple[str, Identity]] = {}

    async def begin(self, login: LoginRequest) -> Redirect:
        if self.away:
            raise ProviderUnavailable(self.away)
        nonce = secrets.token_urlsafe(16)
        sent = {"state": login.state, "nonce": nonce, "callback": login.callback_url}
        return Redirect(f"https://idp.example/sign-in?{urlencode(sent)}", {"nonce": nonce}, returns_by_post=self.returns_by_post)

    def come_back(self, url: str, person: Identity) -> dict[str, str]:
        """Somebody signs in at the other site: what it sends the browser back with, state included."""
        asked = dict(parse_qsl(urlsplit(url).query))
        code = secrets.token_urlsafe(16)
        self._codes[code] = (asked["nonce"], person)
        return {"RelayState" if self.returns_by_post else "state": asked["state"], "code": code}

    async def finish(self, callback: Callback) -> Identity:
        if self.away:
            raise ProviderUnavailable(self.away)
        self.callbacks.append(callback)
        nonce, person = self._codes.get(callback.values.get("code", ""), ("", None))
        if person is None or nonce != callback.remembered.get("nonce"):
            raise LoginRefused("This does not come from a sign-in that began here.")
        del self._codes[callback.values["code"]]
        return person


@dataclass
class FakePhase:
    """What a test sees of a phase that the fake runner was given."""

    spec: PhaseSpec
    running: bool = True
    canceled: list[bool] = field(default_factory=list)
    """Each cancel so far; `True` for a forced one."""


class FakeRunnerBackend:
    """A `RunnerBackend` that starts nothing: the test plays the runner program and calls `end` when it is done."""

    name = "fake"
    isolation: Literal["none", "sandbox"] = "sandbox"
    """A test may say otherwise, as it may of `allow_unisolated_users`."""
    allow_unisolated_users = False
    out_of_reach = False
    """Whether its programs run somewhere where nothing stops them."""

    def __init__(self, capacity: int = 2) -> None:
        self.capacity = capacity
        self.phases: dict[int, FakePhase] = {}
        """Everything launched and not forgotten, by the number in its handle."""
        self._launched = 0

    async def launch(self, phase: PhaseSpec) -> Handle:
        for other in self.phases.values():
            if other.spec.run_id == phase.run_id:
                other.running = False
        self._launched += 1
        self.phases[self._launched] = FakePhase(phase)
        return {"number": self._launched}

    async def find(self, run_id: str, phase_id: str, epoch: int) -> Handle | None:
        for number, phase in self.phases.items():
            if (phase.spec.run_id, phase.spec.phase_id, phase.spec.epoch) == (run_id, phase_id, epoch):
                return {"number": number}
        return None

    async def poll(self, handle: Handle) -> PhaseState:
        phase = self._phase(handle)
        running = phase is not None and phase.running
        return PhaseState(running, "running" if running else "ended")

    async def cancel(self, handle: Handle, *, force: bool) -> None:
        phase = self._phase(handle)
        if phase is not None and phase.running:
            phase.canceled.append(force)
            phase.running = not force or self.out_of_reach

    async def forget(self, handle: Handle) -> None:
        self.phases.pop(self._number(handle), None)

    def end(self, handle: Handle) -> None:
        """The program of this phase ends by itself."""
        self.phases[self._number(handle)].running = False

    def _phase(self, handle: Handle) -> FakePhase | None:
        return self.phases.get(self._number(handle))

    @staticmethod
    def _number(handle: Handle) -> int:
        number = handle.get("number")
        if not isinstance(number, int):
            raise ValueError("this is no handle of the fake runner")
        return number


class MemoryPasswords:
    """A `PasswordStore` in a dict."""

    def __init__(self, *stored: StoredPassword) -> None:
        self._by_email = {each.email.lower(): each for each in stored}

    async def find(self, email: str) -> StoredPassword | None:
        return self._by_email.get(email.lower())

    async def save(self, user_id: str, new_hash: str) -> None:
        for email, each in self._by_email.items():
            if each.user_id == user_id:
                self._by_email[email] = replace(each, hash=new_hash)
                return
        raise KeyError(user_id)


class MemoryMirror:
    """A `RegistryMirror` in a dict. `broken` is what every question raises instead; `asked` counts them by what was asked."""

    def __init__(self, name: str = "memory", hosts: Sequence[str] = ()) -> None:
        self.name = name
        self.broken: Exception | None = None
        self.asked: dict[str, int] = {"index": 0, "package": 0, "fetch": 0}
        self.pinned: tuple[str, ...] = ()
        """What `keys` says."""
        self._hosts = tuple(hosts)
        self._packages: dict[Source, dict[str, dict[Platform | None, Package]]] = {}
        self._contents: dict[str, bytes] = {}

    def add(self, source: Source, version: str, platform: Platform | None, package: Package, content: bytes) -> None:
        """Offer one more file, or another in the place of one; a package of the same version goes with it under its platform."""
        self._packages.setdefault(source, {}).setdefault(version, {})[platform] = package
        self._contents[package.location] = content

    def serves(self, source: Source) -> bool:
        return source in self._packages or getattr(source, "host", None) in self._hosts

    def hosts(self) -> Sequence[str]:
        return self._hosts

    def keys(self, source: Source) -> Sequence[str]:
        return self.pinned

    async def index(self, source: Source, validator: str | None) -> Index | None:
        self._count("index")
        if source not in self._packages:
            raise UpstreamMissing(f"There is no {source}.")
        versions = tuple(Offered(name, _platforms(packages)) for name, packages in self._packages[source].items())
        now = f'"{hash(versions)}"'
        return None if validator == now else Index(versions, now)

    async def package(self, source: Source, version: str, platform: Platform | None) -> Package:
        self._count("package")
        try:
            return self._packages[source][version][platform]
        except KeyError:
            raise UpstreamMissing(f"There is no {source} {version} for {platform}.") from None

    async def fetch(self, package: Package) -> AsyncIterator[bytes]:
        self._count("fetch")
        content = self._contents[package.location]
        for at in range(0, len(content), 1 << 16):
            yield content[at : at + (1 << 16)]

    def _count(self, what: str) -> None:
        self.asked[what] += 1
        if self.broken is not None:
            raise self.broken


def _platforms(packages: Mapping[Platform | None, Package]) -> tuple[Platform, ...] | None:
    return tuple(each for each in packages if each is not None) or None
