"""What `terrapod serve` and `terrapod worker` do once their settings are read.

Imported by them when they know whether several processes will share their numbers: what counts is decided when it is imported.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import structlog
import uvloop
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config, Sockets

from terrapod_core.app import Prepared, Terrapod, prepare
from terrapod_core.cli import dev_tls, startup
from terrapod_core.cli.common import UsageProblem, explained
from terrapod_core.cli.crew import Crew, Part
from terrapod_core.cli.network import LOOPBACK, check_network, reporting_to, unreachable
from terrapod_core.metrics.workers import forget
from terrapod_core.settings import Settings
from terrapod_core.web.listener import HEAD_SECONDS, in_a_hurry

BACKLOG: Final = 2048
"""Hypercorn's own 100 makes a thousand listeners wait eight seconds to connect."""

KEEP_ALIVE_SECONDS: Final = 75
log = structlog.get_logger("terrapod.worker")


def serve(settings: Settings, *, jobs: bool, numbers: Path | None) -> None:
    """Serve until told to stop. `numbers` is where several processes keep what they count."""
    _check(settings, jobs=jobs)
    with _alone(settings), explained():
        sockets = _listen(settings)
        bound = (sockets.secure_sockets or sockets.insecure_sockets)[0]
        settings = replace(settings, server=replace(settings.server, port=bound.getsockname()[1]))
        part = None
        if numbers is not None:
            grace = settings.server.leave_seconds + settings.server.drain_seconds
            crew = Crew(settings.server.workers, bound, grace, partial(_greet, settings), lambda pid: forget(pid, numbers))
            startup.done()  # for the one that stays behind, too
            part = crew.split()
        # One process of a server does the background work: they share the machine that runs are carried out on.
        uvloop.run(_serve(settings, bound, part, jobs=jobs and (part is None or part.number == 0)))


def work(settings: Settings) -> None:
    """Work in the background until told to stop."""
    address = settings.runner.url or settings.external_url
    if address is None:
        raise UsageProblem("a worker starts runs that report to a server: set runner.url or external_url to that server's address")
    with explained():
        uvloop.run(_work(reporting_to(address, settings), address))


def with_dev_tls(settings: Settings) -> Settings:
    """The settings with a certificate of this machine's own authority, which is told how to be trusted."""
    files = dev_tls.ensure(settings.data_dir / "dev-tls")
    click.echo(f"HTTPS with a development certificate. To trust it:\n  export SSL_CERT_FILE={files.authority}\n", err=True)
    return replace(settings, server=replace(settings.server, tls_cert=files.certificate, tls_key=files.key))


def _check(settings: Settings, *, jobs: bool) -> None:
    server = settings.server
    if server.host not in LOOPBACK and settings.external_url is None:
        raise UsageProblem(
            f"listening on {server.host} needs the address that clients use, for the URLs handed out: "
            "set external_url (TERRAPOD_EXTERNAL_URL)"
        )
    if settings.embedded and not jobs:
        raise UsageProblem("--no-jobs needs PostgreSQL (setting database.url): on SQLite one process does everything")
    if settings.embedded and server.workers > 1:
        raise UsageProblem(
            f"server.workers = {server.workers} needs PostgreSQL (setting database.url): one SQLite database has one server process"
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """On SQLite one server at a time has the data directory; commands beside it are welcome."""
    if not settings.embedded:
        yield
        return
    descriptor = os.open(settings.data_dir / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageProblem(
            f"another server has {settings.data_dir} already; one SQLite database has one server. Stop it, or use PostgreSQL for several"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


async def _serve(settings: Settings, bound: socket.socket, part: Part | None, *, jobs: bool) -> None:
    prepared = await prepare(settings)
    config = _config(settings)
    config.bind = [f"fd://{bound.fileno()}"]
    terrapod = Terrapod(settings, jobs=jobs)
    startup.done()
    await terrapod.trial.once()
    if jobs:
        await check_network(settings, terrapod.runner_backend)
    stop = _stopping()
    if part is None:
        _greet(settings)
    else:
        asyncio.get_running_loop().add_reader(part.parent, stop.set)
        terrapod.app.before_serving(part.ready)
    _introduce(settings, prepared)

    async def until_told() -> None:
        await stop.wait()
        await terrapod.leave()
        # Before Hypercorn lets the open requests finish: no new run is launched.
        await terrapod.drain()

    with in_a_hurry(settings):
        await hypercorn_serve(terrapod.app, config, shutdown_trigger=until_told)


def _stopping() -> asyncio.Event:
    """Set when this process is told to end."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _listen(settings: Settings) -> Sockets:
    try:
        return _config(settings).create_sockets()
    except OSError as error:
        where = f"{settings.server.host}:{settings.server.port}"
        raise click.ClickException(f"cannot listen on {where}: {error.strerror or error}; choose another --port or --host") from error


async def _work(settings: Settings, address: str) -> None:
    await prepare(settings)
    terrapod = Terrapod(settings, jobs=True, serves=False)
    startup.done()
    await check_network(settings, terrapod.runner_backend)
    problem = await unreachable(address)
    if problem is not None:  # no reason not to start: they may come up together, and runs wait for their server
        log.warning(
            "runs of this worker cannot report to their server yet", url=address, reason=problem, setting="runner.url, external_url"
        )
    stop = _stopping()
    await terrapod.startup()
    await stop.wait()
    await terrapod.drain()
    await terrapod.shutdown()


def _config(settings: Settings) -> Config:
    server = settings.server
    config = Config()
    host = f"[{server.host}]" if ":" in server.host else server.host
    config.bind = [f"{host}:{server.port}"]
    config.backlog = BACKLOG
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = 1_000_000
    config.graceful_timeout = float(server.drain_seconds)
    config.shutdown_timeout = float(server.drain_seconds)
    # A connection is counted, and in a hurry, from here on; Hypercorn would give a handshake a minute.
    config.ssl_handshake_timeout = HEAD_SECONDS
    config.include_server_header = False
    config.errorlog = None
    if server.tls_cert is not None and server.tls_key is not None:
        config.certfile, config.keyfile = str(server.tls_cert), str(server.tls_key)
        _refuse_bad_tls(config)
    return config


def _refuse_bad_tls(config: Config) -> None:
    try:
        context: Any = config.create_ssl_context()
        assert context is not None
    except (ssl.SSLError, OSError) as error:
        raise UsageProblem(f"the TLS files cannot be used ({error}); check server.tls_cert and server.tls_key") from error


def _address(settings: Settings) -> str:
    server = settings.server
    scheme = "https" if server.tls_cert is not None else "http"
    return settings.external_url or f"{scheme}://{'localhost' if server.host in LOOPBACK else server.host}:{server.port}"


def _greet(settings: Settings) -> None:
    several = f" with {settings.server.workers} processes" if settings.server.workers > 1 else ""
    click.echo(f"Terrapod listens at {_address(settings)}{several}", err=True)


def _introduce(settings: Settings, prepared: Prepared) -> None:
    if prepared.admin_email is not None and prepared.admin_password is not None:
        click.echo("\n  First start: an admin was made. This is shown once.", err=True)
        click.echo(f"    e-mail    {prepared.admin_email}\n    password  {prepared.admin_password}", err=True)
        click.echo(f"    sign in   {_address(settings)}/app\n", err=True)
