"""One secret of every sort that an installation keeps: put in through the front doors, and read back through them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from terrapod_core.accounts.models import LoginState, User
from terrapod_core.accounts.platform_roles import grant
from terrapod_core.accounts.users import add_local_user
from terrapod_core.app import Terrapod
from terrapod_core.authz import SYSTEM, PlatformRole
from terrapod_core.configurations.models import ConfigurationVersion
from terrapod_core.configurations.service import CreateConfigurationVersion
from terrapod_core.jsonapi import Ref
from terrapod_core.runs import Phase, Run
from terrapod_core.runs.requests import Claim, CreateRun, Report, RunVariable
from terrapod_core.states.models import StateVersion, StateVersionOutput
from terrapod_core.storage import ObjectKind, PhaseClaim
from terrapod_core.testing import FakeRunnerBackend
from terrapod_core.variables.documents import CreateVariable
from terrapod_core.variables.models import Variable
from terrapod_core.vcs.models import Connection
from terrapod_core.workspaces.documents import CreateWorkspace

MARK = "planted-secret-of-"
"""Every planted secret begins like this; nothing else does."""

LINEAGE = "6a2f7a9e-0000-4000-8000-000000000001"
ARTIFACTS = {
    ObjectKind.PLAN_FILE: "plan_file_key",
    ObjectKind.PLAN_JSON: "plan_json_key",
    ObjectKind.PROVIDER_SCHEMAS: "provider_schemas_key",
}


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def archive(secret: str) -> bytes:
    """A configuration whose secret stands in it uncompressed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        info = tarfile.TarInfo("main.tf")
        text = f'locals {{ password = "{secret}" }}\n'.encode()
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def state(secret: str) -> bytes:
    """A state with that secret in an output and in a resource."""
    outputs = {"password": {"value": secret, "type": "string", "sensitive": True}}
    document = {"version": 4, "terraform_version": "1.11.4", "serial": 1, "lineage": LINEAGE, "outputs": outputs, "resources": []}
    return json.dumps(document).encode()


