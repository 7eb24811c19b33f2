"""Who gets which answer from which route: one table, walked by `tests/house/test_gate.py` and printed in the documentation.

Each file beside this one has the rows of a part of the product, in `ROWS`, and what is to be said of those in `LATER`.
What a row can say stands in `needs.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from tests.support.access import (
    accounts,
    agents,
    mirrors,
    pages,
    registry,
    roles,
    runs,
    service,
    states,
    sync,
    variables,
    vcs,
    vcs_oauth,
    workspaces,
)
from tests.support.access.needs import LEVELS, Actions, Gets, Listening, Open, Owned, Page, Row, Runner, Who

__all__ = ["LATER", "LEVELS", "TABLE", "Actions", "Gets", "Listening", "Open", "Owned", "Page", "Row", "Runner", "Who"]


_PARTS: Final = (service, workspaces, accounts, variables, agents, mirrors, registry, states, runs, roles, vcs, vcs_oauth, sync, pages)

T = TypeVar("T")


def _together(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """The parts as one. Raises `ValueError` for a route that two of them have."""
    found: dict[str, T] = {}
    for part in parts:
        twice = found.keys() & part.keys()
        if twice:
            raise ValueError(f"two files of tests/support/access have {sorted(twice)}")
        found |= part
    return found


TABLE: Final = _together(part.ROWS for part in _PARTS)
"""Every route of the application. One without a row fails the build."""

LATER: Final = _together(part.LATER for part in _PARTS)
"""What everybody is told, as a pattern, who passes a door behind which the walk's things are in no state to go on.

Behind every other door somebody succeeds.
"""
