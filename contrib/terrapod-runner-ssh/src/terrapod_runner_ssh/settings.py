"""`[runner.ssh]`"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from terrapod_core.plugin import PluginSettings, setting, subsections

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_ADDRESS: Final = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]*")
_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """`[runner.ssh.hosts.<name>]`"""

    address: str = setting("", "Name or address of the machine.")
    port: int = setting(22, "Where its sshd listens.")
    user: str = setting("terrapod", "Who runs are there.")
    places: int = setting(2, "How many plans and applies it carries out at once.")

    def __post_init__(self) -> None:
        # Both become arguments of ssh: neither may look like one of its options.
        if not _ADDRESS.fullmatch(self.address):
            raise ValueError(f"address = {self.address!r} must be the name or address of a machine")
        if not _USER.fullmatch(self.user):
            raise ValueError(f"user = {self.user!r} must be a user of that machine")
        if not 0 < self.port < 65536:
            raise ValueError(f"port = {self.port} must be a port")
        if self.places < 1:
            raise ValueError(f"places = {self.places} must be at least 1")


@dataclass(frozen=True, kw_only=True)
class SshRunnerSettings(PluginSettings):
    """Which hosts, how they are reached, and how programs are started there."""

    hosts: Mapping[str, HostSettings] = subsections("The machines that runs are carried out on.")
    identity: Path | None = setting(None, "The private key that the hosts let in, without a passphrase; it must be set.")
    known_hosts: Path | None = setting(None, "The hosts' own keys, as OpenSSH writes them; no other is trusted. It must be set.")
    connect_seconds: int = setting(5, "How long a host may take to answer.")
    python: str = setting("python3", "A Python 3.11 of the hosts.")
    program: tuple[str, ...] = setting(("python3", "-m", "terrapod_core.runner"), "What starts the runner program on a host.")
    directory: str = setting("~/.terrapod-runs", "Where runs work on the hosts, the same on each.")
    engines_dir: str | None = setting(None, "Directory of terraform and tofu binaries on the hosts, looked through before `PATH`.")
    state_transport: Literal["http", "file"] = setting("http", "How terraform hands over its state.")
    isolation: Literal["sandbox", "none"] = setting("sandbox", "Whether bubblewrap keeps the runs of one host apart.")
    bubblewrap: str = setting("/usr/bin/bwrap", "Where bubblewrap is on the hosts.")
    disable_userns: bool = setting(True, "Whether that bubblewrap knows `--disable-userns` (0.8 does).")
    readable: tuple[str, ...] = setting((), "Paths that terraform may read beside the system's.")
    engine_user: int | None = setting(None, "The user that terraform becomes where the hosts' user is root.")
    allow_unisolated_users: bool = setting(False, "Without a sandbox: whether others than platform admins may run terraform.")
    keep_days: int = setting(7, "How long a host keeps what nobody removed, because the server could not reach it.")

    def __post_init__(self) -> None:
        for name in ("connect_seconds", "keep_days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        for name in self.hosts:
            if not _NAME.fullmatch(name):
                raise ValueError(f"hosts: {name!r} must be letters, digits, - and _")
        for name in ("identity", "known_hosts"):
            if re.search(r'["%\\\n]', str(getattr(self, name) or "")):
                raise ValueError(f"{name} must be a path without quotes, backslashes and percent signs: ssh gives them a meaning")
        if not self.program or not self.python:
            raise ValueError("program and python must name something to start")
        if not self.directory.startswith(("/", "~/")):
            raise ValueError(f"directory = {self.directory!r} must begin with / or ~/")
        if self.engines_dir is not None and not self.engines_dir.startswith("/"):
            raise ValueError(f"engines_dir = {self.engines_dir!r} must be an absolute path")

    @property
    def missing(self) -> str | None:
        """What must be set before anything can be launched."""
        if not self.hosts:
            return "runner.ssh.hosts must name a machine: a section [runner.ssh.hosts.<name>] with its address"
        for name in ("identity", "known_hosts"):
            if getattr(self, name) is None:
                return f"runner.ssh.{name} must be set"
        return None
