"""The application: every room's routes, and the pages, over the services."""

from __future__ import annotations

from functools import partial
from typing import Any

from terrapod_core import accounts, organizations, ui
from terrapod_core.accounts import routes as accounts_routes
from terrapod_core.admin import routes as admin_routes
from terrapod_core.agents import routes as agents_routes
from terrapod_core.agents.resources import POOL_TOKEN
from terrapod_core.agents.signed_routes import SignedRoutes
from terrapod_core.app.services import Services
from terrapod_core.assessments import resources as assessments_resources, routes as assessments_routes
from terrapod_core.audit import AuditLog, handlers as audit_handlers
from terrapod_core.configurations import (
    resources as configurations_resources,
    routes as configurations_routes,
)
from terrapod_core.extensions import mounted_routes
from terrapod_core.ingress import routes as ingress_routes
from terrapod_core.jsonapi import Includes
from terrapod_core.live import routes as live_routes
from terrapod_core.mirrors import (
    caches_routes,
    engine_routes as mirrors_engine_routes,
    key_routes as mirrors_key_routes,
    module_routes as mirror_module_routes,
    provider_routes as mirror_provider_routes,
)
from terrapod_core.mirrors.file_routes import Files as MirrorFiles
from terrapod_core.organizations import resources as organizations_resources, routes as organizations_routes
from terrapod_core.projects import (
    resources as projects_resources,
    routes as projects_routes,
)
from terrapod_core.registry.modules import (
    protocol_routes as modules_protocol_routes,
    resources as modules_resources,
    routes as modules_routes,
)
from terrapod_core.registry.providers import (
    key_routes as gpg_key_routes,
    protocol_routes as providers_protocol_routes,
    resources as providers_resources,
    routes as providers_routes,
)
from terrapod_core.registry.uses import routes as uses_routes
from terrapod_core.registry.uses.kinds import MODULES, PROVIDERS
from terrapod_core.roles import routes as roles_routes
from terrapod_core.runs import (
    comment_routes as runs_comment_routes,
    listener_routes as runs_listener_routes,
    phase_routes as runs_phase_routes,
    plan_routes as runs_plan_routes,
    resources as runs_resources,
    routes as runs_routes,
    state_routes as runs_state_routes,
)
from terrapod_core.runs.plan_routes import PlanDocuments
from terrapod_core.states import (
    resources as states_resources,
    routes as states_routes,
)
from terrapod_core.storage import Purpose
from terrapod_core.ui.connection_doors import ConnectionDoor
from terrapod_core.ui.doors import WorkspaceDoor
from terrapod_core.ui.module_doors import ModuleDoor
from terrapod_core.ui.provider_doors import KeyDoor, ProviderDoor
from terrapod_core.ui.registry_doors import UsesDoor
from terrapod_core.ui.registry_views import RegistryPages
from terrapod_core.ui.run_doors import RunDoor
from terrapod_core.ui.version_control_doors import VersionControlDoor
from terrapod_core.ui.workspace_doors import WorkspacePageDoor
from terrapod_core.variables import (
    resources as variables_resources,
    routes as variables_routes,
    set_routes as variables_set_routes,
)
from terrapod_core.vcs import oauth_resources as vcs_oauth_resources, oauth_routes as vcs_oauth_routes, routes as vcs_routes
from terrapod_core.vcs.oauth_resources import client_resource
from terrapod_core.vcs.resources import connection_resource
from terrapod_core.web import CapabilityRoutes, TerrapodQuart, Web, metrics_routes, service as service_routes
from terrapod_core.web.dress import dress
from terrapod_core.web.failures import Failures
from terrapod_core.workspaces import (
    label_routes as workspaces_label_routes,
    queries as workspaces_queries,
    resources as workspaces_resources,
    routes as workspaces_routes,
)
from terrapod_core.workspaces.conditions import EXTRA as CONDITIONS
from terrapod_core.workspaces.resources import WORKSPACE


