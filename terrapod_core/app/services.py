"""The services of one process, each made with what it needs of the others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy.orm import Session

from terrapod_core import accounts, agents, configurations, projects, roles, runs, states, traces, variables, workspaces
from terrapod_core.accounts import handlers as accounts_handlers, key_uses as accounts_key_uses
from terrapod_core.agents import handlers as agents_handlers, key_uses as agents_key_uses
from terrapod_core.app import extension_parts, ingress_parts
from terrapod_core.app.readings import Readings
from terrapod_core.assessments import Assessments
from terrapod_core.assessments.handlers import Handlers as AssessmentHandlers
from terrapod_core.audit import Refusals, handlers as audit_handlers, key_uses as audit_key_uses
from terrapod_core.authz import Actor, Authorizer
from terrapod_core.bundles.keys import BundleKeys
from terrapod_core.clock import Clock, SystemClock
from terrapod_core.configurations import (
    handlers as configurations_handlers,
    queries as configurations_queries,
)
from terrapod_core.coordination import PostgreSQLCoordination
from terrapod_core.db import Bounds, Database
from terrapod_core.ingress.handlers import Handlers as IngressHandlers
from terrapod_core.jobs import Jobs
from terrapod_core.jobs.presence import Kind, Presence
from terrapod_core.live import Live, handlers as live_handlers
from terrapod_core.mirrors.ahead import Ahead
from terrapod_core.mirrors.bringing import Bringing
from terrapod_core.mirrors.caches import Caches
from terrapod_core.mirrors.care import EVERY as CARE_EVERY, Care
from terrapod_core.mirrors.engines import EngineCache
from terrapod_core.mirrors.filling import Packages
from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.keys import MirrorKeys
from terrapod_core.mirrors.links import Links as MirrorLinks
from terrapod_core.mirrors.modules import ModuleMirror
from terrapod_core.mirrors.providers import ProviderMirror, Vouched
from terrapod_core.mirrors.releases import Releases as MirrorReleases
from terrapod_core.mirrors.troubles import Troubles
from terrapod_core.mirrors.upstreams import Upstreams
from terrapod_core.mirrors.uses import Uses
from terrapod_core.mirrors.warming import EngineCare
from terrapod_core.outgoing import HTTPClients, own_servers
from terrapod_core.plugin import KeyProvider, PluginContexts, Plugins, RunnerBackend, SupportsMetering
from terrapod_core.projects import (
    handlers as projects_handlers,
    queries as projects_queries,
)
from terrapod_core.registry.contents.reader import ModuleReader
from terrapod_core.registry.door import Door as RegistryDoor
from terrapod_core.registry.modules import handlers as modules_handlers
from terrapod_core.registry.modules.connecting import Connecting
from terrapod_core.registry.modules.protocol import ModuleProtocol
from terrapod_core.registry.modules.service import Modules
from terrapod_core.registry.modules.versions import ModuleVersions
from terrapod_core.registry.providers import handlers as providers_handlers
from terrapod_core.registry.providers.installs import Installs
from terrapod_core.registry.providers.keys import GPGKeys
from terrapod_core.registry.providers.links import Links as ProviderLinks
from terrapod_core.registry.providers.platforms import Platforms
from terrapod_core.registry.providers.releases import Releases
from terrapod_core.registry.providers.server_key import ServerKey, own as own_key
from terrapod_core.registry.providers.service import Providers
from terrapod_core.registry.providers.uploads import Uploads
from terrapod_core.registry.uses import handlers as uses_handlers
from terrapod_core.registry.uses.consumers import Consumers
from terrapod_core.registry.uses.downloads import Downloads
from terrapod_core.runs import (
    conditions as runs_conditions,
    queries as runs_queries,
)
from terrapod_core.runs.checking import Checking
from terrapod_core.runs.engine import ENGINE_PREFIX, Engines
from terrapod_core.runs.engines_offered import EnginesOffered
from terrapod_core.runs.handlers import Handlers as RunHandlers
from terrapod_core.runs.isolation import Holding, RunnerTrial
from terrapod_core.runs.links import Links
from terrapod_core.runs.listener_runs import ListenerRuns
from terrapod_core.runs.material import Materials, hosts
from terrapod_core.runs.mirror_failures import MirrorFailures
from terrapod_core.runs.offers import Offers
from terrapod_core.runs.outcome import Outcomes
from terrapod_core.runs.phases import Phases
from terrapod_core.runs.plan_json import PlanRedactor, SensitiveVariable
from terrapod_core.runs.registry_uses import RegistryUses
from terrapod_core.runs.retention import OldRuns
from terrapod_core.runs.takes import Takes, busy_listeners
from terrapod_core.secrets import Keyring
from terrapod_core.secrets.providers import SettingsKeys
from terrapod_core.secrets.watch import KeyWatch
from terrapod_core.settings import Settings, SettingsError
from terrapod_core.states import (
    handlers as states_handlers,
    queries as states_queries,
)
from terrapod_core.storage import Archives, Capabilities, Objects, PhaseTokens
from terrapod_core.storage.discards import remove_discarded
from terrapod_core.storage.key_uses import KeyUses
from terrapod_core.storage.measured import measured
from terrapod_core.storage.rotation import Rotation
from terrapod_core.tarballs import ArchiveLimits
from terrapod_core.variables import (
    handlers as variables_handlers,
)
from terrapod_core.vcs.browsing import Browsing
from terrapod_core.vcs.oauth import OAuth
from terrapod_core.vcs.opening import Forges
from terrapod_core.vcs.service import Connections
from terrapod_core.vcs.webhooks import Webhooks
from terrapod_core.web.listings import Listings
from terrapod_core.web.rates import Meter
from terrapod_core.web.shared_meter import SharedMeter
from terrapod_core.workspaces import (
    handlers as workspaces_handlers,
    pool_users,
    queries as workspaces_queries,
)
from terrapod_core.workspaces.conditions import Conditions, state_awaited
from terrapod_core.workspaces.linking import Linking
from terrapod_core.workspaces.pools import no_agent
from terrapod_core.workspaces.service import Limits as WorkspaceLimits

LOG_MARGIN: Final = 256 * 1024
"""The runner ends its text at the limit; the server leaves room for what it adds itself."""


class Services:
    """Every room's service, and the jobs they have registered. Raises `SettingsError` when a required plugin is not loaded."""

    def __init__(self, settings: Settings, plugins: Plugins | None, clock: Clock | None, *, serves: bool = True) -> None:
        self.settings = settings
        self.leaving = False
        """Whether this process is about to end; `/ready` says so."""
        self.clock = clock or SystemClock()
        self.plugins = plugins or Plugins.discover(settings)
        self._refuse_failed()
        self.db = _database(settings, self.clock)
        self.presence = Presence(self.db, Kind.SERVER if serves else Kind.WORKER)
        self.authz = Authorizer()
        self.http = HTTPClients(settings.outgoing, own_servers(settings))
        self._open_plugins()
        self._open_mirrors()
        self.extensions = extension_parts.opened(self, self.contexts)
        self._open_rooms()
        self._open_runs()
        self.ingress = ingress_parts.opened(self)
        self.conditions = Conditions(
            [state_awaited, runs_conditions.no_isolation(self.trial.isolation, self.clock.now()), no_agent(self.clock.now)],
            self.extensions.additions.add,
        )
        self.readings = Readings(self.db)
        self.traces = traces.opened(settings.tracing)
        self.jobs = Jobs()
        self._register_jobs()

    def _refuse_failed(self) -> None:
        failed = self.plugins.failed_required
        if failed:
            reasons = "; ".join(f"{record.name}: {record.reason or 'not loaded'}" for record in failed)
            raise SettingsError(f"required plugins are not loaded ({reasons})")

    def _open_plugins(self) -> None:
        self.contexts = contexts = PluginContexts(
            clock=self.clock,
            data_dir=self.settings.data_dir,
            passwords=accounts.UserPasswords(self.db),
            once=accounts.Once(self.db),
            http=self.http,
            redis_url=self.settings.redis.url,
        )
        self._open_keys(contexts)
        self._open_coordination(contexts)
        self.storage_backend = measured(
            self.plugins.choose(self.plugins.storage_backends(contexts), "storage", self.settings.storage.backend, "storage.backend")
        )
        self.runner_backend: RunnerBackend = self.plugins.choose(
            self.plugins.runner_backends(contexts), "runner", self.settings.runner.backend, "runner.backend"
        )
        self.objects = Objects(self.storage_backend, self.keyring)
        self.archives = Archives(self.storage_backend, links=self.settings.storage.redirect)
        hashes = {**accounts_key_uses.HASHES, **agents_key_uses.HASHES}
        self.key_uses = KeyUses(self.db, self.keyring, self.objects, hashes, audit_key_uses.SIGNED)
        self.key_watch = KeyWatch(self.db, self.keyring, self.key_uses.needed, self.key_uses.hashed)
        self.rotation = Rotation(self.db, self.keyring, self.objects)
        self.capabilities = Capabilities(self.keyring, self.clock)
        self.refusals = Refusals(self.db)
        self.mirror_plugins = self.plugins.registry_mirrors(contexts)
        self.forges = Forges(self.plugins.vcs_providers(contexts), self.keyring)
        self.people = accounts.open_accounts(
            self.db, self.keyring, self.settings, self.authz, self.plugins.auth_providers(contexts), self._readable, self.refusals
        )
        self.accounts, self.tokens = self.people.accounts, self.people.tokens

    def _open_keys(self, contexts: PluginContexts) -> None:
        offered: dict[str, KeyProvider] = {**self.plugins.key_providers(contexts), "settings": SettingsKeys.of(self.settings)}
        self.keyring = Keyring(self.plugins.choose(offered, "keys", self.settings.secrets.provider, "secrets.provider"), self.clock)

    def _open_coordination(self, contexts: PluginContexts) -> None:
        offered = self.plugins.coordination_backends(contexts)
        if self.settings.redis.url is not None:
            self.db.wakeups.use(self.plugins.choose(offered, "coordination", "redis", "redis.url"))
        elif not self.db.is_sqlite:
            self.db.wakeups.use(PostgreSQLCoordination(self.db.url))

    def _open_mirrors(self) -> None:
        settings = self.settings.mirrors
        troubles = Troubles(settings.failed_seconds, settings.missing_seconds)
        self.upstreams = Upstreams(self.mirror_plugins, settings.sealed, hosts(self.settings), troubles)
        self.mirror_indexes = Indexes(self.db, self.upstreams, settings)
        self.mirror_releases = MirrorReleases(self.db, self.upstreams, new_keys=settings.new_keys)
        self.mirror_uses = Uses(self.db)
        self.caches = Caches(self.db, self.authz)
        self.bundle_keys = BundleKeys(self.db, self.keyring)
        self.bringing = Bringing(self.db, self.upstreams, self.archives, self.objects, new_keys=settings.new_keys)
        self.mirror_packages = Packages(
            self.db, self.upstreams, self.archives, self.objects, limit=settings.package_bytes, used=self.mirror_uses.count
        )
        self.mirror_ahead = Ahead(self.mirror_releases, self.mirror_packages, settings.lock_platforms, sealed=settings.sealed)
        links = MirrorLinks(self.capabilities, self.clock)
        parts = (self.mirror_indexes, self.mirror_releases, self.mirror_packages, links, Listings())
        self.mirrored_providers = ProviderMirror(
            self.db, self.authz, *parts, self.mirror_ahead, partial(vouched, ServerKey(self.db, self.keyring), self.db)
        )
        self.mirrored_modules = ModuleMirror(self.authz, *parts)
        self.mirror_keys = MirrorKeys(self.db, self.authz, self.upstreams)
        self.engine_cache = EngineCache(
            self.db,
            self.authz,
            self.upstreams,
            self.mirror_indexes,
            self.mirror_releases,
            self.mirror_packages,
            self.archives,
            links,
        )
        self.engine_care = EngineCare(self.db, self.authz, self.engine_cache, self.mirror_packages, runs_queries.working_with_engine)

    def _open_rooms(self) -> None:
        settings, limits = self.settings, self.settings.limits
        holders = accounts.Holders(self.people.sign_in.providers, self.people.authentication)
        self.roles = roles.Roles(self.db, self.authz, holders.forget)
        self.assignments = roles.Assignments(self.db, self.authz, holders)
        self.projects = projects.Projects(
            self.db, self.authz, workspaces_queries.InProjects(self.authz), partial(agents.check_use, self.authz)
        )
        self.pools = agents.Pools(self.db, self.authz, pool_users.UsersOfPools(self.authz))
        self.pool_tokens = agents.PoolTokens(self.db, self.authz, self.keyring, self.pools, settings.tokens)
        self.listeners = agents.Listeners(self.db, self.authz, self.keyring, self.pools, self.pool_tokens, busy_listeners)
        self.connections = Connections(self.db, self.authz, self.forges)
        self.browsing = Browsing(self.connections, settings.vcs.request_seconds)
        self.oauth = OAuth(self.db, self.connections, self.browsing, projects_queries.there)
        self.webhooks = Webhooks(self.db, self.forges)
        self.workspaces = workspaces.Workspaces(
            self.db,
            self.authz,
            self.projects,
            linking=Linking(self.db, self.browsing),
            pending_state=states_queries.pending_state,
            runs_with_status=runs_queries.ids_with_status,
            limits=WorkspaceLimits(limits.workspaces_per_user, creators=settings.workspaces.create),
            leftovers=(runs_queries.LEFT, states_queries.LEFT, configurations_queries.LEFT),
        )
        self._open_registry()
        self.configurations = configurations.Configurations(
            self.db,
            self.authz,
            self.workspaces,
            self.objects,
            self.capabilities,
            limits,
            runs_queries.configuration_in_use,
            runs_queries.configurations_in_use,
            lambda actor, workspace: self.trial.isolation().check(actor, workspace),  # uploading is the first half of running
        )
        self.states = states.States(
            self.db, self.authz, self.workspaces, self.objects, self.capabilities, self.keyring, limits, runs_queries.workspace_of
        )
        values = variables.Values(self.keyring, settings)
        self.variables = variables.Variables(self.db, self.authz, values)
        self.variable_sets = variables.VariableSets(self.db, self.authz, self.projects, values)

    def _open_registry(self) -> None:
        door, limits = RegistryDoor(self.db, self.authz), self.settings.limits
        self.modules = Modules(door, Connecting(self.db, self.browsing))
        self.module_versions = ModuleVersions(
            door,
            self.archives,
            self.objects,
            self.capabilities,
            limit=limits.module_bytes,
            reader=ModuleReader(ArchiveLimits(limits.archive_entries, limits.unpacked_bytes)),
            actor_of=self.actor_of,
        )
        self.module_protocol = ModuleProtocol(door, self.capabilities, Listings())
        links = ProviderLinks(self.capabilities, self.clock)
        self.providers = Providers(door)
        self.provider_releases = Releases(door, self.providers, links, ServerKey(self.db, self.keyring))
        self.provider_platforms = Platforms(door, self.provider_releases, links)
        self.provider_uploads = Uploads(door, self.archives, self.objects, self.actor_of, limit=limits.provider_bytes)
        self.provider_installs = Installs(door, links, Listings())
        self.gpg_keys = GPGKeys(door)
        self.consumers = Consumers(door, hosts(self.settings), partial(workspaces_queries.readable_ids, self.authz))
        self.downloads = Downloads(self.db)

    def _open_runs(self) -> None:
        backend, limits = self.runner_backend, self.settings.limits
        self.trial = RunnerTrial(backend)
        checking = Checking(self.db, self.objects, self.extensions.run_checks)
        self.phase_tokens = PhaseTokens(self.keyring, self.clock)
        self.engines = Engines(self.db, self.phase_tokens, self.actor_of)
        self.logs = runs.Logs(self.db, self.objects, self.keyring)
        self.links = Links(self.capabilities, self.clock, self.authz)
        self.mirror_failures = MirrorFailures(self.db)
        self.outcomes = Outcomes(self.workspaces, self.authz, self.logs, self.actor_of)
        holding = Holding(self.db, self.logs, self.trial.isolation, self.actor_of)
        self.dispatcher = runs.Dispatcher(self.db, backend, self.outcomes, self.logs, self.phase_tokens, self._door, holding, self.presence)
        self.offers = Offers(self.db, Takes(self.db, self.phase_tokens))
        self.listener_runs = ListenerRuns(self.db, self.outcomes)
        self.runs = runs.Runs(
            self.db,
            self.authz,
            self.workspaces,
            self.logs,
            self.keyring,
            self.settings,
            self.trial.isolation,
            checking,
        )
        self.again = runs.Again(self.db, self.authz, self.workspaces, self.runs, self.logs, self.keyring)
        self.comments = runs.Comments(self.db, self.authz)
        self.assessments = Assessments(self.db, self.authz, self.runs)
        self.redactor = PlanRedactor(self.db, self.objects, self._sensitive_variables)
        offered = EnginesOffered(self.engine_cache, self.clock, self.settings.mirrors)
        materials = Materials(
            self.variables,
            self.states,
            self.keyring,
            self.settings,
            projects_queries.name_of,
            self.phase_tokens,
            offered,
            self.upstreams.hosts if self.settings.mirrors.remote_runs else (),
        )
        self.phases = Phases(
            self.db,
            self.objects,
            self.logs,
            self.states,
            self.configurations,
            materials,
            self.outcomes,
            RegistryUses(self.consumers, self.actor_of),
            offered,
            checking,
            limits.log_bytes + LOG_MARGIN,
        )
        self.live = Live(self.db, self.authz, self.workspaces, self.runs, self.logs)

    def meter(self) -> Meter | None:
        """What counts requests for all servers together; `None` when each counts for itself."""
        backend = self.db.wakeups.backend
        return SharedMeter(backend) if isinstance(backend, SupportsMetering) else None

    async def authenticate(self, text: str) -> Actor | None:
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
        agents_handlers.register(self.jobs, self.listeners)
        workspaces_handlers.handlers(self.jobs, self.workspaces)
        variables_handlers.handlers(self.jobs, self.variables)
        modules_handlers.register(self.jobs, self.modules)
        providers_handlers.register(self.jobs, self.providers)
        uses_handlers.register(self.jobs, self.consumers)
        self.engine_care.register(self.jobs)
        self.jobs.every("runs.tidy", timedelta(hours=1), OldRuns(self.db, self.objects, self.settings.retention).tidy)
        care = Care(self.db, self.upstreams, self.settings.mirrors, runs_queries.oldest_phase_at_work)
        self.jobs.every("mirrors.care", CARE_EVERY, care.tidy)
        self.jobs.every("storage.remove-discarded", timedelta(minutes=1), partial(remove_discarded, self.db, self.objects))
        self.extensions.register(self.jobs)
        live_handlers.register(self.jobs, self.db, self.settings.live)
        IngressHandlers(self.db, self.ingress.telling).register(self.jobs)
        AssessmentHandlers(self.db, self.objects).register(self.jobs)
        RunHandlers(self.db, self.runs, self.workspaces, self.objects, self.logs, self.actor_of).register(self.jobs)

    def actor_of(self, session: Session, user_id: str) -> Actor | None:
        """A user as they are now, for what is done in their name; `None` when disabled or gone."""
        user = session.get(accounts.User, user_id)
        if user is None or user.disabled_at is not None:
            return None
        return self.people.authentication.actor_of(session, user, self.clock.now())


async def vouched(key: ServerKey, db: Database, sums: bytes) -> Vouched:
    """Sums of a mirrored provider that nobody signed, signed with the server's own key."""
    signature, key_id = await key.sign(sums)
    row = await db.read(own_key)
    assert row is not None
    return Vouched(signature, key_id, row.ascii_armor)


def _database(settings: Settings, clock: Clock) -> Database:
    chosen = settings.database
    bounds = Bounds(
        statement=chosen.statement_timeout_seconds,
        lock=chosen.lock_timeout_seconds,
        idle=chosen.idle_transaction_seconds,
        connection=chosen.connection_wait_seconds,
    )
    return Database(chosen.url, clock=clock, pool_size=chosen.pool_size, bounds=bounds)
