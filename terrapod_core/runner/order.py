"""The two documents a phase starts from: the order on standard input, and the material the server answers to a claim."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .failures import PhaseFailed
from .sandbox import Sandbox

_HOST = re.compile(r"[\w.-]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?")
_TOKEN = re.compile(r"[\w.~+/=-]+", re.ASCII)
"""Neither holds what means something in the engine's configuration."""


class BadOrder(Exception):
    """Standard input holds no order this program understands; the text says which member is wrong."""


@dataclass(frozen=True)
class Order:
    """Where the phase is, and where to work. `transport` is what the backend asked for; the material may say otherwise."""

    url: str
    token: str
    phase_id: str
    run_id: str
    certificate: str | None
    work_dir: Path
    engines_dir: Path | None
    engines_cache: Path
    """Where engines of the server's cache are kept: between phases, where the backend has a place that lasts so long."""
    transport: str
    sandbox: Sandbox | None
    """`None`: the engine runs as this program does."""

    @classmethod
    def parse(cls, raw: bytes) -> Order:
        """Read one JSON object (kebab-case members); raises `BadOrder`."""
        try:
            members = json.loads(raw)
        except ValueError as error:
            raise BadOrder(f"standard input must be one JSON object: {error}") from None
        if not isinstance(members, dict):
            raise BadOrder("standard input must be one JSON object")
        work_dir = Path(_text(members, "work-dir"))
        order = cls(
            url=_text(members, "url").rstrip("/"),
            token=_text(members, "token"),
            phase_id=_text(members, "phase-id"),
            run_id=_text(members, "run-id"),
            certificate=_optional(members, "certificate"),
            work_dir=work_dir,
            engines_dir=_path(_optional(members, "engines-dir")),
            engines_cache=_path(_optional(members, "engines-cache")) or work_dir / "engines",
            transport=_optional(members, "state-transport") or "http",
            sandbox=_sandbox(members.get("sandbox")),
        )
        if not order.url.startswith(("http://", "https://")):
            raise BadOrder("`url` must start with http:// or https://")
        if not order.work_dir.is_absolute():
            raise BadOrder("`work-dir` must be an absolute path")
        if not order.engines_cache.is_absolute():
            raise BadOrder("`engines-cache` must be an absolute path")
        if order.transport not in ("http", "file"):
            raise BadOrder("`state-transport` must be `http` or `file`")
        return order


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise BadOrder(f"`{name}` must be a text that is not empty")
    return value


def _optional(members: Mapping[str, Any], name: str) -> str | None:
    return None if members.get(name) is None else _text(members, name)


def _path(value: str | None) -> Path | None:
    return None if value is None else Path(value)


def _sandbox(members: Any) -> Sandbox | None:
    try:
        return None if members is None else Sandbox.parse(members)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadOrder(f"`sandbox` cannot be read: {type(error).__name__} {error}") from None


@dataclass(frozen=True)
class Variable:
    """A value for the engine: a Terraform variable, or (`hcl` false) one of its environment."""

    key: str
    value: str
    hcl: bool
    sensitive: bool


@dataclass(frozen=True)
class EngineAccess:
    """What the engine itself shows to the server when a configuration reads the state of another workspace."""

    token: str = field(repr=False)
    hosts: Mapping[str, str | None]
    """How configurations name the server (`tfe.example.com`, `localhost:8080`), each with the base of its services where the
    engine has to be told, which looks for them over https alone; else `None`."""

    @classmethod
    def parse(cls, members: Mapping[str, Any]) -> EngineAccess:
        """Read the member of the material: the token, and the URLs at which the server is known."""
        hosts: dict[str, str | None] = {}
        for url in members["urls"]:
            parts = urlsplit(str(url).rstrip("/"))
            if parts.scheme not in ("http", "https") or not _HOST.fullmatch(parts.netloc):
                raise ValueError(f"no address of a server: {url!r}")
            if parts.scheme == "https":
                hosts[parts.netloc.lower().removesuffix(":443")] = None
            else:
                hosts[parts.netloc.lower()] = parts.geturl()
        token = str(members["token"])
        if not _TOKEN.fullmatch(token):
            raise ValueError("the engine's token is none")
        return cls(token, hosts)


@dataclass(frozen=True)
class Operation:
    """What to plan; the same words as the CLI's flags."""

    destroy: bool = False
    refresh: bool = True
    refresh_only: bool = False
    targets: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    generate_config: bool = False


