"""The sections about watching the server and what it does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from msgspec import Meta

from terrapod_core.settings._base_url import check_base_url
from terrapod_core.settings._fields import setting

Positive: TypeAlias = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Live:
    """Streams of events and logs."""

    keep_minutes: Positive = setting(60, "How long events are kept for those who come back and name the last one they saw.")
    streams_per_user: Positive = setting(20, "Streams that one user may have open at once, on each server.")


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Numbers for Prometheus, at `/metrics`."""

    enabled: bool = setting(True, "Whether there is `/metrics`.")
    token: str | None = setting(
        None, "What must be shown there as a bearer token, at least 16 characters.", secret=True, shown_default="nothing"
    )

    def __post_init__(self) -> None:
        if self.token is not None and not re.fullmatch(r"[!-~]{16,}", self.token):
            raise ValueError("token must be at least 16 visible ASCII characters without spaces")


@dataclass(frozen=True, kw_only=True)
class Tracing:
    """Spans for OpenTelemetry; needs the extra `tracing`."""

    endpoint: str | None = setting(
        None,
        "Where spans are sent by OTLP over HTTP, as `http://collector:4318/v1/traces`.",
        shown_default="nowhere, nothing is traced",
    )
    headers: str | None = setting(None, "Headers sent along, as `name=value,name=value`.", secret=True)
    sample_ratio: Annotated[float, Meta(ge=0, le=1)] = setting(1.0, "The share of the traces that begin here and are sent.")
    service_name: str = setting("terrapod", "What the server is called in traces.")

    def __post_init__(self) -> None:
        if self.endpoint is not None:
            check_base_url("endpoint", self.endpoint)
        if not all(name and split for name, split, _ in self._parts):
            raise ValueError("headers must be name=value, with commas between several")

    @property
    def _parts(self) -> list[tuple[str, str, str]]:
        return [each.strip().partition("=") for each in self.headers.split(",")] if self.headers else []

    @property
    def header_pairs(self) -> dict[str, str]:
        """The headers by name."""
        return {name: value for name, _, value in self._parts}
