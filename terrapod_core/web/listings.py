"""The documents in which terraform reads what versions there are: the same for everybody who may read, and seldom changed.

Each is made once and kept under its item's `revision`, which the row that every request looks at carries. So a document is never older
than that row, whichever process of the installation changed it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, TypeAlias

Revision: TypeAlias = int | str
"""Another one is another document; a text where more than a row's number decides."""

MOST_BYTES: Final = 32 << 20
"""Kept by one process."""


class Listings:
    """Encoded documents by item and revision. Used from the loop and from the threads that read."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[str, tuple[Revision, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, item_id: str, revision: Revision) -> bytes | None:
        """The document of this revision, if it is kept."""
        with self._lock:
            kept = self._kept.get(item_id)
            if kept is None or kept[0] != revision:
                return None
            self._kept.move_to_end(item_id)
            return kept[1]

    def made(self, item_id: str, revision: Revision, make: Callable[[], bytes]) -> bytes:
        """What is kept, else what `make` gives, kept from now on in the place of another revision.

        The revision is read before what `make` reads, or in the same statement: a change in between makes the document newer than
        it says, never older.
        """
        found = self.get(item_id, revision)
        if found is not None:
            return found
        document = make()
        with self._lock:
            self._forget(item_id)
            self._kept[item_id] = (revision, document)
            self._bytes += len(document)
            while self._bytes > self._most:
                self._forget(next(iter(self._kept)))
        return document

    def _forget(self, item_id: str) -> None:
        old = self._kept.pop(item_id, None)
        if old is not None:
            self._bytes -= len(old[1])


def etag(item_id: str, revision: Revision) -> str:
    """What a client that has the document names it by."""
    return f"{item_id}.{revision}"
