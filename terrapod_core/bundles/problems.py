"""What is told to whoever writes or loads a bundle."""

from __future__ import annotations

from terrapod_core.errors import TerrapodError


class BundleError(TerrapodError):
    """Why a bundle cannot be written or loaded, and what to do."""

    title = "bundle"


def damaged(why: str) -> BundleError:
    """A file that is not what its exporter wrote."""
    return BundleError(f"the bundle is damaged: {why}. Nothing of it was loaded; carry it over again")
