"""The whole application over a real database, and providers in its registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from terrapod_core.accounts import User
from terrapod_core.packages import openpgp
from terrapod_core.registry.providers.models import GPGKey, ProviderPlatform, ProviderVersion, RegistryProvider
from terrapod_core.storage.discards import DiscardedObject
from tests.db.agents.conftest import URL, Answer, Site, site
from tests.support.releases import Publisher, Release, quick_key
from tests.support.wire import JSON_API, document

__all__ = ["Registry", "registry", "site"]

PROVIDERS = "organizations/default/registry-providers"
FAKE = f"{PROVIDERS}/private/default/fake"


@dataclass
class Registry:
    """The registry of a server, and those who use it."""

    site: Site
    publisher: Publisher = field(default_factory=Publisher)

    async def ask(self, who: str, method: str, path: str, sent: Any = None) -> Answer:
        """One request by somebody with a token."""
        return await self.site.ask(who, method, path, sent)

    async def provider(self, name: str = "fake", who: str = "root", **sent: Any) -> Answer:
        """A new provider."""
        return await self.ask(who, "POST", PROVIDERS, document("registry-providers", name=name, **sent))

    async def key(self, *providers: str, who: str = "root", armor: str | None = None) -> Answer:
        """Add a key; the publisher's when no other is given."""
        bound = {"providers": list(providers)} if providers else {}
        sent = document("gpg-keys", namespace="default", ascii_armor=armor or self.publisher.armor, **bound)
        return await self.keys(who, "POST", "", sent)

    async def keys(self, who: str, method: str, path: str = "", sent: Any = None) -> Answer:
        """One request about keys."""
        headers = {"Authorization": f"Bearer {self.site.tokens[who]}", "Content-Type": JSON_API}
        call = getattr(self.site.terrapod.app.test_client(), method.lower())
        body = None if sent is None else msgspec.json.encode(sent)
        response = await call(f"/api/registry/private/v2/gpg-keys{path}", headers=headers, data=body)
        raw = await response.get_data(as_text=False)
        return Answer(response.status_code, msgspec.json.decode(raw) if raw else None, response.headers)

    async def version(self, number: str, who: str = "root", path: str = FAKE, **sent: Any) -> Answer:
        """A new version, which waits for its files; the server signs it unless a key is named."""
        return await self.ask(who, "POST", f"{path}/versions", document("registry-provider-versions", version=number, **sent))

    async def platform(self, release: Release, platform: tuple[str, str], who: str = "root", path: str = FAKE, **sent: Any) -> Answer:
        """Announce a zip."""
        new = {"os": platform[0], "arch": platform[1], "shasum": release.digest(platform), "filename": release.name(platform)} | sent
        return await self.ask(who, "POST", f"{path}/versions/{release.version}/platforms", document("", **new))

    async def put(self, made: Answer, link: str, content: bytes) -> Answer:
        """Upload to a link of what was made."""
        response = await self.site.terrapod.app.test_client().put(made.body["data"]["links"][link].removeprefix(URL), data=content)
        raw = await response.get_data(as_text=False)
        return Answer(response.status_code, msgspec.json.decode(raw) if raw else None, response.headers)

    async def get(self, url: str) -> tuple[int, bytes]:
        """What is behind a link."""
        response = await self.site.terrapod.app.test_client().get(url.removeprefix(URL))
        return response.status_code, await response.get_data(as_text=False)

    async def shown(self, number: str, who: str = "root", path: str = FAKE) -> Answer:
        """A version as it is shown."""
        return await self.ask(who, "GET", f"{path}/versions/{number}")

    async def zips(self, release: Release, who: str = "root", path: str = FAKE) -> None:
        """Announce and upload all zips."""
        for platform, content in release.zips.items():
            made = await self.platform(release, platform, who, path)
            assert made.status == 201, made
            put = await self.put(made, "provider-binary-upload", content)
            assert put.status == 200, put

    async def signed(self, release: Release, who: str = "root", path: str = FAKE, publisher: Publisher | None = None) -> Answer:
        """A version that its publisher signs, with all its files, as it is shown then."""
        publisher = publisher or self.publisher
        made = await self.version(release.version, who, path, key_id=publisher.key_id)
        assert made.status == 201, made
        assert (await self.put(made, "shasums-upload", release.sums)).status == 200
        with_sums = await self.shown(release.version, who, path)
        put = await self.put(with_sums, "shasums-sig-upload", publisher.sign(release.sums))
        assert put.status == 200, put
        await self.zips(release, who, path)
        return await self.shown(release.version, who, path)

    async def unsigned(self, release: Release, who: str = "root", path: str = FAKE) -> Answer:
        """A version that the server signs."""
        assert (await self.version(release.version, who, path)).status == 201
        await self.zips(release, who, path)
        return await self.ask(who, "POST", f"{path}/versions/{release.version}/actions/publish")

    async def listed(self, who: str = "root", address: str = "default/fake") -> list[str]:
        """The versions that terraform is told of."""
        answer = await self.ask(who, "GET", f"registry/providers/{address}/versions")
        assert answer.status == 200, answer
        return [each["version"] for each in answer.body["versions"]]

    async def found(self, number: str, platform: str = "linux/amd64", who: str = "root", address: str = "default/fake") -> Answer:
        """What terraform is told of a zip."""
        return await self.ask(who, "GET", f"registry/providers/{address}/{number}/download/{platform}")

    async def role(self, who: str, level: str, *names: str) -> None:
        """Let somebody hold a role with this level on the registry."""
        name = f"{who}-{level}-{len(names)}"
        sent = document("roles", name=name, workspace_permission="read", registry_permission=level, allow_names=list(names))
        assert (await self.ask("root", "POST", "roles", sent)).status == 201
        given = document("role-assignments", provider_name="local", email=f"{who}@example.com", roles=[name])
        assert (await self.ask("root", "PUT", "role-assignments", given)).status == 200

    async def user(self, who: str) -> str:
        """The id of a user."""
        query = select(User.id).where(User.email == f"{who}@example.com")
        return await self.site.terrapod.db.read(lambda session: session.execute(query).scalar_one())

    async def rows(self) -> tuple[int, ...]:
        """How many providers, versions, platforms, keys and objects to be removed there are."""

        def count(session: Any) -> tuple[int, ...]:
            of = (RegistryProvider, ProviderVersion, ProviderPlatform, GPGKey, DiscardedObject)
            return tuple(len(session.execute(select(each)).scalars().all()) for each in of)

        return await self.site.terrapod.db.read(count)

    async def stored(self) -> int:
        """How many objects the store has."""
        return len([info async for info in self.site.terrapod.storage_backend.list("archives/")])

    async def audited(self, action: str) -> list[dict[str, Any]]:
        """What the entries about an action say, the oldest first."""
        return [entry.detail for entry in await self.site.audited(action)]


@pytest.fixture
async def registry(site: Site, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A server's registry with nothing in it; root is a platform admin, bob and carol are users."""
    monkeypatch.setattr(openpgp, "new_key", quick_key)
    await site.person("carol")
    return Registry(site)
