"""How much is in the caches, for the metrics and for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from terrapod_core.metrics.definitions import MIRROR_BYTES, MIRROR_FAILING, MIRROR_PACKAGES, Sample
from terrapod_core.mirrors.models import ENGINE, MODULE, PROVIDER, MirrorIndex, MirrorPackage, MirrorRelease

KINDS: Final = {kind[0]: kind for kind in (ENGINE, PROVIDER, MODULE)}
"""By the first letter of what rows name a source by."""


@dataclass(frozen=True)
class Held:
    """What there is of a kind."""

    kind: str
    packages: int = 0
    """Those whose bytes are here, as are `size` and nothing else."""
    size: int = 0
    uses: int = 0
    misses: int = 0
    saved: int = 0
    """Bytes that were given without asking an upstream."""

    @property
    def hit_ratio(self) -> float | None:
        """Of what was asked for, the part that was here; `None` when nothing was asked for."""
        asked = self.uses + self.misses
        return self.uses / asked if asked else None


def held(session: Session) -> list[Held]:
    """Of each kind."""
    first = func.substr(MirrorRelease.source, 1, 1)
    here = MirrorPackage.object_key.is_not(None)
    query = (
        select(
            first,
            func.sum(case((here, 1), else_=0)),
            func.sum(case((here, func.coalesce(MirrorPackage.size, 0)), else_=0)),
            func.sum(MirrorPackage.uses),
            func.sum(MirrorPackage.misses),
            func.sum(MirrorPackage.uses * func.coalesce(MirrorPackage.size, 0)),
        )
        .join(MirrorRelease, MirrorRelease.id == MirrorPackage.release_id)
        .group_by(first)
    )
    found = {letter: Held(KINDS[letter], *map(int, numbers)) for letter, *numbers in session.execute(query)}
    return [found.get(letter, Held(kind)) for letter, kind in KINDS.items()]


def samples(session: Session) -> list[Sample]:
    """Packages and bytes by kind, and sources that fail."""
    kinds = held(session)
    failing = session.execute(select(func.count()).where(MirrorIndex.failed_at.is_not(None))).scalar_one()
    return [
        *((MIRROR_PACKAGES, (each.kind,), float(each.packages)) for each in kinds),
        *((MIRROR_BYTES, (each.kind,), float(each.size)) for each in kinds),
        (MIRROR_FAILING, (), float(failing)),
    ]
