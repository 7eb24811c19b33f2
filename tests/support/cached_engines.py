"""Servers whose caches are filled from the local upstream, and that find no engine anywhere else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.upstream import Upstream, publisher


def engine_settings(up: Upstream, directory: Path) -> dict[str, str]:
    """With which a server takes engines from the upstream; its publisher's key is the one that may sign."""
    directory.mkdir(parents=True, exist_ok=True)
    key = directory / "publisher.asc"
    key.write_text(publisher().armor)
    return {
        **up.settings,
        "MIRRORS__ENGINES": "true",
        "MIRROR__HASHICORP__URL": up.url,
        "MIRROR__HASHICORP__SIGNED_BY": str(key),
        "MIRROR__OPENTOFU__INDEX_URL": f"{up.url}/tofu/api.json",
        "MIRROR__OPENTOFU__DOWNLOAD_URL": f"{up.url}/opentofu/opentofu/releases/download",
        "MIRROR__OPENTOFU__SIGNED_BY": str(key),
    }


@contextmanager
def without_engines(server: Server) -> Iterator[Server]:
    """The server, started where `PATH` has no engine, and nothing but bubblewrap; gone at the end."""
    nothing = server.directory / "no-programs"
    nothing.mkdir(exist_ok=True)
    bubblewrap = shutil.which("bwrap")
    if bubblewrap is not None and not (nothing / "bwrap").exists():
        (nothing / "bwrap").symlink_to(bubblewrap)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(nothing))
        try:
            server.start()
        except BaseException:
            server.close()
            raise
    try:
        yield server
    finally:
        server.close()


def mirrored(up: Upstream, directory: Path, settings: Mapping[str, str] | None = None) -> Server:
    """A server of that kind, not started yet."""
    return Server(directory, settings={**engine_settings(up, directory), **(settings or {})})


def terrapod(server: Server, *arguments: str, fails: bool = False) -> str:
    """What the command says to an operator elsewhere, who is no more than a client of the server."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(server.directory), "TERRAPOD_URL": server.url, "TERRAPOD_TOKEN": server.token}
    done = subprocess.run(
        [sys.executable, "-m", "terrapod_core", *arguments],
        cwd=server.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout
