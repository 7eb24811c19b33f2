"""Signed links of packages, sums and signatures: terraform shows no token where documents send it.

Documents are the same for everybody and are kept, and so are the links in them: those that are made within a quarter of an hour end at
the same time, half an hour after that quarter began.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from terrapod_core.clock import Clock
from terrapod_core.storage import Capabilities, Purpose

WINDOW_SECONDS: Final = 900


class Links:
    """Issues them; that somebody may have them was decided before."""

    def __init__(self, capabilities: Capabilities, clock: Clock) -> None:
        self._capabilities = capabilities
        self._clock = clock

    @property
    def window(self) -> int:
        """Which quarter of an hour this is; another one means other links."""
        return int(self._clock.now().timestamp()) // WINDOW_SECONDS

    def archive(self, package_id: str, subject: str = "") -> str:
        """Where a file is fetched from, as a path; `subject` is the phase whose engine is given the link, if it is one."""
        return self._path(Purpose.MIRRORED_DOWNLOAD, package_id, subject)

    def sums(self, package_id: str) -> str:
        """Where the sums are that name this file."""
        return self._path(Purpose.MIRRORED_SUMS_DOWNLOAD, package_id)

    def signature(self, package_id: str) -> str:
        """Where their signature is."""
        return self._path(Purpose.MIRRORED_SIGNATURE_DOWNLOAD, package_id)

    def _path(self, purpose: Purpose, object_id: str, subject: str = "") -> str:
        expires = datetime.fromtimestamp((self.window + 2) * WINDOW_SECONDS, UTC)
        return self._capabilities.url_path(purpose, "GET", object_id, expires=expires, subject=subject)
