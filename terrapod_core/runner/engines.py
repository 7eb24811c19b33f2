"""Finds the terraform or tofu a phase shall use: first in the directory of engines, then on `PATH`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from .failures import PhaseFailed
from .interruption import Interruption
from .process import capture
from .versions import Version, Wanted

TOOLS = ("terraform", "tofu")
TITLES = {"terraform": "Terraform", "tofu": "OpenTofu"}

_NAMED = re.compile(r"(terraform|tofu)[_-]v?(\d+\.\d+\.\d+[^_]*)(?:_[a-z0-9_]+)?")


@dataclass(frozen=True)
class Engine:
    """A program to run. `platform` is as the engine says it, e.g. `linux_amd64`."""

    tool: str
    version: str
    platform: str
    path: Path

    @property
    def title(self) -> str:
        """`Terraform v1.11.4`, the first line of every log."""
        return f"{TITLES[self.tool]} v{self.version}"


@dataclass(frozen=True)
class _Candidate:
    tool: str
    path: Path
    hint: Version | None
    """The version its name claims; `None` means it has to be asked."""


def find(tool: str | None, version: str, *, engines_dir: Path | None, search_path: str, interruption: Interruption) -> Engine:
    """The newest engine in the directory that fits, else the first on `PATH`; `tool` `None` takes terraform before tofu.

    Raises `PhaseFailed` that names what was looked for, where, and what was there instead.
    """
    try:
        wanted = Wanted.parse(version)
    except ValueError as error:
        raise PhaseFailed(str(error)) from None
    tools = (tool,) if tool in TOOLS else TOOLS
    seen: list[str] = []
    for name in tools:
        engine = _best(_in_directory(engines_dir, name), wanted, interruption, seen, newest=True) or _best(
            _on_path(search_path, name), wanted, interruption, seen, newest=False
        )
        if engine is not None:
            return engine
    raise PhaseFailed(_nothing_found(tools, wanted, engines_dir, search_path, seen))


def _nothing_found(tools: Sequence[str], wanted: Wanted, engines_dir: Path | None, search_path: str, seen: Sequence[str]) -> str:
    kind = " or ".join(tools)
    where = f"the engines directory {engines_dir} and PATH ({search_path})" if engines_dir else f"PATH ({search_path})"
    there = f"Found instead: {', '.join(seen)}." if seen else "No such program is there."
    return f"No {kind} for version `{wanted.text}` was found in {where}. {there}"


def _in_directory(directory: Path | None, tool: str) -> Iterator[_Candidate]:
    if directory is None or not directory.is_dir():
        return
    for entry in sorted(directory.iterdir()):
        named = _NAMED.fullmatch(entry.name)
        if entry.name == tool and _runs(entry):
            yield _Candidate(tool, entry, None)
        elif named and named.group(1) == tool and _runs(entry):
            yield _Candidate(tool, entry, Version.parse(named.group(2)))
        elif entry.is_dir() and _runs(entry / tool):
            yield _Candidate(tool, entry / tool, Version.parse(entry.name.removeprefix(f"{tool}_")))


def _on_path(search_path: str, tool: str) -> Iterator[_Candidate]:
    for directory in search_path.split(os.pathsep):
        if directory and _runs(Path(directory) / tool):
            yield _Candidate(tool, Path(directory) / tool, None)


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _best(group: Iterator[_Candidate], wanted: Wanted, interruption: Interruption, seen: list[str], *, newest: bool) -> Engine | None:
    fitting: list[tuple[Version, _Candidate, Engine | None]] = []
    for candidate in group:
        version, engine = candidate.hint, None
        if version is None:
            engine = _ask(candidate, interruption)
            version = Version.parse(engine.version) if engine else None
        if version is None:
            seen.append(f"{candidate.path} (does not tell its version)")
        elif wanted.accepts(version):
            fitting.append((version, candidate, engine))
            if not newest:
                break
        else:
            seen.append(f"{candidate.tool} {version} ({candidate.path})")
    for version, candidate, asked in sorted(fitting, key=lambda found: found[0].order, reverse=True):
        engine = asked or _ask(candidate, interruption)
        if engine is not None and Version.parse(engine.version) == version:
            return engine
        seen.append(f"{candidate.path} ({f'says it is {engine.version}' if engine else 'does not tell its version'})")
    return None


def _ask(candidate: _Candidate, interruption: Interruption) -> Engine | None:
    """What the program says about itself; `None` when it says nothing that can be read."""
    told = _told(candidate.path, candidate.path.stat().st_mtime_ns, interruption)
    return None if told is None else Engine(candidate.tool, told[0], told[1], candidate.path)


@cache
def _told(path: Path, _changed: int, interruption: Interruption) -> tuple[str, str] | None:
    with TemporaryDirectory(prefix="tp-", dir="/tmp") as name:
        directory = Path(name)
        config, answer = directory / "terraform.rc", directory / "answer.json"
        config.touch()
        env = {"CHECKPOINT_DISABLE": "1", "HOME": name, "TF_CLI_CONFIG_FILE": str(config)}
        try:
            code, _ = capture([str(path), "version", "-json"], cwd=directory, env=env, interruption=interruption, into=answer)
            document = json.loads(answer.read_bytes()) if code == 0 else {}
            return str(document["terraform_version"]), str(document["platform"])
        except (PhaseFailed, ValueError, KeyError, TypeError):
            return None
