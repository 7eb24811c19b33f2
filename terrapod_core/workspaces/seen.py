"""Lists of what somebody sees, remembered: under many roles it is the exact number that costs, not the page.

What is remembered are the ids in order, or their number, under the rules that chose them, the filters, and the generation of names, labels
and owners (`authz.visibility`). Every process of the installation reads the generation anew for each page, so that a list
is never older than the last change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from terrapod_core.authz import Actor
from terrapod_core.jsonapi import Query

MOST_IDS: Final = 500_000
"""Remembered in all lists of a process together; some 40 MB."""

MOST_LISTS: Final = 5_000
"""Likewise, however short they are: what somebody searches for is kept with what was found."""

STEADY: Final = frozenset({"name", "created_at"})
"""Orders that change only with the generation."""


@dataclass(frozen=True)
class _Seen:
    generation: int
    ids: Sequence[str]


class SeenLists:
    """Ids by what asked for them. Used from the threads that read."""

    def __init__(self, most: int = MOST_IDS) -> None:
        self._most = most
        self._lists: OrderedDict[Hashable, _Seen] = OrderedDict()
        self._totals: OrderedDict[Hashable, tuple[int, int]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def ids(self, key: Hashable, generation: int, ask: Callable[[], Sequence[str]]) -> Sequence[str]:
        """What is remembered under this generation, else what `ask` finds now.

        The caller has read the generation before: a change in between makes the list newer than it says, never older.
        """
        with self._lock:
            known = self._lists.get(key)
            if known is not None and known.generation == generation:
                self._lists.move_to_end(key)
                return known.ids
        found = ask()
        with self._lock:
            self._forget(key)
            self._lists[key] = _Seen(generation, found)
            self._held += len(found)
            while self._lists and (self._held > self._most or len(self._lists) > MOST_LISTS):
                self._forget(next(iter(self._lists)))
        return found

    def total(self, key: Hashable, generation: int, ask: Callable[[], int]) -> int:
        """Likewise only how many there are, for who needs no list: an index has the page, but a total is counted."""
        with self._lock:
            known, number = self._totals.get(key, (None, 0))
        if known == generation:
            return number
        number = ask()
        with self._lock:
            self._totals[key] = (generation, number)
            while len(self._totals) > MOST_LISTS:
                self._totals.popitem(last=False)
        return number

    def _forget(self, key: Hashable) -> None:
        old = self._lists.pop(key, None)
        if old is not None:
            self._held -= len(old.ids)


def key_of(actor: Actor, query: Query) -> Hashable | None:
    """What such a list is remembered under; `None` when it depends on more than names, labels, owners and projects, or is no user's."""
    if actor.user_id is None or query.filter_list("current_run.status") or any(sort.name not in STEADY for sort in query.sort):
        return None
    filters = (
        query.search("name"),
        query.search("wildcard_name"),
        tuple(query.search_list("tags")),
        tuple(query.search_list("exclude_tags")),
        tuple((tagged.key, tagged.value) for tagged in query.tagged),
        tuple(query.filter_list("project.id")),
    )
    order = tuple((sort.name, sort.descending) for sort in query.sort)
    return (actor.user_id, actor.platform, actor.roles.key, actor.scope, filters, order)
