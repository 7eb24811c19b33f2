"""One process of Terrapod: its services, its application, and (with jobs) its background work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog
from cryptography.x509 import load_pem_x509_certificate

from terrapod_core.app.blueprints import application
from terrapod_core.app.services import Services
from terrapod_core.clock import Clock
from terrapod_core.db.migrate import states as schema_states, upgrade
from terrapod_core.errors import Unavailable
from terrapod_core.jobs import Worker
from terrapod_core.metrics.definitions import CERTIFICATE_EXPIRY
from terrapod_core.plugin import Plugins, SupportsClosing
from terrapod_core.settings import Settings, SettingsError, load
from terrapod_core.web import TerrapodQuart

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
        await terrapod.close()


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


class Terrapod(Services):
    """One process's services, its routes, and (with `jobs`) its background work."""

    def __init__(
        self,
        settings: Settings,
        *,
        plugins: Plugins | None = None,
        clock: Clock | None = None,
        jobs: bool = True,
        serves: bool = True,
    ) -> None:
        super().__init__(settings, plugins, clock, serves=serves)
        self.worker = Worker(self.db, self.jobs, self.clock) if jobs else None
        self.web, self.app = application(self)
        self._refuse_failed()  # again: by now each plugin was asked for all that it provides
        self.app.before_serving(self.startup)
        self.app.after_serving(self.shutdown)

    async def startup(self) -> None:
        """Begin background work."""
        if self.settings.server.tls_cert is not None:
            certificate = load_pem_x509_certificate(self.settings.server.tls_cert.read_bytes())
            CERTIFICATE_EXPIRY.set(certificate.not_valid_after_utc.timestamp())
        await self.trial.once()
        self.trial.warn()
        await self.key_watch.look()
        self.key_watch.start()
        self.refusals.start()
        self.downloads.start()
        self.mirror_uses.start()
        self.presence.start()
        self.db.wakeups.start()
        self.offers.start()
        if self.worker is not None:
            self.worker.start()
            self.dispatcher.start()
            self.ingress.start()

    async def leave(self) -> None:
        """Say that this process leaves, and go on for as long as balancers need to notice."""
        self.leaving = True
        await asyncio.sleep(self.settings.server.leave_seconds)

    async def drain(self) -> None:
        """Take no new work, and end the streams: their clients come back elsewhere."""
        await self.dispatcher.stop()
        await self.offers.stop()
        await self.ingress.stop()
        self.web.streams.close()

    async def shutdown(self) -> None:
        """End background work and let go of the database. Phases that run go on without the server."""
        await self.drain()
        if self.worker is not None:
            await self.worker.stop(grace=min(10.0, float(self.settings.server.drain_seconds)))
        await self.presence.stop()
        await self.live.close()
        await self.mirror_ahead.close()
        await self.mirror_indexes.close()
        await self.mirror_releases.close()
        await self.mirror_packages.close()
        await self.refusals.stop()
        await self.downloads.stop()
        await self.mirror_uses.stop()
        await self.key_watch.stop()
        await self.people.authentication.settle()
        if self.traces is not None:
            await self.traces.close(min(5.0, float(self.settings.server.drain_seconds)))
        await self.close()

    async def close(self) -> None:
        """Let go of connections to the store and to the database."""
        if isinstance(self.storage_backend, SupportsClosing):
            await self.storage_backend.close()
        await self.db.wakeups.close()
        await asyncio.shield(self.db.close())
