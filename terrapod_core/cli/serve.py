"""`terrapod serve` and `terrapod worker`: one process that serves, works, or both."""

from __future__ import annotations

import os
from pathlib import Path

import click

from terrapod_core.cli import startup
from terrapod_core.cli.common import UsageProblem, configure_logging, data_dir_option, load_settings
from terrapod_core.cli.hiding import keep_to_itself
from terrapod_core.metrics.workers import share


@click.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.  [default: 8080]")
@data_dir_option
@click.option("--workers", type=click.IntRange(1, 255), help="Processes that serve; more than one needs PostgreSQL.  [default: 1]")
@click.option("--no-jobs", is_flag=True, help="Serve only; leave background work to `terrapod worker` (needs PostgreSQL).")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate and chain, PEM.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its private key, PEM.")
@click.option("--dev-tls", is_flag=True, help="HTTPS with a certificate authority of this machine's own.")
def serve(
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    workers: int | None,
    no_jobs: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    dev_tls: bool,
) -> None:
    """The server. With no configuration: SQLite and files under --data-dir, runs as child processes."""
    given = {
        "server.host": host,
        "server.port": port,
        "server.workers": workers,
        "server.tls_cert": tls_cert,
        "server.tls_key": tls_key,
    }
    settings = load_settings(data_dir, given)
    keep_to_itself(settings)
    numbers = None
    if settings.server.workers > 1 and not settings.embedded:
        numbers = settings.data_dir / "metrics" / str(os.getpid())
        share(numbers)
    startup.begin()
    from terrapod_core.cli import serving

    if dev_tls:
        settings = serving.with_dev_tls(settings)
    configure_logging(settings)
    serving.serve(settings, jobs=not no_jobs, numbers=numbers)


@click.command()
@data_dir_option
def worker(data_dir: Path | None) -> None:
    """Background work only, beside servers started with --no-jobs (needs PostgreSQL)."""
    settings = load_settings(data_dir, {})
    if settings.embedded:
        raise UsageProblem(
            "a worker of its own needs PostgreSQL (setting database.url); on SQLite `terrapod serve` does the background work"
        )
    configure_logging(settings)
    keep_to_itself(settings)
    startup.begin()
    from terrapod_core.cli import serving

    serving.work(settings)