@dataclass(frozen=True)
class Limits:
    """Bounds on what is accepted: bytes, numbers of entries, and unpacked bytes per packed byte."""

    log_bytes: int = 64 << 20
    entries: int = 100_000
    unpacked_bytes: int = 2 << 30
    ratio: int = 200
    path_bytes: int = 1024


@dataclass(frozen=True)
class Material:
    """Everything the server says about the phase when it is claimed."""

    phase: str
    run_id: str
    workspace_name: str
    organization: str
    project_name: str
    renew_seconds: float
    tool: str | None
    version: str
    cached: bool
    """Whether the server's cache may have the engine."""
    working_directory: str
    vendored_providers: bool
    operation: Operation
    variables: tuple[Variable, ...]
    environment: tuple[Variable, ...]
    engine_access: EngineAccess | None
    mirrored_hosts: tuple[str, ...]
    """Registries whose providers and modules the server has, as they are in addresses: the engine asks it for them."""
    has_state: bool
    structured: bool
    """Whether the log shall be the engine's JSON lines."""
    plan_digest: str | None
    transport: str | None
    limits: Limits
    traceparent: str | None
    """The span that the phase's requests belong to, as W3C writes it."""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Material:
        """Read the answer to a claim; raises `PhaseFailed` when it is not one."""
        try:
            return cls._parse(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PhaseFailed(f"The server's material for this phase cannot be read: {type(error).__name__} {error}.") from error

    @classmethod
    def _parse(cls, document: Mapping[str, Any]) -> Material:
        engine = document.get("engine") or {}
        operation = document.get("operation") or {}
        if document["phase"] not in ("plan", "apply"):
            raise ValueError(f"unknown phase {document['phase']!r}")
        if document.get("state-transport") not in (None, "http", "file"):
            raise ValueError(f"unknown state-transport {document['state-transport']!r}")
        return cls(
            phase=document["phase"],
            run_id=document["run-id"],
            workspace_name=document.get("workspace-name") or "",
            organization=document.get("organization") or "",
            project_name=document.get("project-name") or "",
            renew_seconds=max(0.05, float(document.get("renew-seconds") or 10)),
            tool=engine.get("tool") or None,
            version=engine.get("version") or "latest",
            cached=engine.get("cached") is True,
            working_directory=document.get("working-directory") or "",
            vendored_providers=document.get("vendored-providers") is True,
            operation=_operation(operation),
            variables=tuple(_variable(item) for item in document.get("variables") or ()),
            environment=tuple(_variable(item) for item in document.get("environment") or ()),
            engine_access=EngineAccess.parse(document["engine-access"]) if document.get("engine-access") else None,
            mirrored_hosts=tuple(_host(each) for each in document.get("mirrored-hosts") or ()),
            has_state=document.get("state") is not None,
            structured=bool(document.get("structured-output", False)),
            plan_digest=document.get("plan-digest"),
            transport=document.get("state-transport"),
            limits=_limits(document.get("limits") or {}),
            traceparent=_traceparent(document.get("traceparent")),
        )


def _host(value: object) -> str:
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ValueError(f"no host: {value!r}")
    return value.lower()


def _traceparent(value: object) -> str | None:
    """`None` also for what is no such thing: a phase is not given up for it."""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", value) else None


def _operation(members: Mapping[str, Any]) -> Operation:
    return Operation(
        destroy=bool(members.get("destroy", False)),
        refresh=bool(members.get("refresh", True)),
        refresh_only=bool(members.get("refresh-only", False)),
        targets=tuple(str(address) for address in members.get("targets") or ()),
        replaces=tuple(str(address) for address in members.get("replaces") or ()),
        generate_config=bool(members.get("generate-config", False)),
    )


def _variable(members: Mapping[str, Any]) -> Variable:
    value = members.get("value")
    return Variable(
        key=str(members["key"]),
        value="" if value is None else str(value),
        hcl=bool(members.get("hcl", False)),
        sensitive=bool(members.get("sensitive", False)),
    )


def _limits(members: Mapping[str, Any]) -> Limits:
    usual = Limits()
    return Limits(
        log_bytes=int(members.get("log-bytes") or usual.log_bytes),
        entries=int(members.get("entries") or usual.entries),
        unpacked_bytes=int(members.get("unpacked-bytes") or usual.unpacked_bytes),
        ratio=int(members.get("ratio") or usual.ratio),
        path_bytes=int(members.get("path-bytes") or usual.path_bytes),
    )
