"""The section about caches of engines, providers and modules of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from terrapod_core.settings._fields import setting
from terrapod_core.settings._numbers import GiB, Positive


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Caches of engines, providers and modules. What is asked for them is up to the mirror plugins and their settings."""

    sealed: bool = setting(False, "Ask no upstream, ever: everything comes from the cache, or is refused with what is missing.")
    remote_runs: bool = setting(True, "Whether remote runs get providers and modules of mirrored hosts from here.")
    index_fresh_seconds: Annotated[int, Meta(ge=0)] = setting(
        300, "How long a list of versions is told without asking its upstream; after that it is told once more while it is asked."
    )
    missing_seconds: Annotated[int, Meta(ge=0)] = setting(60, "How long what an upstream does not have is not asked for again.")
    package_bytes: Positive = setting(GiB, "The largest package that is fetched.")
    cache_bytes: Positive | None = setting(
        None,
        "How large the packages in the caches may be together; the longest unused go, but for what a run holds.",
    )
    unused_days: Positive | None = setting(None, "After how many days without use a package is evicted, unless a run holds it.")
    new_keys: bool = setting(
        False, "Whether a key that signs a namespace's packages may be followed by another without being accepted by an operator."
    )
