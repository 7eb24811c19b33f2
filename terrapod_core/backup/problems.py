"""What is told to whoever makes or restores a backup."""

from __future__ import annotations

from typing import Final

from terrapod_core.errors import TerrapodError


class BackupError(TerrapodError):
    """Why a backup cannot be made or restored, and what to do."""

    title = "backup"


DAMAGED: Final = "the archive is damaged: it was cut short or changed after it was written; nothing of it can be trusted. Take another one"
