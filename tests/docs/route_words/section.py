"""What a section of the page of routes is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

API: Final = "/api/v2"
TOKEN: Final = "Needs an API token or a session: `Authorization: Bearer …`."


@dataclass(frozen=True)
class Section:
    """Routes that belong together."""

    title: str
    base: str
    """What every path here begins with."""
    credential: str
    """What a caller has to show."""
    words: Mapping[str, str]
    """A sentence by `METHOD path`, the path without `base`."""
