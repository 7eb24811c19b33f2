"""How much is in the caches, for the metrics and for people."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from terrapod_core.metrics.definitions import MIRROR_BYTES, MIRROR_FAILING, MIRROR_PACKAGES, Sample
from terrapod_core.mirrors.models import ENGINE, MODULE, PROVIDER, MirrorIndex, MirrorPackage, MirrorRelease

KINDS: Final = {kind[0]: kind for kind in (ENGINE, PROVIDER, MODULE)}
"""By the first letter of what rows name a source by."""


def samples(session: Session) -> list[Sample]:
    """Packages and bytes by kind, and sources that fail."""
    first = func.substr(MirrorRelease.source, 1, 1)
    query = (
        select(first, func.count(), func.coalesce(func.sum(MirrorPackage.size), 0))
        .join(MirrorRelease, MirrorRelease.id == MirrorPackage.release_id)
        .where(MirrorPackage.object_key.is_not(None))
        .group_by(first)
    )
    found = {letter: (float(number), float(size)) for letter, number, size in session.execute(query)}
    failing = session.execute(select(func.count()).where(MirrorIndex.failed_at.is_not(None))).scalar_one()
    return [
        *((MIRROR_PACKAGES, (kind,), found.get(letter, (0.0, 0.0))[0]) for letter, kind in KINDS.items()),
        *((MIRROR_BYTES, (kind,), found.get(letter, (0.0, 0.0))[1]) for letter, kind in KINDS.items()),
        (MIRROR_FAILING, (), float(failing)),
    ]
