from __future__ import annotations

from pathlib import Path

import pytest

from terrapod_core.plugin import KeyProvider
from terrapod_core.testing.keys import Give, KeyProviderKit
from terrapod_keys_command.provider import CommandKeys


class TestCommandKeys(KeyProviderKit):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> KeyProvider:
        return CommandKeys(["cat", str(tmp_path / "keys")], 10)

    @pytest.fixture
    def give(self, tmp_path: Path) -> Give:
        def give(text: str) -> None:
            (tmp_path / "keys").write_text(text, "utf-8")

        return give
