from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.plugin import StorageBackend
from terrapod_core.testing.storage import StorageBackendKit
from terrapod_storage_local.storage import LocalStorage


class TestLocalStorage(StorageBackendKit):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        return LocalStorage(tmp_path / "objects")
