"""Documents of which versions a source has, encoded once for each revision of its index."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from terrapod_core.mirrors.indexes import Indexes
from terrapod_core.mirrors.models import MirrorIndex
from terrapod_core.plugin import Source
from terrapod_core.web.listings import Listings, etag


class Document(NamedTuple):
    """Encoded, with what a client that has it names it by."""

    content: bytes
    tag: str


async def listed(indexes: Indexes, listings: Listings, source: Source, protocol: str, made: Callable[[MirrorIndex], bytes]) -> Document:
    """The document of a source in the words of a protocol, which `made` makes. Raises as `Indexes.of`."""
    state = await indexes.state(source)
    name, revision = f"{protocol}:{source}", state.revision
    content = listings.get(name, revision)
    if content is None:
        row = await indexes.of(source)
        revision = row.revision
        content = listings.made(name, revision, lambda: made(row))
    return Document(content, etag(name, revision))
