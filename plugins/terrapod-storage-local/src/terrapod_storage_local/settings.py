"""What an operator may choose of local storage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from terrapod_core.plugin import PluginSettings, setting


@dataclass(frozen=True, kw_only=True)
class LocalStorageSettings(PluginSettings):
    """`[storage.local]`."""

    path: Path | None = setting(None, "Folder that objects are kept under.", shown_default="<data_dir>/objects")

    def folder(self, data_dir: Path) -> Path:
        """Where objects go, absolute."""
        return (self.path or data_dir / "objects").absolute()
