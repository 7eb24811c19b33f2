"""Source addresses as they come in URLs, brought into the one form that rows and plugins know them by."""

from __future__ import annotations

import re
from typing import Final

from terrapod_core.errors import NotFound
from terrapod_core.packages.versions import SemanticVersion
from terrapod_core.plugin import ModuleSource, Platform, ProviderSource

LONGEST_HOST: Final = 253
DEFAULT_PORT: Final = 443

_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_WORD: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_SYSTEM: Final = re.compile(r"[a-z0-9]{1,64}")
_PLATFORM: Final = re.compile(r"[a-z0-9]{1,32}")


def host_of(text: str) -> str:
    """A host in lower case and ASCII (IDNA), with its port unless that is 443. Raises `NotFound` for what is none.

    terraform compares hosts in this form too (its package `svchost`).
    """
    name, colon, port = text.partition(":")
    if colon and not (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536):
        raise _no_host(text)
    if not name or len(name) > LONGEST_HOST or "%" in name:
        raise _no_host(text)
    try:
        name = name.lower() if name.isascii() else name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _no_host(text) from None
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or (labels[-1].isdecimal() and not _is_loopback(name)):
        raise _no_host(text)
    return name if not colon or int(port) == DEFAULT_PORT else f"{name}:{int(port)}"


def provider(host: str, namespace: str, name: str) -> ProviderSource:
    """A provider's address; namespace and type in lower case, as terraform has them. Raises `NotFound` with what is wrong."""
    return ProviderSource(host_of(host), _word(namespace, "namespace").lower(), _word(name, "provider type").lower())


def module(host: str, namespace: str, name: str, system: str) -> ModuleSource:
    """A module's address. Raises `NotFound`. Its words are told apart by case, as registries do."""
    if not _SYSTEM.fullmatch(system):
        raise NotFound(f"{system[:64]!r} is no target system of a module")
    return ModuleSource(host_of(host), _word(namespace, "namespace"), _word(name, "module name"), system)


def platform(os: str, arch: str) -> Platform:
    """A platform. Raises `NotFound`."""
    if not (_PLATFORM.fullmatch(os) and _PLATFORM.fullmatch(arch)):
        raise NotFound(f"{os[:32]}_{arch[:32]} is no platform; one is called linux_amd64, say")
    return Platform(os, arch)


def version(text: str) -> str:
    """A version number as it was written. Raises `NotFound` for what is not semantic."""
    if SemanticVersion.parse(text) is None:
        raise NotFound(f"{text[:128]!r} is no semantic version such as 1.4.0")
    return text


def _word(text: str, what: str) -> str:
    if not _WORD.fullmatch(text):
        raise NotFound(f"{text[:64]!r} is no {what}")
    return text


def _is_loopback(name: str) -> bool:
    return re.fullmatch(r"127\.\d{1,3}\.\d{1,3}\.\d{1,3}", name) is not None


def _no_host(text: str) -> NotFound:
    return NotFound(f"{text[:LONGEST_HOST]!r} is no host name of a registry")
