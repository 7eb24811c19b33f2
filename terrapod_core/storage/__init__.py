"""Where bytes live and who may fetch them by link.

Objects           states, plans, logs and configurations: compressed, encrypted, ranged, over the chosen backend
Archives          modules, providers and engine binaries: plain, for clients to fetch from the store itself where it can
ArchiveKind       what an archive is
ObjectKind        what an object is; decides where it lies
Stored            what `put` tells about an object, for the caller's row
Capabilities      signed links (`/c/<token>`) that allow one thing to whoever holds them
Purpose           what a link allows
Capability        what a verified link said
PhaseTokens       the credentials of the runner of one phase and of its engine
Holder            which of the two
PhaseClaim        what a verified phase token said
"""

from __future__ import annotations

from terrapod_core.storage.archives import ArchiveKind, Archives
from terrapod_core.storage.capabilities import Capabilities, Capability, Purpose
from terrapod_core.storage.objects import ObjectKind, Objects
from terrapod_core.storage.phase_tokens import Holder, PhaseClaim, PhaseTokens
from terrapod_core.storage.storing import Stored

__all__ = [
    "ArchiveKind",
    "Archives",
    "Capabilities",
    "Capability",
    "Holder",
    "ObjectKind",
    "Objects",
    "PhaseClaim",
    "PhaseTokens",
    "Purpose",
    "Stored",
]
