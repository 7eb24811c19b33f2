"""The section about caches of engines, providers and modules of others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from terrapod_core.settings._fields import setting
from terrapod_core.settings._numbers import GiB, Positive


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Caches of engines, providers and modules. What is asked for them is up to the mirror plugins and their settings."""

    sealed: bool = setting(False, "Ask no upstream, ever: everything comes from the cache, or is refused with what is missing.")
    engines: bool = setting(
        True, "Whether runners look in the binary cache for terraform and tofu that `runner.engines_dir` does not have."
    )
    remote_runs: bool = setting(True, "Whether remote runs get providers and modules of mirrored hosts from here.")
    index_fresh_seconds: Annotated[int, Meta(ge=0)] = setting(
        300, "How long a list of versions is told without asking its upstream; after that it is told once more while it is asked."
    )
    missing_seconds: Annotated[int, Meta(ge=0)] = setting(60, "How long what an upstream does not have is not asked for again.")
    failed_seconds: Annotated[int, Meta(ge=0)] = setting(
        5, "How long an upstream that failed is not asked for the same again; one that was slow to fail, for nothing else either."
    )
    package_bytes: Positive = setting(GiB, "The largest package that is fetched.")
    new_keys: bool = setting(
        False, "Whether a key that signs a namespace's packages may be followed by another without being accepted by an operator."
    )
    lock_platforms: tuple[str, ...] = setting(
        ("linux_amd64", "linux_arm64", "darwin_arm64", "windows_amd64"),
        "Platforms of which a provider's zips are fetched in the background once somebody asked for one of its versions, so that "
        "`terraform providers lock` finds their hashes here. None: what nobody asks for is not fetched.",
    )

    def __post_init__(self) -> None:
        wrong = [each for each in self.lock_platforms if not re.fullmatch(r"[a-z0-9]{1,32}_[a-z0-9]{1,32}", each)]
        if wrong:
            raise ValueError(f"lock_platforms must be platforms as linux_amd64, not {wrong[0]}")