@dataclass
class Planted:
    """What was planted, and where it can be found again."""

    terrapod: Terrapod
    secrets: dict[str, str] = field(default_factory=dict)
    """By what each is a secret of."""
    token: str = ""

    def secret(self, of: str) -> str:
        """A secret of its own."""
        return self.secrets.setdefault(of, f"{MARK}{of}-{hashlib.sha256(of.encode()).hexdigest()[:12]}")

    async def plant(self) -> None:
        """All of them."""
        terrapod = self.terrapod
        await terrapod.key_watch.check()
        await terrapod.projects.ensure_default()
        async with terrapod.db.uow() as uow:
            self.user = await add_local_user(uow, "root@example.com", None, None)
            await grant(uow, SYSTEM, self.user, PlatformRole.ADMIN)
            _, self.session = terrapod.people.sessions.open(uow, self.user, address=None, user_agent=None)
            remembered = terrapod.keyring.seal(self.secret("sign-in").encode(), column="login_states.remembered", row="a hash")
            uow.add(
                LoginState(
                    hash="a hash", browser="b", provider="p", comes_back="link", return_to="/", callback_url="https://tfe.example.com",
                    remembered=remembered, expires_at=uow.now() + timedelta(days=9),
                )
            )  # fmt: skip
            uow.add(self._connection(uow.now()))
            await uow.commit()
        self.token = (await terrapod.tokens.create(SYSTEM, description="a token", user_id=self.user.id)).text
        actor = await terrapod.tokens.authenticate(self.token)
        assert actor is not None
        await terrapod.people.authentication.settle()
        workspace = await terrapod.workspaces.create(actor, CreateWorkspace(name="net"))
        for number, sensitive in enumerate((True, False)):
            new = CreateVariable(
                key=f"password_{number}", category="terraform", value=self.secret(f"variable-{number}"), sensitive=sensitive
            )
            await terrapod.variables.create(actor, workspace.id, new)
        version = await terrapod.configurations.create(
            actor, workspace.id, CreateConfigurationVersion(auto_queue_runs=False), source="tfe-api"
        )
        await terrapod.configurations.upload(version.id, pieces(archive(self.secret("configuration"))))
        given = [RunVariable(key="password", value=json.dumps(self.secret("run-variable")))]
        new_run = CreateRun(
            workspace=Ref(type="workspaces", id=workspace.id),
            configuration_version=Ref(type="configuration-versions", id=version.id),
            auto_apply=True,
            variables=given,
        )
        run = (await terrapod.runs.create(actor, new_run)).run
        await self._plan(run)
        await self._apply(run)

    def _connection(self, now: datetime) -> Connection:
        forges, ident = self.terrapod.forges, "vcs-planted"
        return Connection(
            id=ident, name="forge", provider="gitlab", base_url="https://gitlab.example.com", values={}, repositories=["*"], roles=[],
            project_ids=[], created_at=now, updated_at=now,
            secrets=forges.sealed(ident, {"token": self.secret("vcs-token")}),
            webhook_secret=forges.sealed_webhook_secret(ident, self.secret("webhook")),
        )  # fmt: skip

    async def _begin(self, phase_id: str) -> PhaseClaim:
        """Launch a phase and play its runner."""
        await self._work()
        backend = self.terrapod.runner_backend
        assert isinstance(backend, FakeRunnerBackend)
        tokens = [fake.spec.token for fake in backend.phases.values() if fake.spec.phase_id == phase_id]
        claim = self.terrapod.phase_tokens.verify(tokens[-1])
        await self.terrapod.phases.claim(claim, Claim(runner="host 1"))
        return claim

    async def _work(self) -> None:
        await self.terrapod.dispatcher.look()
        assert self.terrapod.worker is not None
        await self.terrapod.worker.drain()

    async def _plan(self, run: Run) -> None:
        """A plan to its end: its log moves into the store."""
        claim = await self._begin(run.plan_id)
        await self.terrapod.phases.append_log(claim, 0, self.secret("ended-log").encode())
        for kind in ARTIFACTS:
            await self.terrapod.phases.put_artifact(claim, kind, pieces(self.secret(kind.value).encode()), 1000)
        await self.terrapod.phases.report(claim, Report(status="finished", has_changes=True, additions=1))
        await self._work()

    async def _apply(self, run: Run) -> None:
        """An apply that goes on: its log lies in the database, its state is there."""
        claim = await self._begin(run.apply_id)
        await self.terrapod.phases.append_log(claim, 0, self.secret("running-log").encode())
        text = state(self.secret("state"))
        await self.terrapod.phases.put_state(claim, 1, LINEAGE, hashlib.md5(text).hexdigest(), pieces(text))
        async with self.terrapod.db.uow() as uow:
            version = (await uow.session.execute(select(StateVersion))).scalar_one()
            stored = await self.terrapod.objects.put(
                ObjectKind.STATE_JSON, version.id, pieces(self.secret("parsed-state").encode()), limit=None
            )
            version.json_object_key = stored.key
            await uow.commit()

    async def found(self, terrapod: Terrapod | None = None) -> dict[str, bool]:
        """Whether each secret can be read by a server, by what it is a secret of."""
        reader = terrapod or self.terrapod
        texts = await self._values(reader) + await self._objects(reader)
        return {of: any(secret.encode() in text for text in texts) for of, secret in self.secrets.items()}

    async def _values(self, terrapod: Terrapod) -> list[bytes]:
        opened = terrapod.keyring.open
        async with terrapod.db.uow() as uow:
            session = uow.session
            variables = (await session.execute(select(Variable))).scalars().all()
            outputs = (await session.execute(select(StateVersionOutput).where(StateVersionOutput.value.is_not(None)))).scalars().all()
            runs = (await session.execute(select(Run))).scalars().all()
            begun = (await session.execute(select(LoginState))).scalars().all()
            connections = (await session.execute(select(Connection))).scalars().all()
            phases = (await session.execute(select(Phase))).scalars().all()
        texts = [opened(each.value_sealed, column="variables.value", row=each.id) for each in variables]
        texts += [opened(each.value or b"", column="state_version_outputs.value", row=each.id) for each in outputs]
        texts += [opened(each.variables or b"", column="runs.variables", row=each.id) for each in runs]
        texts += [opened(each.remembered or b"", column="login_states.remembered", row=each.hash) for each in begun]
        for each in connections:
            texts += [terrapod.forges.given(each).values["token"].encode(), terrapod.forges.webhook_secret(each).encode()]
        return texts + [await terrapod.logs.read(each.id, 0, 1 << 20) for each in phases]

    async def _objects(self, terrapod: Terrapod) -> list[bytes]:
        async with terrapod.db.uow() as uow:
            session = uow.session
            states = (await session.execute(select(StateVersion))).scalars().all()
            versions = (await session.execute(select(ConfigurationVersion))).scalars().all()
            phases = (await session.execute(select(Phase))).scalars().all()
        named = [(ObjectKind.STATE, each.id, each.object_key) for each in states]
        named += [(ObjectKind.STATE_JSON, each.id, each.json_object_key) for each in states]
        named += [(ObjectKind.CONFIGURATION, each.id, each.object_key) for each in versions]
        named += [(kind, each.id, getattr(each, column)) for each in phases for kind, column in ARTIFACTS.items()]
        return [
            b"".join([piece async for piece in terrapod.objects.get(kind, object_id, key)])
            for kind, object_id, key in named
            if key is not None
        ]


__all__ = ["MARK", "Planted", "User"]