def application(parts: Services) -> tuple[Web, TerrapodQuart]:
    """The application over these services, and what its routes share."""
    app = TerrapodQuart("terrapod_core", static_folder=None)
    app.url_map.strict_slashes = False
    app.config["BODY_TIMEOUT"] = None
    web = Web(
        parts.settings,
        parts.db,
        _includes(parts),
        parts.authenticate,
        extra={CONDITIONS: parts.conditions},
        add={WORKSPACE.type: parts.conditions.look},
    )
    failures = Failures(app, parts.refusals)
    meter = parts.meter()
    dress(app, parts.settings, meter)
    for blueprint in _api(parts, web):
        app.register_blueprint(blueprint, url_prefix="/api/v2")
    app.register_blueprint(gpg_key_routes.routes(parts.gpg_keys, web), url_prefix="/api/registry/private/v2")
    app.register_blueprint(runs_phase_routes.routes(parts.phases, parts.phase_tokens, parts.settings, web))
    app.register_blueprint(accounts_routes.oauth_routes(parts.people, web))
    app.register_blueprint(modules_protocol_routes.detail_routes(parts.module_protocol, web))
    app.register_blueprint(mirror_provider_routes.routes(parts.mirrored_providers, web, parts.mirror_failures.note))
    app.register_blueprint(mirror_module_routes.routes(parts.mirrored_modules, web, parts.mirror_failures.note))
    app.register_blueprint(_capability_routes(parts, web).routes())
    app.register_blueprint(service_routes.routes(_checks(parts), partial(_detail, parts), lambda: parts.leaving))
    if parts.settings.metrics.enabled:
        app.register_blueprint(metrics_routes.routes(parts.settings.metrics, parts.readings.now))
    ui.register(app, failures, _pages(parts, web))
    parts.extensions.inner.serve(app, web)
    mounted_routes.mount(app, failures, parts.plugins.routes(parts.extensions.contexts), web.actor, meter, parts.plugins.fail)
    return web, app


def _api(parts: Services, web: Web) -> list[Any]:
    signed = SignedRoutes(parts.listeners, web)
    documents = PlanDocuments(parts.objects, parts.redactor, web)
    return [
        organizations_routes.routes(organizations.Organizations(), web),
        projects_routes.routes(parts.projects, web),
        agents_routes.routes(parts.pools, parts.pool_tokens, parts.listeners, signed, web),
        workspaces_routes.routes(parts.workspaces, web),
        workspaces_label_routes.label_routes(parts.workspaces, web),
        variables_routes.routes(parts.variables, web),
        variables_set_routes.set_routes(parts.variable_sets, web),
        modules_routes.routes(parts.modules, parts.module_versions, web),
        modules_protocol_routes.routes(parts.module_protocol, web),
        providers_routes.routes(parts.providers, parts.provider_releases, parts.provider_platforms, web),
        providers_protocol_routes.routes(parts.provider_installs, web),
        *uses_routes.routes(parts.consumers, web),
        configurations_routes.routes(parts.configurations, web),
        states_routes.routes(parts.states, web),
        mirrors_engine_routes.routes(parts.engine_cache, parts.engine_care, web),
        mirrors_key_routes.routes(parts.mirror_keys, web),
        runs_routes.routes(parts.runs, parts.again, parts.configurations, web),
        runs_plan_routes.plan_routes(parts.runs, parts.links, documents, web),
        runs_comment_routes.routes(parts.runs, parts.comments, web),
        runs_state_routes.routes(parts.runs, parts.states, web),
        runs_listener_routes.routes(parts.offers, parts.listener_runs, signed, web),
        live_routes.routes(parts.live, web),
        accounts_routes.routes(parts.people, web, parts.pool_tokens, POOL_TOKEN),
        roles_routes.routes(parts.roles, parts.assignments, web),
        caches_routes.routes(parts.caches, web),
        vcs_routes.routes(parts.connections, parts.browsing, connection_resource(parts.forges.providers.values()), web),
        vcs_routes.webhook_routes(parts.webhooks, web),
        vcs_oauth_routes.routes(parts.oauth, client_resource(parts.forges.providers), web),
        ingress_routes.routes(parts.ingress.changes, web),
        assessments_routes.routes(parts.assessments, documents, parts.logs, web),
        admin_routes.routes(AuditLog(parts.db, parts.authz), web),
    ]


