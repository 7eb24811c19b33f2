"""Finds the terraform or tofu a phase shall use: in the directory of engines, then in the server's cache, then on `PATH`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from .cached_engines import CachedEngines
from .failures import PhaseFailed
from .interruption import Interruption
from .process import Start, capture
from .versions import Version, Wanted

TOOLS = ("terraform", "tofu")
SHOWN = 12
"""Engines that an error names."""
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


@dataclass(frozen=True)
class _Directory:
    """The directory of engines: `terraform`, `terraform_1.11.4`, `terraform-1.11.4`, `1.11.4/terraform`, and as they are unpacked."""

    path: Path

    @property
    def name(self) -> str:
        return f"the engines directory {self.path}" if self.path.is_dir() else f"the engines directory {self.path} (there is none)"

    def best(self, tool: str, wanted: Wanted, interruption: Interruption, seen: list[str]) -> Engine | None:
        return _best(self.candidates(tool), wanted, interruption, seen, newest=True)

    def candidates(self, tool: str) -> Iterator[_Candidate]:
        for entry in sorted(self.path.iterdir()) if self.path.is_dir() else ():
            named = _NAMED.fullmatch(entry.name)
            version = Version.parse(named.group(2)) if named and named.group(1) == tool else None
            if _runs(entry) and (entry.name == tool or version is not None):
                yield _Candidate(tool, entry, version)
            elif entry.is_dir() and _runs(entry / tool):
                yield _Candidate(tool, entry / tool, version or Version.parse(entry.name))


@dataclass(frozen=True)
class _SearchPath:
    """`PATH`, in its order."""

    text: str

    @property
    def name(self) -> str:
        return f"PATH ({self.text})"

    def best(self, tool: str, wanted: Wanted, interruption: Interruption, seen: list[str]) -> Engine | None:
        return _best(self.candidates(tool), wanted, interruption, seen, newest=False)

    def candidates(self, tool: str) -> Iterator[_Candidate]:
        for directory in self.text.split(os.pathsep):
            if directory and _runs(Path(directory) / tool):
                yield _Candidate(tool, Path(directory) / tool, None)


@dataclass(frozen=True)
class _Cache:
    """The server's binary cache. What it gives was verified and needs not be asked who it is."""

    cached: CachedEngines

    @property
    def name(self) -> str:
        return "the server's binary cache"

    def best(self, tool: str, wanted: Wanted, _interruption: Interruption, _seen: list[str]) -> Engine | None:
        found = self.cached.find(tool, wanted.text)
        return None if found is None else Engine(tool, found[1], self.cached.platform, found[0])


def find(
    tool: str | None,
    version: str,
    *,
    engines_dir: Path | None,
    search_path: str,
    interruption: Interruption,
    cached: CachedEngines | None = None,
) -> Engine:
    """An engine that fits, from the first place that has one; `tool` `None` takes terraform before tofu.

    Raises `PhaseFailed` that names what was looked for, where, what was there instead, and what to do.
    """
    try:
        wanted = Wanted.parse(version)
    except ValueError as error:
        raise PhaseFailed(str(error)) from None
    tools = (tool,) if tool in TOOLS else TOOLS
    sources: list[_Directory | _Cache | _SearchPath] = [_Directory(engines_dir)] if engines_dir is not None else []
    sources += [_Cache(cached)] if cached is not None else []
    sources.append(_SearchPath(search_path))
    seen: list[str] = []
    for name in tools:
        for source in sources:
            engine = source.best(name, wanted, interruption, seen)
            if engine is not None:
                return engine
    nothing = _nothing_found(tools, wanted, [source.name for source in sources], seen, has_directory=engines_dir is not None)
    raise PhaseFailed(" ".join([nothing, *(f"The binary cache has none: {reason}." for reason in (cached.reasons if cached else ()))]))


def _nothing_found(tools: Sequence[str], wanted: Wanted, places: Sequence[str], seen: Sequence[str], *, has_directory: bool) -> str:
    more = " and others" if len(seen) > SHOWN else ""
    there = f"Found instead: {', '.join(seen[:SHOWN])}{more}." if seen else "No such program is there."
    kept = "Put it into that directory" if has_directory else "Put it into a directory that the setting runner.engines_dir names"
    other = "ask for a version that is there" if seen else "install one on PATH"
    return (
        f"No {' or '.join(tools)} for version `{wanted.text}` was found in {_listed(places)}. {there} "
        f"{kept}, as `{tools[0]}_VERSION` or `VERSION/{tools[0]}`, or {other} (the workspace's terraform-version and execution-backend)."
    )


def _listed(places: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(places[:-1]), places[-1])))


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
            # Outside of any sandbox: the program is the operator's, and nothing of a configuration is near.
            start = Start((str(path), "version", "-json"), cwd=directory, env=env)
            code, _ = capture(start, interruption=interruption, into=answer)
            document = json.loads(answer.read_bytes()) if code == 0 else {}
            return str(document["terraform_version"]), str(document["platform"])
        except (PhaseFailed, ValueError, KeyError, TypeError):
            return None
