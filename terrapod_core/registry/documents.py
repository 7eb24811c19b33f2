"""What clients send about an item, whatever kind it is, and what is wrong with it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from terrapod_core.authz import labels as rules
from terrapod_core.errors import Problems
from terrapod_core.jsonapi import Ref

MOST_PUBLISHERS: Final = 100


class UpdateItem(msgspec.Struct, kw_only=True):
    """What may be sent; what is absent stays as it is."""

    labels: dict[str, str | None] | UnsetType | None = UNSET
    force: bool | UnsetType | None = UNSET
    """Change labels though the one who does it loses rights by that."""
    owner: Ref | UnsetType | None = UNSET
    publishers: list[Ref] | UnsetType = UNSET
    tag_bindings: list[Ref] | UnsetType = UNSET

    def labels_or(self, there: dict[str, str | None]) -> dict[str, str | None]:
        """The labels that are sent, under either name, in the order of their keys; `there` when none are. `Invalid` when one is wrong."""
        if self.labels is UNSET and self.tag_bindings is UNSET:
            return there
        problems = Problems()
        found: dict[str, str | None] = {}
        if isinstance(self.labels, dict):
            found |= rules.of_attribute(self.labels, problems)
        if self.tag_bindings is not UNSET:
            found |= rules.of_bindings(self.tag_bindings, problems)
        rules.limit(found, problems)
        problems.refuse()
        return dict(sorted(found.items()))

    def publisher_ids(self, problems: Problems) -> list[str] | None:
        """The ids of the users that are sent, each once and in order; `None` when nothing is said of them."""
        if self.publishers is UNSET:
            return None
        found = sorted({each.id for each in self.publishers if each.id})
        if len(found) > MOST_PUBLISHERS:
            problems.add(f"There may be at most {MOST_PUBLISHERS} publishers", relationship="publishers")
        return found
