"""What a computed attribute may know about the request it is rendered for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Rendering:
    """The circumstances of one response.

    `actor` is whoever asks, `base_url` the server's absolute URL without a slash at its end, `now` the aware moment of the
    request. `extra` carries what the rooms agreed on by name (how conditions of workspaces are found, whether the server's version
    allows structured output), so that no attribute asks the database for itself.
    """

    actor: object
    base_url: str
    now: datetime
    extra: Mapping[str, Any] = field(default_factory=dict)
