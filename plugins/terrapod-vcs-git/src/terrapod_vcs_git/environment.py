"""What git and ssh are told, and nothing else: no setting of the machine or of its users, and no variable of the server.

Secrets travel in the environment of the one program that needs them (git's documentation, `GIT_CONFIG_COUNT`): command lines are
seen by everybody, and files may outlive us. ssh reads its key from a file only; that one lies in a directory that is removed.
"""

from __future__ import annotations

import os
import shlex
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from terrapod_core.plugin import HTTPClients
from terrapod_vcs_git.addresses import Base
from terrapod_vcs_git.children import program
from terrapod_vcs_git.credentials import authorization, lines

_CONFIG: Final = {
    "http.followRedirects": "false",
    "credential.helper": "",
    "protocol.file.allow": "never",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "log.mailmap": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "tar.umask": "0022",
}
_REMOTE: Final = {"remote.origin.promisor": "true", "remote.origin.partialCloneFilter": "blob:none"}
"""Lets git fetch only a part. Work on what is here does not know of it, so that git never fetches by itself what is missing."""

_SSH: Final = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "GlobalKnownHostsFile": os.devnull,
    "UpdateHostKeys": "no",
    "IdentitiesOnly": "yes",
    "IdentityAgent": "none",
    "PreferredAuthentications": "publickey",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "PermitLocalCommand": "no",
    "ControlPath": "none",
    "ConnectTimeout": "20",
    "ServerAliveInterval": "15",
    "LogLevel": "ERROR",
}


def offline(directory: Path) -> dict[str, str]:
    """For work on what is here already: whatever a repository holds, nothing is asked of anybody."""
    return _environment(directory, _CONFIG, "")


def online(directory: Path, url: str, base: Base, values: Mapping[str, str], http: HTTPClients) -> dict[str, str]:
    """For asking the server for this repository, with the connection's credentials. Writes files into `directory`; blocks a moment."""
    config = {**_CONFIG, **_REMOTE, "remote.origin.url": url}
    if base.scheme == "ssh":
        return {**_environment(directory, config, "https:ssh"), "GIT_SSH_COMMAND": _ssh(directory, values), "GIT_SSH_VARIANT": "ssh"}
    authorities = directory / "authorities.pem"
    authorities.write_text(_authorities(http))
    config |= {"http.sslCAInfo": str(authorities), "http.proxySSLCAInfo": str(authorities)}
    if http.settings.proxy is not None:
        config |= {"http.proxy": http.settings.proxy, "http.proxyAuthMethod": "basic"}
    header = authorization(values)
    if header is not None:
        config[f"http.{base.root}/.extraHeader"] = f"Authorization: {header}"
    return _environment(directory, config, "https:ssh")


def _environment(directory: Path, config: Mapping[str, str], protocols: str) -> dict[str, str]:
    home = directory / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    numbered: dict[str, str] = {}
    for number, (key, value) in enumerate(config.items()):
        numbered |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_CONFIG_COUNT": str(len(config)),
        **numbered,
    }


def _ssh(directory: Path, values: Mapping[str, str]) -> str:
    """git hands this to a shell; hence the quotes."""
    key, hosts = directory / "key", directory / "known_hosts"
    os.close(os.open(key, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    key.write_text(lines(values.get("ssh-key", "")))
    hosts.write_text(lines(values.get("known-hosts", "")))
    options = {**_SSH, "IdentityFile": _option(key), "UserKnownHostsFile": _option(hosts)}
    return shlex.join([program("ssh"), "-F", "none", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))])


def _option(path: Path) -> str:
    """A path in an option of ssh: quoted, and no `%` of it means anything."""
    return f'"{str(path).replace("%", "%%")}"'


def _authorities(http: HTTPClients) -> str:
    """Those that requests of the server trust: git has no way to name further ones beside its own."""
    known = "".join(map(ssl.DER_cert_to_PEM_cert, http.tls.get_ca_certs(binary_form=True)))
    return known if http.settings.ca_file is None else known + http.settings.ca_file.read_text()
