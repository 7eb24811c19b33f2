"""The whole application over a real database, and modules in its registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select

from terrapod_core.accounts import User
from terrapod_core.registry.modules.models import Module, ModuleVersion
from terrapod_core.storage.discards import DiscardedObject
from tests.db.agents.conftest import URL, Answer, Site, site
from tests.support.wire import archive, document

__all__ = ["Registry", "registry", "site"]

MODULES = "organizations/default/registry-modules"
VPC = f"{MODULES}/private/default/vpc/aws"
FILES = {"main.tf": 'output "said" {\n  value = "hello"\n}\n'}


@dataclass
class Registry:
    """The registry of a server, and those who use it."""

    site: Site

    async def ask(self, who: str, method: str, path: str, sent: Any = None) -> Answer:
        """One request by somebody with a token."""
        return await self.site.ask(who, method, path, sent)

    async def module(self, name: str = "vpc", who: str = "root", **sent: Any) -> Answer:
        """A new module for AWS."""
        sent = {"name": name, "provider": "aws"} | sent
        return await self.ask(who, "POST", MODULES, document("registry-modules", **sent))

    async def version(self, number: str, who: str = "root", path: str = VPC) -> Answer:
        """A new version, which waits for its archive."""
        return await self.ask(who, "POST", f"{path}/versions", document("registry-module-versions", version=number))

    async def put(self, made: Answer, files: Mapping[str, str | bytes] | bytes = FILES) -> int:
        """Upload to a version; the status of the answer."""
        packed = files if isinstance(files, bytes) else archive(files)
        link: str = made.body["data"]["links"]["upload"]
        response = await self.site.terrapod.app.test_client().put(link.removeprefix(URL), data=packed)
        return response.status_code

    async def publish(self, number: str, who: str = "root", path: str = VPC, files: Mapping[str, str | bytes] = FILES) -> Answer:
        """A version with its archive, as it is shown then."""
        made = await self.version(number, who, path)
        assert made.status == 201, made
        assert await self.put(made, files) == 200
        return await self.ask(who, "GET", f"{path}/{number}")

    async def listed(self, who: str = "root", address: str = "default/vpc/aws") -> list[str]:
        """The versions that terraform is told of."""
        answer = await self.ask(who, "GET", f"registry/modules/{address}/versions")
        assert answer.status == 200, answer
        return [each["version"] for each in answer.body["modules"][0]["versions"]]

    async def role(self, who: str, level: str, *names: str, **labels: str) -> None:
        """Let somebody hold a role with this level on the registry."""
        name = f"{who}-{level}-{len(names)}-{len(labels)}"
        sent = document(
            "roles", name=name, workspace_permission="read", registry_permission=level, allow_names=list(names), allow_labels=labels
        )
        assert (await self.ask("root", "POST", "roles", sent)).status == 201
        given = document("role-assignments", provider_name="local", email=f"{who}@example.com", roles=[name])
        assert (await self.ask("root", "PUT", "role-assignments", given)).status == 200

    async def user(self, who: str) -> str:
        """The id of a user."""
        query = select(User.id).where(User.email == f"{who}@example.com")
        return await self.site.terrapod.db.read(lambda session: session.execute(query).scalar_one())

    async def rows(self) -> tuple[int, int, int]:
        """How many modules, versions and objects to be removed there are."""

        def count(session: Any) -> tuple[int, int, int]:
            of = (Module, ModuleVersion, DiscardedObject)
            modules, versions, discarded = (len(session.execute(select(each)).scalars().all()) for each in of)
            return modules, versions, discarded

        return await self.site.terrapod.db.read(count)

    async def audited(self, action: str) -> list[dict[str, Any]]:
        """What the entries about an action say, the oldest first."""
        return [entry.detail for entry in await self.site.audited(action)]


@pytest.fixture
async def registry(site: Site) -> Registry:
    """A server's registry with nothing in it; root is a platform admin, bob and carol are users."""
    await site.person("carol")
    return Registry(site)
