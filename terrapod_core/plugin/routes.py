"""HTTP of a plugin's own: a blueprint, where it is mounted, and how its refusals look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from terrapod_core.errors import TerrapodError

if TYPE_CHECKING:
    from quart import Blueprint

OWNED: Final = ("/api", "/app", "/c", "/oauth", "/health", "/ready", "/metrics", "/v1/modules", "/v1/providers", "/.well-known", "/plugins")
"""Paths that are the core's, with all that is below them; `/plugins/<name>` is where a plugin is mounted that asks for nothing else."""


class Rendered(NamedTuple):
    """The body of an answer."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Routes:
    """A blueprint with what goes on around it. Its views get the one who asks from `context.callers`, and raise the errors of this API."""

    blueprint: Blueprint
    prefix: str | None = None
    """Where it is mounted, as `/v1/terraform/sync`; `None` is `/plugins/<name>`."""
    render: Callable[[TerrapodError], Rendered] | None = None
    """How every refusal below the prefix looks, those of the core included: no token, no such path, wrong method, too many
    requests. `None` is the JSON:API document that the core answers with. Status and headers are the core's in any case.
    """
    requests_per_minute: int | None = None
    """At most so many within any minute with one token; `None` leaves it at the limits of the whole server."""

    def __post_init__(self) -> None:
        if self.requests_per_minute is not None and self.requests_per_minute < 1:
            raise ValueError(f"requests_per_minute is {self.requests_per_minute}; give at least 1, or None for no limit of its own")
        if self.prefix is None:
            return
        if not self.prefix.startswith("/") or self.prefix.endswith("/") or "//" in self.prefix or "<" in self.prefix:
            raise ValueError(f"{self.prefix!r} is no prefix; begin with a slash and end without one, as /v1/terraform/sync")
        taken = next((each for each in OWNED if covers(each, self.prefix) or covers(self.prefix, each)), None)
        if taken is not None:
            raise ValueError(f"the prefix {self.prefix} cannot be had: {taken} is the core's")

    def mounted_at(self, plugin: str) -> str:
        """The prefix it has."""
        return self.prefix or f"/plugins/{plugin}"


def covers(prefix: str, path: str) -> bool:
    """Whether the path is the prefix, or below it."""
    return path == prefix or path.startswith(prefix + "/")
