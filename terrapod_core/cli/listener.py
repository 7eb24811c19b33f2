"""`terrapod listener`: joins an agent pool and carries out its runs on this machine."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TextIO

import click
import msgspec
import structlog
import uvloop

from terrapod_core.cli.common import UsageProblem, configure_logging, load_settings
from terrapod_core.cli.connection import certificate_option, is_encrypted, pem, plain_http_option
from terrapod_core.cli.hiding import hide_argument, keep_to_itself, taken
from terrapod_core.listener import Ended, Identity, JoinRefused, Listener, Place, Server, StateDir, join, open_backend, pool_of
from terrapod_core.outgoing import HTTPClients
from terrapod_core.settings import Settings, SettingsError

TOKEN_VARIABLE: Final = "TERRAPOD_POOL_TOKEN"  # noqa: S105  # its name
OF_THE_MACHINE: Final = Path("/var/lib/terrapod-listener")
MOST_CAPACITY: Final = 1000

log = structlog.get_logger("terrapod.listener")


class Dismissed(click.ClickException):
    """The server believes this listener no more: exit code 3, which a supervisor does not start again."""

    exit_code = 3


@click.command()
@click.option("--url", help="The server's external_url. Needed to join.")
@click.option("--pool-token", help=f"The join token; seen in process lists until it is read, unlike the variable {TOKEN_VARIABLE}.")
@click.option("--pool-token-file", type=click.File("r"), help="A file that holds it; - is standard input.")
@click.option("--name", help="What the listener is called in its pool.  [default: the machine's host name]")
@click.option("--capacity", type=click.IntRange(1, MOST_CAPACITY), help="How many runs it takes at a time.  [default: the backend's own]")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Its directory, the same on all listeners of a pool.  [default: {OF_THE_MACHINE}, or of the user]",
)
@certificate_option
@plain_http_option
@click.option("--leave", is_flag=True, help="Leave the pool for good when told to stop, so that the name is free again.")
def listener(
    url: str | None,
    pool_token: str | None,
    pool_token_file: TextIO | None,
    name: str | None,
    capacity: int | None,
    data_dir: Path | None,
    certificate: Path | None,
    plain_http: bool,
    leave: bool,
) -> None:
    """Carry out the runs of an agent pool on this machine. The join token is needed once; later the directory is enough."""
    token = _token(pool_token, pool_token_file)
    settings = load_settings(data_dir, {})
    if settings.origins.get("data_dir", "default") == "default":
        settings = replace(settings, data_dir=_default_directory())
    configure_logging(settings)
    try:
        state = StateDir(settings.data_dir)
        keep_to_itself(settings)
        with state.alone():
            known = _known(state, url, token, name)
            who = known or _joiner(url, token, name)
            if not is_encrypted(who.url, "the secrets of runs", plain_http=plain_http):
                log.warning("the connection is not encrypted: whoever is on the way reads the secrets of runs", url=who.url)
            uvloop.run(_listen(settings, state, who, capacity, pem(certificate), leave=leave))
    except (SettingsError, JoinRefused) as error:
        raise UsageProblem(str(error)) from error
    except Ended as error:
        raise Dismissed(
            f"the server is done with this listener: {error}. To join again, remove {settings.data_dir} and take a new token"
        ) from error
    except OSError as error:
        raise click.ClickException(f"cannot go on: {error}") from error


@dataclass(frozen=True)
class Joiner:
    """Who a listener is to become."""

    url: str
    pool_id: str
    token: str = field(repr=False)
    name: str


async def _listen(
    settings: Settings, state: StateDir, who: Identity | Joiner, capacity: int | None, pem: str | None, *, leave: bool
) -> None:
    http = HTTPClients(settings.outgoing, certificate=pem)
    # The key comes first, so that the backend's self-test can prove that nothing inside reads it.
    key = state.new_key() if isinstance(who, Joiner) else state.key()
    backend = await open_backend(settings, HTTPClients(settings.outgoing), capacity=capacity)
    if isinstance(who, Joiner):
        who = await join(http, who.url, who.pool_id, who.token, who.name, backend.capacity, key)
        log.info("joined the pool", pool=who.pool_id, name=who.name, listener=who.listener_id)
    state.save_identity(who)
    server = Server(http, state, who)
    try:
        listening = Listener(server, backend, state, _place(settings, pem), leaving=leave)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, listening.stop)
        await listening.run()
    finally:
        await server.close()


def _place(settings: Settings, pem: str | None) -> Place:
    engines = settings.runner.engines_dir
    return Place(
        program=(sys.executable, "-I", "-m", "terrapod_core.runner"),
        engines_dir=str(engines.absolute()) if engines is not None else None,
        url=settings.runner.url,
        certificate=pem,
    )


def _token(given: str | None, file: TextIO | None) -> str | None:
    """The join token, wherever it was given; none of these places shows it from here on."""
    variable, path = taken(TOKEN_VARIABLE), taken(f"{TOKEN_VARIABLE}_FILE")
    if given is not None:
        hide_argument(given)
    texts = [each for each in (given, variable, file.read() if file is not None else None, _read(path) if path else None) if each]
    if len(texts) > 1:
        raise UsageProblem(f"the join token is given twice: keep one of --pool-token, --pool-token-file, {TOKEN_VARIABLE} and its _FILE")
    return texts[0].strip() if texts else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"{TOKEN_VARIABLE}_FILE names {path}, which cannot be read: {error}") from None


def _default_directory() -> Path:
    """The machine's, or the user's own. It is the same wherever a listener is started."""
    if os.geteuid() == 0:
        return OF_THE_MACHINE
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "terrapod-listener"


def _known(state: StateDir, url: str | None, token: str | None, name: str | None) -> Identity | None:
    """Who the listener is by its directory; a server that has moved is found by the URL that is given now."""
    known = state.identity()
    if known is None:
        return None
    if token is not None:
        log.warning("the join token is not needed and not used: this listener has joined", listener=known.listener_id)
    if name not in (None, known.name):
        log.warning("a listener keeps the name it joined with", name=known.name)
    return known if url is None else msgspec.structs.replace(known, url=url.rstrip("/"))


def _joiner(url: str | None, token: str | None, name: str | None) -> Joiner:
    if url is None or token is None:
        raise UsageProblem(f"to join a pool, give --url and a join token (--pool-token, --pool-token-file or {TOKEN_VARIABLE})")
    pool_id = pool_of(token)
    if pool_id is None:
        raise UsageProblem("the join token is none: it begins with terrapod-at- and carries the id of its pool; copy it whole")
    return Joiner(url.rstrip("/"), pool_id, token, name or _host_name())


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:253] or "listener"
