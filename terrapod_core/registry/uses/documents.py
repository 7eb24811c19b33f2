"""What a runner tells of the modules and providers that a run used."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

MOST: Final = 1000
"""Modules, and providers, that one run may tell of."""


class Use(msgspec.Struct, frozen=True):
    """A module call, or a provider in the lock file. Bounds are the runner's own; nothing of this is stored as it was sent."""

    source: Annotated[str, Meta(max_length=512, pattern=r"^[!-~]+\Z")]
    """With its host: `terrapod.example.com/default/vpc/aws`."""
    version: Annotated[str, Meta(max_length=128, pattern=r"^[!-~]+\Z")]


class Uses(msgspec.Struct, frozen=True):
    """All that a run used of registries that it takes for this server's."""

    modules: Annotated[list[Use], Meta(max_length=MOST)] = []
    providers: Annotated[list[Use], Meta(max_length=MOST)] = []
