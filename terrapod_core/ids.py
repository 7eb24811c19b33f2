"""Identifiers: a prefix that says what it is, and 16 base58 characters nobody can guess (`ws-2uPXtbAVfmCkwGsT`)."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Base58: no `0 O I l`, so that an id read aloud is an id typed right (HashiCorp's own ids use the same)."""

LENGTH: Final = 16

PREFIXES: Final[dict[str, str]] = {
    "agent": "listeners, and agents, which are the same",
    "apool": "agent-pools",
    "apply": "applies",
    "asmtres": "assessment-results",
    "at": "authentication-tokens",
    "audit": "audit-entries",
    "bak": "backups (of audit entries)",
    "code": "authorization codes of `terraform login`",
    "cv": "configuration-versions",
    "event": "events in the outbox",
    "gpgkey": "gpg-keys",
    "job": "jobs",
    "mirkey": "keys that sign what is in the cache",
    "mirpkg": "packages in the cache",
    "mirrel": "releases in the cache",
    "mirwarm": "warmings of the binary cache",
    "mod": "registry-modules",
    "modver": "registry-module-versions",
    "org": "organizations (attribute external-id)",
    "plan": "plans",
    "prj": "projects",
    "prov": "registry-providers",
    "provpltfrm": "registry-provider-platforms",
    "provver": "registry-provider-versions",
    "ra": "role-assignments",
    "re": "run-events",
    "req": "requests",
    "role": "roles",
    "run": "runs",
    "session": "sessions",
    "sv": "state-versions",
    "tag": "tags",
    "tb": "tag-bindings",
    "user": "users",
    "vcs": "vcs-connections",
    "vcschg": "vcs-changes",
    "vcsrepo": "vcs-repositories",
    "var": "vars",
    "varset": "varsets",
    "wsc": "comments",
    "ws": "workspaces",
    "wsout": "state-version-outputs",
    "wsr": "resources",
}
"""Every prefix in use, and the resource type it belongs to."""

_FAIR: Final = 256 - 256 % len(ALPHABET)
_OF_BYTE: Final = [ALPHABET[byte % len(ALPHABET)] for byte in range(256)]
_VALID = re.compile(rf"^([a-z]+)-[{ALPHABET}]{{{LENGTH}}}$")


def new(prefix: str) -> str:
    """A fresh id; 93 bits from the system's generator. `KeyError` for a prefix not in `PREFIXES`."""
    PREFIXES[prefix]
    text = ""
    while len(text) < LENGTH:
        # One call for all: a choice of each character asks the system sixteen times. Bytes that would favour a character are dropped.
        text += "".join(_OF_BYTE[byte] for byte in secrets.token_bytes(LENGTH + 8) if byte < _FAIR)
    return f"{prefix}-{text[:LENGTH]}"


def of_name(prefix: str, name: str) -> str:
    """The id of a thing that has no row and is there while something has this name: always the same for the same name."""
    PREFIXES[prefix]
    number = int.from_bytes(hashlib.sha256(f"{prefix}\0{name}".encode()).digest())
    characters = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[digit])
    return f"{prefix}-{''.join(characters)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the form of an id of this kind; says nothing about its existence."""
    match = _VALID.match(text)
    return match is not None and match[1] == prefix
