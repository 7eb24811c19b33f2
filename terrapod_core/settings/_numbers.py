"""Numbers that settings are made of."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]

MiB = 1 << 20
GiB = 1 << 30
