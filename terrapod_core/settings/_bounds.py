"""The sections about how much, how long, and where to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from terrapod_core.settings._fields import setting
from terrapod_core.settings._numbers import GiB, MiB, Port, Positive


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most the server takes; bytes where the name says so."""

    json_bytes: Positive = setting(5 * MiB, "A JSON request body.")
    configuration_bytes: Positive = setting(GiB, "A configuration archive, as uploaded.")
    unpacked_bytes: Positive = setting(2 * GiB, "A configuration archive, unpacked.")
    archive_entries: Positive = setting(100_000, "Files and directories in a configuration archive.")
    module_bytes: Positive = setting(100 * MiB, "An archive of a module, as uploaded.")
    provider_bytes: Positive = setting(GiB, "The zip of a provider for one platform.")
    state_bytes: Positive = setting(GiB, "A state.")
    plan_bytes: Positive = setting(GiB, "A saved plan, its JSON, or provider schemas.")
    log_bytes: Positive = setting(64 * MiB, "The log of one phase; the rest is dropped, and the log says so.")
    pending_runs_per_workspace: Positive = setting(20, "Runs that wait in one workspace.")
    pending_runs_per_user: Positive = setting(100, "Runs that wait of one user.")
    workspaces_per_user: Positive = setting(100, "Workspaces owned by one user who is no platform admin.")
    requests_per_second_per_token: Annotated[int, Meta(ge=0)] = setting(
        30, "Requests with one token, session or signed link, after twice as many at once; 0 sets no limit."
    )
    requests_per_second_per_address: Annotated[int, Meta(ge=0)] = setting(
        20, "Requests from one address without a token that has proved valid, after twice as many at once; 0 sets no limit."
    )
    requests_per_minute_per_run: Annotated[int, Meta(ge=0)] = setting(
        1_000, "Requests with a token of one phase, the runner's or its terraform's; 0 sets no limit."
    )
    connections_per_address: Annotated[int, Meta(ge=0)] = setting(
        50, "Open connections from one address that no valid token was shown on; trusted proxies are exempt; 0 sets no limit."
    )


@dataclass(frozen=True, kw_only=True)
class Live:
    """Streams of events and logs."""

    keep_minutes: Positive = setting(60, "How long events are kept for those who come back and name the last one they saw.")
    streams_per_user: Positive = setting(20, "Streams that one user may have open at once, on each server.")


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """Requests that the server makes to others. Addresses that users chose are guarded; those in these settings are not."""

    ca_file: Path | None = setting(None, "PEM file of certificate authorities that are trusted beside the usual ones.")
    proxy: str | None = setting(
        None, "`http://…` or `https://…` of a forward proxy that all requests go through; it resolves names.", in_repr=False
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "The only hosts that users may have the server ask, as `example.com` or `*.example.com`.",
        shown_default="all public ones; with a proxy, none",
    )
    allow_http: bool = setting(False, "Whether users may name `http://` addresses.")
    extra_ports: tuple[Port, ...] = setting((), "Ports that users may name beside 80, 443 and 8443.")
    timeout_seconds: Annotated[int, Meta(ge=1, le=3600)] = setting(10, "How long one request may take, its answer included.")
    max_bytes: Positive = setting(10 * MiB, "The largest answer that is read.")

    def __post_init__(self) -> None:
        if self.proxy is not None and not re.fullmatch(r"https?://[^/?#\s]+/?", self.proxy):
            raise ValueError("proxy must be http://host:port or https://host:port, with user:password@ before the host if it asks for one")
        wrong = [each for each in self.allowed_hosts if not re.fullmatch(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", each)]
        if wrong:
            raise ValueError(f"allowed_hosts must be host names as example.com or *.example.com, not {wrong[0]}")


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long what runs leave is kept; without a number for ever. Runs themselves and states always stay."""

    log_days: int | None = setting(None, "Days after which logs of ended runs are removed.", shown_default="kept")
    plan_days: int | None = setting(None, "Days after which plan files and plan JSON of ended runs are removed.", shown_default="kept")
    configuration_days: int | None = setting(
        None, "Days after which configuration archives that nothing needs any more are removed.", shown_default="kept"
    )

    def __post_init__(self) -> None:
        for name in ("log_days", "plan_days", "configuration_days"):
            days = getattr(self, name)
            if days is not None and days < 1:
                raise ValueError(f"retention.{name} = {days} would remove what is just being used; it must be at least 1, or left out")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The record of who did what."""

    keep_days: Positive | None = setting(
        None, "Entries that are older move to the object store, still sealed.", shown_default="they stay in the database for ever"
    )
    anchor_file: Path | None = setting(None, "Append-only file that every signed checkpoint is also written to, a line of JSON each.")
