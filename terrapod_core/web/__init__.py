"""HTTP, once: actor, bodies, documents, uploads, errors, headers, health and discovery. Routes are two or three lines over this."""

from __future__ import annotations

from terrapod_core.web.app import TerrapodQuart
from terrapod_core.web.capabilities import CapabilityRoutes
from terrapod_core.web.download import stream
from terrapod_core.web.web import Authenticate, Web

__all__ = ["Authenticate", "CapabilityRoutes", "TerrapodQuart", "Web", "stream"]
