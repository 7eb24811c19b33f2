"""The composition root: the only place where rooms meet. Everything is made here and handed to what needs it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from terrapod_core import accounts, configurations, organizations, projects, roles, runs, states, ui, variables, workspaces
from terrapod_core.accounts import handlers as accounts_handlers, key_uses as accounts_key_uses, routes as accounts_routes
from terrapod_core.admin import routes as admin_routes
from terrapod_core.audit import AuditLog, Refusals, handlers as audit_handlers, key_uses as audit_key_uses
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.clock import Clock, SystemClock
from terrapod_core.configurations import (
    handlers as configurations_handlers,
    queries as configurations_queries,
    resources as configurations_resources,
    routes as configurations_routes,
)
from terrapod_core.db import Database
from terrapod_core.db.migrate import states as schema_states, upgrade
from terrapod_core.errors import Unavailable
from terrapod_core.jobs import Jobs, Worker
from terrapod_core.jsonapi import Includes
from terrapod_core.live import Live, handlers as live_handlers, routes as live_routes
from terrapod_core.organizations import resources as organizations_resources, routes as organizations_routes
from terrapod_core.outgoing import HTTPClients, own_servers
from terrapod_core.plugin import KeyProvider, PluginContexts, Plugins, RunnerBackend
from terrapod_core.projects import (
    handlers as projects_handlers,
    queries as projects_queries,
    resources as projects_resources,
    routes as projects_routes,
)
from terrapod_core.roles import routes as roles_routes
from terrapod_core.runs import (
    comment_routes as runs_comment_routes,
    conditions as runs_conditions,
    phase_routes as runs_phase_routes,
    plan_routes as runs_plan_routes,
    queries as runs_queries,
    resources as runs_resources,
    routes as runs_routes,
    state_routes as runs_state_routes,
)
from terrapod_core.runs.engine import ENGINE_PREFIX, Engines
from terrapod_core.runs.handlers import Handlers as RunHandlers
from terrapod_core.runs.isolation import Holding, RunnerTrial
from terrapod_core.runs.links import Links
from terrapod_core.runs.material import Materials
from terrapod_core.runs.outcome import Outcomes
from terrapod_core.runs.phases import Phases
from terrapod_core.runs.plan_json import PlanRedactor, SensitiveVariable
from terrapod_core.runs.retention import OldRuns
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.secrets.watch import KeyWatch
from terrapod_core.settings import Settings, SettingsError, load
from terrapod_core.states import (
    handlers as states_handlers,
    queries as states_queries,
    resources as states_resources,
    routes as states_routes,
)
from terrapod_core.storage import Capabilities, Objects, PhaseTokens, Purpose
from terrapod_core.storage.discards import remove_discarded
from terrapod_core.storage.key_uses import KeyUses
from terrapod_core.storage.rotation import Rotation
from terrapod_core.ui.doors import WorkspaceDoor
from terrapod_core.ui.run_doors import RunDoor
from terrapod_core.ui.workspace_doors import WorkspacePageDoor
from terrapod_core.variables import (
    handlers as variables_handlers,
    resources as variables_resources,
    routes as variables_routes,
    set_routes as variables_set_routes,
)
from terrapod_core.web import CapabilityRoutes, TerrapodQuart, Web, service as service_routes
from terrapod_core.web.dress import dress
from terrapod_core.web.failures import Failures
from terrapod_core.workspaces import (
    handlers as workspaces_handlers,
    label_routes as workspaces_label_routes,
    queries as workspaces_queries,
    resources as workspaces_resources,
    routes as workspaces_routes,
)
from terrapod_core.workspaces.conditions import EXTRA as CONDITIONS, Conditions
from terrapod_core.workspaces.service import Limits as WorkspaceLimits

LOG_MARGIN: Final = 256 * 1024
"""The runner ends its text at the limit; the server leaves room for what it adds itself."""

log = structlog.get_logger("terrapod")


@dataclass(frozen=True)
class Prepared:
    """What the first start made."""

    admin_email: str | None = None
    admin_password: str | None = field(default=None, repr=False)
    """Shown once; `None` when it was given, or the admin was there already."""


async def prepare(settings: Settings, *, bootstrap: bool = True) -> Prepared:
    """Bring the schema up to date and see to the first admin. Safe to repeat, and for several processes at once.

    Raises `SettingsError` when the schema is old and `database.auto_upgrade` is off, `SchemaNewer` when it is too new.
    """
    terrapod = Terrapod(settings, jobs=False)
    try:
        migrations = terrapod.plugins.migrations()
        if settings.database.auto_upgrade:
            for state in await upgrade(terrapod.db, migrations):
                log.info("schema upgraded", part=state.owner, before=state.current, now=state.head)
        else:
            behind = [state.owner for state in await schema_states(terrapod.db, migrations) if not state.is_current]
            if behind:
                raise SettingsError(f"the schema of {', '.join(behind)} is old and database.auto_upgrade is off: run `terrapod db upgrade`")
        await terrapod.key_watch.check()
        if not bootstrap:
            return Prepared()
        await terrapod.projects.ensure_default()
        first = await terrapod.people.first_start.apply(settings.bootstrap)
        return Prepared(first.email, first.password) if first is not None else Prepared()
    except OSError as error:
        url = terrapod.db.url
        where = f"{url.host}:{url.port or 5432}" if url.host else url.query.get("host") or url.database
        raise Unavailable(f"the database at {where} does not answer: {error.strerror or error}") from error
    finally:
        await terrapod.db.close()


def create_app(settings: Settings | None = None, *, plugins: Plugins | None = None) -> TerrapodQuart:
    """The ASGI application, for any server; prepares the database at its startup. Settings are read when none are given."""
    chosen = settings or load()
    terrapod = Terrapod(chosen, plugins=plugins)

    @terrapod.app.before_serving
    async def first() -> None:
        await prepare(chosen)

    # Quart runs these in order, and the constructor registered `startup` first.
    terrapod.app.before_serving_funcs.insert(0, terrapod.app.before_serving_funcs.pop())
    return terrapod.app


class Terrapod:
    """One process's services, its routes, and (with `jobs`) its background work."""

    def __init__(self, settings: Settings, *, plugins: Plugins | None = None, clock: Clock | None = None, jobs: bool = True) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.plugins = plugins or Plugins.discover(settings)
        self._refuse_failed()
        self.db = Database(settings.database.url, clock=self.clock, pool_size=settings.database.pool_size)
        self.authz = Authorizer()
        self.http = HTTPClients(settings.outgoing, own_servers(settings))
        self._open_plugins()
        self._open_rooms()
        self._open_runs()
        self.jobs = Jobs()
        self._register_jobs()
        self.worker = Worker(self.db, self.jobs, self.clock, told=self.live.feed.wake) if jobs else None
        self.app = self._build()

    # -- making the parts

    def _refuse_failed(self) -> None:
        failed = self.plugins.failed_required
        if failed:
            reasons = "; ".join(f"{record.name}: {record.reason or 'not loaded'}" for record in failed)
            raise SettingsError(f"required plugins are not loaded ({reasons})")

    def _open_plugins(self) -> None:
        contexts = PluginContexts(
            clock=self.clock,
            data_dir=self.settings.data_dir,
            passwords=accounts.UserPasswords(self.db),
            once=accounts.Once(self.db),
            http=self.http,
        )
        self._open_keys(contexts)
        self.storage_backend = self.plugins.choose(
            self.plugins.storage_backends(contexts), self.settings.storage.backend, "storage.backend"
        )
        self.runner_backend: RunnerBackend = self.plugins.choose(
            self.plugins.runner_backends(contexts), self.settings.runner.backend, "runner.backend"
        )
        self.objects = Objects(self.storage_backend, self.keyring)
        self.key_uses = KeyUses(self.db, self.keyring, self.objects, accounts_key_uses.HASHES, audit_key_uses.SIGNED)
        self.key_watch = KeyWatch(self.db, self.keyring, self.key_uses.needed, self.key_uses.hashed)
        self.rotation = Rotation(self.db, self.keyring, self.objects)
        self.capabilities = Capabilities(self.keyring, self.clock)
        self.refusals = Refusals(self.db)
        self.people = accounts.open_accounts(
            self.db, self.keyring, self.settings, self.authz, self.plugins.auth_providers(contexts), self._readable, self.refusals
        )
        self.accounts, self.tokens = self.people.accounts, self.people.tokens

    def _open_keys(self, contexts: PluginContexts) -> None:
        offered: dict[str, KeyProvider] = {**self.plugins.key_providers(contexts), "settings": SettingsKeys.of(self.settings)}
        self.keyring = Keyring(self.plugins.choose(offered, self.settings.secrets.provider, "secrets.provider"), self.clock)

    def _open_rooms(self) -> None:
        settings, limits = self.settings, self.settings.limits
        holders = accounts.Holders(self.people.sign_in.providers, self.people.authentication)
        self.roles = roles.Roles(self.db, self.authz, holders.forget)
        self.assignments = roles.Assignments(self.db, self.authz, holders)
        self.projects = projects.Projects(self.db, self.authz, workspaces_queries.InProjects(self.authz))
        self.workspaces = workspaces.Workspaces(
            self.db,
            self.authz,
            self.projects,
            pending_state=states_queries.pending_state,
            runs_with_status=runs_queries.ids_with_status,
            limits=WorkspaceLimits(limits.workspaces_per_user, creators=settings.workspaces.create),
            leftovers=(runs_queries.LEFT, states_queries.LEFT, configurations_queries.LEFT),
        )
        self.configurations = configurations.Configurations(
            self.db,
            self.authz,
            self.workspaces,
            self.objects,
            self.capabilities,
            limits,
            runs_queries.configuration_in_use,
            runs_queries.configurations_in_use,
            lambda actor: self.trial.isolation().check(actor),  # uploading is the first half of running
        )
        self.states = states.States(
            self.db, self.authz, self.workspaces, self.objects, self.capabilities, self.keyring, limits, runs_queries.workspace_of
        )
        values = variables.Values(self.keyring, settings)
        self.variables = variables.Variables(self.db, self.authz, values)
        self.variable_sets = variables.VariableSets(self.db, self.authz, self.projects, values)

    def _open_runs(self) -> None:
        backend, limits = self.runner_backend, self.settings.limits
        self.trial = RunnerTrial(backend)
        self.phase_tokens = PhaseTokens(self.keyring, self.clock)
        self.engines = Engines(self.db, self.phase_tokens)
        self.logs = runs.Logs(self.db, self.objects, self.keyring)
        self.links = Links(self.capabilities, self.clock, self.authz)
        self.outcomes = Outcomes(self.workspaces, self.authz, self.logs, self._actor)
        holding = Holding(self.db, self.trial.isolation, self._actor)
        self.dispatcher = runs.Dispatcher(self.db, backend, self.outcomes, self.logs, self.phase_tokens, self._door, holding)
        self.runs = runs.Runs(
            self.db,
            self.authz,
            self.workspaces,
            self.logs,
            self.keyring,
            self.settings,
            self.trial.isolation,
            self.dispatcher.wake,
        )
        self.again = runs.Again(self.db, self.authz, self.workspaces, self.runs, self.logs, self.keyring, self.dispatcher.wake)
        self.comments = runs.Comments(self.db, self.authz)
        self.redactor = PlanRedactor(self.db, self.objects, self._sensitive_variables)
        materials = Materials(self.variables, self.states, self.keyring, self.settings, projects_queries.name_of, self.phase_tokens)
        self.phases = Phases(
            self.db,
            self.objects,
            self.logs,
            self.states,
            self.configurations,
            materials,
            self.outcomes,
            limits.log_bytes + LOG_MARGIN,
            self.dispatcher.wake,
        )
        self.live = Live(self.db, self.authz, self.workspaces, self.runs, self.logs)

    async def _authenticate(self, text: str) -> Actor | None:
        """Whose bearer token this is: a person's, or terraform's own during a run."""
        if text.startswith(ENGINE_PREFIX):
            return await self.engines.authenticate(text)
        return await self.people.authentication.authenticate(text)

    def _readable(self, session: Session, actor: Actor, workspace_ids: Sequence[str]) -> set[str]:
        """Those of the workspaces that the actor may read."""
        return {each.id for each in workspaces_queries.readable(session, self.authz, actor, workspace_ids)}

    def _sensitive_variables(self, session: Session, workspace_id: str) -> list[SensitiveVariable]:
        """What a workspace's runs are given and its readers are not shown."""
        workspace = workspaces_queries.by_id(session, workspace_id)
        effective = self.variables.effective(session, workspace) if workspace is not None else ()
        return [SensitiveVariable(None if each.category == "env" else each.key, each.value) for each in effective if each.sensitive]

    def _door(self) -> runs.RunnerDoor:
        """How the runner program of a phase reaches this server."""
        server = self.settings.server
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, f"[{server.host}]" if ":" in server.host else server.host)  # noqa: S104
        scheme = "https" if server.tls_cert is not None else "http"
        own = self.settings.runner.url is None
        return runs.RunnerDoor(
            url=(self.settings.runner.url or f"{scheme}://{host}:{server.port}").rstrip("/"),
            certificate=server.tls_cert.read_text() if own and server.tls_cert is not None else None,
            program=(sys.executable, "-I", "-m", "terrapod_core.runner"),
            engines_dir=str(self.settings.runner.engines_dir.absolute()) if self.settings.runner.engines_dir is not None else None,
        )

    def _register_jobs(self) -> None:
        audit_handlers.register(self.jobs, self.db, self.objects, self.keyring, self.settings)
        accounts_handlers.register(self.jobs, self.people)
        configurations_handlers.register(self.jobs, self.configurations, self.settings.retention)
        states_handlers.register(self.jobs, self.states)
        projects_handlers.handlers(self.jobs, self.projects)
        workspaces_handlers.handlers(self.jobs, self.workspaces)
        variables_handlers.handlers(self.jobs, self.variables)
        self.jobs.every("runs.tidy", timedelta(hours=1), OldRuns(self.db, self.objects, self.settings.retention).tidy)
        self.jobs.every("storage.remove-discarded", timedelta(minutes=1), partial(remove_discarded, self.db, self.objects))
        live_handlers.register(self.jobs, self.db, self.settings.live)
        RunHandlers(self.db, self.runs, self.workspaces, self.objects, self.logs, self._actor, self.dispatcher.wake).register(self.jobs)

    # -- the application

    def _build(self) -> TerrapodQuart:
        app = TerrapodQuart("terrapod_core", static_folder=None)
        app.url_map.strict_slashes = False
        app.config["BODY_TIMEOUT"] = None
        includes = Includes()
        self.conditions = Conditions([runs_conditions.no_isolation(self.trial.isolation, self.clock.now())])
        self.web = Web(self.settings, self.db, includes, self._authenticate, extra={CONDITIONS: self.conditions})
        failures = Failures(app, self.refusals)
        dress(app, self.settings)
        self._register_includes(includes)
        for blueprint in self._api():
            app.register_blueprint(blueprint, url_prefix="/api/v2")
        app.register_blueprint(runs_phase_routes.routes(self.phases, self.phase_tokens, self.settings, self.web))
        app.register_blueprint(accounts_routes.oauth_routes(self.people, self.web))
        app.register_blueprint(self._capability_routes().routes())
        app.register_blueprint(service_routes.routes(self._checks(), self._detail))
        ui.register(app, failures, self._pages())
        app.before_serving(self.startup)
        app.after_serving(self.shutdown)
        return app

    def _api(self) -> list[Any]:
        return [
            organizations_routes.routes(organizations.Organizations(), self.web),
            projects_routes.routes(self.projects, self.web),
            workspaces_routes.routes(self.workspaces, self.web),
            workspaces_label_routes.label_routes(self.workspaces, self.web),
            variables_routes.routes(self.variables, self.web),
            variables_set_routes.set_routes(self.variable_sets, self.web),
            configurations_routes.routes(self.configurations, self.web),
            states_routes.routes(self.states, self.web),
            runs_routes.routes(self.runs, self.again, self.configurations, self.web),
            runs_plan_routes.plan_routes(self.runs, self.links, self.objects, self.redactor, self.web),
            runs_comment_routes.routes(self.runs, self.comments, self.web),
            runs_state_routes.routes(self.runs, self.states, self.web),
            live_routes.routes(self.live, self.web),
            accounts_routes.routes(self.people, self.web),
            roles_routes.routes(self.roles, self.assignments, self.web),
            admin_routes.routes(AuditLog(self.db, self.authz), self.web),
        ]

    def _register_includes(self, includes: Includes) -> None:
        organizations_resources.includes(includes)
        projects_resources.includes(includes, self.authz, workspaces_queries.InProjects(self.authz))
        workspaces_resources.includes(includes, self.authz)
        variables_resources.includes(includes, self.variable_sets)
        configurations_resources.includes(includes, self.configurations)
        states_resources.includes(includes, self.states)
        accounts.register_includes(includes, self.authz)
        runs_resources.includes(includes, self.authz, self.links.load)

    def _capability_routes(self) -> CapabilityRoutes:
        links = CapabilityRoutes(self.capabilities)
        configurations_routes.links(self.configurations, self.web, links)
        states_routes.links(self.states, self.web, links)
        links.on(Purpose.LOG_READ, runs_phase_routes.log_reader(self.logs))
        return links

    def _pages(self) -> ui.Pages:
        return ui.Pages(
            self.people,
            self.web,
            runs=RunDoor(self.runs, self.again, self.comments, self.logs, self.db, self.authz),
            workspaces=WorkspaceDoor(self.workspaces, self.db, self.conditions),
            workspace=WorkspacePageDoor(self.workspaces, self.runs, self.states, self.variables, self.conditions, self.live, self.authz),
            live=self.live,
        )

    def _checks(self) -> dict[str, service_routes.Check]:
        return {"database": self._ask_database, "redis": self._ask_redis, "storage": service_routes.StorageCheck(self.storage_backend)}

    async def _detail(self) -> dict[str, object]:
        plugins = {record.name: record.reason for record in self.plugins.records if record.state.value == "failed"}
        late = await audit_handlers.lateness(self.db)
        return {**self.trial.detail(), **({"audit": late} if late else {}), **({"failed-plugins": plugins} if plugins else {})}

    async def _ask_database(self) -> str | None:
        await self.db.ping()
        return None

    async def _ask_redis(self) -> str | None:
        return None

    # -- living

    def _actor(self, session: Session, user_id: str) -> Actor | None:
        """A user as they are now, for what is done in their name; `None` when disabled or gone."""
        user = session.get(accounts.User, user_id)
        if user is None or user.disabled_at is not None:
            return None
        return self.people.authentication.actor_of(session, user, self.clock.now())

    async def startup(self) -> None:
        """Begin background work."""
        await self.trial.once()
        self.trial.warn()
        await self.key_watch.look()
        self.key_watch.start()
        self.refusals.start()
        if self.worker is not None:
            self.worker.start()
            self.dispatcher.start()

    async def drain(self) -> None:
        """Take no new work, and end the streams: their clients come back elsewhere."""
        await self.dispatcher.stop()
        self.web.streams.close()

    async def shutdown(self) -> None:
        """End background work and let go of the database. Phases that run go on without the server."""
        await self.drain()
        if self.worker is not None:
            await self.worker.stop(grace=min(10.0, float(self.settings.server.drain_seconds)))
        await self.live.close()
        await self.refusals.stop()
        await self.key_watch.stop()
        await self.people.authentication.settle()
        await asyncio.shield(self.db.close())