def _includes(parts: Services) -> Includes:
    includes = Includes()
    organizations_resources.includes(includes)
    vcs_oauth_resources.includes(includes, parts.oauth, client_resource(parts.forges.providers))
    projects_resources.includes(includes, parts.authz, workspaces_queries.InProjects(parts.authz))
    workspaces_resources.includes(includes, parts.authz, parts.clock)
    variables_resources.includes(includes, parts.variable_sets)
    modules_resources.includes(includes, parts.authz)
    providers_resources.includes(includes, parts.providers)
    configurations_resources.includes(includes, parts.configurations)
    states_resources.includes(includes, parts.states)
    accounts.register_includes(includes, parts.authz)
    runs_resources.includes(includes, parts.authz, parts.links.load, parts.clock.now)
    assessments_resources.includes(includes, parts.authz)
    return includes


def _capability_routes(parts: Services, web: Web) -> CapabilityRoutes:
    links = CapabilityRoutes(parts.capabilities)
    configurations_routes.links(parts.configurations, web, links)
    states_routes.links(parts.states, web, links)
    of_module, of_provider = (partial(parts.downloads.count, kind) for kind in (MODULES, PROVIDERS))
    modules_routes.links(parts.module_versions, parts.module_protocol, parts.archives, web, links, of_module)
    providers_routes.links(parts.provider_uploads, parts.archives, web, links, of_provider)
    files = MirrorFiles(parts.mirror_releases, parts.mirror_packages, parts.archives, parts.mirror_failures.note)
    mirror_provider_routes.links(parts.mirrored_providers, files, links)
    links.on(Purpose.LOG_READ, runs_phase_routes.log_reader(parts.logs))
    return links


def _pages(parts: Services, web: Web) -> ui.Pages:
    uses = UsesDoor(parts.consumers, parts.db)
    return ui.Pages(
        parts.people,
        web,
        runs=RunDoor(parts.runs, parts.again, parts.comments, parts.logs, parts.db, parts.authz),
        workspaces=WorkspaceDoor(parts.workspaces, parts.db, parts.conditions),
        workspace=WorkspacePageDoor(
            parts.workspaces,
            parts.runs,
            parts.states,
            parts.variables,
            parts.conditions,
            parts.live,
            parts.authz,
            parts.pools,
            parts.assessments,
        ),
        live=parts.live,
        caches=parts.caches,
        connections=ConnectionDoor(parts.connections, parts.db, parts.authz),
        version_control=VersionControlDoor(
            parts.workspaces, parts.ingress.changes, parts.connections, parts.browsing, parts.conditions, parts.db, parts.authz
        ),
        registry=RegistryPages(
            ModuleDoor(parts.modules, parts.module_versions, uses, parts.db, parts.authz),
            ProviderDoor(parts.providers, parts.provider_releases, uses, parts.db, parts.authz),
            KeyDoor(parts.gpg_keys, parts.db),
        ),
    )


def _checks(parts: Services) -> dict[str, service_routes.Check]:
    async def database() -> str | None:
        await parts.db.ping()
        return None

    async def redis() -> str | None:
        trouble = parts.db.wakeups.backend.trouble if parts.settings.redis.url is not None else None
        if trouble is not None:
            raise service_routes.Degraded(f"{trouble}; until it is back, servers find by the clock what others do")
        return None

    return {"database": database, "redis": redis, "storage": service_routes.StorageCheck(parts.storage_backend)}


async def _detail(parts: Services) -> dict[str, object]:
    plugins = {record.name: record.reason for record in parts.plugins.records if record.state.value == "failed"}
    late = await audit_handlers.lateness(parts.db)
    return {**parts.trial.detail(), **({"audit": late} if late else {}), **({"failed-plugins": plugins} if plugins else {})}
