"""What every command shares: settings, exit codes, logging, a database for one task."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
import structlog

from terrapod_core.errors import TerrapodError
from terrapod_core.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from terrapod_core.app import Terrapod

T = TypeVar("T")


class UsageProblem(click.ClickException):
    """Wrong usage or settings: one clear line, exit code 2."""

    exit_code = 2


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the database and files.  [default: ./terrapod-data]",
)


def load_settings(data_dir: Path | None, given: Mapping[str, object]) -> Settings:
    """The settings in force, with what the command line says on top (`None` says nothing). Raises `UsageProblem`."""
    overrides = {key: value for key, value in {"data_dir": data_dir, **given}.items() if value is not None}
    try:
        return load(overrides=overrides)
    except SettingsError as error:
        raise UsageProblem(str(error)) from error


def configure_logging(settings: Settings) -> None:
    """Structured logs on standard error: for people, or one JSON object a line.

    Our own lines are rendered at once: every request writes one, and the way through `logging` took five times as long.
    """
    level = getattr(logging, settings.log.level.upper())
    renderer: Any = structlog.processors.JSONRenderer(serializer=_json)
    if settings.log.format == "console":
        # The plain traceback: the pretty one prints local variables, and with them secrets.
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if settings.tracing.endpoint is not None:
        shared.append(structlog.contextvars.merge_contextvars)  # the trace's id
    if settings.log.format == "json":
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # These say a line for every statement or connection below a warning.
    noisy = (
        "aiosqlite",
        "asyncio",
        "alembic",
        "hypercorn.access",
        "httpx",
        "httpcore",
        "httpx2",
        "httpcore2",
        "terrapod_core.db.counted_pool",
    )
    for each in noisy:
        logging.getLogger(each).setLevel(logging.WARNING)


@contextmanager
def explained() -> Iterator[None]:
    """Failures that a person can mend as one line: exit code 2 for settings, 1 for what is away or too new."""
    from sqlalchemy.exc import DBAPIError  # only here: a listener has no database

    from terrapod_core.db.migrate import SchemaNewer

    try:
        yield
    except SettingsError as error:
        raise UsageProblem(str(error)) from error
    except SchemaNewer as error:
        raise click.ClickException(str(error)) from error
    except TerrapodError as error:
        raise click.ClickException(error.detail) from error
    except (OSError, DBAPIError) as error:
        # Before anything is served: the database, or the disk, in its own words.
        raise click.ClickException(f"cannot start: {getattr(error, 'orig', None) or error}") from error


class _Lines:
    """Writes rendered lines to standard error; nothing happens when nobody reads it any more."""

    def msg(self, line: str) -> None:
        """Write one line."""
        with suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")

    debug = info = warning = error = exception = critical = fatal = log = msg


def _json(event: dict[str, Any], **options: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (UnicodeEncodeError, TypeError):  # text that is no Unicode, keys that are no text
        return str(json.dumps(event, **options))


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns, never cut: what is printed here is copied, and read by other programs."""
    table = [list(titles), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def run(task: Callable[[], Awaitable[T]]) -> T:
    """Run an asynchronous command to its end."""

    async def whole() -> T:
        return await task()

    return asyncio.run(whole())


def with_terrapod(data_dir: Path | None, act: Callable[[Terrapod], Awaitable[T]]) -> T:
    """Do one thing with the services over a prepared database, without serving. Domain errors become exit code 1."""
    from terrapod_core.app import Terrapod, prepare  # a second of imports that `terrapod plugins list` does without
    from terrapod_core.db import patient

    settings = load_settings(data_dir, {})
    if settings.embedded and not settings.data_dir.is_dir():
        raise UsageProblem(f"there is no data directory {settings.data_dir}; name the server's with --data-dir, or start the server first")
    configure_logging(replace(settings, log=replace(settings.log, level="warning")))

    async def task() -> T:
        await prepare(settings, bootstrap=False)
        terrapod = Terrapod(settings, jobs=False)
        try:
            # Before anything is sealed: a key that other servers may not know yet does not seal.
            await terrapod.key_watch.look()
            with patient():
                return await act(terrapod)
        finally:
            await terrapod.close()

    with explained():
        return run(task)
