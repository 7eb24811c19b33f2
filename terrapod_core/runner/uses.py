"""What a configuration uses of the server's own registry, as the engine wrote it down at `init`.

Both files lie where the configuration lies, so anything may stand in them: they are read within bounds, and what cannot be
read is no reason for a run to fail. Only what is named by a host of the server is passed on: it keeps nothing of others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from .beneath import open_beneath
from .notes import note
from .workdir import LOCK_FILE

MODULES = Path(".terraform/modules/modules.json")
MOST_BYTES = 4 << 20
"""Of either file."""
MOST = 1000
"""Modules, and providers, that are told; a server takes no more."""

_TEXT = re.compile(r"[!-~]{1,512}")
_NUMBER = re.compile(r"[!-~]{1,128}")
"""What a server takes as a source and as a version. Neither has to be longer, or to hold anything else."""

_PROVIDER = re.compile(r'provider[ \t]+"([^"\\]+)"[ \t]*\{')
_VERSION = re.compile(r'[ \t]+version[ \t]*=[ \t]*"([^"\\]+)"')

Named = Iterator[tuple[str, str]]
"""Source and version."""


def read(place: Path, hosts: Collection[str]) -> dict[str, object] | None:
    """The member `uses` of a report: what the working directory uses of the registries at `hosts` (`tfe.example.com`, `localhost:8080`).

    `None` when that cannot be told: a file is no such file, or too large, or names too many.
    """
    try:
        return {
            "modules": _told(place, MODULES, _modules, hosts),
            "providers": _told(place, Path(LOCK_FILE), locked, hosts),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        note(f"what the configuration uses of the registry cannot be told: {type(error).__name__}: {error}")
        return None


def _told(place: Path, file: Path, read: Callable[[str], Named], hosts: Collection[str]) -> list[dict[str, str]]:
    try:
        with open_beneath(place, file) as opened:
            content = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return []  # the engine writes none where there is nothing to say
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file} is larger than {MOST_BYTES} bytes")
    found = sorted({each for each in read(content.decode()) if _is_own(*each, hosts)})
    if len(found) > MOST:
        raise ValueError(f"{file} names more than {MOST}")
    return [{"source": source, "version": version} for source, version in found]


def _is_own(source: str, version: str, hosts: Collection[str]) -> bool:
    host = source.partition("/")[0].lower().removesuffix(":443")
    return host in hosts and _TEXT.fullmatch(source) is not None and _NUMBER.fullmatch(version) is not None


def _modules(text: str) -> Named:
    """Every module call, nested ones too. Only what comes from a registry has a version; a directory or a repository has none."""
    for each in json.loads(text)["Modules"]:
        source, version = each.get("Source"), each.get("Version")
        if isinstance(source, str) and isinstance(version, str):
            yield source.partition("//")[0], version


def locked(text: str) -> Named:
    """The providers that a lock file names, each with its version. It is read line by line, as engines write it."""
    source = None
    for line in text.splitlines():
        if found := _PROVIDER.match(line):
            source = found[1]
        elif line.startswith("}"):
            source = None
        elif source is not None and (found := _VERSION.match(line)):
            yield source, found[1]
